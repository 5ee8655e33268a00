//! T1: no Service is led to a version, and no weight given to it, of which no pod is available. A Service of the user keeps
//! its own selector until all pods of the version that it is narrowed to are available.

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Router},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Ready;

impl OfRelease for Ready {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller() || after.deleted || after.replicas() == 0 {
            return;
        }
        for (role, was, is) in [
            (
                "stable",
                &before.routes.stable_pin,
                &after.routes.stable_pin,
            ),
            (
                "canary",
                &before.routes.canary_pin,
                &after.routes.canary_pin,
            ),
        ] {
            let Some(hash) = is.as_ref().filter(|hash| was.as_ref() != Some(*hash)) else {
                continue;
            };
            if role == "canary" && (after.router() == Router::Switch || is_quiet(touched)) {
                // It has no traffic, and leads to a version before that has pods.
                continue;
            }
            let full = was.is_none() && role == "stable" && before.mode() != Mode::Aborted;
            let need = if full { after.replicas() } else { 1 };
            let enough =
                touched.lately(|release| release.available(hash) >= need.min(release.replicas()));
            told.check("T1", enough, || {
                format!(
                    "the {role} Service is led to {hash}, of which {} of {need} pods are available",
                    after.available(hash)
                )
            });
        }
    }
}

/// Nothing is sent to the canary Service by us: who asks it directly gets what there is.
fn is_quiet(touched: &Touched) -> bool {
    let after = &touched.after;
    after.canary_weight() == 0
        && !after.routes.by_header
        && touched.before.routes.canary_pin.is_some()
}
