//! AnalysisRuns of a Rollout: when one starts, what its end means, when one is over.
//!
//! Only Successful goes on; Failed and Error abort; Inconclusive asks a person. Not here: judging metrics (`crate::analysis`).

use super::{
    abort,
    pass::{Mode, Pass},
};
use crate::{
    analysis::{
        render::{self, RunRequest},
        templates::{self, TemplateKey, TemplatesError},
    },
    api::{
        analysis::{AnalysisPhase, AnalysisTemplateRef, RolloutAnalysis},
        rollout_status::{AnalysisRunReference, PauseCondition, PauseReason},
    },
    rollout::{
        decision::{Action, Outcome, Target},
        snapshot::AnalysisRunView,
    },
};

/// The name of a step's run: bound to revision, step and attempt, so that no other verdict can count for it.
fn step_name(pass: &Pass<'_>, index: usize) -> String {
    named(pass, &format!("-{index}"))
}

fn background_name(pass: &Pass<'_>) -> String {
    named(pass, "")
}

fn named(pass: &Pass<'_>, suffix: &str) -> String {
    let attempt = pass.status.canary.attempt;
    let attempt = if attempt > 0 {
        format!(".{attempt}")
    } else {
        String::new()
    };
    format!(
        "{}-{}-{}{suffix}{attempt}",
        pass.snapshot.rollout.name,
        pass.revisions.new_hash,
        pass.status.revision.unwrap_or(0)
    )
}

fn run<'a>(pass: &Pass<'a>, name: &str) -> Option<&'a AnalysisRunView> {
    pass.snapshot
        .analysis_runs
        .iter()
        .find(|run| run.name == name && !run.deleting)
}

fn reference(run: &AnalysisRunView) -> AnalysisRunReference {
    AnalysisRunReference {
        name: run.name.clone(),
        status: format!("{:?}", run.phase),
        message: run.message.clone(),
    }
}

/// Takes note of how the runs of this update stand: one that failed aborts, at every moment, paused or not.
pub(super) fn heed(pass: &mut Pass<'_>) {
    if pass.mode() == Mode::Stepping
        && run(pass, &step_name(pass, pass.step_index())).is_some_and(|run| run.terminate)
    {
        // Measuring was broken off: whatever it ended with proves nothing, and it is done again.
        pass.status.canary.attempt = pass.status.canary.attempt.saturating_add(1);
    }
    let step = step_name(pass, pass.step_index());
    if let Some(run) = run(pass, &step) {
        pass.status.canary.current_step_analysis_run_status = Some(reference(run));
    }
    let background = background_name(pass);
    if let Some(run) = run(pass, &background) {
        pass.status.canary.current_background_analysis_run_status = Some(reference(run));
    }
    match pass.mode() {
        Mode::Stable | Mode::Aborted | Mode::Full => return,
        Mode::Stepping => {}
    }
    // Of this attempt, any run may have the bad news: also that of a step that a person has skipped.
    let names: Vec<String> = (0..pass.strategy.steps.len())
        .map(|index| step_name(pass, index))
        .chain([background.clone()])
        .collect();
    let bad = pass
        .snapshot
        .analysis_runs
        .iter()
        .filter(|run| names.contains(&run.name))
        .find(|run| matches!(run.phase, AnalysisPhase::Failed | AnalysisPhase::Error));
    if let Some(bad) = bad {
        let cause = format!(
            "AnalysisRun {} is {:?}: {}",
            bad.name, bad.phase, bad.message
        );
        return abort::abort(pass, cause);
    }
    let inconclusive = run(pass, &background)
        .is_some_and(|run| run.phase == AnalysisPhase::Inconclusive && !run.terminate);
    let asked = pass
        .status
        .pause_conditions
        .iter()
        .any(|pause| pause.reason == PauseReason::InconclusiveAnalysisRun);
    let asked_before = pass.status.canary.asked_about_analysis_run.as_deref() == Some(&background);
    if inconclusive && !asked && !asked_before {
        ask_person(pass, &background);
    }
}

fn ask_person(pass: &mut Pass<'_>, name: &str) {
    let start_time = pass.now();
    pass.status.pause_conditions.push(PauseCondition {
        reason: PauseReason::InconclusiveAnalysisRun,
        start_time,
    });
    pass.status.controller_pause = true;
    pass.status.canary.asked_about_analysis_run = Some(name.to_owned());
}

/// Whether the run of this step has ended without a verdict.
pub(super) fn step_is_inconclusive(pass: &Pass<'_>, index: usize) -> bool {
    run(pass, &step_name(pass, index)).is_some_and(|run| run.phase == AnalysisPhase::Inconclusive)
}

/// The first attempt whose runs cannot be mistaken for finished ones of the same revision: a verdict counts once.
pub(super) fn fresh_attempt(pass: &Pass<'_>, revision: i64) -> i32 {
    let lost = pass.snapshot.rollout.status.current_pod_hash.is_empty();
    let prefix = format!(
        "{}-{}-{revision}",
        pass.snapshot.rollout.name, pass.revisions.new_hash
    );
    pass.snapshot
        .analysis_runs
        .iter()
        .filter(|run| lost || run.terminate || run.phase.is_terminal())
        .filter_map(|run| run.name.strip_prefix(&prefix))
        .filter(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        .map(|rest| {
            rest.rsplit_once('.')
                .and_then(|(_, attempt)| attempt.parse().ok())
                .unwrap_or(0_i32)
        })
        .max()
        .map_or(0, |attempt| attempt.saturating_add(1))
}

/// Whether the run of this step exists.
pub(super) fn step_started(pass: &Pass<'_>, index: usize) -> bool {
    run(pass, &step_name(pass, index)).is_some()
}

/// Starts the run of this step.
pub(super) fn start_step(pass: &mut Pass<'_>, analysis: &RolloutAnalysis, index: usize) -> Outcome {
    let name = step_name(pass, index);
    match create(pass, analysis, &name, "Step", Some(index)) {
        Ok(()) => Outcome::wait(format!("AnalysisRun {name} to end")),
        Err(why) => Outcome::wait(why),
    }
}

/// What the run of this step says.
pub(super) fn step_outcome(pass: &mut Pass<'_>, index: usize) -> Outcome {
    let name = step_name(pass, index);
    let Some(run) = run(pass, &name) else {
        return Outcome::wait(format!("AnalysisRun {name} to exist"));
    };
    match run.phase {
        AnalysisPhase::Successful => Outcome::Done,
        AnalysisPhase::Failed | AnalysisPhase::Error => Outcome::Fail(format!(
            "AnalysisRun {name} is {:?}: {}",
            run.phase, run.message
        )),
        AnalysisPhase::Pending | AnalysisPhase::Running => {
            Outcome::wait(format!("AnalysisRun {name} to end"))
        }
        AnalysisPhase::Inconclusive => {
            let asked = pass
                .status
                .pause_conditions
                .iter()
                .any(|pause| pause.reason == PauseReason::InconclusiveAnalysisRun);
            if !asked {
                ask_person(pass, &name);
            }
            Outcome::wait(format!(
                "a person to promote or abort: AnalysisRun {name} is inconclusive"
            ))
        }
    }
}

/// Starts the background run when the new version has traffic, and ends runs that judge nothing any more.
pub(super) fn run_all(pass: &mut Pass<'_>) {
    let background = background_name(pass);
    let current_step = step_name(pass, pass.step_index());
    let stepping = pass.mode() == Mode::Stepping;
    if stepping && let Some(analysis) = &pass.strategy.analysis {
        let starting = usize::try_from(analysis.starting_step.unwrap_or(0)).unwrap_or(0);
        let has_traffic = if pass.router.is_some() {
            pass.observed.highest > 0
        } else {
            pass.revisions.new.is_some_and(|new| new.available > 0)
        };
        if pass.step_index() >= starting
            && has_traffic
            && run(pass, &background).is_none()
            && pass.hold.is_none()
        {
            let analysis = analysis.analysis.clone();
            if let Err(why) = create(pass, &analysis, &background, "Background", None) {
                pass.wait(why, None);
            }
        }
    }
    for run in &pass.snapshot.analysis_runs {
        let needed = stepping && (run.name == background || run.name == current_step);
        if !needed && !run.phase.is_terminal() && !run.terminate && !run.deleting {
            pass.actions.push(Action::TerminateAnalysisRun {
                target: target(run),
            });
        }
    }
}

fn target(run: &AnalysisRunView) -> Target {
    Target {
        name: run.name.clone(),
        uid: run.uid.clone(),
        resource_version: run.resource_version.clone(),
    }
}

/// Keeps the newest finished runs of each kind.
pub(super) fn prune(pass: &mut Pass<'_>) {
    let limits = pass.spec.analysis.clone().unwrap_or_default();
    let keep_good = limits.successful_run_history_limit.unwrap_or(5);
    let keep_bad = limits.unsuccessful_run_history_limit.unwrap_or(5);
    let in_use = format!(
        "{}-{}-{}",
        pass.snapshot.rollout.name,
        pass.revisions.new_hash,
        pass.status.revision.unwrap_or(0)
    );
    let busy = pass.mode() != Mode::Stable;
    let mut finished: Vec<&AnalysisRunView> = pass
        .snapshot
        .analysis_runs
        .iter()
        .filter(|run| run.phase.is_terminal() && !run.deleting)
        // The runs of an update under way are its evidence: losing one would run it again.
        .filter(|run| !(busy && run.name.starts_with(&in_use)))
        .collect();
    finished.sort_by(|a, b| (b.created, &b.name).cmp(&(a.created, &a.name)));
    let (mut good, mut bad) = (0, 0);
    for run in finished {
        let (count, limit) = if run.phase == AnalysisPhase::Successful {
            (&mut good, keep_good)
        } else {
            (&mut bad, keep_bad)
        };
        *count += 1;
        if *count > limit {
            pass.actions.push(Action::DeleteAnalysisRun {
                target: target(run),
            });
        }
    }
}

/// The templates that the spec names, wherever it does.
pub fn template_refs(strategy: &crate::api::canary::CanaryStrategy) -> Vec<TemplateKey> {
    let steps = strategy
        .steps
        .iter()
        .filter_map(|step| step.analysis.as_ref())
        .flat_map(|analysis| &analysis.templates);
    let background = strategy
        .analysis
        .iter()
        .flat_map(|background| &background.analysis.templates);
    let mut keys: Vec<TemplateKey> = steps.chain(background).map(TemplateKey::from).collect();
    keys.sort();
    keys.dedup();
    keys
}

/// What is wrong with the templates that the spec leads to, wherever it does.
pub(super) fn template_problems(pass: &Pass<'_>) -> Vec<TemplatesError> {
    let references: Vec<AnalysisTemplateRef> = template_refs(pass.strategy)
        .iter()
        .map(AnalysisTemplateRef::from)
        .collect();
    templates::resolve(&references, &pass.snapshot.templates).problems
}

fn create(
    pass: &mut Pass<'_>,
    analysis: &RolloutAnalysis,
    name: &str,
    type_: &str,
    index: Option<usize>,
) -> Result<(), String> {
    let resolved = templates::resolve(&analysis.templates, &pass.snapshot.templates);
    match resolved.problems.first() {
        Some(TemplatesError::Missing(key)) => return Err(format!("{} to exist", key.shown())),
        Some(problem) => return Err(problem.to_string()),
        None => {}
    }
    let names = &pass.snapshot.names;
    let rollout = &pass.snapshot.rollout;
    let mut labels = std::collections::BTreeMap::from([
        (
            names.pod_template_hash.clone(),
            pass.revisions.new_hash.clone(),
        ),
        (names.rollout_type.clone(), type_.to_owned()),
    ]);
    if let Some(index) = index {
        labels.insert(names.step_index.clone(), index.to_string());
    }
    let api_version = names.api_version();
    let request = RunRequest {
        api_version: &api_version,
        name,
        namespace: &rollout.namespace,
        owner: super::replica_set::owner(pass),
        labels,
        annotations: std::collections::BTreeMap::from([(
            names.revision.clone(),
            pass.status.revision.unwrap_or(0).to_string(),
        )]),
        analysis,
        templates: &resolved.templates,
        rollout: &rollout.object,
        stable_hash: Some(pass.status.stable_rs.as_str()).filter(|hash| !hash.is_empty()),
        latest_hash: &pass.revisions.new_hash,
        must_end: type_ == "Step",
    };
    match render::analysis_run(&request) {
        Ok(object) => {
            pass.actions.push(Action::CreateAnalysisRun {
                name: name.to_owned(),
                object,
            });
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}
