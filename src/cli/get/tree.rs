//! One Rollout in full: a block of facts, then its versions with pods and analyses as a tree.
//!
//! Not here: how pods and analyses are put into words (`nodes`).

use std::{cmp::Reverse, fmt::Write};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    nodes::{self, Node, text_in},
    style::{self, BOLD, DIM, GOOD, MOVING, paint},
};
use crate::{
    api::{names::ApiNames, strategy::Declared},
    cli::{
        cluster::Family,
        rollout::{Rollout, annotation},
        time,
    },
};

/// The whole picture.
pub(super) fn render(names: &ApiNames, family: &Family, now: Timestamp) -> String {
    let rollout = &family.rollout;
    let mut text = String::new();
    for (label, value) in facts(names, family, now) {
        let label = if label.is_empty() {
            String::new()
        } else {
            format!("{label}:")
        };
        // Writing to a String cannot fail.
        writeln!(text, "{label:<13} {value}").ok();
    }
    let (symbol, color) = style::of_phase(rollout.phase());
    writeln!(
        text,
        "\n{} {}",
        paint(color, symbol),
        paint(BOLD, &rollout.name)
    )
    .ok();
    draw(&versions(names, family, now), "", &mut text);
    text
}

fn draw(nodes: &[Node], indent: &str, text: &mut String) {
    for (index, node) in nodes.iter().enumerate() {
        let last = index + 1 == nodes.len();
        let (branch, below) = if last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        writeln!(text, "{indent}{branch}{}", node.text).ok();
        draw(&node.children, &format!("{indent}{below}"), text);
    }
}

fn facts(names: &ApiNames, family: &Family, now: Timestamp) -> Vec<(&'static str, String)> {
    let rollout = &family.rollout;
    let status = &rollout.status;
    let (symbol, color) = style::of_phase(rollout.phase());
    let mut facts = vec![
        ("Name", rollout.name.clone()),
        ("Namespace", rollout.namespace.clone()),
        (
            "Phase",
            paint(color, &format!("{symbol} {}", rollout.phase().name())),
        ),
    ];
    if !rollout.message().is_empty() {
        facts.push(("Message", rollout.message().to_owned()));
    }
    if rollout.spec.paused {
        facts.push(("Paused", "by spec.paused; `resume` ends it".to_owned()));
    }
    for pause in &status.pause_conditions {
        let length = time::age(pause.start_time, now);
        facts.push(("Paused", format!("{} for {length}", pause.reason.name())));
    }
    facts.push(("Strategy", rollout.strategy().to_owned()));
    facts.extend(rollout.steps_in_words().map(|steps| ("Steps", steps)));
    facts.extend(weight(rollout).map(|weight| ("Weight", weight)));
    for (index, image) in images(names, family).into_iter().enumerate() {
        facts.push((if index == 0 { "Images" } else { "" }, image));
    }
    let pods = format!(
        "{} desired, {} current, {} updated, {} ready, {} available",
        rollout.spec.desired_replicas(),
        status.replicas,
        status.updated_replicas,
        status.ready_replicas,
        status.available_replicas
    );
    facts.push(("Pods", pods));
    facts.extend(status.waiting_for.clone().map(|what| ("Waiting for", what)));
    if let Some(next) = &status.next {
        let when = next
            .at
            .map(|at| format!(" {}", time::until(at, now)))
            .unwrap_or_default();
        facts.push(("Next", format!("{}{when}", next.action)));
    }
    if let Some(request) = rollout.pending_request() {
        let by = request
            .by
            .as_ref()
            .map(|by| format!(" by {by}"))
            .unwrap_or_default();
        facts.push((
            "Request",
            format!("{}{by}, not handled yet", request.verb.name()),
        ));
    }
    facts
}

fn weight(rollout: &Rollout) -> Option<String> {
    let given = rollout.weight_given()?;
    let share = if rollout.has_router() {
        format!("{given} of {}", rollout.max_weight())
    } else {
        format!("{given} % of the pods")
    };
    Some(match rollout.weight_asked() {
        Some(asked) if asked != given => format!("{share}, {asked} asked"),
        Some(_) | None => share,
    })
}

/// What a version is to the Rollout.
fn role(rollout: &Rollout, hash: &str) -> Option<&'static str> {
    let status = &rollout.status;
    if hash.is_empty() {
        None
    } else if status.blue_green.active_selector.as_deref() == Some(hash) {
        Some(if hash == status.stable_rs {
            "stable, active"
        } else {
            "active"
        })
    } else if hash == status.stable_rs {
        Some("stable")
    } else if hash == status.current_pod_hash {
        Some(match rollout.spec.strategy.declared() {
            Some(Declared::BlueGreen(_)) => "preview",
            Some(Declared::Canary(_)) | None => "canary",
        })
    } else {
        None
    }
}

fn images(names: &ApiNames, family: &Family) -> Vec<String> {
    let mut images = Vec::new();
    for set in newest_first(names, &family.replica_sets) {
        let Some(role) = role(&family.rollout, hash(names, set)) else {
            continue;
        };
        let containers = set
            .pointer("/spec/template/spec/containers")
            .and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            if let Some(image) = text_in(container, "/image") {
                images.push(format!("{image} {}", paint(DIM, &format!("({role})"))));
            }
        }
    }
    images
}

fn versions(names: &ApiNames, family: &Family, now: Timestamp) -> Vec<Node> {
    let sets = newest_first(names, &family.replica_sets);
    let of_no_version = |run: &&Value| !sets.iter().any(|set| hash(names, set) == hash(names, run));
    let lost = family.analysis_runs.iter().filter(of_no_version);
    let lost: Vec<Node> = lost.map(|run| nodes::analysis_run(run, now)).collect();
    sets.iter()
        .map(|set| version(names, family, set, now))
        .chain(lost)
        .collect()
}

fn version(names: &ApiNames, family: &Family, set: &Value, now: Timestamp) -> Node {
    let of_this = |run: &&Value| hash(names, run) == hash(names, set);
    let runs = family.analysis_runs.iter().filter(of_this);
    let mut children = vec![replica_set(names, family, set, now)];
    children.extend(runs.map(|run| nodes::analysis_run(run, now)));
    let revision = annotation(set, &names.revision).unwrap_or("unknown");
    Node {
        text: paint(BOLD, &format!("revision {revision}")),
        children,
    }
}

fn replica_set(names: &ApiNames, family: &Family, set: &Value, now: Timestamp) -> Node {
    let number = |pointer: &str, absent| {
        set.pointer(pointer)
            .and_then(Value::as_i64)
            .unwrap_or(absent)
    };
    let wanted = number("/spec/replicas", 1);
    let exist = number("/status/replicas", 0);
    let available = number("/status/availableReplicas", 0);
    let (symbol, color, state) = match (wanted, exist) {
        (0, 0) => ("•", DIM, "scaled down".to_owned()),
        (0, left) => ("◌", MOVING, format!("scaling down, {left} left")),
        _ if available >= wanted => ("✔", GOOD, format!("{available}/{wanted} available")),
        _ => ("◌", MOVING, format!("{available}/{wanted} available")),
    };
    let version = hash(names, set);
    let role = role(&family.rollout, version)
        .map(|role| format!("  {}", paint(BOLD, role)))
        .unwrap_or_default();
    let ledger = &family.rollout.status.ledger;
    let entry = ledger
        .iter()
        .find(|entry| entry.pod_template_hash == version);
    let leaves = match entry.and_then(|entry| entry.scale_down_at) {
        Some(at) if wanted > 0 => format!(", scales down {}", time::until(at, now)),
        Some(_) | None => String::new(),
    };
    let uid = text_in(set, "/metadata/uid");
    let of_this = |pod: &&Value| {
        let owners = pod
            .pointer("/metadata/ownerReferences")
            .and_then(Value::as_array);
        owners
            .into_iter()
            .flatten()
            .any(|owner| text_in(owner, "/uid") == uid)
    };
    Node {
        text: format!(
            "{} {}{role}  {}",
            paint(color, symbol),
            nodes::name(set),
            paint(DIM, &format!("{state}{leaves}"))
        ),
        children: family
            .pods
            .iter()
            .filter(of_this)
            .map(|pod| nodes::pod(pod, now))
            .collect(),
    }
}

fn newest_first<'a>(names: &ApiNames, sets: &'a [Value]) -> Vec<&'a Value> {
    let revision = |set: &Value| annotation(set, &names.revision)?.parse::<i64>().ok();
    let mut sets: Vec<&Value> = sets.iter().collect();
    sets.sort_by_key(|set| Reverse(revision(set)));
    sets
}

fn hash<'a>(names: &ApiNames, object: &'a Value) -> &'a str {
    object
        .pointer("/metadata/labels")
        .and_then(|labels| labels.get(&names.pod_template_hash))
        .and_then(Value::as_str)
        .unwrap_or_default()
}
