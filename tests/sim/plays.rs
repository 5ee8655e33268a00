//! What `tidegate simulate` says is what the real controllers do: both play every example, and are compared second by second.

use std::{path::Path, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidegate::{
    analysis::judge::MetricValue,
    runtime::clock::Clock,
    sim::{
        nature::{Nature, Span},
        request::Subresource,
        resources, server,
        store::{Author, Key},
    },
    simulate::{
        Options,
        manifests::{File, Manifests},
        simulate,
        story::Simulation,
    },
};
use tokio::time::Instant;

use super::{
    entropy, process, run,
    world::{self, Run, Shared},
};

/// How far apart the two may be. Chance decides in both: EndpointSlices follow after 50 to 400 ms, a Gateway answers after 20 to
/// 600 ms, requests and watches take up to 25 ms, and the controller lets news of a status wait for up to 1 s. A canary of
/// eight steps takes four such times one after the other before all of its traffic has moved.
const TOLERANCE: f64 = 2.5;
/// When a person ends a pause that waits for one.
const PROMOTED_AFTER: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(3600);
const NEW_IMAGE: &str = "demo:v2";

/// What is compared: the share of traffic in percent, pods that are available, and the phase.
#[derive(Clone, Debug, PartialEq)]
struct Look {
    at: f64,
    share: i64,
    new: i64,
    old: i64,
    phase: String,
}

fn files(example: &Path) -> Vec<File> {
    let mut paths: Vec<_> = std::fs::read_dir(example)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| File {
        name: path.display().to_string(),
        text: std::fs::read_to_string(path).unwrap(),
    };
    paths.iter().map(read).collect()
}

fn simulated(example: &Path) -> Vec<Look> {
    let manifests = Manifests::read(&files(example)).unwrap();
    let options = Options {
        image: Some(NEW_IMAGE.to_owned()),
        pod_start: Duration::ZERO,
        promote_after: Some(PROMOTED_AFTER),
        ..Options::default()
    };
    let Simulation { samples, .. } = simulate(&manifests, &options).unwrap();
    samples
        .into_iter()
        .map(|sample| Look {
            at: sample.at,
            share: (sample.share * 100.0).round() as i64,
            new: i64::from(sample.new.available),
            old: i64::from(sample.old.available),
            phase: sample.phase,
        })
        .collect()
}

/// Plays the example with the real controllers.
fn played(example: &Path) -> Vec<Look> {
    let objects: Vec<Value> = files(example)
        .iter()
        .flat_map(|file| serde_saphyr::from_multiple::<Value>(&file.text).unwrap())
        .collect();
    entropy::seeded(1, move || async move {
        let nature = Nature {
            grace: Duration::from_secs(5),
            start: Span::millis(0, 0),
            ..Nature::default()
        };
        let shared = Run::begin(1, run::beginning(), nature);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(world::live(shared.clone()));
        let clock = Clock::following_tokio(shared.lock().store.time(Duration::ZERO));
        let setting = process::Setting {
            shared: shared.clone(),
            answers: Arc::new(|_| Ok(MetricValue::Vector(vec![0.0]))),
            elect: false,
        };
        tasks.spawn(async move {
            let process = process::Process::new(&setting.shared, 0);
            let why = process::run(&setting, &process, clock).await;
            panic!("the controller ended by itself: {why}");
        });
        let name = deploy(&shared, &objects);
        let is_healthy = |status: &Value| status["phase"] == "Healthy";
        follow(&shared, &name, &Value::Null, is_healthy).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        let stable = rollout(&shared, &name)["status"]["stableRS"].clone();
        patch(&shared, &name, |rollout| {
            rollout["spec"]["template"]["spec"]["containers"][0]["image"] = json!(NEW_IMAGE);
        });
        let is_over = |status: &Value| is_healthy(status) && status["stableRS"] != stable;
        let seen = follow(&shared, &name, &stable, is_over).await;
        tasks.shutdown().await;
        seen
    })
}

fn deploy(shared: &Shared, objects: &[Value]) -> String {
    let text = |object: &Value, pointer: &str| {
        let value = object.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let mut sorted: Vec<&Value> = objects.iter().collect();
    sorted.sort_by_key(|object| object["kind"] == "Rollout");
    for object in &sorted {
        let mut object = (*object).clone();
        // The simulated metric server knows no PromQL; a name alone is answered with what the setting says.
        let metrics = object.pointer_mut("/spec/metrics");
        for metric in metrics.and_then(Value::as_array_mut).into_iter().flatten() {
            metric["provider"]["prometheus"]["query"] = json!("errors");
        }
        let mut run = shared.lock();
        let version = text(&object, "/apiVersion");
        let kind = resources::of_kind(run.store.api(), &version, &text(&object, "/kind"));
        let resource = kind.expect("a kind that is modelled");
        let person = Author::person();
        server::create(&mut run.world, &person, resource, "default", object).unwrap();
    }
    text(sorted.last().unwrap(), "/metadata/name")
}

fn rollout(shared: &Shared, name: &str) -> Value {
    let key = Key::new("rollouts", "default", name);
    shared.lock().store.get(&key).cloned().unwrap()
}

fn patch(shared: &Shared, name: &str, change: impl FnOnce(&mut Value)) {
    let key = Key::new("rollouts", "default", name);
    let mut run = shared.lock();
    let apply = |object: &Value| {
        let mut object = object.clone();
        change(&mut object);
        Ok(object)
    };
    let rollouts = run.store.resource("rollouts");
    let person = Author::person();
    server::update(
        &mut run.world,
        &person,
        rollouts,
        &key,
        Subresource::None,
        apply,
    )
    .unwrap();
}

/// Looks at the Rollout after each change, until this holds of its status and all pods of other versions are gone.
async fn follow(
    shared: &Shared,
    name: &str,
    stable: &Value,
    ends: impl Fn(&Value) -> bool,
) -> Vec<Look> {
    let mut committed = shared.signals.committed.subscribe();
    let begun = Instant::now();
    let mut seen: Vec<Look> = Vec::new();
    let mut ended = Value::Null;
    loop {
        let status = rollout(shared, name)["status"].clone();
        let look = look(shared, &status, stable, begun.elapsed().as_secs_f64());
        let is_over = ends(&status) && look.new * look.old == 0;
        if seen.last().is_none_or(|last| {
            Look {
                at: look.at,
                ..last.clone()
            } != look
        }) {
            seen.push(look);
        }
        if is_over {
            return seen;
        }
        let pause = &status["pauseConditions"][0];
        let is_asked = pause.is_object() && status["next"]["at"].is_null() && *pause != ended;
        let change = committed.changed();
        if is_asked {
            let since: jiff::Timestamp = pause["startTime"].as_str().unwrap().parse().unwrap();
            let now = {
                let run = shared.lock();
                run.store.time(run.now())
            };
            let due = Duration::try_from(since.duration_since(now)).unwrap_or_default();
            let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
            let left = (due + PROMOTED_AFTER).saturating_sub(waited);
            if tokio::time::timeout(left, change).await.is_err() {
                ended = pause.clone();
                let request = json!({"id": "1", "verb": "promote"}).to_string();
                patch(shared, name, |rollout| {
                    rollout["metadata"]["annotations"]["tidegate.dev/request"] = json!(request);
                });
            }
        } else {
            let changed = tokio::time::timeout(PATIENCE, change).await;
            assert!(
                matches!(changed, Ok(Ok(()))),
                "nothing happens any more: {status}"
            );
        }
    }
}

fn look(shared: &Shared, status: &Value, stable: &Value, at: f64) -> Look {
    let run = shared.lock();
    let hash = |set: &Value| set["metadata"]["labels"]["tidegate.dev/pod-template-hash"].clone();
    let current = &status["currentPodHash"];
    let is_new = |set: &Value| hash(set) != *stable;
    let count = |of_new: bool, field: &str| -> i64 {
        let sets = run.store.list("replicasets");
        sets.filter(|(_, set)| is_new(set) == of_new)
            .map(|(_, set)| {
                let size = set["spec"]["replicas"].as_i64().unwrap_or(0);
                set["status"][field].as_i64().unwrap_or(0).min(size)
            })
            .sum()
    };
    let is_done = status["stableRS"] != *stable;
    let weight = &status["canary"]["weights"]["canary"]["weight"];
    let share = if is_done {
        100
    } else if let Some(weight) = weight.as_i64() {
        weight
    } else if let Some(active) = status["blueGreen"]["activeSelector"].as_str() {
        100 * i64::from(*current == active)
    } else {
        let (new, old) = (count(true, "readyReplicas"), count(false, "readyReplicas"));
        ((1000.0 * new as f64 / (new + old).max(1) as f64).round() / 10.0).round() as i64
    };
    Look {
        at,
        share,
        new: count(true, "availableReplicas"),
        old: count(false, "availableReplicas"),
        phase: status["phase"].as_str().unwrap_or_default().to_owned(),
    }
}

/// What of one play is not to be found in the other one within the tolerance.
fn differences<T: PartialEq + std::fmt::Debug>(
    one: &[Look],
    other: &[Look],
    what: impl Fn(&Look) -> T,
) -> Vec<String> {
    let until =
        |looks: &[Look], place: usize| looks.get(place + 1).map_or(f64::INFINITY, |next| next.at);
    let mut missing = Vec::new();
    for (place, look) in one.iter().enumerate() {
        let value = what(look);
        // What is over at once need not be seen by both.
        let (from, to) = (look.at + TOLERANCE, until(one, place) - TOLERANCE);
        if from > to {
            continue;
        }
        let wrong = other.iter().enumerate().find(|(index, found)| {
            found.at < to && until(other, *index) > from && what(found) != value
        });
        if let Some((_, wrong)) = wrong {
            missing.push(format!(
                "{value:?} from {:.1} to {:.1}, but {:?} at {:.1}",
                look.at,
                until(one, place),
                what(wrong),
                wrong.at
            ));
        }
    }
    missing
}

fn shown(looks: &[Look]) -> String {
    let lines: Vec<String> = looks.iter().map(|look| format!("{look:?}")).collect();
    lines.join("\n")
}

/// The times of one value after the other; equal neighbours are one.
fn series<T: PartialEq>(looks: &[Look], what: impl Fn(&Look) -> T) -> Vec<Look> {
    let mut all: Vec<Look> = Vec::new();
    for look in looks {
        if all.last().is_none_or(|last| what(last) != what(look)) {
            all.push(look.clone());
        }
    }
    all
}

fn compare<T: PartialEq + std::fmt::Debug>(
    simulated: &[Look],
    played: &[Look],
    what: impl Fn(&Look) -> T + Copy,
) -> Vec<String> {
    let (simulated, played) = (series(simulated, what), series(played, what));
    let mut all = differences(&simulated, &played, what);
    all.extend(differences(&played, &simulated, what));
    all
}

#[test]
fn every_example_is_simulated_as_the_real_controllers_play_it() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for entry in std::fs::read_dir(examples).unwrap() {
        let example = entry.unwrap().path();
        let (simulated, played) = (simulated(&example), played(&example));
        let wrong = [
            compare(&simulated, &played, |look| look.share),
            compare(&simulated, &played, |look| look.new),
            compare(&simulated, &played, |look| look.old),
            compare(&simulated, &played, |look| look.phase.clone()),
        ]
        .concat();
        assert!(
            wrong.is_empty(),
            "{}:\n{}\n\nsimulated:\n{}\n\nplayed:\n{}",
            example.display(),
            wrong.join("\n"),
            shown(&simulated),
            shown(&played)
        );
        count += 1;
    }
    assert!(count >= 5, "{count} examples");
}
