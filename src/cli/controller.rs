//! `tidegate controller`: its options.
//!
//! Not here: the controller itself.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args};

use crate::{
    analysis::allow_list::AddressPattern,
    api::{duration, names::ApiNames},
    runtime::telemetry::LogFormat,
};

/// Options of `tidegate controller`. Which cluster it serves is said by the global options.
#[derive(Args, Clone, Debug)]
pub struct ControllerOptions {
    /// The kubeconfig file, from the global option.
    #[arg(skip)]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context, from the global option.
    #[arg(skip)]
    pub context: Option<String>,
    /// The namespace for the lease, from the global option; the client's own when absent.
    #[arg(skip)]
    pub namespace: Option<String>,
    /// Group, labels and annotations of the objects, from the global option.
    #[arg(skip)]
    pub names: ApiNames,

    /// Serve this namespace only; may be given more than once [default: all].
    #[arg(long, value_name = "NAME")]
    pub watch_namespace: Vec<String>,

    /// Act only while holding a lease, so that of several replicas one acts.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub leader_elect: bool,
    /// The Lease, in the namespace of --namespace [default: tidegate; with the group argoproj.io that of Argo Rollouts,
    /// argo-rollouts-controller-lock, so that never both act].
    #[arg(long, value_name = "NAME")]
    pub lease_name: Option<String>,
    /// Serve only objects whose label `controller-instance-id` says so; without it, only those that have no such label.
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,
    /// How this replica is called in the lease; a random part is added.
    #[arg(
        long,
        value_name = "NAME",
        env = "POD_NAME",
        default_value = "tidegate"
    )]
    pub identity: String,
    /// How long others wait for a leader that is gone.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "15s")]
    pub lease_duration: Duration,
    /// How long the leader acts after its last renewal.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "10s")]
    pub renew_deadline: Duration,
    /// Pause between two attempts at the lease.
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "2s")]
    pub retry_period: Duration,

    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub health_address: SocketAddr,

    /// The Prometheus of metrics that name no address, such as `http://prometheus.monitoring.svc:9090`.
    #[arg(long, value_name = "URL")]
    pub prometheus_address: Option<String>,
    /// A file with the bearer token for that Prometheus; it is sent to no other address.
    #[arg(long, value_name = "FILE", requires = "prometheus_address")]
    pub prometheus_bearer_token_file: Option<PathBuf>,
    /// A file with certificates, in PEM, of the authorities that may have signed that Prometheus' own
    /// [default: those of the system].
    #[arg(long, value_name = "FILE", requires = "prometheus_address")]
    pub prometheus_ca_file: Option<PathBuf>,
    /// Where metrics may be asked from: `scheme://host[:port]`, the host may begin with `*.`; may be given more than once
    /// [default: --prometheus-address and Services of the cluster].
    #[arg(long, value_name = "PATTERN")]
    pub metric_address_allow: Vec<AddressPattern>,

    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
    /// What is logged: a level, or a filter such as info,tidegate::rollout=trace [default: RUST_LOG, else info].
    #[arg(long, value_name = "FILTER")]
    pub log_level: Option<String>,
}

impl ControllerOptions {
    /// The name of the Lease: as given, or as the other controllers of the group and instance call it.
    pub fn lease(&self) -> String {
        let given = self.lease_name.clone();
        given.unwrap_or_else(|| match &self.instance_id {
            Some(id) => format!("{}-{id}", self.names.lease),
            None => self.names.lease.to_owned(),
        })
    }
}
