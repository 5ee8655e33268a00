//! How each template stands: whether its pods are available and its Service leads to them, and whether they are too late.
//!
//! Not here: creating them (`replica_sets`, `services`), and what it means for the Experiment (`verdict`).

use jiff::Timestamp;

use super::pass::{Pass, after, service_name};
use crate::{
    api::experiment::{ExperimentTemplate, ExperimentTemplateStatus, TemplatePhase},
    experiment::snapshot::Refused,
};

/// Takes note of how the templates stand, and of when all of them were available.
pub(super) fn measure(pass: &mut Pass<'_>) {
    let before = std::mem::take(&mut pass.status.template_statuses);
    let mut statuses = Vec::new();
    for template in &pass.spec.templates {
        let known = before.iter().find(|status| status.name == template.name);
        statuses.push(status(pass, template, known));
    }
    pass.status.template_statuses = statuses;
    if !pass.has_ended() && !pass.spec.templates.is_empty() && all_running(pass) {
        pass.status.available_at.get_or_insert(pass.snapshot.now);
    }
}

/// Whether every template serves now.
pub(super) fn all_running(pass: &Pass<'_>) -> bool {
    let statuses = &pass.status.template_statuses;
    statuses
        .iter()
        .all(|status| status.status == Some(TemplatePhase::Running))
}

fn status(
    pass: &mut Pass<'_>,
    template: &ExperimentTemplate,
    known: Option<&ExperimentTemplateStatus>,
) -> ExperimentTemplateStatus {
    let mut status = known.cloned().unwrap_or_else(|| ExperimentTemplateStatus {
        name: template.name.clone(),
        ..ExperimentTemplateStatus::default()
    });
    let set = pass.set(template);
    status.replicas = set.map_or(0, |set| set.current);
    status.updated_replicas = status.replicas;
    status.ready_replicas = set.map_or(0, |set| set.ready);
    status.available_replicas = set.map_or(0, |set| set.available);
    status.pod_template_hash = set.map(|set| set.pod_template_hash.clone());
    status.service_name = pass.service(template).map(|service| service.name.clone());
    if pass.has_ended() {
        return status;
    }
    let (mut phase, mut message) = match lacks(pass, template) {
        None => (TemplatePhase::Running, None),
        Some(_) if !pass.has_started() => (TemplatePhase::Pending, None),
        Some(what) => (TemplatePhase::Progressing, Some(what)),
    };
    if phase == TemplatePhase::Progressing {
        let deadline = deadline(pass, &status);
        if pass.now() >= deadline {
            phase = TemplatePhase::Failed;
            let seconds = pass.spec.progress_deadline_seconds();
            let what = message.unwrap_or_default();
            message = Some(format!("not available within {seconds} seconds: {what}"));
        } else {
            let what = message.clone().unwrap_or_default();
            pass.wait(format!("template {}: {what}", template.name), None);
            pass.look_again(deadline);
        }
    }
    if status.status != Some(phase) {
        status.status = Some(phase);
        status.last_transition_time = Some(pass.now());
        if matches!(phase, TemplatePhase::Running | TemplatePhase::Failed) {
            let (warning, reason) = if phase == TemplatePhase::Failed {
                (true, "TemplateFailed")
            } else {
                (false, "TemplateRunning")
            };
            let why = message.as_ref().map(|message| format!(": {message}"));
            let text = format!(
                "Template {} is {}{}",
                template.name,
                phase.name(),
                why.unwrap_or_default()
            );
            pass.note(warning, reason, text);
        }
    }
    status.message = message;
    status
}

/// When it is too late: for all templates together until they were available once, then for each that falls back.
fn deadline(pass: &Pass<'_>, status: &ExperimentTemplateStatus) -> Timestamp {
    let fell_back = status
        .last_transition_time
        .filter(|_| status.status == Some(TemplatePhase::Progressing));
    let since = match pass.status.available_at {
        None => pass.status.started_at,
        Some(_) => fell_back,
    };
    let seconds = pass.spec.progress_deadline_seconds();
    after(since.unwrap_or(pass.now()), seconds)
}

/// What a template still needs in order to serve.
fn lacks(pass: &Pass<'_>, template: &ExperimentTemplate) -> Option<String> {
    let name = pass.set_name(template);
    let want = template.desired_replicas();
    let Some(set) = pass.set(template) else {
        return Some(match pass.snapshot.refusals.get(&name) {
            Some(Refused::Invalid(why) | Refused::Forbidden(why)) => {
                format!("the API server refuses ReplicaSet {name}: {why}")
            }
            Some(Refused::Taken) => {
                format!("the name {name} to be free: another ReplicaSet has it")
            }
            None => format!("ReplicaSet {name} to exist"),
        });
    };
    if set.replicas != want || set.current < want || set.available < want {
        let failure = set.failure.as_ref().map(|why| format!(": {why}"));
        let (available, failure) = (set.available, failure.unwrap_or_default());
        return Some(format!(
            "{want} pods to be available, {available} are{failure}"
        ));
    }
    let service = service_name(&pass.snapshot.experiment.name, template)?;
    match pass.snapshot.services.get(&service) {
        Some(found) if !found.owned => Some(format!(
            "the name {service} to be free: another Service has it"
        )),
        Some(found) if found.deleting => Some(format!("Service {service} to be gone")),
        Some(found) if found.ready_endpoints >= want => None,
        Some(found) => Some(format!(
            "Service {service} to lead to {want} pods, it leads to {}",
            found.ready_endpoints
        )),
        None => Some(match pass.snapshot.refusals.get(&service) {
            Some(Refused::Invalid(why) | Refused::Forbidden(why)) => {
                format!("the API server refuses Service {service}: {why}")
            }
            Some(Refused::Taken) | None => format!("Service {service} to exist"),
        }),
    }
}
