//! T7: what leads traffic names only what exists, and each Service of ours one version.

use crate::sim::monitors::{Told, View, per_release::OfRelease, view::Touched};

#[derive(Clone, Default)]
pub(super) struct Names;

impl OfRelease for Names {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        if !touched.by_controller() || after.deleted {
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
            if was == is {
                continue;
            }
            match is {
                Some(pin) => told.check(
                    "T7",
                    touched.lately(|release| release.sets.contains_key(pin)),
                    || format!("the {role} Service selects {pin}, which no ReplicaSet has"),
                ),
                None => {
                    // A Service that is not named any more is put back when one version is left.
                    let named = before.stable_service() == after.stable_service()
                        && before.canary_service() == after.canary_service();
                    let gone = !after.routes.missing.is_empty();
                    told.check("T7", !named || gone, || {
                        format!("the {role} Service is led to every version")
                    });
                }
            }
        }
        let gone: Vec<&String> = after
            .sets
            .keys()
            .chain(before.sets.keys())
            .filter(|hash| before.sets.contains_key(*hash) && !after.sets.contains_key(*hash))
            .collect();
        for hash in gone {
            let selected = [&after.routes.stable_pin, &after.routes.canary_pin]
                .into_iter()
                .any(|pin| pin.as_ref() == Some(hash));
            told.check("T7", !selected, || {
                format!("ReplicaSet {hash} is deleted, and a Service selects it")
            });
        }
        if after.canary_weight() > before.canary_weight() {
            let services = [after.stable_service(), after.canary_service()];
            let missing = services.into_iter().flatten().find(|name| {
                !touched
                    .lately(|release| !release.routes.missing.contains(&format!("services/{name}")))
            });
            told.check("T7", missing.is_none(), || {
                format!("weight is moved, and Service {missing:?} does not exist")
            });
        }
    }
}
