//! What an autoscaler sees: how many pods there are for it, and which ones it measures.
//!
//! It averages over the pods of the selector and multiplies by a number of pods: the one that is reported, or those that it
//! has measured. Pods that exist for the update only must not come in twice, or each look makes the next one greater; and
//! a version that has nearly no traffic says nothing about the load. Not here: other counts (`summary`).

use super::{pass::Pass, services, stable_scale};
use crate::api::strategy::Declared;

/// A version with so many of `OF` parts of the traffic, or more, is measured alone.
const NEARLY_ALL: i64 = 9;
const OF: i64 = 10;

/// Pods that are meant to serve: never more than were declared, whatever an update adds.
pub(super) fn replicas(pass: &Pass<'_>, all: i32) -> i32 {
    match pass.strategy {
        Declared::Canary(_) => all.min(pass.replicas()),
        Declared::BlueGreen(_) => {
            let active = active(pass).and_then(|hash| pass.revisions.by_hash(hash));
            active.map_or(0, |set| set.current)
        }
    }
}

/// The one version whose pods are measured; `None` for all of them.
pub(super) fn measured(pass: &Pass<'_>) -> Option<String> {
    match pass.strategy {
        Declared::Canary(_) => by_weight(pass),
        // Of a blue-green release only the version that serves is measured.
        Declared::BlueGreen(_) => active(pass).map(str::to_owned),
    }
}

fn by_weight(pass: &Pass<'_>) -> Option<String> {
    // Without a router whoever is there serves.
    pass.router.as_ref()?;
    let max = i64::from(pass.max_weight());
    let (least, most) = (
        i64::from(pass.observed.lowest),
        i64::from(pass.observed.highest),
    );
    // Sizes that follow the weight are right as a whole, and only as a whole.
    let nearly_all = if stable_scale::is_dynamic(pass) {
        OF
    } else {
        NEARLY_ALL
    };
    if (max - most) * OF >= nearly_all * max {
        return Some(pass.status.stable_rs.clone()).filter(|hash| !hash.is_empty());
    }
    if least * OF >= nearly_all * max {
        return services::behind_canary(pass);
    }
    None
}

/// The version that the active Service leads to.
fn active<'a>(pass: &'a Pass<'_>) -> Option<&'a str> {
    let active = pass.status.blue_green.active_selector.as_deref();
    active.or(Some(pass.status.stable_rs.as_str()).filter(|hash| !hash.is_empty()))
}
