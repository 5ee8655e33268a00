//! Services of templates.

use serde_json::json;

use super::world::{World, analyses, template, world};
use crate::{api::analysis::AnalysisPhase, experiment::snapshot::ExperimentServiceView};

fn served(name: Option<&str>) -> World {
    let mut one = template("one");
    one["service"] = json!({"name": name});
    one["replicas"] = json!(2);
    world(&json!({"templates": [one], "duration": "60s", "analyses": analyses("errors!")}))
}

#[test]
fn argo_3420_nothing_leads_to_pods_that_do_not_serve_yet() {
    let _covers = testbed::covers(&[
        "Experiment spec.templates[].service.name",
        "Experiment spec.templates[].service",
    ]);
    let mut world = served(None);
    world.settle();
    for (available, services) in [(0, 0), (1, 0), (2, 1)] {
        for set in world.sets.values_mut() {
            (set.current, set.available) = (2, available);
        }
        world.settle();
        assert_eq!(world.services.len(), services, "{available} available");
    }
    // Analyses may ask it: they wait for its endpoints too.
    assert_eq!((world.status.available_at, world.runs.len()), (None, 0));
    world.pods(2);
    assert!(world.status.available_at.is_some());
    assert_eq!(world.runs.len(), 1);
}

#[test]
fn a_service_selects_the_pods_of_its_template_alone() {
    let _covers = testbed::covers(&["Experiment spec.templates[].service.name"]);
    for (declared, name) in [(None, "exp-one"), (Some("mine"), "mine")] {
        let world = served(declared).available();
        let spec = &world.objects_of(name)["spec"];
        let hash = &world.sets["exp-one"].pod_template_hash;
        assert_eq!(
            spec["selector"],
            json!({"app": "one", "tidegate.dev/pod-template-hash": hash})
        );
        assert_eq!(
            spec["ports"],
            json!([{"name": "tcp-8080", "port": 8080, "targetPort": 8080, "protocol": "TCP"}])
        );
        assert_eq!(world.template_status(0).service_name.as_deref(), Some(name));
    }
}

#[test]
fn services_go_at_the_end_and_pods_after_them() {
    let mut world = served(None);
    world.spec["scaleDownDelaySeconds"] = json!(0);
    let mut world = world.available();
    world.ends("errors", AnalysisPhase::Failed);
    assert_eq!((world.services.len(), world.sizes()), (0, vec![2]));
    world.wait(4);
    assert_eq!(world.sizes(), [2], "proxies get their time");
    world.wait(1);
    assert_eq!(world.sizes(), [0]);
}

#[test]
fn a_service_of_somebody_else_is_never_touched() {
    let mut world = served(Some("theirs"));
    let theirs = ExperimentServiceView {
        name: "theirs".to_owned(),
        ready_endpoints: 2,
        ..ExperimentServiceView::default()
    };
    world.services.insert("theirs".to_owned(), theirs);
    world.settle();
    world.pods(2);
    assert_eq!(world.status.available_at, None);
    let message = world.template_status(0).message.clone().unwrap();
    assert!(message.contains("the name theirs to be free"), "{message}");
    world.wait(600);
    assert_eq!(world.phase(), AnalysisPhase::Failed);
    assert!(world.services.contains_key("theirs"));
}

#[test]
fn long_names_are_cut_to_what_a_service_may_have() {
    let mut one = template("one");
    one["service"] = json!({});
    let one = serde_json::from_value(one).unwrap();
    let name = super::super::service_name(&"e".repeat(70), &one).unwrap();
    assert_eq!(name.len(), 63);
    assert!(name.starts_with("eeee"), "{name}");
}

impl World {
    fn objects_of(&self, name: &str) -> &serde_json::Value {
        let found = self.services.contains_key(name);
        assert!(found, "there is no Service {name}");
        self.objects.get(name).unwrap()
    }
}
