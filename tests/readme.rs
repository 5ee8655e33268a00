//! The README and `docs/testing.md` promise nothing that is not there: each test and file they name exists.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn readme() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap()
}

/// The names of all functions in the Rust files below a folder.
fn functions(folder: &Path, found: &mut HashSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text
                .split("fn ")
                .skip(1)
                .filter_map(|rest| rest.split('(').next());
            found.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let mut functions_here = HashSet::new();
    for folder in ["tests", "src"] {
        functions(&Path::new(ROOT).join(folder), &mut functions_here);
    }
    let readme = readme();
    let table = readme.split("## What is promised").nth(1).unwrap();
    // A test's name is a sentence; nothing else in backticks there has so many words.
    let quoted = table.split('`').skip(1).step_by(2);
    let named: Vec<&str> = quoted
        .filter(|name| name.matches('_').count() >= 3)
        .collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !functions_here.contains(**name))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_file_that_is_linked_exists() {
    let readme = readme();
    let links = readme
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let mut seen = 0;
    for link in links {
        assert!(Path::new(ROOT).join(link).exists(), "{link}");
        seen += 1;
    }
    assert!(seen > 3);
}

/// The source file of a test module, from its path: `cluster::missing` or `rollout::decide::tests::told`.
fn source(module: &str) -> PathBuf {
    let path = format!("{}.rs", module.replace("::", "/"));
    let folders =
        ["tests", "src", "testbed/src"].map(|folder| Path::new(ROOT).join(folder).join(&path));
    let found = folders.into_iter().find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("no source file of {module}"))
}

#[test]
fn every_bad_day_has_a_test_that_exists() {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/testing.md")).unwrap();
    let section = text.split("## Bad days").nth(1).unwrap();
    let rows: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.ends_with("| test |"))
        .collect();
    for row in &rows {
        let named: Vec<&str> = row
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| name.contains("::"))
            .collect();
        assert!(!named.is_empty(), "no test in: {row}");
        for test in named {
            let (module, function) = test.rsplit_once("::").unwrap();
            let source = fs::read_to_string(source(module)).unwrap();
            let lines: Vec<&str> = source.lines().map(str::trim).collect();
            let sync = format!("fn {function}() {{");
            let place = lines
                .iter()
                .position(|line| *line == sync || *line == format!("async {sync}"));
            let is_test = place.is_some_and(|place| {
                let above = lines[..place].iter().rev();
                above
                    .take_while(|line| line.starts_with("#["))
                    .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
            });
            assert!(is_test, "{test} is no test");
        }
    }
    assert!(rows.len() >= 25, "{rows:#?}");
}
