//! Whether tests notice when a field is ignored: fields are drawn at random, and the tests that exercise one are run again in a
//! program that never hears of it ([`crate::covers::heard`]). At least one of them has to fail.
//!
//! Not here: tests on the control plane, which are too slow for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::{
    FieldsError,
    records::{self, Records, Test},
};
use crate::covers::IGNORED;

/// A test that does not end either has noticed.
const LONGEST: Duration = Duration::from_mins(3);

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// The seed that draws the same fields again.
    pub seed: u64,
    /// How many fields could be drawn.
    pub pool: usize,
    /// The fields that were ignored, and the tests that failed; none: nobody noticed.
    pub drawn: Vec<(String, Option<String>)>,
}

impl Report {
    /// Fields that nobody misses.
    pub fn unnoticed(&self) -> Vec<&str> {
        let drawn = self.drawn.iter().filter(|(_, noticed)| noticed.is_none());
        drawn.map(|(field, _)| &**field).collect()
    }
}

/// Draws `count` fields from the records in a folder and ignores one after the other.
pub async fn run(folder: &Path, count: usize, seed: u64) -> Result<Report, FieldsError> {
    let mut pool = pool(&records::read(folder)?);
    let size = pool.len();
    fastrand::Rng::with_seed(seed).shuffle(&mut pool);
    let mut drawn = Vec::new();
    for (field, tests) in pool.into_iter().take(count) {
        let noticed = noticed(&field, &tests).await?;
        drawn.push((field, noticed));
    }
    Ok(Report {
        seed,
        pool: size,
        drawn,
    })
}

/// Fields with tests that need no control plane.
fn pool(records: &Records) -> Vec<(String, BTreeSet<Test>)> {
    let fields = records.covered.iter().map(|(field, tests)| {
        let tests = tests
            .iter()
            .filter(|test| !test.name.starts_with("cluster::"));
        (field.clone(), tests.cloned().collect::<BTreeSet<_>>())
    });
    fields.filter(|(_, tests)| !tests.is_empty()).collect()
}

/// A test that fails without the field.
async fn noticed(field: &str, tests: &BTreeSet<Test>) -> Result<Option<String>, FieldsError> {
    let mut programs: BTreeMap<&PathBuf, Vec<&str>> = BTreeMap::new();
    for test in tests {
        programs.entry(&test.exe).or_default().push(&test.name);
    }
    for (exe, names) in programs {
        let file = |source| FieldsError::File {
            path: exe.clone(),
            source,
        };
        let run = Command::new(exe)
            .arg("--exact")
            .args(&names)
            .env(IGNORED, field)
            .env_remove(crate::covers::FOLDER)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .output();
        let Ok(output) = timeout(LONGEST, run).await else {
            return Ok(Some(format!("{} (no end)", names.join(", "))));
        };
        let output = output.map_err(file)?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            let failed = said
                .lines()
                .find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
            return Ok(Some(failed.unwrap_or("its program ended").to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tests_without_a_control_plane_are_drawn() {
        let test = |name: &str| Test {
            name: name.to_owned(),
            exe: PathBuf::new(),
        };
        let mut records = Records::default();
        records.covered.insert(
            "spec.a".to_owned(),
            BTreeSet::from([test("cluster::x"), test("sim::y")]),
        );
        records
            .covered
            .insert("spec.b".to_owned(), BTreeSet::from([test("cluster::x")]));
        let pool = pool(&records);
        assert_eq!(
            pool,
            [("spec.a".to_owned(), BTreeSet::from([test("sim::y")]))]
        );
    }

    #[tokio::test]
    async fn a_test_that_fails_or_does_not_exist_is_told_from_one_that_passes() {
        let exe = std::env::current_exe().unwrap();
        let tests = |name: &str| {
            BTreeSet::from([Test {
                name: name.to_owned(),
                exe: exe.clone(),
            }])
        };
        let own = "covers::tests::what_is_ignored_is_not_heard";
        assert_eq!(noticed("spec.other", &tests(own)).await.unwrap(), None);
        assert_eq!(
            noticed("spec.tested", &tests(own))
                .await
                .unwrap()
                .as_deref(),
            Some(own)
        );
    }
}
