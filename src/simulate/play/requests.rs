//! Requests of users and testers while the release goes on, and the pods that it takes.
//!
//! Not here: which share goes where (`simulate::traffic`).

use std::time::Duration;

use jiff::Timestamp;

use super::{Play, moment};
use crate::{
    api::strategy::Declared,
    simulate::{manifests::text, scenario::Scenario, traffic::Seen},
};

/// Requests per second of testers at a preview Service.
const TESTERS: f64 = 1.0;
const HOUR: f64 = 3600.0;

impl Play<'_> {
    /// Adds what users have sent up to `until`, when nothing has changed since the last time.
    pub(super) fn count_requests(&mut self, until: Duration) {
        let from = self.logged;
        if until <= from {
            return;
        }
        self.logged = until;
        let seconds = until.saturating_sub(from).as_secs_f64();
        let all = self.rps() * seconds;
        let errors = self.error_share(from, until);
        let answered = |requests: f64, errors: f64| Seen {
            requests,
            errors: requests * errors,
        };
        let users = answered(all * self.shares.new, errors);
        let old = answered(all * self.shares.old, 0.0);
        let testers = answered(self.testers() * seconds, errors);
        self.log.add(from, until, users + testers, old);
        let pods = self.pods();
        let is_alone = self.is_alone();
        let record = &mut self.record;
        // The time in which nobody comes is not a part of the release.
        if record.begun.is_none() || is_alone {
            return;
        }
        record.has_testers |= testers.requests > 0.0;
        record.most_pods = record.most_pods.max(pods.0);
        record.extra_hours += f64::from((pods.0 - pods.1).max(0)) * seconds / HOUR;
        if record.settled.is_some() {
            return;
        }
        record.requests.total += all;
        record.requests.to_new += users.requests;
        record.requests.errors += users.errors;
        record.requests.lost += (all - users.requests - old.requests).max(0.0);
    }

    /// Pods of all versions, and as many as are declared.
    pub(super) fn pods(&self) -> (i32, i32) {
        let Some(seen) = &self.seen else {
            return (0, 0);
        };
        let all = seen.replica_sets.iter().map(|set| set.current).sum();
        let declared = seen.rollout.spec.as_ref().ok();
        (all, declared.and_then(|spec| spec.replicas).unwrap_or(1))
    }

    /// The share of the new version's answers that are errors, on the average of its pods and of the time.
    fn error_share(&self, from: Duration, to: Duration) -> f64 {
        let after = match self.options.scenario {
            Scenario::Bad => return self.options.error_rate,
            Scenario::BadLater => self.options.after,
            Scenario::Good
            | Scenario::SlowStart
            | Scenario::CrashLoop
            | Scenario::NeverReady
            | Scenario::NoTraffic
            | Scenario::NoMetrics
            | Scenario::NodeLoss => return 0.0,
        };
        let parts: Vec<f64> = self
            .world
            .store
            .list("pods")
            .filter(|(_, pod)| {
                let labels = &pod["metadata"]["labels"];
                labels[&self.names.pod_template_hash] == *self.new_hash
            })
            .map(|(_, pod)| {
                let created = text(pod, "/metadata/creationTimestamp").parse::<Timestamp>();
                let bad_from = created.map_or(to, |created| moment(created) + after);
                let bad = to.saturating_sub(bad_from.max(from));
                bad.as_secs_f64() / to.saturating_sub(from).as_secs_f64()
            })
            .collect();
        if parts.is_empty() {
            return 0.0;
        }
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        self.options.error_rate * parts.iter().sum::<f64>() / f64::from(count)
    }

    /// Requests of testers, where the new version can be tried before it serves.
    fn testers(&self) -> f64 {
        let Some(seen) = self.seen.as_ref().filter(|_| self.rps() > 0.0) else {
            return 0.0;
        };
        let strategy = seen.rollout.spec.as_ref().ok();
        let previewed = match strategy.and_then(|spec| spec.strategy.declared()) {
            Some(Declared::BlueGreen(strategy)) => strategy.preview_service.is_some(),
            Some(Declared::Canary(_)) | None => false,
        };
        let is_up = seen
            .replica_sets
            .iter()
            .any(|set| set.pod_template_hash == self.new_hash && set.ready > 0);
        let tried = !seen.experiments.is_empty();
        if (previewed && is_up) || tried {
            TESTERS
        } else {
            0.0
        }
    }
}
