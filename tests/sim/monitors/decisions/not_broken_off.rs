//! D8: an analysis that something waits for is never ended early by us.

use tidegate::api::request::Verb;

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Release, Run},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct NotBrokenOff;

impl OfRelease for NotBrokenOff {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller()
            || touched.itself
            || std::sync::Arc::ptr_eq(&before.runs, &after.runs)
        {
            return;
        }
        for (name, was) in before.runs.iter() {
            let is = after.runs.get(name);
            let ended = was
                .phase
                .is_some_and(tidegate::api::analysis::AnalysisPhase::is_terminal);
            let broken_off = is.is_none_or(|is| is.terminate) && !was.terminate && !ended;
            if !broken_off {
                continue;
            }
            let needed = touched.for_long(|release| is_needed(release, was));
            told.check("D8", !needed, || {
                format!("AnalysisRun {name} is broken off, and is waited for")
            });
        }
    }
}

fn is_needed(release: &Release, run: &Run) -> bool {
    if release.mode() != Mode::Stepping
        || run.hash != release.current()
        || run.attempt != release.status.attempt
        || release
            .asked
            .as_ref()
            .is_some_and(|asked| match asked.verb {
                Verb::Abort | Verb::Promote | Verb::PromoteFull => true,
                Verb::Retry => false,
            })
        || release.generation != release.status.observed_generation.unwrap_or(0)
    {
        return false;
    }
    match run.role.as_str() {
        "Step" => run.step == Some(release.step()),
        "PrePromotion" => !release.status.blue_green.scale_up_preview_check_point,
        "PostPromotion" => release.status.blue_green.scale_up_preview_check_point,
        // It goes on as long as there are steps.
        "Background" => release.step() < release.steps().len(),
        _ => false,
    }
}
