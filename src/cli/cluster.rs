//! The cluster a command talks to: finding it, reading Rollouts and what belongs to them, waiting for a change.
//!
//! Not here: what is written (each command does its own).

use std::{path::PathBuf, time::Duration};

use clap::Args;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::{
    api::{apps::v1::ReplicaSet, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, Client,
    api::ListParams,
    core::{ApiResource, Selector},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::Value;
use tokio::time::Instant;

use super::{CliError, rollout::Rollout};
use crate::{
    api::{
        names::{ApiNames, Kind},
        object::CachedObject,
    },
    runtime::{self, client::ClientOptions, instruments::Instruments},
};

/// Which cluster and namespace.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Connection {
    /// The kubeconfig file [default: KUBECONFIG, else ~/.kube/config, else the pod's own].
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context [default: its current one].
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) context: Option<String>,
    /// The namespace [default: the context's].
    #[arg(long, short, global = true, value_name = "NAME")]
    pub(super) namespace: Option<String>,
}

/// A cluster, one of its namespaces, and the names of our kinds.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) names: ApiNames,
}

/// A Rollout and what belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Family {
    pub(super) rollout: Rollout,
    pub(super) replica_sets: Vec<Value>,
    pub(super) pods: Vec<Value>,
    pub(super) analysis_runs: Vec<Value>,
}

impl Cluster {
    /// Finds the cluster. Nothing is asked of it yet.
    pub(super) async fn connect(
        connection: &Connection,
        names: ApiNames,
    ) -> Result<Self, CliError> {
        runtime::client::install_crypto_provider();
        let options = ClientOptions {
            kubeconfig: connection.kubeconfig.clone(),
            context: connection.context.clone(),
            component: "cli",
        };
        let client = runtime::client::connect(&options, &Instruments::new()).await?;
        let namespace = connection.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
        Ok(Self {
            client,
            namespace,
            names,
        })
    }

    /// Objects of one of our kinds, in the namespace.
    pub(super) fn api(&self, kind: Kind) -> Api<CachedObject> {
        Api::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &self.names.resource(kind),
        )
    }

    fn builtin<K: kube::Resource<DynamicType = ()>>(&self) -> Api<CachedObject> {
        Api::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &ApiResource::erase::<K>(&()),
        )
    }

    /// A Rollout by name.
    pub(super) async fn rollout(&self, name: &str) -> Result<Rollout, CliError> {
        let object = self
            .api(Kind::Rollout)
            .get_opt(name)
            .await
            .map_err(CliError::api(format!(
                "read Rollout {}/{name}",
                self.namespace
            )))?
            .ok_or_else(|| self.not_found(name))?;
        Rollout::read(&self.names, &object)
    }

    /// All Rollouts of the namespace, or of all namespaces.
    pub(super) async fn rollouts(&self, everywhere: bool) -> Result<Vec<Rollout>, CliError> {
        let objects = self
            .rollouts_api(everywhere)
            .list(&ListParams::default())
            .await
            .map_err(CliError::api("list Rollouts"))?;
        objects
            .iter()
            .map(|object| Rollout::read(&self.names, object))
            .collect()
    }

    fn rollouts_api(&self, everywhere: bool) -> Api<CachedObject> {
        if everywhere {
            Api::all_with(self.client.clone(), &self.names.resource(Kind::Rollout))
        } else {
            self.api(Kind::Rollout)
        }
    }

    /// A Rollout with its ReplicaSets, pods and AnalysisRuns.
    pub(super) async fn family(&self, name: &str) -> Result<Family, CliError> {
        let rollout = self.rollout(name).await?;
        let labelled = labelled(&rollout);
        let all = ListParams::default();
        let (sets, pods, runs) = (
            self.builtin::<ReplicaSet>(),
            self.builtin::<Pod>(),
            self.api(Kind::AnalysisRun),
        );
        let (sets, pods, runs) = tokio::try_join!(
            list(&sets, &labelled, "ReplicaSets"),
            list(&pods, &labelled, "pods"),
            list(&runs, &all, "AnalysisRuns"),
        )?;
        let replica_sets = owned_by(&sets, &[rollout.uid.as_str()]);
        let uids: Vec<&str> = sets
            .iter()
            .filter(|set| is_owned_by(set, &[rollout.uid.as_str()]))
            .map(CachedObject::uid)
            .collect();
        Ok(Family {
            replica_sets,
            pods: owned_by(&pods, &uids),
            analysis_runs: owned_by(&runs, &[rollout.uid.as_str()]),
            rollout,
        })
    }

    /// The ReplicaSets of a Rollout.
    pub(super) async fn replica_sets(&self, rollout: &Rollout) -> Result<Vec<Value>, CliError> {
        let sets = self.builtin::<ReplicaSet>();
        let sets = list(&sets, &labelled(rollout), "ReplicaSets").await?;
        Ok(owned_by(&sets, &[rollout.uid.as_str()]))
    }

    /// Yields whenever something of a Rollout's family may have changed, at first at once.
    pub(super) fn family_changes(
        &self,
        name: &str,
    ) -> impl Stream<Item = Result<(), CliError>> + use<> {
        let this = watcher::Config::default().fields(&format!("metadata.name={name}"));
        stream::select_all([
            changes(
                self.api(Kind::Rollout),
                self.names.resource(Kind::Rollout),
                this,
            ),
            changes(
                self.builtin::<ReplicaSet>(),
                ApiResource::erase::<ReplicaSet>(&()),
                watcher::Config::default(),
            ),
            changes(
                self.builtin::<Pod>(),
                ApiResource::erase::<Pod>(&()),
                watcher::Config::default(),
            ),
            changes(
                self.api(Kind::AnalysisRun),
                self.names.resource(Kind::AnalysisRun),
                watcher::Config::default(),
            ),
        ])
    }

    /// Yields whenever a Rollout may have changed, at first at once.
    pub(super) fn rollout_changes(
        &self,
        everywhere: bool,
    ) -> impl Stream<Item = Result<(), CliError>> + use<> {
        changes(
            self.rollouts_api(everywhere),
            self.names.resource(Kind::Rollout),
            watcher::Config::default(),
        )
    }

    /// Looks at a Rollout now and after each change until `seen` gives an answer; `None` when that takes too long.
    pub(super) async fn wait<T>(
        &self,
        name: &str,
        timeout: Option<Duration>,
        mut seen: impl FnMut(&Rollout) -> Result<Option<T>, CliError>,
    ) -> Result<Option<T>, CliError> {
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut changes = std::pin::pin!(changes(
            self.api(Kind::Rollout),
            self.names.resource(Kind::Rollout),
            only
        ));
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if let Some(answer) = seen(&self.rollout(name).await?)? {
                return Ok(Some(answer));
            }
            let change = match deadline {
                Some(deadline) => match tokio::time::timeout_at(deadline, changes.next()).await {
                    Ok(change) => change,
                    Err(_) => return Ok(None),
                },
                None => changes.next().await,
            };
            change.transpose()?;
        }
    }

    fn not_found(&self, name: &str) -> CliError {
        CliError::NotFound {
            namespace: self.namespace.clone(),
            name: name.to_owned(),
        }
    }
}

/// What the Rollout's selector selects.
fn labelled(rollout: &Rollout) -> ListParams {
    let selects = |selector: LabelSelector| {
        Selector::try_from(selector)
            .map(|selector| ListParams::default().labels_from(&selector))
            .unwrap_or_default()
    };
    rollout
        .spec
        .selector
        .clone()
        .map(selects)
        .unwrap_or_default()
}

/// The changes a watch sees. What cannot get better by itself ends it; other errors are tried again.
fn changes(
    api: Api<CachedObject>,
    resource: ApiResource,
    config: watcher::Config,
) -> stream::BoxStream<'static, Result<(), CliError>> {
    let kind = resource.plural;
    watcher(api, config)
        .default_backoff()
        .filter_map(move |event| {
            let outcome = match event {
                Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => None,
                Ok(
                    watcher::Event::InitDone | watcher::Event::Apply(_) | watcher::Event::Delete(_),
                ) => Some(Ok(())),
                Err(error) => {
                    forbidden(error).map(|error| Err(CliError::api(format!("watch {kind}"))(error)))
                }
            };
            async { outcome }
        })
        .boxed()
}

/// The error, when asking again does not help.
fn forbidden(error: watcher::Error) -> Option<kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => {
            matches!(&error, kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404))
                .then_some(error)
        }
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => None,
    }
}

async fn list(
    api: &Api<CachedObject>,
    params: &ListParams,
    what: &str,
) -> Result<Vec<CachedObject>, CliError> {
    Ok(api
        .list(params)
        .await
        .map_err(CliError::api(format!("list {what}")))?
        .items)
}

fn is_owned_by(object: &CachedObject, uids: &[&str]) -> bool {
    object
        .controller()
        .is_some_and(|owner| uids.contains(&owner.uid.as_str()))
}

fn owned_by(objects: &[CachedObject], uids: &[&str]) -> Vec<Value> {
    objects
        .iter()
        .filter(|object| is_owned_by(object, uids))
        .map(CachedObject::value)
        .collect()
}
