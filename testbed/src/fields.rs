//! The table of fields: every field of the five kinds, and by which tests it works or is refused; and whether these
//! tests notice when a field is ignored ([`mutate`]).
//!
//! Not here: how a test says what it exercises ([`mod@crate::covers`]).

pub mod mutate;
mod page;
mod records;
mod schema;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use records::Records;

/// Why there is no table, or not the right one.
#[derive(Debug, thiserror::Error)]
pub enum FieldsError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Fields and records do not fit.
    #[error("{0}")]
    Wrong(String),
}

/// What is known of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// These tests exercise it, or what is in it.
    Works(BTreeSet<String>),
    /// It is refused with this message, as these tests show.
    Refused {
        message: String,
        tests: BTreeSet<String>,
    },
    /// No test says anything.
    Unknown,
}

/// All fields in the order of the definitions, with what is known of them.
#[derive(Debug)]
pub struct Table {
    rows: Vec<(schema::Field, Standing)>,
}

impl Table {
    /// From the definitions in `crds` and the records of a run in `records`.
    pub fn read(crds: &Path, records: &Path) -> Result<Self, FieldsError> {
        Self::of(schema::fields(crds)?, &records::read(records)?)
    }

    fn of(fields: Vec<schema::Field>, records: &Records) -> Result<Self, FieldsError> {
        let known: BTreeSet<&str> = fields.iter().map(|field| &*field.path).collect();
        let mut wrong: Vec<String> = Vec::new();
        for (path, tests) in &records.covered {
            if !known.contains(&*schema::canonical(path)) {
                wrong.push(format!(
                    "{path} is no field: {tests:?} say that they exercise it"
                ));
            } else if records.refused.contains_key(path) {
                wrong.push(format!(
                    "{path} is exercised by {tests:?} and refused by others"
                ));
            }
        }
        for path in records.refused.keys() {
            if !known.contains(&*schema::canonical(path)) {
                wrong.push(format!("{path} is no field: it is said to be refused"));
            }
        }
        if !wrong.is_empty() {
            return Err(FieldsError::Wrong(wrong.join("\n")));
        }
        let rows = fields.into_iter().map(|field| {
            let standing = standing(&field.path, records);
            (field, standing)
        });
        Ok(Self {
            rows: rows.collect(),
        })
    }

    /// Fields of which no test says anything.
    pub fn unknown(&self) -> Vec<&str> {
        let rows = self.rows.iter();
        rows.filter(|(_, standing)| *standing == Standing::Unknown)
            .map(|(field, _)| &*field.path)
            .collect()
    }

    /// The table as a page.
    pub fn page(&self) -> String {
        page::of(self)
    }

    /// How many fields work, are refused, and are unknown.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (_, standing) in &self.rows {
            let name = match standing {
                Standing::Works(_) => "works",
                Standing::Refused { .. } => "refused",
                Standing::Unknown => "without a test",
            };
            *counts.entry(name).or_default() += 1;
        }
        counts
    }
}

/// A field works when it, or something in it, is exercised; it is refused when it, or something that it is in, is.
fn standing(path: &str, records: &Records) -> Standing {
    let within = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with('['))
    };
    let tests: BTreeSet<String> = records
        .covered
        .iter()
        .filter(|(covered, _)| within(&schema::canonical(covered), path))
        .flat_map(|(_, tests)| tests.iter().map(|test| test.name.clone()))
        .collect();
    if !tests.is_empty() {
        return Standing::Works(tests);
    }
    let mut refusals = records.refused.iter();
    match refusals.find(|(refused, _)| within(path, &schema::canonical(refused))) {
        Some((_, refusal)) => Standing::Refused {
            message: refusal.message.clone(),
            tests: refusal.tests.clone(),
        },
        None => Standing::Unknown,
    }
}

/// Writes the page, or fails where it is not what the run shows.
pub fn write(table: &Table, page: &Path, check: bool) -> Result<(), FieldsError> {
    let file = |source| FieldsError::File {
        path: page.to_owned(),
        source,
    };
    let text = table.page();
    if !check {
        return std::fs::write(page, text).map_err(file);
    }
    let unknown = table.unknown();
    if !unknown.is_empty() {
        return Err(FieldsError::Wrong(format!(
            "no test exercises these fields or shows that they are refused: {}",
            unknown.join(", ")
        )));
    }
    if std::fs::read_to_string(page).map_err(file)? != text {
        return Err(FieldsError::Content {
            path: page.to_owned(),
            what: "is not what the run shows; write it again with `make fields` and look at what has changed".to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        records::{Refusal, Test},
        schema::Field,
        *,
    };

    fn test(name: &str) -> Test {
        Test {
            name: name.to_owned(),
            exe: PathBuf::new(),
        }
    }

    fn records(covered: &[&str], refused: &[&str]) -> Records {
        let refusal = || Refusal {
            message: "is not supported".to_owned(),
            tests: BTreeSet::from(["refuses".to_owned()]),
        };
        let covered = covered
            .iter()
            .map(|path| ((*path).to_owned(), BTreeSet::from([test("tries")])));
        let refused = refused.iter().map(|path| ((*path).to_owned(), refusal()));
        Records {
            covered: covered.collect(),
            refused: refused.collect(),
        }
    }

    fn fields() -> Vec<Field> {
        let paths = [
            "spec.a",
            "spec.a.b",
            "spec.a.c",
            "spec.list",
            "spec.list[].d",
        ];
        paths
            .map(|path| Field {
                path: path.to_owned(),
                about: String::new(),
            })
            .to_vec()
    }

    #[test]
    fn a_field_works_by_what_is_in_it_and_is_refused_by_what_it_is_in() {
        let table = Table::of(fields(), &records(&["spec.list[].d"], &["spec.a"])).unwrap();
        let counts: Vec<_> = table.counts().into_iter().collect();
        assert_eq!(counts, [("refused", 3), ("works", 2)]);
        let table = Table::of(fields(), &records(&["spec.a.b"], &["spec.a.c"])).unwrap();
        assert_eq!(table.unknown(), ["spec.list", "spec.list[].d"]);
    }

    #[test]
    fn records_that_fit_no_field_or_contradict_are_named() {
        let error = |covered: &[&str], refused: &[&str]| {
            Table::of(fields(), &records(covered, refused))
                .unwrap_err()
                .to_string()
        };
        assert!(error(&["spec.x"], &[]).starts_with("spec.x is no field"));
        assert!(error(&[], &["spec.x"]).starts_with("spec.x is no field"));
        assert!(error(&["spec.a"], &["spec.a"]).contains("refused by others"));
    }

    #[test]
    fn a_page_that_is_not_what_the_run_shows_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("fields.md");
        let table = Table::of(fields(), &records(&["spec.list[].d"], &["spec.a"])).unwrap();
        write(&table, &page, false).unwrap();
        write(&table, &page, true).unwrap();
        std::fs::write(&page, "else").unwrap();
        assert!(
            write(&table, &page, true)
                .unwrap_err()
                .to_string()
                .contains("is not what the run shows")
        );
        let gaps = Table::of(fields(), &records(&["spec.list[].d"], &[])).unwrap();
        assert!(
            write(&gaps, &page, true)
                .unwrap_err()
                .to_string()
                .contains("spec.a, spec.a.b, spec.a.c")
        );
    }
}
