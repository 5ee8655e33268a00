//! D4: whenever an analysis of an update says no, the update is given up: paused, waiting, or with all traffic.

use tidegate::api::analysis::AnalysisPhase;

use crate::sim::monitors::{
    Told, View,
    debt::Debt,
    per_release::OfRelease,
    release::{Mode, Release},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Heeded {
    debt: Debt,
}

fn has_failed(release: &Release) -> bool {
    let revision = release.status.revision.unwrap_or(0);
    release.runs_of(release.current()).any(|(_, run)| {
        matches!(
            run.phase,
            Some(AnalysisPhase::Failed | AnalysisPhase::Error)
        ) && run.revision == revision
    })
}

impl Heeded {
    fn owed(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let after = &touched.after;
        let owed = !after.deleted && after.mode() == Mode::Stepping && has_failed(after);
        if let Some(since) = self.debt.look(owed, view.now) {
            told.check("D4", since <= view.leniency.patience, || {
                format!(
                    "for {since:?} an analysis has said no, and {} goes on",
                    touched.before.current()
                )
            });
        }
        if owed && !touched.before.deleted && touched.itself && touched.by_controller() {
            let moved =
                after.step() > touched.before.step() && touched.before.current() == after.current();
            let known = touched.for_long(has_failed);
            told.check("D4", !(moved && known), || {
                format!("an analysis has said no, and step {} begins", after.step())
            });
        }
    }
}

impl OfRelease for Heeded {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        self.owed(touched, view, told);
    }

    fn excuse(&mut self) {
        self.debt.forgive();
    }

    fn finish(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        self.owed(touched, view, told);
    }
}
