//! Counts in a small cluster that is put together by hand.

use serde_json::{Value, json};

use super::*;
use crate::sim::{
    actors::{Due, turns::Turn},
    nature::{Entry, Mood},
    store::{Author, Key},
    tests::{HASH, create, lost, seconds, set, until, world},
    world::World,
};

fn service(name: &str, hash: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {HASH: hash}, "ports": [{"port": 80}]},
    })
}

fn route(stable: i64, canary: i64) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"},
        "spec": {"parentRefs": [{"name": "gateway"}], "rules": [{"backendRefs": [
            {"name": "stable", "weight": stable}, {"name": "canary", "weight": canary},
        ]}]},
    })
}

fn split(world: &mut World, stable: i64, canary: i64) {
    let key = Key::new("httproutes", "default", "web");
    let mut object = world.store.get(&key).unwrap().clone();
    object["spec"] = route(stable, canary)["spec"].clone();
    world.commit(&Author::person(), &key, object);
}

/// Versions `one` and `two` of two pods each behind an HTTPRoute that splits 80 to 20, ready, and requests come in.
fn split_world(image: &str, nature: Nature) -> World {
    let nature = Nature {
        entry: Entry::HttpRoute("web".to_owned()),
        load: Load {
            rate: Rate::Constant(100.0),
            ..Load::default()
        },
        ..nature
    };
    let mut world = world(nature);
    for (name, hash, image) in [("stable", "one", "web:1"), ("canary", "two", image)] {
        create(&mut world, set(hash, image, 2));
        create(&mut world, service(name, hash));
    }
    create(&mut world, route(80, 20));
    until(&mut world, seconds(10));
    world.open_traffic();
    world
}

fn counts(world: &mut World, revision: &str) -> Counters {
    world.count_requests();
    world
        .traffic
        .counters()
        .get(revision)
        .copied()
        .unwrap_or_default()
}

#[test]
fn requests_are_shared_as_the_route_says_and_fail_as_the_image_does() {
    let mut world = split_world("web:2-err10-lat250", Nature::default());
    until(&mut world, seconds(110));
    let (one, two) = (counts(&mut world, "one"), counts(&mut world, "two"));
    assert_eq!(one.requests + two.requests, 10_000);
    assert_eq!((one.errors, one.lost, two.lost), (0, 0, 0));
    assert!((1_999..=2_001).contains(&two.requests), "{two:?}");
    assert!((140..=260).contains(&two.errors), "{two:?}");
    let latency = two.seconds / chance::whole(two.requests);
    assert!((latency - 0.25).abs() < 1e-6, "{latency}");
}

#[test]
fn errors_begin_with_the_age_of_the_pod() {
    let mut world = split_world("web:2-errafter30", Nature::default());
    until(&mut world, seconds(30));
    assert_eq!(counts(&mut world, "two").errors, 0);
    until(&mut world, seconds(60));
    let early = counts(&mut world, "two");
    until(&mut world, seconds(70));
    let late = counts(&mut world, "two");
    assert_eq!(late.errors - early.errors, late.requests - early.requests);
}

#[test]
fn proxies_follow_a_weight_one_after_the_other() {
    let mut world = split_world("web:2", Nature::default());
    until(&mut world, seconds(20));
    split(&mut world, 0, 100);
    let before = counts(&mut world, "one").requests;
    until(&mut world, seconds(30));
    let after = counts(&mut world, "one").requests - before;
    // Of four proxies with 25 requests per second each, three go on with 80 % for 1/3, 2/3 and 1 s.
    assert!((39..=41).contains(&after), "{after}");
}

#[test]
fn pods_that_end_with_traffic_lose_requests_and_those_without_do_not() {
    let mut world = split_world("web:2", Nature::default());
    until(&mut world, seconds(20));
    let end = |world: &mut World| {
        let key = Key::new("replicasets", "default", "two");
        let mut object = world.store.get(&key).unwrap().clone();
        object["spec"]["replicas"] = json!(0);
        world.commit(&Author::person(), &key, object);
    };
    let mut careful = world.copy();
    end(&mut world);
    until(&mut world, seconds(22));
    assert!(counts(&mut world, "two").lost > 0);
    assert!(!lost(&mut world).is_empty());

    split(&mut careful, 100, 0);
    until(&mut careful, seconds(22));
    end(&mut careful);
    until(&mut careful, seconds(40));
    assert_eq!(counts(&mut careful, "two").lost, 0);
    assert_eq!(lost(&mut careful), Vec::<String>::new());
}

#[test]
fn a_lost_node_costs_requests_that_nobody_is_blamed_for() {
    let mut world = split_world("web:2", Nature::default());
    until(&mut world, seconds(20));
    for node in 0..2 {
        world.plan(
            Duration::ZERO,
            Due::Node(node, crate::sim::actors::nodes::Step::Lost),
        );
    }
    until(&mut world, seconds(300));
    assert!(counts(&mut world, "one").lost + counts(&mut world, "two").lost > 0);
    assert_eq!(lost(&mut world), Vec::<String>::new());
    let (one, two) = (counts(&mut world, "one"), counts(&mut world, "two"));
    until(&mut world, seconds(310));
    let now = (counts(&mut world, "one"), counts(&mut world, "two"));
    assert_eq!((one.lost, two.lost), (now.0.lost, now.1.lost));
    assert!(now.0.requests > one.requests);
}

#[test]
fn a_route_that_is_refused_does_not_come_to_the_proxies() {
    let accepted = |world: &World| {
        let route = world.store.get(&Key::new("httproutes", "default", "web"));
        let conditions = &route.unwrap()["status"]["parents"][0]["conditions"];
        conditions[0]["status"].as_str().unwrap().to_owned()
    };
    let mut world = split_world("web:2", Nature::default());
    until(&mut world, seconds(20));
    assert_eq!(accepted(&world), "True");
    world.plan(Duration::ZERO, Due::Turn(Turn::Gateway(Mood::Refuses)));
    until(&mut world, seconds(22));
    assert_eq!(accepted(&world), "False");
    split(&mut world, 0, 100);
    let before = counts(&mut world, "one").requests;
    until(&mut world, seconds(32));
    let after = counts(&mut world, "one").requests - before;
    assert!((799..=801).contains(&after), "{after}");
    world.plan(Duration::ZERO, Due::Turn(Turn::Gateway(Mood::Accepts)));
    until(&mut world, seconds(34));
    assert_eq!(accepted(&world), "True");
    let before = counts(&mut world, "one").requests;
    until(&mut world, seconds(44));
    assert_eq!(counts(&mut world, "one").requests, before);
}

#[test]
fn requests_with_a_header_go_where_its_rule_leads() {
    let mut world = split_world("web:2", Nature::default());
    let key = Key::new("httproutes", "default", "web");
    let mut object = world.store.get(&key).unwrap().clone();
    object["spec"] = route(100, 0)["spec"].clone();
    let picks = json!({
        "matches": [{"headers": [{"name": "X-Beta", "value": "1"}]}], "backendRefs": [{"name": "canary"}],
    });
    object["spec"]["rules"]
        .as_array_mut()
        .unwrap()
        .insert(0, picks);
    world.commit(&Author::person(), &key, object);
    until(&mut world, seconds(20));
    let before = counts(&mut world, "two").requests;
    until(&mut world, seconds(120));
    let picked = counts(&mut world, "two").requests - before;
    assert!((499..=501).contains(&picked), "{picked}");
}
