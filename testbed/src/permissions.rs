//! Whether a chart grants what its program uses and nothing else: the rules as helm renders them, against the audit log
//! of a whole test run.
//!
//! Reading and comparing are pure. Not here: what a test may do as an admin.

mod audit;
mod chart;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::servers::Binaries;
use audit::Used;
pub use chart::Granted;

/// A controller whose home begins so is refused something on purpose: a test says with the name of its namespace that it
/// wants to see that.
pub const REFUSED_ON_PURPOSE: &str = "refused-";

/// One verb on one resource, as rules have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// `apps`, empty for the core group.
    pub group: String,
    /// With the subresource behind a slash.
    pub resource: String,
    /// `get`, `list`, …
    pub verb: String,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.as_str() {
            "" => write!(f, "{} {}", self.verb, self.resource),
            group => write!(f, "{} {group}/{}", self.verb, self.resource),
        }
    }
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    granted: usize,
    requests: usize,
    logs: usize,
    /// What a rule grants and no request has used.
    unused: BTreeSet<Permission>,
    /// What was refused, to whom, how often.
    forbidden: BTreeMap<(String, String), usize>,
}

impl Report {
    /// Whether everything that is granted was used, and nothing refused.
    pub fn is_good(&self) -> bool {
        self.requests > 0 && self.granted > 0 && self.unused.is_empty() && self.forbidden.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!(
            "{} permissions granted, {} used, by {} requests in {} audit logs; {} kinds of request forbidden",
            self.granted,
            self.granted - self.unused.len(),
            self.requests,
            self.logs,
            self.forbidden.len(),
        );
        if self.requests == 0 || self.granted == 0 {
            text += "\n  nothing to compare: did the tests run?";
        }
        for permission in &self.unused {
            write!(
                text,
                "\n  granted and never used: {permission} (show it used by a test, or take it out of the chart)"
            )?;
        }
        for ((what, who), count) in &self.forbidden {
            write!(text, "\n  forbidden: {what}, {count} times, to {who}")?;
        }
        f.write_str(&text)
    }
}

/// Compares the rules of `chart`, rendered once with each of `sets` (helm's `--set`), with all audit logs under `state`.
///
/// # Errors
/// When helm refuses the chart, a rule is none that can be checked, or a log cannot be read.
pub async fn check(
    binaries: &Binaries,
    chart: &Path,
    sets: &[String],
    state: &Path,
) -> Result<Report> {
    let mut granted = Granted::default();
    for set in sets {
        granted.add(&chart::render(binaries, chart, set).await?)?;
    }
    let mut used = Used::default();
    let logs = logs(state)?;
    for log in &logs {
        let text = fs::read_to_string(log)
            .with_context(|| format!("cannot read the audit log {}", log.display()))?;
        used.add(&text, &granted.accounts)
            .with_context(|| format!("audit log {}", log.display()))?;
    }
    Ok(compare(&granted, used, logs.len()))
}

fn compare(granted: &Granted, used: Used, logs: usize) -> Report {
    Report {
        granted: granted.permissions.len(),
        requests: used.requests,
        logs,
        unused: granted
            .permissions
            .difference(&used.allowed)
            .cloned()
            .collect(),
        forbidden: used.forbidden,
    }
}

/// The audit log of the shared testbed, and those that tests have kept under `own`.
fn logs(state: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![state.join("audit.log")];
    if let Ok(entries) = fs::read_dir(state.join("own")) {
        for entry in entries {
            let log = entry?.path().join("audit.log");
            if log.is_file() {
                found.push(log);
            }
        }
    }
    ensure!(
        found[0].is_file(),
        "{} does not exist: run `make test` first",
        found[0].display()
    );
    Ok(found)
}

#[cfg(test)]
mod tests;
