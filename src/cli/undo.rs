//! `tidegate undo`: back to the pod template of an earlier revision.
//!
//! Not here: how the way back goes. To the controller it is a declared template like any other.

use clap::Args;
use serde_json::{Value, json};

use super::{
    CliError,
    cluster::Cluster,
    declare::declare,
    request::ATTEMPTS,
    rollout::{Rollout, annotation},
    terminal::Terminal,
};
use crate::{api::names::ApiNames, rollout::decide::pod_template_hash};

/// Options of `tidegate undo`.
#[derive(Args, Debug)]
pub(super) struct UndoOptions {
    /// The Rollout.
    name: String,
    /// The revision to go back to, as `get` shows it; 0 is the one before the present one.
    #[arg(long, value_name = "REVISION", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    to_revision: i64,
}

/// A revision, by its ReplicaSet.
#[derive(Clone, Debug)]
struct Revision {
    number: i64,
    hash: String,
    template: Value,
}

/// Declares the earlier template.
pub(super) async fn run(
    options: &UndoOptions,
    cluster: &Cluster,
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    let name = &options.name;
    for _ in 0..ATTEMPTS {
        let rollout = cluster.rollout(name).await?;
        let sets = cluster.replica_sets(&rollout).await?;
        let target = target(&cluster.names, &rollout, &sets, options.to_revision)?;
        // What was looked at is what is changed: a template that somebody declares meanwhile is not overwritten.
        let change = json!({ "op": "replace", "path": "/spec/template", "value": target.template });
        if declare(cluster, &rollout, vec![change], "undo").await? {
            return terminal.print(&format!(
                "Rollout {name}: declared the pod template of revision {} again\n",
                target.number
            ));
        }
    }
    Err(CliError::Contended {
        name: name.clone(),
        attempts: ATTEMPTS,
    })
}

/// The revision to go back to.
fn target(
    names: &ApiNames,
    rollout: &Rollout,
    sets: &[Value],
    wanted: i64,
) -> Result<Revision, CliError> {
    if rollout.spec.template.is_none() {
        return Err(CliError::NoTemplate(rollout.name.clone()));
    }
    let present = pod_template_hash(&rollout.spec, &rollout.status);
    let mut revisions: Vec<Revision> = sets.iter().filter_map(|set| revision(names, set)).collect();
    revisions.sort_by_key(|revision| revision.number);
    let found = match wanted {
        0 => revisions.iter().rfind(|revision| revision.hash != present),
        number => revisions.iter().find(|revision| revision.number == number),
    };
    match found {
        Some(revision) if revision.hash == present => Err(CliError::PresentRevision {
            name: rollout.name.clone(),
            revision: revision.number,
        }),
        Some(revision) => Ok(revision.clone()),
        None => Err(CliError::NoRevision {
            name: rollout.name.clone(),
            wanted: match wanted {
                0 => "no revision before the present one".to_owned(),
                number => format!("no revision {number}"),
            },
            known: revisions
                .iter()
                .map(|revision| revision.number.to_string())
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// What a ReplicaSet says. Its own template, which has the server's defaults, only where the declared one was not kept.
fn revision(names: &ApiNames, set: &Value) -> Option<Revision> {
    let hash = set
        .pointer("/metadata/labels")?
        .get(&names.pod_template_hash)?;
    let declared = annotation(set, &names.pod_template)
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let template = if let Some(declared) = declared {
        declared
    } else {
        let mut own = set.pointer("/spec/template")?.clone();
        let labels = own.pointer_mut("/metadata/labels");
        if let Some(labels) = labels.and_then(Value::as_object_mut) {
            labels.remove(&names.pod_template_hash);
        }
        own
    };
    Some(Revision {
        number: annotation(set, &names.revision)?.parse().ok()?,
        hash: hash.as_str()?.to_owned(),
        template,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{object::CachedObject, template_hash};

    fn template(image: &str) -> Value {
        json!({
            "metadata": { "labels": { "app": "demo" } },
            "spec": { "containers": [{ "name": "web", "image": image }] },
        })
    }

    fn rollout(spec: Value) -> Rollout {
        let mut spec = spec;
        spec["strategy"] = json!({ "canary": {} });
        let object = json!({ "metadata": { "name": "demo" }, "spec": spec });
        Rollout::read(&ApiNames::default(), &CachedObject::new(object)).unwrap()
    }

    /// As the API server stores it, with a default that nobody declared.
    fn set(number: i64, image: &str, kept: bool) -> Value {
        let names = ApiNames::default();
        let declared = template(image);
        let hash = template_hash::pod_template_hash(&declared, 0);
        let mut stored = declared.clone();
        stored["spec"]["restartPolicy"] = json!("Always");
        stored["metadata"]["labels"][&names.pod_template_hash] = json!(hash);
        let mut set = json!({
            "metadata": {
                "labels": { &names.pod_template_hash: hash },
                "annotations": { &names.revision: number.to_string() },
            },
            "spec": { "template": stored },
        });
        if kept {
            set["metadata"]["annotations"][&names.pod_template] = json!(declared.to_string());
        }
        set
    }

    fn undo(present: &str, sets: &[Value], wanted: i64) -> Result<Revision, String> {
        let rollout = rollout(json!({ "template": template(present) }));
        target(&ApiNames::default(), &rollout, sets, wanted).map_err(|error| error.to_string())
    }

    #[test]
    fn the_template_that_was_declared_comes_back_and_with_it_the_same_hash() {
        let sets = [
            set(3, "web:v3", true),
            set(1, "web:v1", true),
            set(2, "web:v2", true),
        ];
        for (present, wanted, expected) in [
            ("web:v3", 0, (2, "web:v2")),
            ("web:v3", 1, (1, "web:v1")),
            // Somebody declared another template, and the controller has not made it a revision yet.
            ("web:v4", 0, (3, "web:v3")),
            ("web:v1", 0, (3, "web:v3")),
        ] {
            let (number, image) = expected;
            let found = undo(present, &sets, wanted).unwrap();
            assert_eq!((found.number, &found.template), (number, &template(image)));
            assert_eq!(
                template_hash::pod_template_hash(&found.template, 0),
                found.hash
            );
        }
    }

    #[test]
    fn where_it_was_not_kept_the_replica_sets_own_is_taken_without_our_label() {
        let mut expected = template("web:v1");
        expected["spec"]["restartPolicy"] = json!("Always");
        let sets = [set(1, "web:v1", false), set(2, "web:v2", false)];
        assert_eq!(undo("web:v2", &sets, 0).unwrap().template, expected);
    }

    #[test]
    fn what_cannot_be_gone_back_to_is_said() {
        let sets = [set(2, "web:v2", true), set(1, "web:v1", true)];
        for (sets, wanted, says) in [
            (&sets[..], 7, "Rollout demo has no revision 7; it has 1, 2"),
            (
                &sets[..],
                2,
                "Rollout demo is at revision 2 already: spec.template is as it was then",
            ),
            (
                &sets[..1],
                0,
                "Rollout demo has no revision before the present one; it has 2",
            ),
        ] {
            assert_eq!(undo("web:v2", sets, wanted).unwrap_err(), says);
        }
        let elsewhere = rollout(json!({ "workloadRef": { "name": "demo" } }));
        let refused = target(&ApiNames::default(), &elsewhere, &sets, 0).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "Rollout demo takes its pod template from spec.workloadRef; change it there"
        );
    }
}
