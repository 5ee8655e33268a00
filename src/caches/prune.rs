//! What caches keep of an object: what decisions read, and nothing else.
//!
//! Not here: Rollouts, AnalysisRuns, Experiments and templates are kept whole but for their managed fields.

use serde_json::{Map, Value, json};

use crate::api::{
    ephemeral_metadata::EphemeralMetadata,
    names::{
        ANTI_AFFINITY, EPHEMERAL_METADATA, FIELD_MANAGER, POD_TEMPLATE, REPLICAS_AT_REST,
        is_hash_label,
    },
    template_hash,
};

// `service`, `ingress` and `route` leave the manager that last wrote the fields we share with others under `x-written-by`.
#[cfg(test)]
const WRITTEN_BY: &str = "/x-written-by";

/// What `kubectl apply` keeps in the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn remove_noise(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.remove(LAST_APPLIED);
        }
    }
}

/// Everything but managed fields.
pub(super) fn metadata(object: &mut Value) {
    remove_noise(object);
}

/// Metadata, size and counts; of the pod template only the hash.
pub(super) fn replica_set(object: &mut Value) {
    remove_noise(object);
    let stored = stored_hash(object);
    let metadata = object
        .pointer_mut("/spec/template/metadata")
        .map(Value::take);
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|key, _| key == "replicas");
        spec.extend(
            metadata.map(|metadata| ("template".to_owned(), json!({ "metadata": metadata }))),
        );
    }
    object["x-stored-hash"] = stored.into();
    let annotations = object.pointer_mut("/metadata/annotations");
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !key.ends_with(POD_TEMPLATE));
    }
}

/// The hash of the pod template as the server shows it, without what is ours: what a workload's template is compared with.
fn stored_hash(object: &Value) -> String {
    let mut template = object
        .pointer("/spec/template")
        .cloned()
        .unwrap_or_default();
    let annotation = |end: &str| {
        let annotations = object.pointer("/metadata/annotations")?.as_object()?;
        let (_, value) = annotations.iter().find(|(key, _)| key.ends_with(end))?;
        value.as_str()
    };
    if let Some(ephemeral) = annotation(EPHEMERAL_METADATA).and_then(EphemeralMetadata::read) {
        json_patch::merge(&mut template, &json!({ "metadata": ephemeral.removal() }));
    }
    let rules = annotation(ANTI_AFFINITY).and_then(|text| serde_json::from_str::<Value>(text).ok());
    for (list, rules) in rules
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let terms = template.pointer_mut(&format!("/spec/affinity/podAntiAffinity/{list}"));
        if let Some(terms) = terms.and_then(Value::as_array_mut) {
            terms.retain(|term| !rules.as_array().is_some_and(|rules| rules.contains(term)));
        }
    }
    if let Some(labels) = template
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut)
    {
        labels.retain(|key, _| !is_hash_label(key));
    }
    template_hash::pod_template_hash(&template, 0)
}

/// Of a Deployment, ReplicaSet or PodTemplate: the pod template, the selector, the size and our marks.
pub(super) fn workload(object: &mut Value) {
    remove_noise(object);
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|key, _| ["template", "selector", "replicas"].contains(&key.as_str()));
    }
    let annotations = object.pointer_mut("/metadata/annotations");
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.retain(|key, _| key.ends_with(REPLICAS_AT_REST));
    }
}

/// Of a Deployment that is marked: whose it is and how large.
pub(super) fn marked_workload(object: &mut Value) {
    workload(object);
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|key, _| key == "replicas");
    }
}

/// Metadata, selector and type, and who wrote the selector last.
pub(super) fn service(object: &mut Value) {
    let by = last_writer(object, &["f:spec", "f:selector"]);
    remove_noise(object);
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|key, _| key == "selector" || key == "type");
    }
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
        object.insert("x-written-by".to_owned(), json!(by));
    }
}

/// Everything but the status, and who wrote the annotations last.
pub(super) fn ingress(object: &mut Value) {
    let by = weight_writer(object);
    remove_noise(object);
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
        object.insert("x-written-by".to_owned(), json!(by));
    }
}

/// Metadata, rules, what Gateways say, and who wrote the rules last.
pub(super) fn route(object: &mut Value) {
    let by = last_writer(object, &["f:spec", "f:rules"]);
    let applied = object
        .pointer("/metadata/annotations")
        .is_some_and(|annotations| annotations.get(LAST_APPLIED).is_some());
    remove_noise(object);
    if applied {
        // Its text is of no use, but a patch of the annotations has to know that there are others.
        object["metadata"]["annotations"][LAST_APPLIED] = json!("");
    }
    for (part, keep) in [("spec", "rules"), ("status", "parents")] {
        if let Some(part) = object.get_mut(part).and_then(Value::as_object_mut) {
            part.retain(|key, _| key == keep);
        }
    }
    if let Some(object) = object.as_object_mut() {
        object.insert("x-written-by".to_owned(), json!(by));
    }
}

/// Metadata and conditions of a metric's Job.
pub(super) fn job(object: &mut Value) {
    remove_noise(object);
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.retain(|key, _| key == "conditions");
    }
    if let Some(object) = object.as_object_mut() {
        object.remove("spec");
    }
}

/// Metadata of a pod, and for what its containers wait.
pub(super) fn job_pod(object: &mut Value) {
    remove_noise(object);
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.retain(|key, _| key == "initContainerStatuses" || key == "containerStatuses");
    }
    if let Some(object) = object.as_object_mut() {
        object.remove("spec");
    }
}

/// Which pods are behind the Service, and whether they take requests.
pub(super) fn endpoint_slice(object: &mut Value) {
    remove_noise(object);
    let endpoints: Vec<Value> = object
        .get("endpoints")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|endpoint| json!({ "conditions": endpoint.get("conditions"), "pod": endpoint.pointer("/targetRef/name") }))
        .collect();
    let labels = object
        .pointer("/metadata/labels/kubernetes.io~1service-name")
        .cloned();
    let metadata = object.get("metadata").cloned().unwrap_or_default();
    let keep: Map<String, Value> = ["name", "namespace", "uid", "resourceVersion"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), metadata.get(key)?.clone())))
        .chain([(
            "labels".to_owned(),
            json!({ "kubernetes.io/service-name": labels }),
        )])
        .collect();
    *object = json!({ "metadata": keep, "endpoints": endpoints });
}

/// The manager with the newest entry that owns the field, unless that is us.
fn last_writer(object: &Value, path: &[&str]) -> Option<String> {
    let entries = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)?;
    let owns = |entry: &&Value| {
        let fields = entry.get("fieldsV1");
        path.iter()
            .try_fold(fields?, |fields, key| fields.get(*key))
            .is_some()
            .then_some(())
    };
    let newest = entries
        .iter()
        .filter(|entry| owns(entry).is_some())
        .max_by_key(|entry| entry.get("time").and_then(Value::as_str))?;
    let manager = newest.get("manager").and_then(Value::as_str)?;
    (manager != FIELD_MANAGER).then(|| manager.to_owned())
}

/// The manager that owns a canary weight, unless that is us. By the very field: entries of one second cannot be ordered by time.
fn weight_writer(object: &Value) -> Option<String> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let owns = |entry: &&Value| {
        let annotations = entry.pointer("/fieldsV1/f:metadata/f:annotations");
        annotations
            .and_then(Value::as_object)
            .is_some_and(|fields| fields.keys().any(|key| key.ends_with("/canary-weight")))
    };
    let managers = entries.iter().filter(owns);
    managers
        .filter_map(|entry| entry.get("manager").and_then(Value::as_str))
        .find(|manager| *manager != FIELD_MANAGER)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_the_weight_is_named_also_within_our_second() {
        let weight = json!({"f:metadata": {"f:annotations": {"f:nginx.ingress.kubernetes.io/canary-weight": {}}}});
        let entries = json!([
            {"manager": "somebody", "time": "2026-01-01T00:00:01Z", "fieldsV1": weight},
            {"manager": "tidegate", "time": "2026-01-01T00:00:01Z", "fieldsV1": {"f:metadata": {"f:annotations": {"f:other": {}}}}},
        ]);
        let mut object = json!({"metadata": {"managedFields": entries}, "spec": {}});
        ingress(&mut object);
        assert_eq!(object.pointer(WRITTEN_BY), Some(&json!("somebody")));
    }

    fn service_written_by(entries: &Value) -> Value {
        let mut object = json!({"metadata": {"name": "s", "managedFields": entries}, "spec": {"selector": {"a": "b"}, "type": "ClusterIP", "ports": []}});
        service(&mut object);
        object.pointer(WRITTEN_BY).cloned().unwrap_or_default()
    }

    #[test]
    fn the_newest_writer_of_the_selector_is_named() {
        let selector = json!({"f:spec": {"f:selector": {}}});
        let entries = json!([
            {"manager": "tidegate", "time": "2026-01-01T00:00:01Z", "fieldsV1": {"f:spec": {"f:selector": {"f:x": {}}}}},
            {"manager": "argocd", "time": "2026-01-01T00:00:02Z", "fieldsV1": selector},
            {"manager": "kubectl", "time": "2026-01-01T00:00:03Z", "fieldsV1": {"f:spec": {"f:ports": {}}}},
        ]);
        assert_eq!(service_written_by(&entries), json!("argocd"));
    }

    #[test]
    fn a_route_shows_that_it_has_annotations_of_others() {
        let mut object = json!({
            "metadata": {"annotations": {LAST_APPLIED: "a long text"}, "managedFields": []},
            "spec": {"rules": [], "hostnames": ["a"]},
            "status": {"parents": []},
        });
        route(&mut object);
        let expected = json!({
            "metadata": {"annotations": {LAST_APPLIED: ""}},
            "spec": {"rules": []},
            "status": {"parents": []},
            "x-written-by": null,
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn of_a_replica_sets_pod_template_metadata_and_hash_are_kept() {
        let names = crate::api::names::ApiNames::default();
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"hostname": "a"}});
        let mut object = json!({
            "metadata": {"annotations": {&names.pod_template: "{}", &names.revision: "1"}},
            "spec": {"replicas": 1, "template": template},
        });
        replica_set(&mut object);
        let expected = json!({
            "metadata": {"annotations": {&names.revision: "1"}},
            "spec": {"replicas": 1, "template": {"metadata": {"labels": {"a": "b"}}}},
            "x-stored-hash": template_hash::pod_template_hash(&template, 0),
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn what_we_have_added_to_a_pod_template_is_no_part_of_its_hash() {
        let names = crate::api::names::ApiNames::default();
        let declared = json!({"metadata": {"labels": {"a": "b", "role": "declared"}}, "spec": {"hostname": "a"}});
        let rule = json!({"topologyKey": "node"});
        let mut shown = declared.clone();
        shown["metadata"]["labels"] =
            json!({"a": "b", "role": "canary", &names.pod_template_hash: "x"});
        shown["spec"]["affinity"] = json!({"podAntiAffinity": {"required": [rule]}});
        let ephemeral =
            json!({"labels": {"role": "canary"}, "declaredLabels": {"role": "declared"}});
        let mut object = json!({
            "metadata": {"annotations": {
                &names.ephemeral_metadata: ephemeral.to_string(),
                &names.anti_affinity: json!({"required": [rule]}).to_string(),
            }},
            "spec": {"template": shown},
        });
        replica_set(&mut object);
        assert_eq!(
            object["x-stored-hash"],
            json!(template_hash::pod_template_hash(&declared, 0))
        );
    }

    #[test]
    fn our_own_writes_name_nobody() {
        let entries = json!([{"manager": "tidegate", "time": "2026-01-01T00:00:01Z", "fieldsV1": {"f:spec": {"f:selector": {}}}}]);
        assert_eq!(service_written_by(&entries), Value::Null);
    }
}
