//! T15: a switch needs all pods of the new version, and its proof. The way back needs one pod.

use tidegate::api::{analysis::AnalysisPhase, request::Verb};

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Release, Router},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Switch;

impl OfRelease for Switch {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        let (was, is) = (&before.routes.stable_pin, &after.routes.stable_pin);
        if !touched.by_controller() || after.deleted || after.router() != Router::Switch {
            return;
        }
        let (Some(was), Some(hash)) = (was, is) else {
            return;
        };
        if was == hash || after.replicas() == 0 {
            return;
        }
        if hash == after.stable() {
            let answers = touched.lately(|release| release.available(hash) > 0);
            told.check("T15", answers, || {
                format!("traffic goes back to {hash}, which has no pod available")
            });
            return;
        }
        told.check(
            "T15",
            hash == after.current() && after.mode() != Mode::Aborted,
            || format!("{hash} goes live, and is not what is to"),
        );
        told.check("T15", is_proven(before), || {
            format!("{hash} goes live without a proof")
        });
        let whole = touched.lately(|release| release.available(hash) >= release.replicas());
        told.check("T15", whole, || {
            format!(
                "{hash} goes live with {} of {} pods",
                after.available(hash),
                after.replicas()
            )
        });
    }
}

fn is_proven(release: &Release) -> bool {
    let asked = release
        .blue_green()
        .is_some_and(|strategy| strategy.pre_promotion_analysis.is_some());
    let run = release.run_for(release.current(), "PrePromotion");
    !asked
        || release.mode() == Mode::Full
        || release.is_asked(Verb::PromoteFull)
        || run.is_some_and(|run| match run.phase {
            Some(AnalysisPhase::Successful) => true,
            // A person has settled it.
            Some(AnalysisPhase::Inconclusive) => {
                release.status.blue_green.scale_up_preview_check_point
                    || super::super::steps::is_promoted(release)
            }
            Some(
                AnalysisPhase::Failed
                | AnalysisPhase::Error
                | AnalysisPhase::Pending
                | AnalysisPhase::Running,
            )
            | None => false,
        })
}
