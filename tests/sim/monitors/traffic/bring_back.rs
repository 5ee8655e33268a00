//! T12, T13: what was given up loses its traffic at once where stable can serve it, and every other route to it, too.

use std::time::Duration;

use crate::sim::monitors::{
    Told, View,
    debt::Debt,
    per_release::OfRelease,
    release::{Mode, Release, Router},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct BringBack {
    weight: Debt,
    routes: Debt,
    service: Debt,
}

impl BringBack {
    fn owed(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let after = &touched.after;
        let given_up = !after.deleted && after.mode() == Mode::Aborted;
        let serves = after.available(after.stable()) >= after.replicas().max(1);
        let weight = given_up && serves && after.given_up_weight() > 0 && !is_blocked(after);
        if let Some(since) = self.weight.look(weight, view.now) {
            told.check("T12", since <= view.leniency.patience, || {
                format!(
                    "{since:?} after the update was given up the canary still has {}",
                    touched.before.given_up_weight()
                )
            });
        }
        let header = given_up
            && serves
            && after.routes.by_header
            && after.routes.canary_pin.as_deref() == Some(after.current())
            && !is_blocked(after);
        let service = given_up
            && serves
            && after.router() == Router::Weights
            && after.canary_weight() == 0
            && !after.routes.by_header
            && after.routes.canary_pin.as_deref() == Some(after.current())
            && !is_blocked(after);
        if let Some(since) = self.service.look(service, view.now) {
            let bound = view
                .leniency
                .patience
                .saturating_add(FORGOTTEN)
                .saturating_add(view.skew);
            told.check("T13", since <= bound, || {
                format!("{since:?} after its traffic has gone the canary Service leads to what was given up")
            });
        }
        if given_up && touched.before.mode() != Mode::Aborted {
            told.check("T13", true, String::new);
        }
        if let Some(since) = self.routes.look(header || weight, view.now) {
            told.check("T13", since <= view.leniency.patience, || {
                format!("{since:?} after the update was given up a route still leads to it")
            });
        }
    }
}

/// Until proxies have forgotten it, the canary Service leads to what was given up.
const FORGOTTEN: Duration = Duration::from_secs(15);

/// Where what would be written is not there.
fn is_blocked(release: &Release) -> bool {
    !release.routes.missing.is_empty()
}

impl OfRelease for BringBack {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        self.owed(touched, view, told);
    }

    fn excuse(&mut self) {
        self.weight.forgive();
        self.routes.forgive();
        self.service.forgive();
    }

    fn finish(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        self.owed(touched, view, told);
    }
}
