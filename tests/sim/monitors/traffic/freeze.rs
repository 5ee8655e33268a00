//! T16: while something that the spec names is missing, nothing moves forward and nothing shrinks; abort, the way back and
//! scaling go on. It is told.

use tidegate::api::conditions::ConditionType;

use crate::sim::monitors::{
    Told, View,
    debt::Debt,
    per_release::OfRelease,
    release::{Mode, Router},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Freeze {
    untold: Debt,
}

impl OfRelease for Freeze {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        let missing = !after.deleted && !after.routes.missing.is_empty();
        let owed = missing
            && !after.holds(ConditionType::ReferenceMissing)
            && !after.holds(ConditionType::InvalidSpec);
        if let Some(since) = self.untold.look(owed, view.now) {
            told.check("T16", since <= view.leniency.patience, || {
                format!(
                    "for {since:?} nobody is told that {:?} is missing",
                    touched.before.routes.missing
                )
            });
        }
        if !missing
            || !touched.by_controller()
            || !touched.for_long(|release| !release.routes.missing.is_empty())
        {
            return;
        }
        let what = || format!("{:?} is missing", after.routes.missing);
        if touched.itself && after.mode() == Mode::Stepping && before.current() == after.current() {
            told.check("T16", after.step() <= before.step(), || {
                format!("{}, and step {} begins", what(), after.step())
            });
        }
        if after.mode() == Mode::Stepping && after.router() == Router::Weights {
            told.check(
                "T16",
                after.canary_weight() <= before.canary_weight(),
                || format!("{}, and the canary gets {}", what(), after.canary_weight()),
            );
        }
        for (hash, set) in after.sets.iter() {
            let was = before.size(hash);
            let scaling = touched.lately(|release| set.replicas >= release.replicas());
            if was > set.replicas && hash != after.stable() && after.mode() != Mode::Aborted {
                told.check("T16", scaling, || {
                    format!(
                        "{}, and {hash} goes from {was} to {} pods",
                        what(),
                        set.replicas
                    )
                });
            }
        }
    }

    fn excuse(&mut self) {
        self.untold.forgive();
    }

    fn finish(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        self.look(touched, view, told);
    }
}
