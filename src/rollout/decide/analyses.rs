//! AnalysisRuns of a Rollout: when one starts, what its end means, when one is over.
//!
//! Only Successful goes on; Failed and Error abort; Inconclusive asks a person. Not here: judging metrics (`crate::analysis`).

use super::{
    abort, bake, experiments,
    pass::{Mode, Pass},
    pauses,
};
use crate::{
    analysis::{
        render::{self, Additions, RenderError, RunRequest},
        templates::{self, TemplateKey, TemplatesError},
    },
    api::{
        analysis::{AnalysisPhase, AnalysisTemplateRef, RolloutAnalysis},
        rollout_status::{AnalysisRunReference, PauseReason, RolloutStatus},
        strategy::Declared,
    },
    mutants::{Mutant, mutated},
    rollout::{
        decision::{Action, Outcome, Target},
        snapshot::AnalysisRunView,
    },
};

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The analysis of a step, by its index.
    Step(usize),
    /// The one beside the steps.
    Background,
    /// The one before the switch.
    PrePromotion,
    /// The one after the switch.
    PostPromotion,
    /// The one with all traffic, before the promotion.
    Bake,
}

impl Role {
    /// As in the label, in the words of Argo Rollouts.
    const fn label(self) -> &'static str {
        match self {
            Self::Step(_) => "Step",
            Self::Background => "Background",
            Self::PrePromotion => "PrePromotion",
            Self::PostPromotion => "PostPromotion",
            Self::Bake => "Bake",
        }
    }

    fn suffix(self) -> String {
        match self {
            Self::Step(index) => format!("-{index}"),
            Self::Background => String::new(),
            Self::PrePromotion => "-pre".to_owned(),
            Self::PostPromotion => "-post".to_owned(),
            Self::Bake => "-bake".to_owned(),
        }
    }

    /// Whether something waits for its end.
    const fn must_end(self) -> bool {
        match self {
            Self::Step(_) | Self::PrePromotion | Self::PostPromotion => true,
            // These end with what they judge.
            Self::Background | Self::Bake => false,
        }
    }

    /// Where the status tells of it.
    fn told(self, status: &mut RolloutStatus) -> &mut Option<AnalysisRunReference> {
        match self {
            Self::Step(_) => &mut status.canary.current_step_analysis_run_status,
            Self::Background => &mut status.canary.current_background_analysis_run_status,
            Self::PrePromotion => &mut status.blue_green.pre_promotion_analysis_run_status,
            Self::PostPromotion => &mut status.blue_green.post_promotion_analysis_run_status,
            Self::Bake => &mut status.bake.analysis_run_status,
        }
    }
}

/// The runs that judge the new version now.
fn current(pass: &Pass<'_>) -> Vec<Role> {
    let mut roles = match pass.strategy {
        Declared::Canary(_) => vec![Role::Step(pass.step_index()), Role::Background],
        Declared::BlueGreen(_) if pass.status.blue_green.scale_up_preview_check_point => {
            vec![Role::PostPromotion]
        }
        Declared::BlueGreen(_) => vec![Role::PrePromotion],
    };
    if bake::is_on(pass) {
        roles.push(Role::Bake);
    }
    roles
}

/// All runs that an attempt may have.
fn all(pass: &Pass<'_>) -> Vec<Role> {
    match pass.strategy {
        Declared::Canary(canary) => (0..canary.steps.len())
            .map(Role::Step)
            .chain([Role::Background, Role::Bake])
            .collect(),
        Declared::BlueGreen(_) => vec![Role::PrePromotion, Role::PostPromotion, Role::Bake],
    }
}

/// The name of a run: bound to revision, step and attempt, so that no other verdict can count for it.
fn name(pass: &Pass<'_>, role: Role) -> String {
    let attempt = pass.status.attempt;
    let attempt = if attempt > 0 {
        format!(".{attempt}")
    } else {
        String::new()
    };
    if mutated(Mutant::F9EvidenceOfTheLastRevision) {
        return format!("{}{}{attempt}", pass.snapshot.rollout.name, role.suffix());
    }
    format!(
        "{}-{}-{}{}{attempt}",
        pass.snapshot.rollout.name,
        pass.revisions.new_hash,
        pass.status.revision.unwrap_or(0),
        role.suffix()
    )
}

fn run<'a>(pass: &Pass<'a>, role: Role) -> Option<&'a AnalysisRunView> {
    let name = name(pass, role);
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
    let broken_off = |role: &Role| {
        let ours_to_end = *role == Role::Bake && bake::is_over(pass);
        let proves = role.must_end() || (*role == Role::Bake && !ours_to_end);
        proves
            && run(pass, *role).is_some_and(|run| run.terminate)
            && !mutated(Mutant::A33TerminatedIsSuccess)
    };
    if pass.mode() == Mode::Stepping && current(pass).iter().any(broken_off) {
        // Measuring was broken off: whatever it ended with proves nothing, and it is done again.
        pass.status.attempt = pass.status.attempt.saturating_add(1);
    }
    // The index of a step that was aborted is forgotten; the two runs of a switch are known for good.
    let told = match pass.strategy {
        Declared::Canary(_) => current(pass),
        Declared::BlueGreen(_) => all(pass),
    };
    for role in told {
        if let Some(run) = run(pass, role) {
            *role.told(&mut pass.status) = Some(reference(run));
        }
    }
    match pass.mode() {
        Mode::Stable | Mode::Aborted | Mode::Full => return,
        Mode::Stepping => {}
    }
    // Of this attempt, any run may have the bad news: also that of a step that a person has skipped.
    let bad = all(pass)
        .into_iter()
        .filter_map(|role| run(pass, role))
        .find(|run| matches!(run.phase, AnalysisPhase::Failed | AnalysisPhase::Error));
    if let Some(bad) = bad {
        let cause = format!(
            "AnalysisRun {} is {:?}: {}",
            bad.name, bad.phase, bad.message
        );
        return abort::abort(pass, cause);
    }
    if !current(pass).contains(&Role::Background) {
        return;
    }
    let background = name(pass, Role::Background);
    let inconclusive = run(pass, Role::Background)
        .is_some_and(|run| run.phase == AnalysisPhase::Inconclusive && !run.terminate);
    let asked_before = pass.status.asked_about_analysis_run.as_deref() == Some(&background);
    if inconclusive && !asked_before {
        ask_person(pass, background);
    }
}

/// Asks once, whatever is asked already.
fn ask_person(pass: &mut Pass<'_>, run: String) {
    if !pauses::is_paused(pass, PauseReason::InconclusiveAnalysisRun) {
        pauses::begin(pass, PauseReason::InconclusiveAnalysisRun);
        pass.status.asked_about_analysis_run = Some(run);
    }
}

/// Whether the run has ended without a verdict.
pub(super) fn is_inconclusive(pass: &Pass<'_>, role: Role) -> bool {
    run(pass, role).is_some_and(|run| run.phase == AnalysisPhase::Inconclusive)
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
        .chain(experiments::last_attempt(pass, revision))
        .max()
        .map_or(0, |attempt| attempt.saturating_add(1))
}

/// Whether the run exists.
pub(super) fn started(pass: &Pass<'_>, role: Role) -> bool {
    run(pass, role).is_some()
}

/// Whether the run has come to a verdict.
pub(super) fn has_ended(pass: &Pass<'_>, role: Role) -> bool {
    run(pass, role).is_some_and(|run| run.phase.is_terminal())
}

/// Ends the run: what it has found until now is its verdict.
pub(super) fn terminate(pass: &mut Pass<'_>, role: Role) {
    if let Some(run) = run(pass, role)
        && !run.phase.is_terminal()
        && !run.terminate
    {
        pass.actions.push(Action::TerminateAnalysisRun {
            target: target(run),
        });
    }
}

/// Starts the run.
pub(super) fn start(pass: &mut Pass<'_>, analysis: &RolloutAnalysis, role: Role) -> Outcome {
    match create(pass, analysis, role) {
        Ok(()) => Outcome::wait(format!("AnalysisRun {} to end", name(pass, role))),
        Err(why) => Outcome::wait(why),
    }
}

/// What the run says.
pub(super) fn outcome(pass: &mut Pass<'_>, role: Role) -> Outcome {
    let name = name(pass, role);
    let Some(run) = run(pass, role) else {
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
            let why = format!("a person to promote or abort: AnalysisRun {name} is inconclusive");
            ask_person(pass, name);
            Outcome::wait(why)
        }
    }
}

/// Starts the background run when the new version has traffic, and ends runs that judge nothing any more.
pub(super) fn run_all(pass: &mut Pass<'_>) {
    let stepping = pass.mode() == Mode::Stepping;
    if stepping
        && let Some(analysis) = pass
            .strategy
            .canary()
            .and_then(|canary| canary.analysis.as_ref())
    {
        let starting = usize::try_from(analysis.starting_step.unwrap_or(0)).unwrap_or(0);
        let has_traffic = if pass.router.is_some() {
            pass.observed.highest > 0 || pass.observed.by_header
        } else {
            pass.revisions.new.is_some_and(|new| new.available > 0)
        };
        if pass.step_index() >= starting
            && has_traffic
            && run(pass, Role::Background).is_none()
            && pass.hold.is_none()
            && pass.is_recorded()
        {
            let analysis = analysis.analysis.clone();
            if let Err(why) = create(pass, &analysis, Role::Background) {
                pass.wait(why, None);
            }
        }
    }
    let needed: Vec<String> = current(pass)
        .into_iter()
        .filter(|_| stepping)
        .map(|role| name(pass, role))
        .collect();
    for run in &pass.snapshot.analysis_runs {
        let needed = needed.contains(&run.name);
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
pub fn template_refs(strategy: Declared<'_>) -> Vec<TemplateKey> {
    let analyses = strategy.analyses();
    let mut keys: Vec<TemplateKey> = analyses
        .iter()
        .flat_map(|(_, analysis)| &analysis.templates)
        .map(TemplateKey::from)
        .chain(experiments::template_refs(strategy))
        .collect();
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

/// Analyses of whose templates no AnalysisRun could be made, with why. What only a running update knows counts as known.
pub(super) fn unusable(pass: &Pass<'_>) -> Vec<(String, RenderError)> {
    let analyses = pass.strategy.analyses();
    let checked = analyses.into_iter().filter_map(|(field, analysis)| {
        let resolved = templates::resolve(&analysis.templates, &pass.snapshot.templates);
        if analysis.templates.is_empty() || !resolved.problems.is_empty() {
            // That is told by itself.
            return None;
        }
        let request = RunRequest {
            api_version: "",
            name: "",
            namespace: "",
            owner: serde_json::Value::Null,
            labels: std::collections::BTreeMap::new(),
            annotations: std::collections::BTreeMap::new(),
            additions: Additions::from(&analysis),
            templates: &resolved.templates,
            subject: &pass.snapshot.rollout.object,
            stable_hash: Some("stable"),
            latest_hash: Some("latest"),
            // Only the one in the background may go on as long as the update does.
            must_end: field != "analysis",
        };
        let error = render::analysis_run(&request).err()?;
        let of_status =
            matches!(&error, RenderError::Field { path, .. } if path.starts_with("status"));
        (!of_status).then_some((field, error))
    });
    checked.collect()
}

fn create(pass: &mut Pass<'_>, analysis: &RolloutAnalysis, role: Role) -> Result<(), String> {
    let name = name(pass, role);
    if pass.snapshot.foreign_analysis_runs.contains(&name) {
        return Err(format!(
            "the name {name} to be free: another AnalysisRun has it"
        ));
    }
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
        (names.rollout_type.clone(), role.label().to_owned()),
    ]);
    if let Role::Step(index) = role {
        labels.insert(names.step_index.clone(), index.to_string());
    }
    labels.extend(names.instance_label());
    let api_version = names.api_version();
    let request = RunRequest {
        api_version: &api_version,
        name: &name,
        namespace: &rollout.namespace,
        owner: super::replica_set::owner(pass),
        labels,
        annotations: std::collections::BTreeMap::from([(
            names.revision.clone(),
            pass.status.revision.unwrap_or(0).to_string(),
        )]),
        additions: Additions::from(analysis),
        templates: &resolved.templates,
        subject: &rollout.object,
        stable_hash: Some(pass.status.stable_rs.as_str()).filter(|hash| !hash.is_empty()),
        latest_hash: Some(&pass.revisions.new_hash),
        must_end: role.must_end(),
    };
    match render::analysis_run(&request) {
        Ok(object) => {
            pass.actions
                .push(Action::CreateAnalysisRun { name, object });
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}
