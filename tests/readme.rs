//! The README promises nothing that is not there: each test and file it names exists.

use std::{collections::HashSet, fs, path::Path};

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
