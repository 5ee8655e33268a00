//! T5: pods go on for a while after the last route to them is gone, whatever kind of route it was.

use std::{collections::BTreeMap, time::Duration};

use crate::sim::monitors::{Told, View, per_release::OfRelease, release::Router, view::Touched};

/// The least time that pods go on after the last route to them is gone.
const LEAST: Duration = Duration::from_secs(5);

#[derive(Clone, Default)]
pub(super) struct Drain {
    /// When each version last had traffic.
    routed: BTreeMap<String, Duration>,
}

impl OfRelease for Drain {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if after.router() == Router::Pods {
            return;
        }
        for hash in before
            .weights()
            .into_keys()
            .filter(|hash| before.is_routed(hash))
        {
            if let Some(last) = self.routed.get_mut(hash) {
                *last = view.now;
            } else {
                self.routed.insert(hash.to_owned(), view.now);
            }
        }
        if !touched.by_controller() || after.deleted || after.replicas() == 0 {
            return;
        }
        for (hash, set) in after.sets.iter() {
            if set.replicas > 0 || before.size(hash) == 0 {
                continue;
            }
            if let Some(last) = self.routed.get(hash) {
                let since = view.now - *last;
                told.check("T5", since + view.skew >= LEAST, || {
                    format!("{hash} goes to 0 pods {since:?} after its last traffic")
                });
            }
        }
        let (was, is) = (&before.routes.canary_pin, &after.routes.canary_pin);
        if let Some(pin) = was
            && was != is
            && pin != after.stable()
            // Where no status says yet what is stable, the Service does.
            && (!after.stable().is_empty() || after.routes.stable_pin.as_ref() != Some(pin))
            && after.router() == Router::Weights
            && let Some(last) = self.routed.get(pin)
        {
            let since = view.now - *last;
            // Nobody can be cut off from a version without pods.
            let empty = touched.lately(|release| release.available(pin) == 0);
            told.check("T5", since + view.skew >= LEAST || empty, || {
                format!("the canary Service leaves {pin} {since:?} after its last traffic")
            });
        }
    }
}
