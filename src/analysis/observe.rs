//! Reads an AnalysisRun from its raw JSON, and the Secrets its measurements need, one by one by name.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret as SecretObject;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::args::Secret;
use super::jobs::RunIdentity;
use crate::api::analysis::{AnalysisRunSpec, AnalysisRunStatus, SecretKeyRef};
use crate::runtime::client::{Failure, with_deadline};

/// How long reading one Secret may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// An AnalysisRun as it was found.
#[derive(Clone, Debug)]
pub struct ObservedRun {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// The version of the object that was read; writes are made on the condition that it still is this one.
    pub resource_version: String,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its spec, or why it cannot be read.
    pub spec: Result<AnalysisRunSpec, String>,
    /// Its status, or why it cannot be read.
    pub status: Result<AnalysisRunStatus, String>,
    /// Its status as it stands in the API server.
    pub raw_status: Value,
}

impl ObservedRun {
    /// By what its Jobs are known.
    pub fn identity(&self) -> RunIdentity {
        RunIdentity {
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            uid: self.uid.clone(),
        }
    }
}

/// The JSON is no object of the API server.
#[derive(Clone, Copy, Debug, Error, Eq, PartialEq)]
#[error("the AnalysisRun has no metadata.{0}")]
pub struct NotAnObject(&'static str);

/// Reads an AnalysisRun.
pub fn observe(run: &Value) -> Result<ObservedRun, NotAnObject> {
    let metadata = |field: &'static str| {
        run.get("metadata")
            .and_then(|metadata| metadata.get(field))
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or(NotAnObject(field))
    };
    Ok(ObservedRun {
        namespace: metadata("namespace")?,
        name: metadata("name")?,
        uid: metadata("uid")?,
        resource_version: metadata("resourceVersion")?,
        deleting: metadata("deletionTimestamp").is_ok(),
        spec: part(run, "spec"),
        status: part(run, "status"),
        raw_status: run.get("status").cloned().unwrap_or(Value::Null),
    })
}

fn part<T: DeserializeOwned + Default>(run: &Value, name: &str) -> Result<T, String> {
    match run.get(name) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => {
            T::deserialize(value).map_err(|error| format!("the {name} cannot be read: {error}"))
        }
    }
}

/// Secrets that were read, by reference.
pub type Secrets = BTreeMap<(String, String), Secret>;

/// Reads the Secrets, each once. The error names the argument and what to do.
pub async fn secrets<'a>(
    client: &Client,
    namespace: &str,
    needed: impl Iterator<Item = (&'a str, &'a SecretKeyRef)>,
) -> Result<Secrets, String> {
    let api: Api<SecretObject> = Api::namespaced(client.clone(), namespace);
    let mut read = Secrets::new();
    for (argument, from) in needed {
        let key = (from.name.clone(), from.key.clone());
        if read.contains_key(&key) {
            continue;
        }
        let object = with_deadline(DEADLINE, api.get(&from.name))
            .await
            .map_err(|error| {
                let why = match error.failure() {
                    Failure::NotFound => "there is none; create it".to_owned(),
                    Failure::Forbidden(_) => {
                        "the controller may not read it; allow it to get this Secret".to_owned()
                    }
                    Failure::Conflict | Failure::AlreadyExists => error.to_string(),
                    Failure::Invalid(why) | Failure::Transient(why) => why,
                };
                format!(
                    "argument \"{argument}\": Secret {namespace}/{}: {why}",
                    from.name
                )
            })?;
        let value = object
            .data
            .as_ref()
            .and_then(|data| data.get(&from.key))
            .ok_or_else(|| {
                format!(
                    "argument \"{argument}\": Secret {namespace}/{} has no key \"{}\"",
                    from.name, from.key
                )
            })?;
        let text = String::from_utf8(value.0.clone()).map_err(|_| {
            format!(
                "argument \"{argument}\": key \"{}\" of Secret {namespace}/{} is not text",
                from.key, from.name
            )
        })?;
        read.insert(key, Secret::new(text));
    }
    Ok(read)
}
