//! Which fields a test exercises, written down when it has passed.
//!
//! The table of fields is made from these records. Not here: the table (it belongs to who reads the records).

use std::{env, fs::OpenOptions, io::Write, path::Path, thread};

/// The environment variable with the folder of the records. Unset: nothing is written.
pub const FOLDER: &str = "TIDEGATE_COVERS";

/// Says that the running test exercises `fields`; written down when the value goes, unless the test panics.
///
/// Fields are paths such as `spec.strategy.canary.steps[].setWeight`, of a Rollout or with another kind in front.
#[must_use = "the test is counted when this goes: keep it to the end"]
pub fn covers(fields: &'static [&'static str]) -> Covers {
    Covers { fields }
}

/// A test that exercises fields.
#[derive(Debug)]
pub struct Covers {
    fields: &'static [&'static str],
}

impl Drop for Covers {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let Some(folder) = env::var_os(FOLDER) else {
            return;
        };
        let test = thread::current().name().unwrap_or_default().to_owned();
        if let Err(error) = record(Path::new(&folder), &test, self.fields) {
            eprintln!("what {test} covers was not written down: {error}");
        }
    }
}

/// Appends one line to the file of this test program.
fn record(folder: &Path, test: &str, fields: &[&str]) -> std::io::Result<()> {
    let program = env::current_exe()?;
    let stem = program.file_stem().unwrap_or_default().to_string_lossy();
    let program = stem.rsplit_once('-').map_or(&*stem, |(name, _)| name);
    let mut line =
        serde_json::json!({ "program": program, "test": test, "fields": fields }).to_string();
    line.push('\n');
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{program}.jsonl"));
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::record;

    #[test]
    fn a_record_names_test_and_fields() {
        let folder = tempfile::tempdir().unwrap();
        record(folder.path(), "some::test", &["spec.replicas"]).unwrap();
        record(folder.path(), "other::test", &["spec.paused"]).unwrap();
        let written = std::fs::read_to_string(folder.path().join("testbed.jsonl")).unwrap();
        let records: Vec<serde_json::Value> = written
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            records,
            [
                serde_json::json!({"program": "testbed", "test": "some::test", "fields": ["spec.replicas"]}),
                serde_json::json!({"program": "testbed", "test": "other::test", "fields": ["spec.paused"]}),
            ]
        );
    }
}
