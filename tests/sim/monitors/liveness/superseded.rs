//! L7: versions that nobody needs have no pods soon: superseded ones, and one that was given up, unless it is to be kept.

use std::{collections::BTreeMap, time::Duration};

use crate::sim::monitors::{
    Told, View,
    debt::Debt,
    per_release::OfRelease,
    release::{Mode, Release, Router},
    view::Touched,
};

/// With a router, unless it is declared otherwise.
const DELAY: i32 = 30;
/// Until proxies have followed, and a version that shrinks pod by pod is gone.
const MORE: Duration = Duration::from_secs(40);

#[derive(Clone, Default)]
pub(super) struct Superseded(BTreeMap<String, Debt>);

/// How long its pods may go on once nothing leads to them; `None` for ever.
fn delay(release: &Release, hash: &str) -> Option<Duration> {
    let declared = release.declared()?;
    let blocked = !release.routes.missing.is_empty()
        || release.spec.paused
        || release.router() == Router::Pods;
    if blocked || hash == release.stable() || release.is_routed(hash) {
        return None;
    }
    let seconds = if hash == release.current() {
        if release.mode() != Mode::Aborted {
            return None;
        }
        match declared.abort_scale_down_delay_seconds() {
            Some(0) => return None,
            seconds => seconds,
        }
    } else {
        declared.scale_down_delay_seconds()
    };
    let seconds = u64::try_from(seconds.unwrap_or(DELAY)).ok()?;
    Some(Duration::from_secs(seconds) + MORE)
}

impl OfRelease for Superseded {
    fn look(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        let (before, after) = (&touched.before, &touched.after);
        for (hash, set) in after.sets.iter() {
            let owed = !after.deleted && set.replicas > 0 && delay(after, hash).is_some();
            if !owed && !self.0.contains_key(hash) {
                continue;
            }
            let debt = self.0.entry(hash.clone()).or_default();
            let bound = delay(before, hash)
                .unwrap_or(Duration::MAX)
                .saturating_add(view.leniency.patience)
                .saturating_add(view.skew);
            if let Some(since) = debt.look(owed, view.now) {
                told.check("L7", since <= bound, || {
                    format!(
                        "for {since:?} nobody needs {hash}, and it has {} pods",
                        set.replicas
                    )
                });
            }
        }
        self.0.retain(|hash, _| after.sets.contains_key(hash));
    }

    fn excuse(&mut self) {
        self.0.values_mut().for_each(Debt::forgive);
    }

    fn finish(&mut self, touched: &Touched, view: &View, told: &mut Told) {
        self.look(touched, view, told);
    }
}
