//! T11, as amended: within one revision the canary's weight goes down only where its pods have gone, or its step says less;
//! after it was given up it never goes up.

use tidegate::api::request::Verb;

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Release, Router},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Monotone;

impl OfRelease for Monotone {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller() || after.deleted || after.router() != Router::Weights {
            return;
        }
        // At the end both Services lead to it, and the weight between them is no matter.
        let current = after.current();
        let (was, is) = (before.weight(current), after.weight(current));
        let same = before.routes.canary_pin == after.routes.canary_pin;
        if was == is || !same || before.current() != after.current() {
            return;
        }
        if after.routes.canary_pin.as_deref() != Some(current) {
            return;
        }
        match after.mode() {
            Mode::Aborted if touched.lately(|release| release.is_asked(Verb::Retry)) => {}
            Mode::Aborted
                if touched.held(|release| release.mode() != Mode::Aborted) && is > was => {}
            Mode::Aborted => told.check("T11", is < was, || {
                format!("{current} was given up and goes from {was} to {is}")
            }),
            Mode::Stepping | Mode::Full if is < was => {
                let goal = goal(after);
                let carries =
                    |release: &Release| release.available(current) >= release.need(current, was);
                let gone = touched.lately(|release| !carries(release) || release.replicas() == 0);
                // The weight goes first, and then the status says that it is given up.
                let less = was > goal || touched.lately(Release::is_to_be_given_up);
                let known = after.generation == after.status.observed_generation.unwrap_or(0);
                told.check("T11", gone || less || !known, || {
                    format!("{current} can carry {was}, is to have {goal}, and goes down to {is}")
                });
            }
            Mode::Stable | Mode::Stepping | Mode::Full => {}
        }
    }
}

fn goal(release: &Release) -> i64 {
    if release.mode() == Mode::Full {
        return release.total();
    }
    let Some(steps) = release.steps().get(..=release.step()) else {
        return release.total();
    };
    let weights = steps.iter().rev().find_map(|step| step.set_weight);
    weights.map_or(0, i64::from)
}
