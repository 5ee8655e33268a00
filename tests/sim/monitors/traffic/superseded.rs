//! T9: at most one version that was superseded has traffic, and it gets no more of it.

use crate::sim::monitors::{Told, View, per_release::OfRelease, view::Touched};

#[derive(Clone, Default)]
pub(super) struct Superseded;

impl OfRelease for Superseded {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        // Before the first status nobody has said what is stable.
        if !touched.by_controller() || after.deleted || after.stable().is_empty() {
            return;
        }
        let old: Vec<(&str, i64)> = after
            .weights()
            .into_iter()
            .filter(|(hash, weight)| {
                *weight > 0 && *hash != after.stable() && *hash != after.current()
            })
            .collect();
        // A version that takes the place of one with traffic is what this is about.
        let begins = touched.itself && before.current() != after.current();
        if old.is_empty() && !begins {
            return;
        }
        told.check("T9", old.len() <= 1, || {
            format!("{old:?} were superseded and have traffic")
        });
        for (hash, weight) in old {
            // A status that does not know yet of the next version is no superseding.
            let known = before.current() == after.current() && before.stable() == after.stable();
            let was = before.weight(hash);
            told.check("T9", !known || weight <= was, || {
                format!("{hash} was superseded and goes from {was} to {weight}")
            });
        }
    }
}
