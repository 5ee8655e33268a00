//! Many Rollouts at rest, and a controller that starts beside them: how much it keeps, how long until it is at rest, too, and
//! whether it then leaves the API server alone.
//!
//! One Rollout is deployed by the real controllers, and copied. Not here: releases (`scenarios`).

use std::{fmt, time::Duration};

use serde_json::{Value, json};
use tidegate::{
    api::names::ApiNames,
    caches::fed::Fed,
    runtime::clock::Clock,
    sim::{resources, store::Key, world::World},
};

use super::{
    entropy, process, run,
    scenarios::stories,
    world::{self, Run},
};

/// Rollouts in one namespace.
const TOGETHER: usize = 100;
/// How long the controller is watched at rest.
const AT_REST: Duration = Duration::from_secs(600);
/// Longer than everything that a start may lead to.
const START: Duration = Duration::from_secs(120);

/// What was measured.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) rollouts: usize,
    /// Objects in the controller's caches, and bytes of their JSON.
    pub(super) objects: usize,
    pub(super) bytes: usize,
    /// From the start of the controller to its last request, in virtual time.
    pub(super) settled: Duration,
    /// Requests of the start, lists and watches not counted.
    pub(super) requests_to_settle: usize,
    /// Requests in ten minutes at rest, besides renewals of leases and watches.
    pub(super) requests_at_rest: usize,
    /// Processor time of the whole simulation for the start and for ten minutes at rest.
    pub(super) wall: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} Rollouts at rest: {} objects with {:.1} MiB of JSON in caches; a controller that starts is at rest after {:.1} s \
             and {} requests besides lists and watches; then {} requests in {} minutes; {:.1} s of real time",
            self.rollouts,
            self.objects,
            self.bytes as f64 / f64::from(1 << 20),
            self.settled.as_secs_f64(),
            self.requests_to_settle,
            self.requests_at_rest,
            AT_REST.as_secs() / 60,
            self.wall.as_secs_f64(),
        )
    }
}

/// Copies of one Rollout and of what belongs to it.
fn copies(of: &[(Key, Value)], count: usize) -> impl Iterator<Item = (Key, Value)> + '_ {
    (0..count).flat_map(move |number| {
        of.iter().map(move |(key, object)| {
            let object = renamed(object, number);
            (Key::of(key.plural, &object), object)
        })
    })
}

/// The same object for another Rollout. Its pod template stays: another one would be another version.
fn renamed(object: &Value, number: usize) -> Value {
    const KEPT: [&str; 2] = ["template", "app"];
    match object {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                let keeps = KEPT.contains(&name.as_str());
                let value = if keeps {
                    value.clone()
                } else {
                    renamed(value, number)
                };
                (name.clone(), value)
            })
            .collect(),
        Value::Array(items) => items.iter().map(|item| renamed(item, number)).collect(),
        Value::String(text) => json!(renamed_text(text, number)),
        Value::Null | Value::Bool(_) | Value::Number(_) => object.clone(),
    }
}

fn renamed_text(text: &str, number: usize) -> String {
    if text == "default" {
        return format!("team-{}", number / TOGETHER);
    }
    if let Some(rest) = text.strip_prefix("00000000-") {
        return format!("{number:08}-{rest}");
    }
    if let Some((kind, name)) = text.split_once('/') {
        return format!("{kind}/{}", renamed_text(name, number));
    }
    match text.strip_prefix("web") {
        Some("") => format!("web{number}"),
        Some("-web-canary") => format!("web{number}-web{number}-canary"),
        Some(rest) if rest.starts_with('-') => format!("web{number}{rest}"),
        Some(_) | None => text.to_owned(),
    }
}

/// Starts a controller beside `count` Rollouts at rest.
pub(super) fn at_rest(count: usize) -> Figures {
    let begun = tokio::time::Instant::now();
    let scenario = stories::deployed_only();
    let model = run::objects_at_rest(&scenario);
    let (objects, bytes) = kept(&model, count);
    let (settled, requests_to_settle, requests_at_rest) = entropy::seeded(1, move || async move {
        let shared = Run::begin(1, run::beginning(), scenario.nature.clone());
        {
            let mut run = shared.lock();
            // Long after the one that was copied was deployed.
            run.world.set_now(Duration::ZERO);
            fill(&mut run.world, &model, count);
        }
        let clock = Clock::following_tokio(run::beginning() + jiff::SignedDuration::from_hours(1));
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(world::live(shared.clone()));
        let setting = process::Setting {
            shared: shared.clone(),
            answers: scenario.answers,
            elect: true,
        };
        tasks.spawn(async move {
            let process = process::Process::new(&setting.shared, 0);
            let why = process::run(&setting, &process, clock).await;
            setting.shared.lock().complain(why);
        });
        let requests = || -> Vec<(u128, String)> {
            let run = shared.lock();
            assert!(run.complaints.is_empty(), "{:?}", run.complaints);
            run.trace.iter().filter_map(|line| request(line)).collect()
        };
        tokio::time::sleep(START).await;
        let first = requests();
        tokio::time::sleep(AT_REST).await;
        let all = requests();
        tasks.shutdown().await;
        let settled = first.iter().map(|(at, _)| *at).max().unwrap_or(0);
        let looked = first.iter().filter(|(_, line)| !is_list(line)).count();
        let settled = Duration::from_millis(u64::try_from(settled).unwrap_or(u64::MAX));
        (settled, looked, all.len() - first.len())
    });
    Figures {
        rollouts: count,
        objects,
        bytes,
        settled,
        requests_to_settle,
        requests_at_rest,
        wall: begun.elapsed(),
    }
}

fn fill(world: &mut World, model: &[(Key, Value)], count: usize) {
    for (key, object) in copies(model, count) {
        world.store.restore(key, object);
    }
}

/// What a controller keeps of them.
fn kept(model: &[(Key, Value)], count: usize) -> (usize, usize) {
    let mut fed = Fed::new(&ApiNames::default());
    for (key, object) in copies(model, count) {
        fed.apply(key.plural, &object, false);
    }
    fed.caches().size()
}

/// Time and text of a line of the trace that is a request; leases are renewed all the time.
fn request(line: &str) -> Option<(u128, String)> {
    let (at, rest) = line.trim_start().split_once(' ')?;
    let is_request = rest.contains(" /api") && !rest.contains("/leases");
    is_request.then(|| Some((at.parse().ok()?, rest.to_owned())))?
}

fn is_list(line: &str) -> bool {
    let path = line.split(' ').nth(1).unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    line.starts_with("GET ") && resources::is_plural(last)
}

#[test]
fn a_controller_that_starts_beside_many_rollouts_at_rest_soon_leaves_the_api_server_alone() {
    let figures = at_rest(200);
    println!("{figures}");
    assert!(
        figures.requests_at_rest == 0
            && figures.requests_to_settle == 0
            && figures.objects > 5 * figures.rollouts
            && figures.settled < Duration::from_secs(30),
        "{figures}"
    );
}
