//! D1: no step with an analysis is passed, and nothing promoted, without a Successful AnalysisRun for this very version, step
//! and attempt, unless a person has let it go on.

use tidegate::api::{analysis::AnalysisPhase, request::Verb};

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Release},
    steps,
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Proof;

impl OfRelease for Proof {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.itself || !touched.by_controller() || touched.new || after.deleted {
            return;
        }
        if before.current() != after.current() || before.mode() != Mode::Stepping {
            return;
        }
        let promoted = after.stable() != before.stable() && after.stable() == after.current();
        if is_let_go(before, after) {
            return;
        }
        let steps = before.steps();
        let until = if promoted {
            steps.len()
        } else {
            after.step().min(steps.len())
        };
        // The index goes back to the first step with a retry or an abort.
        for (index, step) in steps.iter().enumerate().take(until).skip(before.step()) {
            if step.analysis.is_some() {
                // One that was broken off proves nothing.
                let run = before.run_of_step(before.current(), index);
                let phase = run.filter(|run| !run.terminate).and_then(|run| run.phase);
                told.check("D1", phase == Some(AnalysisPhase::Successful), || {
                    format!("step {index} is passed, and its analysis is {phase:?}")
                });
            }
            if step.experiment.is_some() {
                let name = before.status.canary.current_experiment.as_ref();
                let phase = name.and_then(|name| before.experiments.get(name).copied().flatten());
                told.check("D1", phase == Some(AnalysisPhase::Successful), || {
                    format!("step {index} is passed, and its Experiment is {phase:?}")
                });
            }
        }
        if promoted {
            at_the_end(before, told);
        }
    }
}

fn at_the_end(before: &Release, told: &mut Told) {
    let blue_green = before.blue_green();
    let asked = [
        (
            "PrePromotion",
            blue_green.and_then(|all| all.pre_promotion_analysis.as_ref()),
        ),
        (
            "PostPromotion",
            blue_green.and_then(|all| all.post_promotion_analysis.as_ref()),
        ),
        (
            "Bake",
            before
                .declared()
                .and_then(|declared| declared.bake())
                .and_then(|bake| bake.analysis.as_ref())
                .filter(|_| !before.status.bake.promoted),
        ),
    ];
    for (role, _) in asked.into_iter().filter(|(_, analysis)| analysis.is_some()) {
        // A bake ends its own; any other that was broken off proves nothing.
        let run = before.run_for(before.current(), role);
        let phase = run
            .filter(|run| role == "Bake" || !run.terminate)
            .and_then(|run| run.phase);
        // What was inconclusive a person has settled before this write.
        let settled = phase == Some(AnalysisPhase::Inconclusive) && role == "PrePromotion";
        told.check(
            "D1",
            phase == Some(AnalysisPhase::Successful) || settled,
            || {
                format!(
                    "{} is promoted, and its {role} analysis is {phase:?}",
                    before.current()
                )
            },
        );
    }
    let failed = before.runs_of(before.current()).find(|(_, run)| {
        matches!(
            run.phase,
            Some(AnalysisPhase::Failed | AnalysisPhase::Error)
        )
    });
    told.check("D1", failed.is_none(), || {
        format!("{} is promoted, and {failed:?} says no", before.current())
    });
}

/// A person has let it go on, or asked for all of it.
pub(in crate::sim::monitors) fn is_let_go(before: &Release, after: &Release) -> bool {
    steps::is_promoted(before)
        || after.granted(before, Verb::Promote)
        || after.granted(before, Verb::PromoteFull)
        || after.status.promote_full
        || before.status.promote_full
}
