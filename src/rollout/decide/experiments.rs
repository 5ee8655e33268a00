//! The Experiment of a step: when one is made, what its end means, when it is over, how long it is kept.
//!
//! Only Successful goes on; Failed and Error abort; Inconclusive asks a person. Not here: what it is made from (`render`),
//! and what an Experiment does (`crate::experiment`).

mod render;

pub(super) use render::declared;

use super::{
    abort,
    pass::{Mode, Pass},
    pauses,
};
use crate::{
    analysis::templates::TemplateKey,
    api::{
        analysis::AnalysisPhase, experiment::step::ExperimentStep, rollout_status::PauseReason,
        strategy::Declared,
    },
    rollout::{
        decision::{Action, Outcome, Target},
        snapshot::StepExperimentView,
    },
};

/// `<rollout>-<hash>-<revision>-<step>`, and the attempt: a verdict counts for one attempt. It begins the names of
/// Services, which have no dots.
fn name(pass: &Pass<'_>, index: usize) -> String {
    let attempt = pass.status.attempt;
    let attempt = if attempt > 0 {
        format!("-{attempt}")
    } else {
        String::new()
    };
    format!("{}-{index}{attempt}", prefix(pass))
}

/// How the names of all Experiments of this update begin.
fn prefix(pass: &Pass<'_>) -> String {
    format!(
        "{}-{}-{}",
        pass.snapshot.rollout.name,
        pass.revisions.new_hash,
        pass.status.revision.unwrap_or(0)
    )
}

fn experiment<'a>(pass: &Pass<'a>, index: usize) -> Option<&'a StepExperimentView> {
    let name = name(pass, index);
    let mut all = pass.snapshot.experiments.iter();
    all.find(|one| one.name == name && !one.deleting)
}

/// The Experiment of the step that is under way.
fn current(pass: &Pass<'_>) -> Option<String> {
    let index = pass.step_index();
    let step = pass.strategy.steps().get(index)?;
    let is_under_way = step.experiment.is_some() && pass.mode() == Mode::Stepping;
    is_under_way.then(|| name(pass, index))
}

/// One that failed aborts the update, at every moment, paused or not.
pub(super) fn heed(pass: &mut Pass<'_>) {
    if pass.mode() != Mode::Stepping {
        return;
    }
    let bad = (0..pass.strategy.steps().len())
        .filter_map(|index| experiment(pass, index))
        .find(|one| matches!(one.phase, AnalysisPhase::Failed | AnalysisPhase::Error));
    if let Some(bad) = bad {
        let cause = cause(bad);
        abort::abort(pass, cause);
    }
}

fn cause(one: &StepExperimentView) -> String {
    format!(
        "Experiment {} is {:?}: {}",
        one.name, one.phase, one.message
    )
}

/// Whether the step's Experiment exists.
pub(super) fn started(pass: &Pass<'_>, index: usize) -> bool {
    experiment(pass, index).is_some()
}

/// Whether it has ended without a verdict.
pub(super) fn is_inconclusive(pass: &Pass<'_>, index: usize) -> bool {
    experiment(pass, index).is_some_and(|one| one.phase == AnalysisPhase::Inconclusive)
}

/// Makes it.
pub(super) fn start(pass: &mut Pass<'_>, step: &ExperimentStep, index: usize) -> Outcome {
    let name = name(pass, index);
    let sources = match render::sources(pass, step) {
        Ok(sources) => sources,
        Err(why) => return Outcome::wait(why),
    };
    let unread: Vec<String> = sources
        .iter()
        .filter(|set| !pass.snapshot.pod_templates.contains_key(*set))
        .cloned()
        .collect();
    if let Some(set) = unread.first() {
        let why = format!("the pod template of ReplicaSet {set} to be read");
        let reads = unread.iter().cloned();
        pass.actions
            .extend(reads.map(|name| Action::ReadPodTemplate { name }));
        return Outcome::wait(why);
    }
    match render::experiment(pass, step, index, &name) {
        Ok(object) => {
            let why = format!("Experiment {name} to end");
            pass.actions.push(Action::CreateExperiment { name, object });
            Outcome::wait(why)
        }
        // It stays so: pod templates, steps and the hashes of this update do not change.
        Err(why) => Outcome::Fail(why),
    }
}

/// What it says.
pub(super) fn outcome(pass: &mut Pass<'_>, index: usize) -> Outcome {
    let Some(one) = experiment(pass, index) else {
        return Outcome::wait(format!("Experiment {} to exist", name(pass, index)));
    };
    match one.phase {
        AnalysisPhase::Successful => Outcome::Done,
        AnalysisPhase::Failed | AnalysisPhase::Error => Outcome::Fail(cause(one)),
        AnalysisPhase::Pending | AnalysisPhase::Running => {
            let details = if one.message.is_empty() {
                String::new()
            } else {
                format!(": it waits for {}", one.message)
            };
            Outcome::wait(format!("Experiment {} to end{details}", one.name))
        }
        AnalysisPhase::Inconclusive => {
            pauses::begin(pass, PauseReason::InconclusiveExperiment);
            Outcome::wait(asked(&one.name))
        }
    }
}

/// What a person is asked.
pub(super) fn asked(name: &str) -> String {
    format!("a person to promote or abort: Experiment {name} is inconclusive")
}

/// Ends what tries out nothing any more, and says which one is under way.
pub(super) fn settle(pass: &mut Pass<'_>) {
    let current = current(pass);
    let terminated: Vec<Action> = pass
        .snapshot
        .experiments
        .iter()
        .filter(|one| Some(&one.name) != current.as_ref())
        .filter(|one| !one.phase.is_terminal() && !one.terminate && !one.deleting)
        .map(|one| Action::TerminateExperiment {
            target: target(one),
        })
        .collect();
    pass.actions.extend(terminated);
    let mut all = pass.snapshot.experiments.iter();
    pass.status.canary.current_experiment = current.filter(|name| all.any(|one| one.name == *name));
}

fn target(one: &StepExperimentView) -> Target {
    Target {
        name: one.name.clone(),
        uid: one.uid.clone(),
        resource_version: one.resource_version.clone(),
    }
}

/// Deletes finished ones of versions that are not kept, and of the others those beyond the limits for analyses.
pub(super) fn prune(pass: &mut Pass<'_>) {
    let limits = pass.spec.analysis.clone().unwrap_or_default();
    let keep_good = limits.successful_run_history_limit.unwrap_or(5);
    let keep_bad = limits.unsuccessful_run_history_limit.unwrap_or(5);
    let busy = pass.mode() != Mode::Stable;
    let in_use = format!("{}-", prefix(pass));
    let mut finished: Vec<&StepExperimentView> = pass
        .snapshot
        .experiments
        .iter()
        .filter(|one| one.phase.is_terminal() && !one.deleting)
        // Those of an update under way are its evidence: losing one would run it again.
        .filter(|one| !(busy && one.name.starts_with(&in_use)))
        .collect();
    finished.sort_by(|a, b| (b.created, &b.name).cmp(&(a.created, &a.name)));
    let (mut good, mut bad) = (0, 0);
    for one in finished {
        let (count, limit) = if one.phase == AnalysisPhase::Successful {
            (&mut good, keep_good)
        } else {
            (&mut bad, keep_bad)
        };
        *count += 1;
        if *count > limit || pass.revisions.by_hash(&one.pod_template_hash).is_none() {
            pass.actions.push(Action::DeleteExperiment {
                target: target(one),
            });
        }
    }
}

/// The highest attempt of this revision whose Experiment must not be taken for one that is made anew.
pub(super) fn last_attempt(pass: &Pass<'_>, revision: i64) -> Option<i32> {
    let lost = pass.snapshot.rollout.status.current_pod_hash.is_empty();
    let prefix = format!(
        "{}-{}-{revision}-",
        pass.snapshot.rollout.name, pass.revisions.new_hash
    );
    let experiments = pass.snapshot.experiments.iter();
    experiments
        .filter(|one| lost || one.terminate || one.phase.is_terminal())
        .map(|one| &one.name)
        .chain(&pass.snapshot.foreign_experiments)
        .filter_map(|name| name.strip_prefix(&prefix))
        .map(|rest| {
            let attempt = rest.split_once('-').map(|(_, attempt)| attempt.parse());
            attempt.and_then(Result::ok).unwrap_or(0)
        })
        .max()
}

/// The AnalysisTemplates that the steps name.
pub(super) fn template_refs(strategy: Declared<'_>) -> impl Iterator<Item = TemplateKey> + '_ {
    let steps = strategy.steps().iter();
    steps
        .filter_map(|step| step.experiment.as_ref())
        .flat_map(|step| &step.analyses)
        .map(|analysis| TemplateKey {
            name: analysis.template_name.clone(),
            cluster_scope: analysis.cluster_scope,
        })
}
