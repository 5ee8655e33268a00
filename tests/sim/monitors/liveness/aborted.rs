//! L1: what was given up has no traffic soon, even if stable is not whole: it gets what it can carry, and the rest as it grows.

use std::time::Duration;

use crate::sim::monitors::{
    Told, View,
    debt::Debt,
    per_release::OfRelease,
    release::{Mode, Release},
    view::Touched,
};

/// For a stable version whose pods have to start first.
const GROWTH: Duration = Duration::from_secs(180);

#[derive(Clone, Default)]
pub(super) struct Aborted {
    debt: Debt,
}

fn is_owed(release: &Release) -> bool {
    !release.deleted
        && release.mode() == Mode::Aborted
        && release.given_up_weight() > 0
        && release.available(release.stable()) > 0
        && release.routes.missing.is_empty()
}

impl OfRelease for Aborted {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let after = &touched.after;
        let bound = view.leniency.patience.saturating_add(if after.dynamic() {
            GROWTH
        } else {
            Duration::ZERO
        });
        if touched.before.mode() != Mode::Aborted && after.mode() == Mode::Aborted && !touched.new {
            told.check("L1", true, String::new);
        }
        if let Some(since) = self.debt.look(is_owed(after), view.now) {
            told.check("L1", since <= bound, || {
                format!(
                    "{since:?} after it was given up {} still has {}",
                    after.current(),
                    touched.before.given_up_weight()
                )
            });
        }
    }

    fn excuse(&mut self) {
        self.debt.forgive();
    }

    fn finish(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        self.look(touched, view, told);
    }
}
