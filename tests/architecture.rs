//! The core stays pure: what decides has no client, no clock, no randomness and no async.

use std::path::{Path, PathBuf};

/// Modules that decide, render or describe: a file, or everything in the folder beside it.
const PURE: [&str; 19] = [
    "src/rollout/decide",
    "src/rollout/act/write",
    "src/rollout/decision",
    "src/rollout/snapshot",
    "src/analysis/decide",
    "src/analysis/judge",
    "src/analysis/args",
    "src/analysis/plan",
    "src/analysis/render",
    "src/analysis/snapshot",
    "src/analysis/templates",
    "src/experiment/decide",
    "src/experiment/decision",
    "src/experiment/snapshot",
    "src/traffic/gateway_api",
    "src/traffic/ingress_nginx",
    "src/traffic.rs",
    "src/api",
    "src/simulate",
];

/// What has no place there.
const FORBIDDEN: [&str; 13] = [
    "kube::Client",
    "Client::",
    "tokio::",
    "async fn",
    "async move",
    ".await",
    "Timestamp::now",
    "Instant::now",
    "SystemTime",
    "rand::",
    "reqwest",
    "std::fs",
    "std::env",
];

/// All source files of a module, without its tests.
fn files(module: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(module);
    let mut found = Vec::new();
    let file = if path.extension().is_some() {
        path.clone()
    } else {
        path.with_extension("rs")
    };
    if file.is_file() {
        found.push(file);
    }
    let mut folders = vec![path];
    while let Some(folder) = folders.pop() {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        for entry in entries.map(|entry| entry.path()) {
            let tests = entry.file_stem().is_some_and(|stem| stem == "tests");
            if tests {
                continue;
            }
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    found
}

/// Line numbers and lines of code that are neither comments nor tests. Tests stand at the end of a file.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .take_while(|(_, line)| line.trim() != "mod tests {")
        .map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
}

/// `file:line: word` for every forbidden word in `text`.
fn impurities(file: &str, text: &str) -> Vec<String> {
    code(text)
        .flat_map(|(number, line)| {
            FORBIDDEN
                .iter()
                .filter(move |word| line.contains(**word))
                .map(move |word| format!("{file}:{number}: {word}"))
        })
        .collect()
}

#[test]
fn the_core_is_pure() {
    let mut found = Vec::new();
    for module in PURE {
        let files = files(module);
        // `api.rs` may be a folder with its root in `lib.rs`; every other module must exist, or nothing is checked.
        assert!(
            !files.is_empty() || module == "src/api.rs",
            "{module} has no source file"
        );
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            found.extend(impurities(&file.display().to_string(), &text));
        }
    }
    assert!(
        found.is_empty(),
        "the core must stay pure:\n{}",
        found.join("\n")
    );
}

#[test]
fn impurities_are_found_outside_comments_and_tests_only() {
    let text = "// tokio::spawn\nlet x = tokio::spawn(y); // why\nasync fn z() {}\nmod tests {\nInstant::now()\n}\n";
    assert_eq!(
        impurities("f.rs", text),
        ["f.rs:2: tokio::", "f.rs:3: async fn"]
    );
}
