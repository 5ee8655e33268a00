//! What accounts have asked for, by the API server's audit log.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Permission, REFUSED_ON_PURPOSE};

/// The requests of one or more logs.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// How many there were.
    pub(super) requests: usize,
    /// What was allowed by a rule. Whether the object existed is another question.
    pub(super) allowed: BTreeSet<Permission>,
    /// What was refused by the rules, and to whom.
    pub(super) forbidden: BTreeMap<(String, String), usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ObjectRef {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    api_group: String,
    #[serde(default)]
    subresource: String,
}

const DECISION: &str = "authorization.k8s.io/decision";

impl Used {
    /// Adds what ServiceAccounts of these names have asked for, in whatever namespace they are.
    ///
    /// # Errors
    /// When a line is no audit event; the last one may be cut, for the server was killed in the end.
    pub(super) fn add(&mut self, log: &str, accounts: &BTreeSet<String>) -> Result<()> {
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        for (index, line) in whole.lines().enumerate() {
            // Most lines are of others, and there are hundreds of thousands.
            if !line.contains("system:serviceaccount:") {
                continue;
            }
            let entry: Entry =
                serde_json::from_str(line).with_context(|| format!("line {}", index + 1))?;
            let Some((home, account)) = entry
                .user
                .username
                .strip_prefix("system:serviceaccount:")
                .and_then(|rest| rest.split_once(':'))
            else {
                continue;
            };
            if accounts.contains(account) {
                let home = home.to_owned();
                self.count(entry, &home);
            }
        }
        Ok(())
    }

    fn count(&mut self, entry: Entry, home: &str) {
        self.requests += 1;
        let asked = entry.object_ref.map(|object| Permission {
            group: object.api_group,
            resource: match object.subresource.as_str() {
                "" => object.resource,
                subresource => format!("{}/{subresource}", object.resource),
            },
            verb: entry.verb.clone(),
        });
        // The server answers 403 for other reasons, too, such as a quota.
        if entry
            .annotations
            .get(DECISION)
            .is_some_and(|said| said == "forbid")
        {
            if !home.starts_with(REFUSED_ON_PURPOSE) {
                let what = asked.map_or_else(
                    || format!("{} {}", entry.verb, entry.request_uri),
                    |asked| asked.to_string(),
                );
                *self
                    .forbidden
                    .entry((what, entry.user.username))
                    .or_default() += 1;
            }
        } else {
            self.allowed.extend(asked);
        }
    }
}
