//! Every file in `examples/` is one that a person can apply: nothing in it is unknown or refused, what it names is there,
//! and each analysis makes a run that can be measured. Whether the API server takes them is in `cluster`.

use std::{collections::BTreeMap, fs, path::PathBuf};

use k8s_openapi::api::{core::v1::Service, networking::v1::Ingress};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tidegate::{
    analysis::{
        plan::plan,
        render::{self, Additions, RunRequest, Template},
    },
    api::{
        analysis::{AnalysisRunSpec, AnalysisTemplateSpec},
        rollout::RolloutSpec,
        strategy::Declared,
        traffic_routing::TrafficRouting,
    },
    rollout::decide::validate,
};

/// The examples: each is a folder.
pub fn folders() -> Vec<PathBuf> {
    let all = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"));
    let mut folders: Vec<PathBuf> = fs::read_dir(all)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

/// The objects of an example by kind and name.
fn objects(folder: &PathBuf) -> BTreeMap<(String, String), Value> {
    let mut objects = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        for object in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            let of = |path: &str| object.pointer(path).unwrap().as_str().unwrap().to_owned();
            objects.insert((of("/kind"), of("/metadata/name")), object);
        }
    }
    objects
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Reads a value and checks that nothing in it was passed over.
fn read<T: DeserializeOwned + Serialize>(value: &Value, at: &str) -> T {
    let read: T = serde_json::from_value(value.clone()).unwrap();
    assert_kept(value, &json!(read), at);
    read
}

fn assert_kept(written: &Value, kept: &Value, at: &str) {
    match written {
        Value::Object(fields) => {
            for (name, field) in fields {
                let kept = kept.get(name);
                let kept = kept.unwrap_or_else(|| panic!("{at}.{name} is unknown, or a default"));
                assert_kept(field, kept, &format!("{at}.{name}"));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                assert_kept(item, &kept[index], &format!("{at}[{index}]"));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            assert_eq!(written, kept, "{at}");
        }
    }
}

#[test]
fn every_object_is_of_a_kind_that_is_read_here_and_has_no_unknown_field() {
    for folder in folders() {
        for ((kind, name), object) in objects(&folder) {
            let at = format!("{}: {kind} {name}", folder.display());
            match kind.as_str() {
                "Rollout" => drop(read::<RolloutSpec>(&object["spec"], &at)),
                "AnalysisTemplate" => drop(read::<AnalysisTemplateSpec>(&object["spec"], &at)),
                "Service" => drop(read::<Service>(&object, &at)),
                "Ingress" => drop(read::<Ingress>(&object, &at)),
                // Its types are not here: `cluster` shows it to the server, which knows them.
                "HTTPRoute" => {}
                _ => panic!("{at}: teach this test to read it"),
            }
        }
    }
}

/// The Rollout of an example.
fn rollout(folder: &PathBuf) -> (Value, RolloutSpec) {
    let objects = objects(folder);
    let mut rollouts = objects.iter().filter(|((kind, _), _)| kind == "Rollout");
    let (_, object) = rollouts.next().unwrap();
    assert!(rollouts.next().is_none(), "{}", folder.display());
    (object.clone(), read(&object["spec"], "spec"))
}

#[test]
fn no_rollout_is_refused() {
    for folder in folders() {
        assert_eq!(
            validate(&rollout(&folder).1),
            Ok(()),
            "{}",
            folder.display()
        );
    }
}

#[test]
fn every_service_and_ingress_that_a_rollout_names_is_there_and_fits() {
    for folder in folders() {
        let objects = objects(&folder);
        let at = folder.display();
        let (_, spec) = rollout(&folder);
        let labels = json!(spec.template.clone().unwrap().labels());
        let find = |kind: &str, name: &str| {
            let key = (kind.to_owned(), name.to_owned());
            objects
                .get(&key)
                .unwrap_or_else(|| panic!("{at}: {kind} {name} is missing"))
        };
        let declared = spec.strategy.declared().unwrap();
        for (_, service) in declared.services() {
            let selector = &find("Service", service)["spec"]["selector"];
            assert_kept(selector, &labels, &format!("{at}: Service {service}"));
        }
        let canary = match declared {
            Declared::Canary(canary) => canary,
            Declared::BlueGreen(blue_green) => {
                let leads_to = |ingress: &Value| {
                    text(ingress, "/spec/rules/0/http/paths/0/backend/service/name").to_owned()
                };
                let ingresses = objects.iter().filter(|((kind, _), _)| kind == "Ingress");
                let led: Vec<String> = ingresses.map(|(_, ingress)| leads_to(ingress)).collect();
                assert!(led.contains(&blue_green.active_service), "{at}: {led:?}");
                continue;
            }
        };
        let nginx = canary
            .traffic_routing
            .iter()
            .flat_map(|routing| &routing.nginx);
        for ingress in nginx.flat_map(|nginx| nginx.ingresses()) {
            let backend = "/spec/rules/0/http/paths/0/backend/service/name";
            let leads_to = text(find("Ingress", ingress), backend);
            assert_eq!(Some(leads_to), canary.stable_service.as_deref(), "{at}");
        }
        for target in canary
            .traffic_routing
            .iter()
            .flat_map(TrafficRouting::routes)
        {
            let route = find(target.kind.name(), target.name);
            for (place, service) in [(0, &canary.stable_service), (1, &canary.canary_service)] {
                let backend = format!("/spec/rules/0/backendRefs/{place}/name");
                assert_eq!(Some(text(route, &backend)), service.as_deref(), "{at}");
            }
        }
    }
}

#[test]
fn every_analysis_makes_a_run_that_can_be_measured() {
    let mut seen = 0;
    for folder in folders() {
        let objects = objects(&folder);
        let (mut object, spec) = rollout(&folder);
        object["metadata"]["namespace"] = json!("shop");
        for (field, analysis) in spec.strategy.declared().unwrap().analyses() {
            // Only the one in the background may go on as long as the update does.
            let must_end = field != "analysis";
            let name = &analysis.templates[0].template_name;
            let template = &objects[&("AnalysisTemplate".to_owned(), name.clone())];
            let request = RunRequest {
                api_version: "tidegate.dev/v1alpha1",
                name: "run",
                namespace: "shop",
                owner: json!({}),
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                additions: Additions::from(&analysis),
                templates: &[Template {
                    shown: name.clone(),
                    spec: read(&template["spec"], name),
                }],
                subject: &object,
                stable_hash: Some("old"),
                latest_hash: Some("new"),
                must_end,
            };
            let run = render::analysis_run(&request).unwrap();
            let run: AnalysisRunSpec = serde_json::from_value(run["spec"].clone()).unwrap();
            let metrics = plan(&run).unwrap();
            for metric in metrics {
                let query = metric.source.shown().unwrap();
                for label in [r#"namespace="shop""#, r#"rs_hash="new""#] {
                    assert!(query.contains(label), "{name}: {query}");
                }
                seen += 1;
            }
        }
    }
    assert!(seen > 0);
}

#[test]
fn every_file_says_what_it_is_for() {
    for folder in folders() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            assert!(
                text.starts_with("# "),
                "{} begins without a comment",
                path.display()
            );
        }
    }
}
