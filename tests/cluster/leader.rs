//! Several replicas: one acts, another takes over, and never do two write.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;

use super::harness::{App, QUICK_LEASE, World, none_lost};

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
