//! The steps: which weight the current one asks for, and when one is done.
//!
//! Not here: how pods and traffic get there (`scale`, `traffic`, `services`).

use super::{
    analyses::{self, Role},
    experiments, header_routes,
    pass::{Mode, Pass},
    pauses, scale, services, threshold,
};
use crate::{
    api::{
        duration,
        rollout_status::PauseReason,
        steps::{CanaryScale, CanaryStep, PauseStep, SetCanaryScale, StepKind},
    },
    mutants::{Mutant, mutated},
    rollout::decision::Outcome,
};

/// The weight of the last `setWeight` at or before `index`; all of it after the last step.
pub(super) fn weight_at(steps: &[CanaryStep], index: usize, max: i32) -> i32 {
    if index >= steps.len() {
        return if mutated(Mutant::A10NothingAfterTheLastStep) {
            0
        } else {
            max
        };
    }
    steps[..=index]
        .iter()
        .rev()
        .find_map(|step| step.set_weight)
        .unwrap_or(0)
        .clamp(0, max)
}

/// The weight that the Rollout works towards: that of the current step, or no more than now while nothing may move forward.
pub(super) fn goal_weight(pass: &Pass<'_>) -> i32 {
    let goal = declared_weight(pass);
    if !pass.frozen() {
        return goal;
    }
    let reached = match &pass.router {
        Some(_) => pass.observed.highest,
        None => weight_of_pods(pass, goal),
    };
    goal.min(reached)
}

/// The weight of the current step, whether or not anything may move.
pub(super) fn declared_weight(pass: &Pass<'_>) -> i32 {
    let max = pass.max_weight();
    match pass.mode() {
        Mode::Stable | Mode::Aborted => 0,
        Mode::Full => max,
        Mode::Stepping => weight_at(pass.strategy.steps(), pass.step_index(), max),
    }
}

/// What the last `setCanaryScale` at or before `index` says; after the last step pods follow the weight.
fn scale_at(steps: &[CanaryStep], index: usize) -> CanaryScale {
    if index >= steps.len() {
        return CanaryScale::MatchTrafficWeight;
    }
    steps[..=index]
        .iter()
        .rev()
        .find_map(|step| step.set_canary_scale.as_ref())
        .and_then(SetCanaryScale::scale)
        .unwrap_or(CanaryScale::MatchTrafficWeight)
}

/// What sets the number of canary pods in the current step, whether or not anything may move.
pub(super) fn declared_scale(pass: &Pass<'_>) -> CanaryScale {
    match pass.mode() {
        Mode::Stepping if pass.router.is_some() => {
            scale_at(pass.strategy.steps(), pass.step_index())
        }
        Mode::Stepping | Mode::Stable | Mode::Full | Mode::Aborted => {
            CanaryScale::MatchTrafficWeight
        }
    }
}

/// What sets the number of canary pods now: while nothing may move forward, a `setCanaryScale` does not begin.
pub(super) fn goal_scale(pass: &Pass<'_>) -> CanaryScale {
    let (steps, index) = (pass.strategy.steps(), pass.step_index());
    let begins = steps
        .get(index)
        .is_some_and(|step| step.set_canary_scale.is_some());
    if !pass.frozen() || !begins || pass.mode() != Mode::Stepping {
        return declared_scale(pass);
    }
    match index.checked_sub(1) {
        Some(before) if pass.router.is_some() => scale_at(steps, before),
        Some(_) | None => CanaryScale::MatchTrafficWeight,
    }
}

/// Without a router: the goal if its pods are asked for already, else that of the step before.
fn weight_of_pods(pass: &Pass<'_>, goal: i32) -> i32 {
    let canary = pass.revisions.new.map_or(0, |new| new.replicas);
    if scale::pair_at(pass, goal).canary <= canary {
        return goal;
    }
    let before = pass.step_index().checked_sub(1);
    before.map_or(0, |index| {
        weight_at(pass.strategy.steps(), index, pass.max_weight())
    })
}

/// Takes every step that is done. `Done` after the last one.
pub(super) fn advance(pass: &mut Pass<'_>) -> Outcome {
    if pass.mode() == Mode::Full {
        return Outcome::Done;
    }
    if let Some(asked) = pauses::asked_person(pass) {
        return Outcome::wait(asked);
    }
    let steps = pass.strategy.steps();
    loop {
        let index = pass.step_index();
        let Some(step) = steps.get(index) else {
            return Outcome::Done;
        };
        match step_outcome(pass, step, index) {
            Outcome::Done => {}
            other @ (Outcome::Wait(_) | Outcome::Fail(_)) => return other,
        }
        pass.note(
            false,
            "RolloutStepCompleted",
            format!(
                "Rollout step {}/{} completed ({})",
                index + 1,
                steps.len(),
                describe(step)
            ),
        );
        pass.status.current_step_index = Some(i32::try_from(index + 1).unwrap_or(i32::MAX));
        pass.status.canary.current_step_analysis_run_status = None;
        // A promotion is for one step.
        pass.status.controller_pause = !pass.status.pause_conditions.is_empty();
    }
}

fn step_outcome(pass: &mut Pass<'_>, step: &CanaryStep, index: usize) -> Outcome {
    // Pods may vanish in any step: none ends while the weight of the last setWeight is not carried.
    let weight = weight_at(pass.strategy.steps(), index, pass.max_weight());
    let rest = match step.kind() {
        Some(StepKind::Pause(_)) => Pairs::OrBeyond,
        Some(
            StepKind::SetWeight(_)
            | StepKind::SetCanaryScale(_)
            | StepKind::SetHeaderRoute(_)
            | StepKind::Analysis(_)
            | StepKind::Experiment(_)
            | StepKind::Unsupported(_),
        )
        | None => Pairs::Exactly,
    };
    let carried = match carried(pass, weight, rest) {
        Outcome::Done => header_routes::reached(pass, index),
        other @ (Outcome::Wait(_) | Outcome::Fail(_)) => other,
    };
    match (step.kind(), carried) {
        (Some(StepKind::SetWeight(_) | StepKind::SetHeaderRoute(_)), carried) => {
            // What a person ended here was no pause of this step.
            pass.status.controller_pause = !pass.status.pause_conditions.is_empty();
            carried
        }
        (Some(StepKind::Pause(pause)), carried) => match hold_pause(pass, pause) {
            Outcome::Done => {
                if carried == Outcome::Done {
                    pauses::end(pass, PauseReason::CanaryPauseStep);
                }
                carried
            }
            other @ (Outcome::Wait(_) | Outcome::Fail(_)) => other,
        },
        (Some(StepKind::Analysis(analysis)), carried) => {
            if pauses::promoted(pass) {
                pass.status.controller_pause = false;
                if analyses::is_inconclusive(pass, Role::Step(index)) {
                    // A person has promoted it.
                    return carried;
                }
            }
            if analyses::started(pass, Role::Step(index)) {
                match analyses::outcome(pass, Role::Step(index)) {
                    Outcome::Done => carried,
                    other @ (Outcome::Wait(_) | Outcome::Fail(_)) => other,
                }
            } else {
                match carried {
                    Outcome::Done => analyses::start(pass, analysis, Role::Step(index)),
                    other @ (Outcome::Wait(_) | Outcome::Fail(_)) => other,
                }
            }
        }
        (Some(StepKind::Experiment(experiment)), carried) => {
            if pauses::promoted(pass) {
                pass.status.controller_pause = false;
                if experiments::is_inconclusive(pass, index) {
                    // A person has promoted it.
                    return carried;
                }
            }
            let outcome = if experiments::started(pass, index) {
                experiments::outcome(pass, index)
            } else if carried == Outcome::Done {
                experiments::start(pass, experiment, index)
            } else {
                Outcome::Done
            };
            match outcome {
                Outcome::Done => carried,
                other @ (Outcome::Wait(_) | Outcome::Fail(_)) => other,
            }
        }
        (Some(StepKind::SetCanaryScale(_)), carried) => {
            pass.status.controller_pause = !pass.status.pause_conditions.is_empty();
            match carried {
                Outcome::Done => shrunk(pass),
                other @ (Outcome::Wait(_) | Outcome::Fail(_)) => other,
            }
        }
        (Some(StepKind::Unsupported(name)), _) => Outcome::wait(format!(
            "spec.strategy.canary.steps[{index}].{name} to be removed: it is not supported yet"
        )),
        (None, _) => Outcome::wait(format!(
            "spec.strategy.canary.steps[{index}] to have exactly one member"
        )),
    }
}

/// Whether the current step is a pause that only a person ends.
pub(super) fn pauses_openly(pass: &Pass<'_>) -> bool {
    let step = pass.strategy.steps().get(pass.step_index());
    step.and_then(|step| step.pause.as_ref())
        .is_some_and(|pause| pause.duration.is_none())
}

/// A pause step begins, goes on, or is over. A pause that was promoted has no condition left.
fn hold_pause(pass: &mut Pass<'_>, pause: &PauseStep) -> Outcome {
    if pauses::promoted(pass) {
        return Outcome::Done;
    }
    let start = pauses::begin(pass, PauseReason::CanaryPauseStep);
    pause_outcome(pass, pause, start)
}

fn pause_outcome(pass: &Pass<'_>, pause: &PauseStep, start: jiff::Timestamp) -> Outcome {
    let Some(length) = &pause.duration else {
        return Outcome::wait("a person to promote it");
    };
    // `validate` has refused anything that is no duration.
    let Ok(length) = duration::seconds_or_duration(length) else {
        return Outcome::wait("spec.strategy.canary.steps[].pause.duration to be a duration");
    };
    let end = start.saturating_add(length).unwrap_or(jiff::Timestamp::MAX);
    if pass.now() >= end {
        Outcome::Done
    } else {
        Outcome::wait_until("the pause to end", end)
    }
}

/// Whether the new version has no more pods than the step says. Its last ones stay where nobody else answers.
fn shrunk(pass: &Pass<'_>) -> Outcome {
    let want = scale::declared_pods(pass);
    match pass.revisions.new {
        Some(new) if new.replicas > want && services::falls_back(pass) => Outcome::wait(format!(
            "revision {} to have {want} pods: it has {}",
            pass.status.revision.unwrap_or(0),
            new.replicas
        )),
        Some(_) | None => Outcome::Done,
    }
}

/// Which pods of both versions, without a router, are where a weight wants them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    Exactly,
    /// Also those on the way to the next weight: nobody takes a step back because the one that has begun is not on record.
    OrBeyond,
}

/// Whether pods and traffic are where `weight` wants them.
pub(super) fn reached(pass: &Pass<'_>, weight: i32) -> Outcome {
    carried(pass, weight, Pairs::Exactly)
}

fn carried(pass: &Pass<'_>, weight: i32, pairs: Pairs) -> Outcome {
    let (want_canary, want_stable) = if pass.router.is_some() {
        (scale::pods_for(pass, weight), None)
    } else {
        let pair = scale::pair_at(pass, weight);
        (pair.canary, Some(pair.stable))
    };
    match scale::available(pass, want_canary) {
        Outcome::Done => {}
        other @ (Outcome::Wait(_) | Outcome::Fail(_)) => return other,
    }
    if let Some(stable) = pass.revisions.stable()
        && let Some(want) = want_stable
    {
        // The last pod of stable stays while a Service selects it; that ends with the promotion.
        // Whether its pods are available is not asked: a broken version must not keep its successor out.
        let allowed = want.max(1);
        let more = pass
            .revisions
            .new
            .map_or(0, |new| new.replicas - want_canary);
        let in_its_place = match pairs {
            Pairs::Exactly => 0,
            Pairs::OrBeyond => more.max(0),
        };
        if stable.replicas > allowed || stable.replicas + in_its_place < want {
            return Outcome::wait(format!(
                "the stable version to have {want} pods: it has {}",
                stable.replicas
            ));
        }
    }
    if pass.router.is_some() && pass.replicas() > 0 && weight > pass.observed.lowest {
        match services::canary_outcome(pass, threshold::enough(pass, want_canary)) {
            Outcome::Done => {}
            other @ (Outcome::Wait(_) | Outcome::Fail(_)) => return other,
        }
    }
    if pass.router.is_some()
        && pass.replicas() > 0
        && (pass.observed.lowest != weight || pass.observed.highest != weight)
    {
        return Outcome::wait(format!(
            "the router to send {weight} of {} to the new version",
            pass.max_weight()
        ));
    }
    if pass.replicas() > 0
        && let Some(why) = &pass.observed.unconfirmed
    {
        return Outcome::wait(why.clone());
    }
    Outcome::Done
}

/// A step in a few words, as in Events.
pub fn describe(step: &CanaryStep) -> String {
    match step.kind() {
        Some(StepKind::SetWeight(weight)) => format!("setWeight: {weight}"),
        Some(StepKind::Pause(PauseStep {
            duration: Some(length),
        })) => {
            let text = match length {
                crate::api::rollout::Amount::Int(seconds) => format!("{seconds}s"),
                crate::api::rollout::Amount::String(text) => text.clone(),
            };
            format!("pause: {text}")
        }
        Some(StepKind::Pause(PauseStep { duration: None })) => "pause".to_owned(),
        Some(StepKind::Analysis(analysis)) => {
            let names: Vec<&str> = analysis
                .templates
                .iter()
                .map(|template| template.template_name.as_str())
                .collect();
            format!("analysis: {}", names.join(", "))
        }
        Some(StepKind::Experiment(step)) => {
            let templates = step.templates.iter();
            let names: Vec<&str> = templates.map(|template| template.name.as_str()).collect();
            format!("experiment: {}", names.join(", "))
        }
        Some(StepKind::SetCanaryScale(step)) => match step.scale() {
            Some(CanaryScale::Weight(weight)) => format!("setCanaryScale{{weight: {weight}}}"),
            Some(CanaryScale::Replicas(replicas)) => {
                format!("setCanaryScale{{replicas: {replicas}}}")
            }
            Some(CanaryScale::MatchTrafficWeight) => {
                "setCanaryScale{matchTrafficWeight: true}".to_owned()
            }
            None => "setCanaryScale".to_owned(),
        },
        Some(StepKind::SetHeaderRoute(route)) if route.matches.is_empty() => {
            format!("setHeaderRoute: {} removed", route.name)
        }
        Some(StepKind::SetHeaderRoute(route)) => format!("setHeaderRoute: {}", route.name),
        Some(StepKind::Unsupported(name)) => name.to_owned(),
        None => "invalid".to_owned(),
    }
}
