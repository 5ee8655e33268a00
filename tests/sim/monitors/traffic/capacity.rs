//! T2: what gets more traffic has the pods to carry it. Without a router: never fewer available pods, nor more pods in all,
//! than the spec allows.

use tidegate::api::rollout::Amount;

use crate::sim::monitors::{
    Told, View,
    per_release::OfRelease,
    release::{Mode, Release, Router},
    view::Touched,
};

#[derive(Clone, Default)]
pub(super) struct Capacity;

impl OfRelease for Capacity {
    fn look(&mut self, touched: &Touched, _: &View, told: &mut Told) {
        if !touched.by_controller() || touched.after.deleted {
            return;
        }
        match touched.after.router() {
            Router::Weights => weights(touched, told),
            Router::Switch => switch(touched, told),
            Router::Pods => pods(touched, told),
        }
    }
}

fn weights(touched: &Touched, told: &mut Told) {
    let (before, after) = (&touched.before, &touched.after);
    if after.stable().is_empty() || after.routes.stable_pin.is_none() {
        // Until all of the first version is there, the Service leads to whatever it did.
        return;
    }
    let old = before.weights();
    for (hash, weight) in after.weights() {
        if weight <= old.get(hash).copied().unwrap_or(0) {
            continue;
        }
        let carried =
            touched.lately(|release| release.available(hash) >= release.need(hash, weight));
        told.check("T2", carried || is_way_back(touched, hash), || {
            format!(
                "{hash} gets {weight} of {}, which takes {} pods, and has {} available",
                after.total(),
                after.need(hash, weight),
                after.available(hash)
            )
        });
    }
}

/// Traffic goes back to stable, which answers: what it leaves was given up, or cannot carry it either.
fn is_way_back(touched: &Touched, hash: &str) -> bool {
    let (before, after) = (&touched.before, &touched.after);
    if hash != after.stable() || touched.for_long(|release| release.available(hash) == 0) {
        return false;
    }
    let other = before.routes.canary_pin.as_deref().unwrap_or_default();
    let weight = before.canary_weight();
    after.mode() == Mode::Aborted
        || touched.lately(Release::is_to_be_given_up)
        || other == hash
        || other != after.current()
        || touched.lately(|release| release.available(other) < release.need(other, weight))
}

fn switch(touched: &Touched, told: &mut Told) {
    let (before, after) = (&touched.before, &touched.after);
    let (was, is) = (&before.routes.stable_pin, &after.routes.stable_pin);
    let Some(hash) = is
        .as_ref()
        .filter(|hash| was.as_ref().is_some_and(|was| was != *hash))
    else {
        return;
    };
    if hash == after.stable() {
        // The way back asks for one pod only.
        return;
    }
    let carried = touched.lately(|release| release.available(hash) >= release.replicas());
    told.check("T2", carried, || {
        format!(
            "{hash} gets all traffic with {} of {} pods available",
            after.available(hash),
            after.replicas()
        )
    });
}

fn pods(touched: &Touched, told: &mut Told) {
    let (before, after) = (&touched.before, &touched.after);
    if before.stable().is_empty() || touched.itself {
        return;
    }
    let sum = |release: &Release, of: fn(&crate::sim::monitors::release::Set) -> i64| -> i64 {
        release.sets.values().map(of).sum()
    };
    let available = |release: &Release| sum(release, |set| set.available);
    let bound = |release: &Release| {
        let canary = release.canary();
        let replicas = release.replicas();
        let amount = |value: Option<&Amount>, up: bool| match value {
            Some(Amount::Int(number)) => i64::from(*number),
            Some(Amount::String(text)) => percent(text, replicas, up),
            None => percent("25%", replicas, up),
        };
        let surge = amount(canary.and_then(|canary| canary.max_surge.as_ref()), true);
        let unavailable = amount(
            canary.and_then(|canary| canary.max_unavailable.as_ref()),
            false,
        );
        if surge == 0 && unavailable == 0 {
            (0, 1)
        } else {
            (surge, unavailable.min(replicas))
        }
    };
    let (surge, unavailable) = bound(after);
    if available(after) < available(before) {
        let floor = after.replicas() - unavailable;
        // What has gone since the controller looked is not of its doing.
        let taken = available(before) - available(after);
        let kept = touched.lately(|release| available(release) - taken >= floor)
            || available(after) >= floor;
        told.check("T2", kept, || {
            format!(
                "{} pods are left available, and {floor} must be",
                available(after)
            )
        });
    }
    let (was, is) = (
        sum(before, |set| set.replicas),
        sum(after, |set| set.replicas),
    );
    if is > was {
        // A pod more may stand in for one that is restarted.
        let more = i64::from(after.status.restart_surge.is_some());
        let most = after.replicas() + surge + more;
        let allowed = touched.lately(|release| is <= release.replicas() + bound(release).0 + more);
        told.check("T2", allowed, || {
            format!("{is} pods are asked for, and {most} are allowed")
        });
    }
}

fn percent(text: &str, of: i64, up: bool) -> i64 {
    let product = of
        * text
            .trim_end_matches('%')
            .trim()
            .parse::<i64>()
            .unwrap_or(0);
    product / 100 + i64::from(up && product % 100 != 0)
}
