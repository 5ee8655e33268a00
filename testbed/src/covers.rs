//! Which fields a test exercises or shows to be refused, written down when it has passed; and how a test hears of a spec,
//! so that a field can be ignored.
//!
//! The table of fields is made from these records. Not here: the table (it belongs to who reads the records).

use std::{env, fs::OpenOptions, io::Write, path::Path, thread};

use serde_json::Value;

/// The environment variable with the folder of the records. Unset: nothing is written.
pub const FOLDER: &str = "TIDEGATE_COVERS";

/// The environment variable with a field that tests do not hear of.
pub const IGNORED: &str = "TIDEGATE_TEST_IGNORE_FIELD";

/// What a test gives to the core of this `spec`: all of it, unless a field is to be ignored.
pub fn heard(kind: &str, spec: Value) -> Value {
    match env::var(IGNORED) {
        Ok(field) => without(kind, spec, &field),
        Err(_) => spec,
    }
}

fn without(kind: &str, mut spec: Value, field: &str) -> Value {
    let (of, path) = field.split_once(' ').unwrap_or(("Rollout", field));
    if of == kind
        && let Some(path) = path.strip_prefix("spec.")
    {
        remove(&mut spec, path);
    }
    spec
}

/// Takes a field away; in every member of a list where the path has `[]`.
fn remove(value: &mut Value, path: &str) {
    let (name, rest) = match path.split_once('.') {
        Some((name, rest)) => (name, Some(rest)),
        None => (path, None),
    };
    let (name, is_list) = match name.strip_suffix("[]") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let Some(object) = value.as_object_mut() else {
        return;
    };
    match (rest, object.get_mut(name)) {
        (_, None) => {}
        (None, Some(_)) => {
            object.remove(name);
        }
        (Some(rest), Some(Value::Array(items))) if is_list => {
            for item in items {
                remove(item, rest);
            }
        }
        (Some(rest), Some(inner)) => remove(inner, rest),
    }
}

/// Fields that the running test has seen to be refused; written down when the value goes, unless the test panics.
#[must_use = "the test is counted when this goes: keep it to the end"]
pub fn refusals() -> Refusals {
    Refusals::default()
}

/// See [`refusals`].
#[derive(Debug, Default)]
pub struct Refusals {
    seen: Vec<(String, String)>,
}

impl Refusals {
    /// This field was applied and refused with this message.
    pub fn add(&mut self, field: &str, message: &str) {
        self.seen.push((field.to_owned(), message.to_owned()));
    }
}

impl Drop for Refusals {
    fn drop(&mut self) {
        write_down(&serde_json::json!({ "refused": self.seen }));
    }
}

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
        write_down(&serde_json::json!({ "fields": self.fields }));
    }
}

fn write_down(what: &Value) {
    if thread::panicking() {
        return;
    }
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let test = thread::current().name().unwrap_or_default().to_owned();
    if let Err(error) = record(Path::new(&folder), &test, what.clone()) {
        eprintln!("what {test} shows was not written down: {error}");
    }
}

/// Appends one line to the file of this test program.
fn record(folder: &Path, test: &str, mut what: Value) -> std::io::Result<()> {
    let exe = env::current_exe()?;
    let stem = exe.file_stem().unwrap_or_default().to_string_lossy();
    let program = stem.rsplit_once('-').map_or(&*stem, |(name, _)| name);
    what["program"] = program.into();
    what["exe"] = exe.to_string_lossy().into();
    what["test"] = test.into();
    let line = format!("{what}\n");
    std::fs::create_dir_all(folder)?;
    let path = folder.join(format!("{program}.jsonl"));
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{heard, record, without};
    use serde_json::json;

    #[test]
    fn a_record_names_test_and_fields() {
        let folder = tempfile::tempdir().unwrap();
        let fields = |field: &str| json!({"fields": [field]});
        record(folder.path(), "some::test", fields("spec.replicas")).unwrap();
        record(
            folder.path(),
            "other::test",
            json!({"refused": [["spec.paused", "no"]]}),
        )
        .unwrap();
        let written = std::fs::read_to_string(folder.path().join("testbed.jsonl")).unwrap();
        let mut records: Vec<serde_json::Value> = written
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for record in &mut records {
            let exe = record.as_object_mut().unwrap().remove("exe").unwrap();
            assert!(exe.as_str().unwrap().contains("testbed-"));
        }
        assert_eq!(
            records,
            [
                json!({"program": "testbed", "test": "some::test", "fields": ["spec.replicas"]}),
                json!({"program": "testbed", "test": "other::test", "refused": [["spec.paused", "no"]]}),
            ]
        );
    }

    #[test]
    fn what_is_ignored_is_not_heard() {
        // The check whether tests notice runs this one with `spec.tested` to be ignored.
        let spec = json!({"tested": 1});
        assert_eq!(heard("Rollout", spec.clone()), spec);
    }

    #[test]
    fn a_field_is_ignored_in_every_member_of_a_list_and_in_its_kind_only() {
        let spec = json!({"a": {"b": 1, "c": 2}, "list": [{"d": 1, "e": 2}, {"d": 3}]});
        for (field, expected) in [
            (
                "spec.a.b",
                json!({"a": {"c": 2}, "list": [{"d": 1, "e": 2}, {"d": 3}]}),
            ),
            (
                "spec.list[].d",
                json!({"a": {"b": 1, "c": 2}, "list": [{"e": 2}, {}]}),
            ),
            ("spec.list", json!({"a": {"b": 1, "c": 2}})),
            ("spec.none.x", spec.clone()),
            ("Experiment spec.a.b", spec.clone()),
        ] {
            assert_eq!(without("Rollout", spec.clone(), field), expected, "{field}");
        }
    }
}
