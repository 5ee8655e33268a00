//! What the controllers of a test have asked of the API server, from its audit log.

use std::fs;

use jiff::Timestamp;
use serde_json::Value;

use super::World;

/// One answered request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it was answered.
    pub at: Timestamp,
    /// `create`, `patch`, …
    pub verb: String,
    /// The resource, with its subresource behind a slash.
    pub resource: String,
    /// The object.
    pub name: String,
    /// The HTTP status.
    pub code: u64,
    /// The token that was shown: each controller has its own.
    pub token: String,
}

impl Asked {
    /// Whether it wrote something.
    pub fn writes(&self) -> bool {
        ["create", "update", "patch", "delete", "deletecollection"].contains(&self.verb.as_str())
    }
}

impl World {
    /// Everything that controllers of this namespace have asked, in order of the answers.
    pub fn asked(&self) -> Vec<Asked> {
        let user = format!("system:serviceaccount:{}:tidegate", self.home());
        let log = fs::read_to_string(self.testbed().audit_log_path()).unwrap();
        let own = log.lines().filter(|line| line.contains(&user));
        // The last line may be half written.
        let entries = own.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries
            .filter(|entry| entry["user"]["username"] == user.as_str())
            .map(|entry| read(&entry))
            .collect()
    }

    /// All writes but those to Leases, which have a rhythm of their own.
    pub fn writes(&self) -> Vec<Asked> {
        let all = self.asked().into_iter();
        all.filter(|asked| asked.writes() && asked.resource != "leases")
            .collect()
    }
}

fn read(entry: &Value) -> Asked {
    let text = |pointer: &str| {
        let value = entry.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let subresource = text("/objectRef/subresource");
    let mut resource = text("/objectRef/resource");
    if !subresource.is_empty() {
        resource = format!("{resource}/{subresource}");
    }
    Asked {
        at: text("/stageTimestamp").parse().unwrap(),
        verb: text("/verb"),
        resource,
        name: text("/objectRef/name"),
        code: entry["responseStatus"]["code"].as_u64().unwrap_or(0),
        token: entry["user"]["extra"]["authentication.kubernetes.io/credential-id"].to_string(),
    }
}
