//! L9: a pause with a duration ends when it is over, not before and not much later, whatever happens to the controller meanwhile.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::sim::monitors::{
    Told, View,
    decisions::is_let_go,
    per_release::OfRelease,
    release::{Mode, Release, Router},
    steps,
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Pauses {
    /// Until when nobody can be blamed: there was no controller, or the pods were not there.
    excused: Option<Duration>,
    blameless: bool,
}

/// When the pause that is under way is over.
fn ends(release: &Release) -> Option<Timestamp> {
    let step = release.steps().get(release.step())?;
    let pause = step.pause.as_ref()?;
    (release.mode() == Mode::Stepping).then(|| steps::ends_at(release, pause))?
}

/// What stands in the way of the next step.
fn is_held(release: &Release) -> bool {
    let weights = release.steps().get(..=release.step());
    let goal = weights
        .into_iter()
        .flatten()
        .rev()
        .find_map(|step| step.set_weight)
        .map_or(0, i64::from);
    release.spec.paused
        || !release.routes.missing.is_empty()
        || release
            .status
            .pause_conditions
            .iter()
            .any(|pause| pause.reason.asks_person())
        || release.available(release.current()) < release.need(release.current(), goal)
        // Pods that were gone get their weight back when every proxy knows of them; that it comes is seen at the end of the story.
        || (release.router() == Router::Weights && release.canary_weight() < goal)
}

impl Pauses {
    fn late(&self, since: Timestamp, view: &View) -> Duration {
        let late = view.clock().duration_since(since).max(SignedDuration::ZERO);
        let late = Duration::try_from(late).unwrap_or_default();
        late.min(self.excused.map_or(late, |at| view.now.saturating_sub(at)))
    }
}

impl OfRelease for Pauses {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if std::mem::take(&mut self.blameless) || is_held(before) || is_held(after) {
            self.excused = Some(view.now);
        }
        let Some(end) = ends(before) else { return };
        let passed = after.step() > before.step() && before.current() == after.current();
        if !touched.itself || !touched.by_controller() || !passed || is_let_go(before, after) {
            return;
        }
        told.check("L9", view.latest() >= end, || {
            format!("a pause until {end} ends at {}", view.clock())
        });
        let late = self.late(end, view);
        told.check(
            "L9",
            late <= view.leniency.patience.saturating_add(view.skew),
            || format!("a pause until {end} ends {late:?} later"),
        );
    }

    fn excuse(&mut self) {
        self.blameless = true;
    }

    fn finish(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let after = &touched.after;
        if let Some(end) = ends(after).filter(|_| !is_held(after)) {
            let late = self.late(end, view);
            told.check(
                "L9",
                late <= view.leniency.patience.saturating_add(view.skew),
                || format!("a pause until {end} is not over {late:?} later"),
            );
        }
    }
}
