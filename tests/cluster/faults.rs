//! Crashes at every write, and an API server that goes away: the end is the same, and no request is lost.

use std::time::Duration;

use serde_json::json;
use testbed::{
    fault_proxy::{Cut, FaultProxy, FaultProxyOptions, Then},
    traefik::RouteKinds,
};

use super::harness::{App, CANARY_INGRESS, SOON, World, none_lost, own_testbed, share_is};

/// There is one leader at a time here; the lease has tests of its own.
const ALONE: [&str; 1] = ["--leader-elect=false"];
/// More writes than any of these has.
const MOST: usize = 40;

/// The API server with a proxy before it that sees all writes but those to Leases and Events.
async fn proxy(world: &World) -> FaultProxy {
    let mut options = FaultProxyOptions::before(world.testbed()).unwrap();
    options.counts = Box::new(|path| !path.contains("/leases") && !path.contains("/events"));
    FaultProxy::start(options).await.unwrap()
}

/// What is crashed through.
#[derive(Clone, Copy, PartialEq)]
enum Act {
    Release,
    Abort,
}

/// The controller is killed at the first write of the act, then at the second, and so on until the act has no more writes.
async fn crash_at_every_write(name: &str, cut: Cut, act: Act) {
    let world = World::new(name).await;
    let proxy = proxy(&world).await;
    let url = proxy.url();
    let mut controller = world.controller_with(&ALONE, Some(&url)).await;
    let steps = match act {
        Act::Release => json!([{"setWeight": 50}]),
        Act::Abort => json!([{"setWeight": 50}, {"pause": {}}]),
    };
    let app = App::canary(2, steps).spec(json!({"revisionHistoryLimit": 1}));
    let mut stable = world.deploy(&app).await.stable().to_owned();
    let load = world.load(50);
    let mut crashes = 0;
    for n in 1..=MOST {
        let image = format!("demo:r{n}");
        let begun = proxy.cuts();
        if act == Act::Abort {
            world.set_image(&image).await;
            world.paused_at(1).await;
        }
        proxy.cut_at(n, cut, Then::StayDown);
        match act {
            Act::Release => world.set_image(&image).await,
            Act::Abort => drop(world.ask(&["abort", "demo", "--no-wait"]).await),
        }
        let ended = async {
            match act {
                Act::Release => {
                    let rollout = world.healthy().await;
                    world.only_pods_of(rollout.declared()).await;
                }
                Act::Abort => {
                    let rollout = world.aborted().await;
                    world.only_pods_of(rollout.stable()).await;
                }
            }
        };
        let was_cut = tokio::select! {
            cut = proxy.wait_for_cuts(begun + 1, SOON) => cut,
            () = ended => false,
        };
        if !was_cut {
            break;
        }
        crashes += 1;
        controller.kill().await;
        proxy.heal();
        controller = world.controller_with(&ALONE, Some(&url)).await;
        let rollout = match act {
            Act::Release => world.healthy().await,
            Act::Abort => world.aborted().await,
        };
        match act {
            Act::Release => stable = rollout.declared().to_owned(),
            Act::Abort => assert_eq!(rollout.stable(), stable),
        }
        assert_eq!(rollout.weight(), 0, "crash {n}");
        for service in ["demo-stable", "demo-canary"] {
            world.pinned(service, &stable).await;
        }
        if let Some(ingress) = world.get("ingresses", CANARY_INGRESS).await {
            let weight = &ingress["metadata"]["annotations"][super::harness::WEIGHT];
            assert_eq!(weight, "0", "crash {n}");
        }
    }
    none_lost(load).await;
    assert!((5..MOST).contains(&crashes), "{crashes} crashes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_survives_a_crash_before_each_of_its_writes() {
    crash_at_every_write("crash-before", Cut::Before, Act::Release).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_survives_a_crash_after_each_of_its_writes() {
    crash_at_every_write("crash-after", Cut::AfterCommit, Act::Release).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_survives_a_crash_before_each_of_its_writes() {
    crash_at_every_write("abort-crash-before", Cut::Before, Act::Abort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_survives_a_crash_after_each_of_its_writes() {
    crash_at_every_write("abort-crash-after", Cut::AfterCommit, Act::Abort).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_goes_on_after_an_outage_of_the_api_server() {
    let testbed = own_testbed("outage", |own| own.proxy(Some(RouteKinds::default()))).await;
    // A server that has just started refuses everybody for a moment: it has not read its rules yet.
    let mut world = World::on(testbed, "refused-outage").await;
    // Longer than the outage: a leader that cannot renew its lease ends, as it must.
    let patient = ["--lease-duration", "90s", "--renew-deadline", "60s"];
    let _controller = world.controller_with(&patient, None).await;
    let steps =
        json!([{"setWeight": 30}, {"pause": {"duration": "2s"}}, {"setWeight": 60}, {"pause": {}}]);
    world.deploy(&App::canary(2, steps)).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    world.testbed_mut().stop_apiserver().await.unwrap();
    // The pause ends while nobody can be told.
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.testbed_mut().start_apiserver().await.unwrap();
    world.paused_at(3).await;
    share_is(&load, "v2", 60.0).await;
    world.ask(&["promote", "demo"]).await;
    world.healthy().await;
    none_lost(load).await;
}
