//! `tidegate simulate` from outside: every example in every scenario, what is refused, and that the docs show what is printed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use clap::ValueEnum;
use serde_json::{Value, json};
use tidegate::simulate::{
    Options,
    manifests::{File, Manifests},
    scenario::Scenario,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn simulate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("simulate")
        .args(args)
        .current_dir(ROOT)
        .env_remove("KUBECONFIG")
        .env("COLUMNS", "90")
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn played(args: &[&str]) -> Value {
    let args = [args, &["-o", "json"]].concat();
    serde_json::from_str(&text(&simulate(&args))).unwrap()
}

fn examples() -> Vec<PathBuf> {
    let folder = fs::read_dir(Path::new(ROOT).join("examples")).unwrap();
    let mut all: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// A file in a folder that goes with the test.
fn file(folder: &tempfile::TempDir, manifest: &str) -> String {
    let path = folder.path().join("rollout.yaml");
    fs::write(&path, manifest).unwrap();
    path.display().to_string()
}

#[test]
fn every_example_is_played_in_every_scenario() {
    for example in examples() {
        let paths = fs::read_dir(&example).unwrap();
        let files: Vec<File> = paths
            .map(|entry| File {
                name: example.display().to_string(),
                text: fs::read_to_string(entry.unwrap().path()).unwrap(),
            })
            .collect();
        let manifests = Manifests::read(&files).unwrap();
        let name = example.file_name().unwrap().to_string_lossy().into_owned();
        for scenario in Scenario::value_variants() {
            let options = Options {
                scenario: *scenario,
                ..Options::default()
            };
            // Here and not in a process of its own: that would read the definitions each time.
            let played = json!(tidegate::simulate::simulate(&manifests, &options).unwrap());
            let scenario = scenario.name();
            let outcome = played["summary"]["outcome"].as_str().unwrap();
            let has_analysis = name != "pod-ratio";
            let expected: &[&str] = match scenario {
                "good" => &["completed"],
                // Nothing looks at the answers of an example without analysis.
                "bad" if has_analysis => &["rolled-back"],
                // Others are over before the errors begin.
                "bad-later" if name == "canary" => &["rolled-back"],
                "crash-loop" | "never-ready" => &["rolled-back", "unfinished"],
                "no-traffic" | "no-metrics" if has_analysis && name != "approval" => {
                    &["waits-for-person", "rolled-back", "unfinished"]
                }
                // Its analysis holds until there is data, and a person ends its pause.
                "no-traffic" if name == "approval" => &["completed"],
                _ => &["completed", "rolled-back", "unfinished"],
            };
            assert!(
                expected.contains(&outcome),
                "{name}, {scenario}: {outcome}: {:#}",
                played["summary"]
            );
            assert!(
                played["timeline"].as_array().unwrap().len() > 1,
                "{name}, {scenario}: {played:#}"
            );
        }
    }
}

#[test]
fn a_bad_version_is_counted_until_it_is_caught() {
    let played = played(&[
        "-f",
        "examples/canary",
        "--scenario",
        "bad",
        "--rps",
        "1000",
    ]);
    let aborted = &played["summary"]["aborted"];
    let [requests, errors] = ["requestsToNew", "errors"].map(|field| aborted[field].as_f64());
    // 5 % of 1000 requests per second, for about the seven seconds of the analysis: half of them are errors.
    assert!((200.0..600.0).contains(&requests.unwrap()), "{aborted:#}");
    assert!(
        (errors.unwrap() - requests.unwrap() / 2.0).abs() < 1.0,
        "{aborted:#}"
    );
}

#[test]
fn the_same_seed_gives_the_same_simulation() {
    let of = |seed: &str| {
        text(&simulate(&[
            "-f",
            "examples/canary",
            "--seed",
            seed,
            "-o",
            "json",
        ]))
    };
    assert_eq!((of("1") == of("1"), of("1") == of("2")), (true, false));
}

#[test]
fn a_value_that_is_given_for_a_metric_counts() {
    let args = ["-f", "examples/canary", "--metric", "error-share=0.2"];
    let played = played(&args);
    assert_eq!(played["summary"]["outcome"], "rolled-back", "{played:#}");
}

#[test]
fn objects_of_argo_rollouts_are_played_as_ours() {
    let folder = tempfile::tempdir().unwrap();
    let example = Path::new(ROOT).join("examples/canary");
    let mut manifests = String::new();
    for entry in fs::read_dir(example).unwrap() {
        manifests += &fs::read_to_string(entry.unwrap().path()).unwrap();
        manifests += "\n---\n";
    }
    let argo = manifests.replace("tidegate.dev/v1alpha1", "argoproj.io/v1alpha1");
    assert_ne!(argo, manifests);
    let played = played(&["-f", &file(&folder, &argo)]);
    assert_eq!(played["summary"]["outcome"], "completed", "{played:#}");
}

#[test]
fn what_is_in_no_file_is_made_up_or_asked_for() {
    let played = played(&[
        "-f",
        "examples/canary/rollout.yaml",
        "-f",
        "examples/canary/analysis-template.yaml",
    ]);
    let assumed = played["assumptions"].to_string();
    assert_eq!(played["summary"]["outcome"], "completed");
    for made_up in ["Service demo-stable", "Service demo-canary", "Ingress demo"] {
        assert!(assumed.contains(made_up), "{assumed}");
    }
    let alone = simulate(&["-f", "examples/canary/rollout.yaml"]);
    let error = String::from_utf8(alone.stderr).unwrap();
    assert_eq!(alone.status.code(), Some(1));
    assert!(error.contains("AnalysisTemplate error-share"), "{error}");
}

#[test]
fn what_the_cluster_would_refuse_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rollout =
        fs::read_to_string(Path::new(ROOT).join("examples/pod-ratio/rollout.yaml")).unwrap();
    for (good, bad, message) in [
        ("maxSurge: 1", "maxSurged: 1", "maxSurged"),
        ("setWeight: 10", "setWeight: 110", "setWeight"),
        ("maxSurge: 1", "maxSurge: 0", "maxUnavailable"),
    ] {
        let manifest = rollout.replacen(good, bad, 1);
        assert_ne!(manifest, rollout);
        let refused = simulate(&["-f", &file(&folder, &manifest)]);
        let error = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{bad}: {error}");
        assert!(error.contains(message), "{bad}: {error}");
    }
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let page = text(&simulate(&["-f", "examples/blue-green", "-o", "html"]));
    for word in ["<svg", "prefers-color-scheme", "Timeline", "</html>"] {
        assert!(page.contains(word), "{word} is missing in {page}");
    }
    for word in ["http:", "https:", "<script", "<link", "<img"] {
        assert!(!page.contains(word), "{word} is in {page}");
    }
}

/// Commands in `console` blocks of the docs, each with what they print.
fn shown(document: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new(ROOT).join(document)).unwrap();
    let blocks = text.split("```console\n$ ").skip(1);
    blocks
        .map(|block| {
            let (block, _) = block.split_once("\n```").unwrap();
            let (command, printed) = block.split_once('\n').unwrap();
            (command.to_owned(), format!("{printed}\n"))
        })
        .collect()
}

#[test]
fn the_docs_show_what_is_printed() {
    let mut count = 0;
    for (command, expected) in shown("docs/simulate.md") {
        let args: Vec<&str> = command.split(' ').skip(2).collect();
        assert!(command.starts_with("tidegate simulate "), "{command}");
        let output = simulate(&args);
        let printed = if output.status.success() {
            String::from_utf8(output.stdout).unwrap()
        } else {
            String::from_utf8(output.stderr).unwrap()
        };
        assert_eq!(printed, expected, "$ {command}\n{printed}");
        count += 1;
    }
    assert!(count >= 4, "{count} commands");
}
