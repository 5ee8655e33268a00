//! Several replicas: one acts, another takes over, and never do two write.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use super::harness::{App, QUICK_LEASE, SOON, World, eventually, none_lost, share_is};

/// From the first to the last write of every controller, by its token.
fn terms(world: &World) -> Vec<(Timestamp, Timestamp)> {
    let mut terms: BTreeMap<String, (Timestamp, Timestamp)> = BTreeMap::new();
    // Events are written beside the work, also by one that has just lost the lead.
    for write in world
        .writes()
        .into_iter()
        .filter(|write| write.resource != "events")
    {
        let term = terms.entry(write.token).or_insert((write.at, write.at));
        term.1 = write.at;
    }
    let mut terms: Vec<_> = terms.into_values().collect();
    terms.sort();
    terms
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_leader_is_killed_the_other_one_goes_on_and_never_do_both_write() {
    let world = World::new("leader-killed").await;
    let leader = world.controller_with(&QUICK_LEASE, None).await;
    leader.leads().await;
    let standby = world.controller_with(&QUICK_LEASE, None).await;
    world
        .deploy(&App::canary(2, json!([{"setWeight": 50}, {"pause": {}}])))
        .await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    leader.kill().await;
    // Asked while nobody leads.
    world.ask(&["promote", "demo", "--no-wait"]).await;
    standby.leads().await;
    world.healthy().await;
    none_lost(load).await;
    let terms = terms(&world);
    assert!(
        terms.len() == 2 && terms[0].1 < terms[1].0,
        "one term after the other: {terms:?}"
    );
}

#[tokio::test]
async fn a_leader_that_is_asked_to_end_gives_the_lease_away_at_once() {
    let world = World::new("leader-ends").await;
    // With the usual 15 s: nobody waits for them.
    let leader = world.controller().await;
    leader.leads().await;
    let standby = world.controller().await;
    world.deploy(&App::canary(1, json!([]))).await;
    let status = leader.terminate().await;
    let begun = Instant::now();
    standby.leads().await;
    assert!(status.success(), "{status}");
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    world.set_image("demo:v2").await;
    world.healthy().await;
}

/// Somebody takes the lease, or takes it away, in the middle of a release.
async fn the_lease_is_lost(name: &str, lose: impl AsyncFnOnce(&World), says: &str) {
    let world = World::new(name).await;
    let leader = world.controller_with(&QUICK_LEASE, None).await;
    leader.leads().await;
    let steps =
        json!([{"setWeight": 50}, {"pause": {"duration": "2s"}}, {"setWeight": 80}, {"pause": {}}]);
    world.deploy(&App::canary(2, steps)).await;
    let load = world.load(100);
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    let log = leader.log_path();
    lose(&world).await;
    let status = leader.ended().await;
    assert_eq!(status.code(), Some(1), "{status}");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains(says), "{log}");

    // As the kubelet does.
    let again = world.controller_with(&QUICK_LEASE, None).await;
    again.leads().await;
    world.paused_at(3).await;
    share_is(&load, "v2", 80.0).await;
    world.ask(&["promote", "demo"]).await;
    world.healthy().await;
    none_lost(load).await;
    let terms = terms(&world);
    assert!(
        terms.len() == 2 && terms[0].1 < terms[1].0,
        "one term after the other: {terms:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_lease_is_taken_ends_and_its_successor_goes_on() {
    let take = async |world: &World| {
        let time = super::harness::now()
            .strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
            .to_string();
        let taken = json!({"spec": {
            "holderIdentity": "somebody-else", "leaseDurationSeconds": 3, "renewTime": time, "acquireTime": time,
        }});
        world.patch("leases", "tidegate", &taken).await;
    };
    the_lease_is_lost("lease-taken", take, "taken over by \"somebody-else\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_lease_is_deleted_ends_and_its_successor_goes_on() {
    let delete = async |world: &World| world.delete("leases", "tidegate").await;
    the_lease_is_lost("lease-deleted", delete, "taken over by \"\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_controllers_that_both_act_come_to_the_same_end_and_lose_nothing() {
    let world = World::new("two-controllers").await;
    let alone = ["--leader-elect=false"];
    let _first = world.controller_with(&alone, None).await;
    let _second = world.controller_with(&alone, None).await;
    let steps =
        json!([{"setWeight": 30}, {"pause": {}}, {"setWeight": 60}, {"pause": {"duration": "1s"}}]);
    let first = world.deploy(&App::canary(3, steps)).await;
    let load = world.load(100);

    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    share_is(&load, "v2", 30.0).await;
    world.ask(&["abort", "demo"]).await;
    world.aborted().await;
    share_is(&load, "v1", 100.0).await;
    world.only_pods_of(first.stable()).await;
    world.ask(&["retry", "demo"]).await;
    world.paused_at(1).await;
    world.ask(&["promote", "demo"]).await;
    let rollout = world.healthy().await;
    world.only_pods_of(rollout.declared()).await;
    share_is(&load, "v2", 100.0).await;
    none_lost(load).await;

    for service in ["demo-stable", "demo-canary"] {
        world.pinned(service, rollout.declared()).await;
    }
    assert_eq!(world.rollout().await.weight(), 0);
    let mut revisions: Vec<String> = world
        .list("replicasets")
        .await
        .iter()
        .map(|set| set["metadata"]["annotations"]["tidegate.dev/revision"].to_string())
        .collect();
    revisions.sort();
    assert_eq!(revisions, ["\"1\"", "\"2\""]);
    let writers = terms(&world).len();
    assert_eq!(writers, 2, "both have written");
    // They agree: at the end nobody undoes what the other one did.
    let before = world.writes().len();
    eventually(SOON, "nobody writes for two seconds", || async {
        let last = world.writes().last().map(|write| write.at);
        let quiet = super::harness::now().duration_since(last.unwrap_or_default());
        if quiet.as_secs() >= 2 {
            Ok(())
        } else {
            Err(format!("{} writes since", world.writes().len() - before))
        }
    })
    .await;
}
