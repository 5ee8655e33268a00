//! What a chart's rules grant, and to whom.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use super::Permission;
use crate::servers::{Binaries, Program};

/// The rules of one or more renderings of a chart.
#[derive(Debug, Default)]
pub struct Granted {
    /// Everything that any rule grants.
    pub permissions: BTreeSet<Permission>,
    /// The names of the `ServiceAccounts`.
    pub accounts: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    api_groups: Vec<String>,
    #[serde(default)]
    resources: Vec<String>,
    verbs: Vec<String>,
}

impl Granted {
    /// Adds all roles and accounts of rendered manifests.
    ///
    /// # Errors
    /// When they are no YAML, or a rule grants `*`, or none of the resources of the API: neither can be seen to be used.
    pub fn add(&mut self, manifests: &str) -> Result<()> {
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(manifests).context("what helm rendered is no YAML")?;
        for object in objects {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            match object["kind"].as_str() {
                Some("Role" | "ClusterRole") => {
                    let rules = Vec::<Rule>::deserialize(&object["rules"])
                        .with_context(|| format!("the rules of role {name}"))?;
                    for rule in rules {
                        self.grant(&rule).with_context(|| format!("role {name}"))?;
                    }
                }
                Some("ServiceAccount") => {
                    self.accounts.insert(name.to_owned());
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    fn grant(&mut self, rule: &Rule) -> Result<()> {
        let all = [&rule.api_groups, &rule.resources, &rule.verbs];
        ensure!(
            all.iter().all(|words| !words.is_empty()),
            "a rule without groups, resources or verbs cannot be checked"
        );
        ensure!(
            !all.into_iter().flatten().any(|word| word.contains('*')),
            "a rule grants *, which is more than any program uses; name what is needed"
        );
        for group in &rule.api_groups {
            for resource in &rule.resources {
                let each = rule.verbs.iter().map(|verb| Permission {
                    group: group.clone(),
                    resource: resource.clone(),
                    verb: verb.clone(),
                });
                self.permissions.extend(each);
            }
        }
        Ok(())
    }
}

/// What helm renders, for a release with the name of the chart's folder.
pub(super) async fn render(binaries: &Binaries, chart: &Path, set: &str) -> Result<String> {
    let release = chart
        .file_name()
        .with_context(|| format!("{} names no folder", chart.display()))?;
    let output = Command::new(binaries.path(Program::Helm)?)
        .arg("template")
        .arg(release)
        .arg(chart)
        .args(["--kube-version=1.36.0", "--set", set])
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot run helm")?;
    ensure!(
        output.status.success(),
        "helm template {} --set {set}: {}",
        chart.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    String::from_utf8(output.stdout).context("what helm rendered is no text")
}
