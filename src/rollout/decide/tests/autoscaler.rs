//! Autoscalers that act on what the status tells them, while updates are under way.

use serde_json::{Value, json};

use super::world::{World, names, world};
use crate::api::{request::Verb, rollout_status::Phase};

/// How an autoscaler gets to a number of pods. Usage is in parts of its target.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Autoscaler {
    /// The reported number of pods times the average over the selected ones.
    Reported,
    /// The selected pods times their average, unless the average is near the target.
    Selected,
    /// The whole load, unless it is near what the reported pods are to carry.
    Total,
}

/// Load that `pods` pods carry on target, each of which uses `base` of the target for nothing.
#[derive(Clone, Copy, Debug)]
struct Load {
    pods: i32,
    base: f64,
}

const MOST: i32 = 60;
const TOLERANCE: f64 = 0.1;
/// Seconds between two looks of an autoscaler.
const PERIOD: i64 = 15;

impl Load {
    fn work(self) -> f64 {
        f64::from(self.pods) * (1.0 - self.base)
    }

    /// Available pods and usage of one pod, for each version with pods.
    fn usage(self, world: &World) -> Vec<(String, i32, f64)> {
        let pods: i32 = world.sets.iter().map(|set| set.view.available).sum();
        let routed = world.ingresses.contains_key("demo");
        let switched = world.spec.pointer("/strategy/blueGreen").is_some();
        let weight = f64::from(world.weight()) / 100.0;
        let serving = world.sets.iter().filter(|set| set.view.available > 0);
        serving
            .map(|set| {
                let behind = |service: &str| world.behind(service) == set.version;
                let own = f64::from(set.view.available);
                let share = if routed {
                    let stable = if behind("demo-stable") {
                        1.0 - weight
                    } else {
                        0.0
                    };
                    let canary = if behind("demo-canary") { weight } else { 0.0 };
                    stable + canary
                } else if switched {
                    f64::from(u8::from(behind("demo-stable")))
                } else {
                    own / f64::from(pods)
                };
                let hash = set.view.pod_template_hash.clone();
                (
                    hash,
                    set.view.available,
                    self.base + share * self.work() / own,
                )
            })
            .collect()
    }

    /// What the autoscaler would set now.
    fn wanted(self, world: &World, autoscaler: Autoscaler) -> i32 {
        let key = format!("{}=", names().pod_template_hash);
        let selector = &world.status.selector;
        let version = selector.split(',').find_map(|part| part.strip_prefix(&key));
        let usage = self.usage(world);
        let selected: Vec<_> = usage
            .iter()
            .filter(|(hash, ..)| version.is_none_or(|version| version == hash))
            .collect();
        let pods = f64::from(selected.iter().map(|(_, pods, _)| pods).sum::<i32>());
        let sum: f64 = selected
            .iter()
            .map(|(_, pods, each)| f64::from(*pods) * each)
            .sum();
        let reported = f64::from(world.status.hpa_replicas);
        let near = |ratio: f64| (ratio - 1.0).abs() <= TOLERANCE;
        let wanted = match autoscaler {
            _ if pods == 0.0 => return world.desired(),
            Autoscaler::Reported => reported * sum / pods,
            Autoscaler::Selected if near(sum / pods) => f64::from(world.desired()),
            Autoscaler::Selected => sum,
            Autoscaler::Total if near(f64::from(self.pods) / reported) => reported,
            Autoscaler::Total => f64::from(self.pods),
        };
        #[expect(clippy::cast_possible_truncation, reason = "small numbers of pods")]
        let wanted = (wanted - 1e-6).ceil() as i32;
        wanted.clamp(1, MOST)
    }

    /// Lets the autoscaler act for so many periods. Returns what it has set.
    fn drive(self, world: &mut World, autoscaler: Autoscaler, periods: usize) -> Vec<i32> {
        world.watched = false;
        (0..periods)
            .map(|_| {
                world.play_for(PERIOD);
                let wanted = self.wanted(world, autoscaler);
                world.set("/replicas", json!(wanted));
                wanted
            })
            .collect()
    }
}

const LOADS: [Load; 4] = [
    Load {
        pods: 10,
        base: 0.0,
    },
    Load {
        pods: 10,
        base: 0.5,
    },
    Load {
        pods: 10,
        base: 0.9,
    },
    Load { pods: 4, base: 0.3 },
];

fn paused_at(weight: i32, load: Load, dynamic: bool) -> World {
    world()
        .nginx()
        .replicas(load.pods)
        .steps(json!([{"setWeight": weight}, {"pause": {}}]))
        .with("dynamicStableScale", json!(dynamic))
        .deployed()
        .updated()
}

/// What it set last, which it sets again and again.
fn settled(wanted: &[i32], what: &str) -> i32 {
    let last = wanted[wanted.len() - 1];
    let tail = &wanted[wanted.len() - 8..];
    assert!(
        tail.iter().all(|size| *size == last),
        "no fixed point: {what}: {wanted:?}"
    );
    last
}

#[test]
fn argo_2857_a_canary_does_not_drive_an_autoscaler_up() {
    let _covers = testbed::covers(&["status.HPAReplicas", "status.selector"]);
    for load in LOADS {
        for weight in [5, 10, 25, 50, 75, 90, 100] {
            let what = format!("{load:?} at {weight} %");
            let mut world = paused_at(weight, load, false);
            let wanted = load.drive(&mut world, Autoscaler::Reported, 30);
            assert!(
                wanted.iter().all(|size| *size <= load.pods),
                "{what}: {wanted:?}"
            );
            // Both versions together have the pods that the load needs.
            let together: i32 = world.sets.iter().map(|set| set.view.replicas).sum();
            let size = settled(&wanted, &what);
            assert!(together >= load.pods, "{what}: {wanted:?}\n{world}");
            let idle = weight <= 10 || weight >= 90;
            assert!(!idle || size >= load.pods - 1, "{what}: {wanted:?}");
            world.ask("1", Verb::Promote);
            let wanted = load.drive(&mut world, Autoscaler::Reported, 30);
            assert_eq!(settled(&wanted, &what), load.pods, "{what}\n{world}");
            assert_eq!(world.status.phase, Some(Phase::Healthy), "{what}\n{world}");
        }
    }
}

#[test]
fn argo_3849_sizes_that_follow_the_weight_keep_an_autoscaler_where_it_is() {
    let _covers = testbed::covers(&["status.HPAReplicas", "status.selector"]);
    for autoscaler in [Autoscaler::Reported, Autoscaler::Selected] {
        for load in LOADS {
            for weight in [5, 10, 25, 50, 75, 90, 100] {
                let what = format!("{autoscaler:?} {load:?} at {weight} %");
                let mut world = paused_at(weight, load, true);
                let wanted = load.drive(&mut world, autoscaler, 30);
                let size = settled(&wanted, &what);
                assert!(
                    (load.pods - 1..=load.pods + 1).contains(&size),
                    "{what}: {wanted:?}"
                );
            }
        }
    }
}

#[test]
fn argo_4847_a_number_of_canary_pods_does_not_make_an_autoscaler_oscillate() {
    let _covers = testbed::covers(&["status.HPAReplicas"]);
    for autoscaler in [
        Autoscaler::Total,
        Autoscaler::Reported,
        Autoscaler::Selected,
    ] {
        for scale in [
            json!({"replicas": 1}),
            json!({"replicas": 5}),
            json!({"weight": 30}),
        ] {
            let load = Load {
                pods: 10,
                base: 0.2,
            };
            let steps = json!([{"setCanaryScale": scale}, {"setWeight": 5}, {"pause": {}}]);
            let mut world = world()
                .nginx()
                .replicas(10)
                .steps(steps)
                .deployed()
                .updated();
            let wanted = load.drive(&mut world, autoscaler, 30);
            assert!(
                wanted
                    .iter()
                    .all(|size| *size == wanted[0] && (9..=10).contains(size)),
                "{autoscaler:?} {scale}: {wanted:?}\n{world}"
            );
        }
    }
}

#[test]
fn argo_4973_an_autoscaler_does_not_count_an_aborted_version() {
    for autoscaler in [Autoscaler::Reported, Autoscaler::Selected] {
        for dynamic in [false, true] {
            let load = Load {
                pods: 10,
                base: 0.6,
            };
            let mut world = paused_at(50, load, dynamic);
            world.canary("abortScaleDownDelaySeconds", json!(0));
            world.ask("1", Verb::Abort);
            world.play();
            let kept = world.size("v2");
            let wanted = load.drive(&mut world, autoscaler, 30);
            assert_eq!(settled(&wanted, "aborted"), 10, "{wanted:?}");
            let more = Load {
                pods: 16,
                base: 0.6,
            };
            let wanted = more.drive(&mut world, autoscaler, 40);
            assert!(
                (13..=16).contains(&settled(&wanted, "more load")),
                "{wanted:?}"
            );
            assert_eq!(world.size("v2"), kept, "{world}");
            assert_eq!(world.behind("demo-canary"), "v1");
        }
    }
}

#[test]
fn argo_738_without_a_router_an_autoscaler_sees_the_pods_that_serve() {
    for autoscaler in [Autoscaler::Reported, Autoscaler::Selected] {
        for load in LOADS {
            let steps: Value = json!([{"setWeight": 40}, {"pause": {}}]);
            let mut world = world()
                .replicas(load.pods)
                .steps(steps)
                .deployed()
                .updated();
            let wanted = load.drive(&mut world, autoscaler, 30);
            let size = settled(&wanted, "by pods");
            assert!(
                (load.pods - 1..=load.pods + 1).contains(&size),
                "{load:?} {wanted:?}"
            );
        }
    }
}

#[test]
fn a_preview_does_not_drive_an_autoscaler() {
    let _covers = testbed::covers(&["status.HPAReplicas", "status.selector"]);
    for autoscaler in [Autoscaler::Reported, Autoscaler::Selected] {
        for load in LOADS {
            let mut world = world()
                .blue_green(&json!({"autoPromotionEnabled": false}))
                .replicas(load.pods)
                .deployed()
                .updated();
            let wanted = load.drive(&mut world, autoscaler, 20);
            assert_eq!(settled(&wanted, "before"), load.pods, "{load:?} {wanted:?}");
            world.ask("1", Verb::Promote);
            let wanted = load.drive(&mut world, autoscaler, 20);
            assert_eq!(settled(&wanted, "after"), load.pods, "{load:?} {wanted:?}");
            assert_eq!(world.version(&world.status.stable_rs), "v2", "{world}");
        }
    }
}
