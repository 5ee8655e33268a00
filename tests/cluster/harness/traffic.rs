//! Requests through the proxy, counted, and the weight as it stands on the canary Ingress.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use testbed::load::{Load, LoadOptions, Summary};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{SOON, World, eventually, now};

/// The annotation with the weight.
pub const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";
/// The Ingress that the controller makes beside `demo`.
pub const CANARY_INGRESS: &str = "demo-demo-canary";

impl World {
    /// Requests through the proxy, for as long as a test may take.
    pub fn load(&self, rate: u32) -> Load {
        Load::start(self.load_options(rate, rate * 300)).unwrap()
    }

    /// The same with a header.
    pub fn load_with(&self, rate: u32, header: &'static str, value: &str) -> Load {
        let mut options = self.load_options(rate, rate * 300);
        options.headers.insert(header, value.parse().unwrap());
        Load::start(options).unwrap()
    }

    fn load_options(&self, rate: u32, most: u32) -> LoadOptions {
        let url = self.testbed().proxy_url().unwrap();
        let host = format!("{}.test", self.namespace());
        LoadOptions::new(url, &host, rate, most, Duration::from_mins(5))
    }

    /// Waits until the proxy leads to pods, of whatever version.
    pub async fn answers(&self) {
        eventually(SOON, "the proxy leads to pods", || async {
            let load = Load::start(self.load_options(100, 10)).unwrap();
            while !load.is_finished() {
                sleep(Duration::from_millis(20)).await;
            }
            let summary = load.stop().await;
            if summary.lost == 0 {
                Ok(())
            } else {
                Err(summary.to_string())
            }
        })
        .await;
    }

    /// Waits until the proxy answers from this version alone.
    pub async fn serves(&self, version: &str) {
        eventually(
            SOON,
            &format!("the proxy serves {version} alone"),
            || async {
                let load = Load::start(self.load_options(100, 10)).unwrap();
                while !load.is_finished() {
                    sleep(Duration::from_millis(20)).await;
                }
                let summary = load.stop().await;
                let own = summary.by_version.get(version);
                if own.is_some_and(|own| own.requests == summary.requests) {
                    Ok(())
                } else {
                    Err(summary.to_string())
                }
            },
        )
        .await;
    }
}

/// Stops the load; none of its requests may be lost.
pub async fn none_lost(load: Load) -> Summary {
    let summary = load.stop().await;
    assert!(summary.requests > 0, "nothing was asked");
    assert_eq!(summary.lost, 0, "{summary}");
    summary
}

/// Waits for two seconds in a row in which this share of the answers, within two points, comes from the version.
pub async fn share_is(load: &Load, version: &str, percent: f64) {
    let window = Duration::from_secs(2);
    eventually(
        SOON,
        &format!("{percent} % come from {version}"),
        || async {
            let from = Instant::now();
            // No synchronisation: this is how long is measured.
            sleep(window).await;
            let summary = load.between(from, from + window);
            let share = 100.0 * summary.share(version);
            if (share - percent).abs() <= 2.0 && summary.requests > 100 {
                Ok(())
            } else {
                Err(format!("{share:.1} %: {summary}"))
            }
        },
    )
    .await;
}

/// Every weight that the canary Ingress has had, and when it was seen.
pub struct WeightWatch {
    seen: Arc<Mutex<Vec<(Timestamp, i64)>>>,
    _watching: AbortOnDropHandle<()>,
}

impl WeightWatch {
    /// Begins to watch.
    pub fn start(world: &World) -> Self {
        let api: Api<Ingress> = Api::namespaced(world.testbed().client(), world.namespace());
        let only = format!("metadata.name={CANARY_INGRESS}");
        let config = watcher::Config::default().fields(&only);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&seen);
        let watching = tokio::spawn(async move {
            let changes = watcher(api, config).default_backoff().touched_objects();
            let mut changes = std::pin::pin!(changes);
            while let Some(Ok(ingress)) = changes.next().await {
                let annotations = ingress.metadata.annotations.unwrap_or_default();
                let weight = annotations
                    .get(WEIGHT)
                    .and_then(|weight| weight.parse().ok());
                list.lock().unwrap().push((now(), weight.unwrap_or(0)));
            }
        });
        Self {
            seen,
            _watching: AbortOnDropHandle::new(watching),
        }
    }

    /// The weights in order, without repetitions.
    pub fn weights(&self) -> Vec<i64> {
        let seen = self.seen.lock().unwrap();
        let mut weights: Vec<i64> = seen.iter().map(|(_, weight)| *weight).collect();
        weights.dedup();
        weights
    }

    /// When the weight was first seen at 0 after `since`.
    pub fn zero_after(&self, since: Timestamp) -> Option<Timestamp> {
        let seen = self.seen.lock().unwrap();
        let zero = seen
            .iter()
            .find(|(at, weight)| *at >= since && *weight == 0);
        zero.map(|(at, _)| *at)
    }
}
