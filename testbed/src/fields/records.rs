//! What the tests of a run have written down.
//!
//! Not here: how they write it ([`mod@crate::covers`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::FieldsError;

/// What was shown of fields, by their paths.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Tests that exercise a field.
    pub(super) covered: BTreeMap<String, BTreeSet<Test>>,
    /// Fields that are refused.
    pub(super) refused: BTreeMap<String, Refusal>,
}

/// A test that passed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test {
    /// Its name in its program.
    pub(super) name: String,
    /// The program.
    pub(super) exe: PathBuf,
}

/// How a field is refused.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    /// The message.
    pub(super) message: String,
    /// The tests that show it.
    pub(super) tests: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Line {
    test: String,
    exe: PathBuf,
    #[serde(default)]
    fields: Vec<String>,
    #[serde(default)]
    refused: Vec<(String, String)>,
}

/// Reads all files of a folder.
pub(super) fn read(folder: &Path) -> Result<Records, FieldsError> {
    let file = |path: &Path| {
        let path = path.to_owned();
        move |source| FieldsError::File { path, source }
    };
    let mut records = Records::default();
    let entries = fs::read_dir(folder).map_err(file(folder))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        for line in fs::read_to_string(&path).map_err(file(&path))?.lines() {
            let line: Line = serde_json::from_str(line).map_err(|error| FieldsError::Content {
                path: path.clone(),
                what: error.to_string(),
            })?;
            records.add(line);
        }
    }
    Ok(records)
}

impl Records {
    fn add(&mut self, line: Line) {
        let test = Test {
            name: line.test,
            exe: line.exe,
        };
        // The status is no field that anybody sets.
        let of_spec = |field: &String| !field.contains("status.");
        for field in line.fields.into_iter().filter(of_spec) {
            // A member of a list of values has no row of its own.
            let field = field.trim_end_matches("[]").to_owned();
            self.covered.entry(field).or_default().insert(test.clone());
        }
        for (field, message) in line.refused {
            let refusal = self.refused.entry(field).or_default();
            refusal.message = message;
            refusal.tests.insert(test.name.clone());
        }
    }
}
