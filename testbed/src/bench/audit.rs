//! What the controllers have asked of the API server, read from its audit log.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read, Seek},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::installation::USER;

/// The audit log of a running API server.
pub(super) struct AuditLog {
    path: PathBuf,
}

/// One answered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// `create`, `patch`, …
    pub(super) verb: String,
    /// The resource, with its subresource behind a slash.
    pub(super) resource: String,
    /// The object's namespace and name.
    pub(super) object: String,
    /// The HTTP status.
    pub(super) code: u64,
    /// The resourceVersion in the answer, where the log keeps answers.
    pub(super) version: Option<String>,
}

impl AuditLog {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// How long the log is now, bytes: where later requests begin.
    pub(super) fn end(&self) -> Result<u64> {
        let size = fs::metadata(&self.path).map(|file| file.len());
        size.with_context(|| format!("cannot read {}", self.path.display()))
    }

    /// The requests of the controllers since `start`.
    pub(super) fn since(&self, start: u64) -> Result<Vec<Asked>> {
        let text = self
            .read_from(start)
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(parse(&text))
    }

    /// The log grows to gigabytes: what came before is not read again. It may begin and end within a line.
    fn read_from(&self, start: u64) -> io::Result<String> {
        let mut file = fs::File::open(&self.path)?;
        file.seek(io::SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The controllers' requests. A last line that is half written is not there yet.
fn parse(text: &str) -> Vec<Asked> {
    let own = text.lines().filter(|line| line.contains(USER));
    own.filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|entry| entry.pointer("/user/username").and_then(Value::as_str) == Some(USER))
        .map(|entry| asked(&entry))
        .collect()
}

fn asked(entry: &Value) -> Asked {
    let text = |path: &str| {
        let found = entry.pointer(path).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let (mut resource, subresource) = (text("/objectRef/resource"), text("/objectRef/subresource"));
    if !subresource.is_empty() {
        resource = format!("{resource}/{subresource}");
    }
    let code = entry.pointer("/responseStatus/code");
    let version = text("/responseObject/metadata/resourceVersion");
    Asked {
        verb: text("/verb"),
        resource,
        object: format!(
            "{}/{}",
            text("/objectRef/namespace"),
            text("/objectRef/name")
        ),
        code: code.and_then(Value::as_u64).unwrap_or(0),
        version: Some(version).filter(|version| !version.is_empty()),
    }
}

impl Asked {
    /// Whether it writes an object that people see: neither an Event nor a Lease, which have a rhythm of their own.
    pub(super) fn writes_object(&self) -> bool {
        ["create", "update", "patch", "delete"].contains(&self.verb.as_str())
            && !["events", "leases"].contains(&self.resource.as_str())
    }

    /// Whether it renews a lease or a watch.
    pub(super) fn renews(&self) -> bool {
        self.resource == "leases" || self.verb == "watch"
    }
}

/// Requests by what they do, the most frequent first.
pub(super) fn by_kind<'a>(requests: impl IntoIterator<Item = &'a Asked>) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<String, usize>::new();
    for asked in requests {
        *counts
            .entry(format!("{} {}", asked.verb, asked.resource))
            .or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

/// How many successful writes left an object as it was: the answer has a version that an earlier answer had.
pub(super) fn without_effect(writes: &[Asked]) -> usize {
    let mut seen = BTreeSet::new();
    writes
        .iter()
        .filter(|asked| asked.verb == "patch" && asked.code < 300)
        .filter(|asked| {
            let version = asked.version.as_deref();
            version.is_some_and(|version| !seen.insert((asked.object.clone(), version.to_owned())))
        })
        .count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(user: &str, verb: &str, resource: &str, version: &str) -> String {
        json!({
            "verb": verb,
            "user": {"username": user},
            "objectRef": {"resource": resource, "subresource": "status", "namespace": "n", "name": "a"},
            "responseStatus": {"code": 200},
            "responseObject": {"metadata": {"resourceVersion": version}},
        })
        .to_string()
    }

    #[test]
    fn only_whole_lines_of_the_controller_count() {
        let whole = line(USER, "patch", "rollouts", "7");
        let other = line("somebody", "patch", "rollouts", "8");
        let read = parse(&format!("{whole}\n{other}\n{}", &whole[..40]));
        assert_eq!(
            read,
            [Asked {
                verb: "patch".to_owned(),
                resource: "rollouts/status".to_owned(),
                object: "n/a".to_owned(),
                code: 200,
                version: Some("7".to_owned()),
            }]
        );
    }

    #[test]
    fn a_patch_whose_answer_has_an_old_version_had_no_effect() {
        let log = ["7", "8", "8", "9"].map(|version| line(USER, "patch", "rollouts", version));
        assert_eq!(without_effect(&parse(&log.join("\n"))), 1);
    }

    #[test]
    fn renewals_and_events_are_no_object_writes() {
        let kind = |verb: &str, resource: &str| Asked {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            object: String::new(),
            code: 200,
            version: None,
        };
        assert!(kind("watch", "pods").renews() && kind("patch", "leases").renews());
        assert!(!kind("list", "pods").renews());
        assert!(!kind("create", "events").writes_object());
        assert!(!kind("patch", "leases").writes_object());
        assert!(kind("patch", "services").writes_object());
    }
}
