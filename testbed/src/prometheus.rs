//! Prometheus: scrapes every running pod that has a port named `http`, once a second.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{
    control_plane::{Layout, option},
    probe,
    process::Process,
    servers::{Binaries, Program},
};

/// Starts Prometheus and waits until it answers queries.
pub async fn start(layout: &Layout, binaries: &Binaries) -> Result<Process> {
    let config = layout.state().join("prometheus.yaml");
    let pki = layout.pki();
    let text = render(&layout.api_url(), &pki.ca(), &pki.admin_token())?;
    fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    let address = format!("127.0.0.1:{}", layout.ports().prometheus);
    let arguments = [
        option("config.file", config.display()),
        option(
            "storage.tsdb.path",
            layout.state().join("prometheus").display(),
        ),
        option("web.listen-address", &address),
        // New pods are scraped sooner than with the default of 5 s.
        option("scrape.discovery-reload-interval", "1s"),
    ];
    let program = Program::Prometheus;
    let mut process = Process::start(
        program.name(),
        binaries.path(program)?,
        arguments,
        &[],
        &layout.logs(),
    )?;
    let url = format!("http://{address}/-/ready");
    process.ready(|| probe::get(&url)).await?;
    Ok(process)
}

fn render(api_url: &str, ca: &Path, token: &Path) -> Result<String> {
    let keep = |source: &str, regex: &str| json!({"source_labels": [source], "regex": regex, "action": "keep"});
    let copy =
        |source: &str, target: &str| json!({"source_labels": [source], "target_label": target});
    let config: Value = json!({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [{
            "job_name": "pods",
            // A pod may name its own `pod` or `rs_hash`: one name for both sources, never `exported_pod`.
            "honor_labels": true,
            "kubernetes_sd_configs": [{
                "role": "pod",
                "api_server": api_url,
                "tls_config": {"ca_file": ca},
                "authorization": {"type": "Bearer", "credentials_file": token},
            }],
            "relabel_configs": [
                keep("__meta_kubernetes_pod_phase", "Running"),
                keep("__meta_kubernetes_pod_container_port_name", "http"),
                copy("__meta_kubernetes_namespace", "namespace"),
                copy("__meta_kubernetes_pod_name", "pod"),
                copy("__meta_kubernetes_pod_label_tidegate_dev_pod_template_hash", "rs_hash"),
            ],
        }],
    });
    serde_saphyr::to_string(&config).context("cannot write Prometheus' configuration as YAML")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_says_namespace_pod_and_revision() {
        let text = render(
            "https://127.0.0.1:6443",
            Path::new("/s/ca.crt"),
            Path::new("/s/token"),
        )
        .unwrap();
        let config: Value = serde_saphyr::from_str(&text).unwrap();
        let job = &config["scrape_configs"][0];
        let relabel = job["relabel_configs"].as_array().unwrap();
        let targets: Vec<&str> = relabel
            .iter()
            .filter_map(|rule| rule["target_label"].as_str())
            .collect();
        assert_eq!(targets, ["namespace", "pod", "rs_hash"]);
        assert_eq!(job["honor_labels"], true);
        let discovery = &job["kubernetes_sd_configs"][0];
        assert_eq!(discovery["api_server"], "https://127.0.0.1:6443");
        assert_eq!(discovery["authorization"]["credentials_file"], "/s/token");
    }
}
