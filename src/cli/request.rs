//! `tidegate promote`, `abort` and `retry`: a person's request, as an annotation that only people write.
//!
//! Not here: what the controller makes of it.

use std::time::Duration;

use clap::Args;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{
    Api, Error,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use uuid::Uuid;

use super::{CliError, cluster::Cluster, rollout::Rollout, terminal::Terminal};
use crate::api::{
    names::Kind,
    request::{Request, Verb},
    rollout_status::HandledRequest,
};

/// Who writes what commands write.
pub(super) const FIELD_MANAGER: &str = "kubectl-tidegate";
/// How often a write is tried again after somebody else was faster.
pub(super) const ATTEMPTS: u32 = 10;
/// How long the controller may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Options of `tidegate abort` and `tidegate retry`.
#[derive(Args, Debug)]
pub(super) struct RequestOptions {
    /// The Rollout.
    name: String,
    /// Do not wait for the controller's answer (at most 10 s).
    #[arg(long)]
    no_wait: bool,
}

/// Options of `tidegate promote`.
#[derive(Args, Debug)]
pub(super) struct PromoteOptions {
    #[command(flatten)]
    request: RequestOptions,
    /// Skip all remaining steps, pauses and analyses.
    #[arg(long)]
    full: bool,
}

/// Asks for a promotion.
pub(super) async fn promote(
    options: &PromoteOptions,
    cluster: &Cluster,
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    let verb = if options.full {
        Verb::PromoteFull
    } else {
        Verb::Promote
    };
    run(verb, &options.request, cluster, terminal).await
}

/// Asks, and waits for the answer.
pub(super) async fn run(
    verb: Verb,
    options: &RequestOptions,
    cluster: &Cluster,
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    let name = &options.name;
    let id = ask(verb, name, cluster).await?;
    if options.no_wait {
        return terminal.print(&format!("Rollout {name}: {} requested\n", verb.name()));
    }
    let answer = cluster
        .wait(name, Some(PATIENCE), |rollout| answer(rollout, verb, &id))
        .await?;
    let answer = answer.ok_or_else(|| CliError::Unanswered {
        name: name.clone(),
        verb,
        waited: PATIENCE,
    })?;
    if !answer.accepted {
        return Err(CliError::Refused {
            name: name.clone(),
            verb,
            message: answer.message,
        });
    }
    terminal.print(&format!(
        "Rollout {name}: {}: {}\n",
        verb.name(),
        answer.message
    ))
}

/// Writes the request; gives its id.
async fn ask(verb: Verb, name: &str, cluster: &Cluster) -> Result<String, CliError> {
    let by = who(cluster).await;
    let first = cluster.rollout(name).await?;
    let wish = wish(&first, verb, by);
    let mut rollout = first;
    for _ in 0..ATTEMPTS {
        if let Some(pending) = check(&rollout, &wish)? {
            return Ok(pending.id.clone());
        }
        let patch = json!({ "metadata": {
            "resourceVersion": rollout.resource_version,
            "annotations": { &cluster.names.request: json!(wish).to_string() },
        } });
        let written = cluster
            .api(Kind::Rollout)
            .patch(
                name,
                &PatchParams::apply(FIELD_MANAGER),
                &Patch::Merge(patch),
            )
            .await;
        match written {
            Ok(_) => return Ok(wish.id),
            Err(error) if is_conflict(&error) => rollout = cluster.rollout(name).await?,
            Err(error) => {
                return Err(CliError::api(format!(
                    "write the request to Rollout {name}"
                ))(error));
            }
        }
    }
    Err(CliError::Contended {
        name: name.to_owned(),
        attempts: ATTEMPTS,
    })
}

/// Whether somebody else changed the object first.
pub(super) fn is_conflict(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 409)
}

/// The request, bound to what the person sees.
fn wish(rollout: &Rollout, verb: Verb, by: Option<String>) -> Request {
    let revision = &rollout.status.current_pod_hash;
    Request {
        id: Uuid::new_v4().to_string(),
        verb,
        revision: (!revision.is_empty()).then(|| revision.clone()),
        step: rollout.status.current_step_index,
        by,
    }
}

/// Whether the request may be written onto the Rollout as it is now. Gives a pending one that asks for the same.
fn check<'a>(rollout: &'a Rollout, wish: &Request) -> Result<Option<&'a Request>, CliError> {
    let status = &rollout.status;
    let revision = Some(&status.current_pod_hash).filter(|hash| !hash.is_empty());
    if (revision, status.current_step_index) != (wish.revision.as_ref(), wish.step) {
        return Err(CliError::MovedOn {
            name: rollout.name.clone(),
            seen: place(wish.revision.as_ref(), wish.step),
            now: place(revision, status.current_step_index),
        });
    }
    let Some(pending) = rollout.pending_request() else {
        return Ok(None);
    };
    match (pending.verb, wish.verb) {
        (Verb::Abort, Verb::Abort) => Ok(Some(pending)),
        (Verb::Abort, Verb::Promote | Verb::PromoteFull | Verb::Retry) => {
            Err(CliError::AbortPending {
                name: rollout.name.clone(),
                by: pending
                    .by
                    .as_ref()
                    .map(|by| format!(" (asked by {by})"))
                    .unwrap_or_default(),
                verb: wish.verb.name(),
            })
        }
        (Verb::Promote | Verb::PromoteFull | Verb::Retry, _) => Ok(None),
    }
}

fn place(revision: Option<&String>, step: Option<i32>) -> String {
    let revision = revision.map_or_else(
        || "no revision".to_owned(),
        |hash| format!("revision {hash}"),
    );
    step.map_or_else(
        || revision.clone(),
        |step| format!("{revision}, step {step}"),
    )
}

fn answer(rollout: &Rollout, verb: Verb, id: &str) -> Result<Option<HandledRequest>, CliError> {
    if let Some(handled) = &rollout.status.last_handled_request
        && handled.id == id
    {
        return Ok(Some(handled.clone()));
    }
    match &rollout.request {
        Some(request) if request.id == id => Ok(None),
        Some(_) | None => Err(CliError::Replaced {
            name: rollout.name.clone(),
            verb,
        }),
    }
}

/// The user, as the API server knows them, else as this machine does.
async fn who(cluster: &Cluster) -> Option<String> {
    let reviews: Api<SelfSubjectReview> = Api::all(cluster.client.clone());
    let review = reviews
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await;
    let known = review
        .ok()
        .and_then(|review| review.status?.user_info?.username);
    known.or_else(|| std::env::var("USER").ok())
}

#[cfg(test)]
mod tests;
