//! The program from outside: help, usage, exit codes, and the commands that need no cluster.

use std::{
    fs,
    process::{Command, Output},
};

use tidegate::api::{
    crds,
    names::{ApiNames, Kind},
};

fn tidegate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(args)
        .env_remove("KUBECONFIG")
        .env("HOME", "/nonexistent")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn help_names_every_command_and_every_exit_code() {
    let help = text(&tidegate(&["--help"]).stdout);
    for word in [
        "get",
        "status",
        "explain",
        "promote",
        "abort",
        "retry",
        "pause",
        "resume",
        "set-image",
        "undo",
        "simulate",
        "crds",
        "controller",
        "  0  done",
        "  1  failed",
        "  2  wrong usage",
        "  3  not there yet",
        "kubectl-tidegate",
    ] {
        assert!(help.contains(word), "{word} is missing in:\n{help}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2_on_standard_error() {
    for args in [
        &["promote"] as &[&str],
        &["set-image", "demo", "web"],
        &["undo", "demo", "--to-revision", "first"],
        &["get", "demo", "-A"],
        &["status", "demo", "--timeout", "soon"],
        &["controller", "--metric-address-allow", "not a pattern"],
        &["no-such-command"],
    ] {
        let output = tidegate(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            output.stdout.is_empty() && text(&output.stderr).contains("error:"),
            "{args:?}: {output:?}"
        );
    }
}

#[test]
fn without_a_cluster_it_says_how_to_name_one() {
    let output = tidegate(&["get"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.contains("--kubeconfig") && error.contains("KUBECONFIG"),
        "{error}"
    );
}

#[test]
fn crds_prints_one_document_per_kind() {
    let output = tidegate(&["crds"]);
    let expected: Vec<String> = Kind::ALL
        .map(|kind| crds::yaml(&ApiNames::default(), kind).unwrap())
        .into();
    assert_eq!(text(&output.stdout), expected.join("---\n"));
}

#[test]
fn crds_writes_one_file_per_kind() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/folder");
    let output = tidegate(&["crds", "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    for kind in Kind::ALL {
        let written = fs::read_to_string(out.join(format!("{}.yaml", kind.plural()))).unwrap();
        assert_eq!(written, crds::yaml(&ApiNames::default(), kind).unwrap());
    }
}

#[test]
fn called_as_a_kubectl_plugin_it_calls_itself_so() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-tidegate");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tidegate"), &plugin).unwrap();
    let help = text(
        &Command::new(&plugin)
            .args(["get", "--help"])
            .output()
            .unwrap()
            .stdout,
    );
    assert!(help.contains("Usage: kubectl tidegate get"), "{help}");
}
