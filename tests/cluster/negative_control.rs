//! The testbed sees lost requests: without this, "no request was lost" in the other tests would mean nothing.

use testbed::{Testbed, load::Summary};

use super::demo_app::DemoApp;

/// Rolls a Deployment twice under so many requests per second. Its pods serve `drain` seconds after SIGTERM.
async fn roll_under_load(namespace: &str, drain: u32, rate: u32) -> Summary {
    let testbed = Testbed::attach_from_env().await.unwrap();
    let app = DemoApp::start(&testbed, namespace, 3, drain).await;
    let load = app.load(rate);
    app.roll("v2").await;
    app.roll("v3").await;
    let summary = load.stop().await;
    app.delete().await;
    for version in ["v1", "v2", "v3"] {
        assert!(summary.share(version) > 0.0, "no {version}: {summary}");
    }
    summary
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_close_at_sigterm_lose_requests_in_a_rolling_update() {
    // On an idle machine a proxy follows within milliseconds: few requests would find none of the gaps.
    let summary = roll_under_load("negative-control-closing", 0, 600).await;
    assert!(summary.lost > 0, "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_drain_lose_none_in_a_rolling_update() {
    let summary = roll_under_load("negative-control-draining", 8, 150).await;
    assert_eq!(summary.lost, 0, "{summary}");
}
