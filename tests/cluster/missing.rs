//! What a Rollout names vanishes in the middle of an update: nothing moves forward and the new version does not shrink;
//! scaling and the abort go on, and everything goes on when it is back.

use serde_json::{Value, json};

use super::harness::{App, Controller, Rollout, SOON, World, eventually, service};

/// What vanishes.
pub struct Vanishing {
    pub plural: &'static str,
    pub name: &'static str,
    /// As it is named to people.
    pub shown: &'static str,
    /// As it is put back.
    pub object: Value,
    /// Pods of the new version at 4 replicas: its share, or what it had where its weight has vanished, too.
    pub scaled: usize,
}

fn template() -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "one"},
        "spec": {"metrics": [{
            "name": "one", "successCondition": "result[0] == 1", "provider": {"prometheus": {"query": "vector(1)"}},
        }]},
    })
}

/// At the pause before the last step, whose analysis names the template `one`.
async fn in_mid_update(namespace: &str) -> (World, Controller) {
    let world = World::new(namespace).await;
    let controller = world.controller().await;
    world.apply(&[template()]).await;
    let analysis = json!({"templates": [{"templateName": "one"}]});
    let steps =
        json!([{"setWeight": 50}, {"pause": {}}, {"analysis": analysis}, {"setWeight": 100}]);
    world.deploy(&App::canary(2, steps)).await;
    world.set_image("demo:v2").await;
    world.paused_at(1).await;
    (world, controller)
}

impl World {
    async fn scale(&self, replicas: u32) {
        let patch = json!({"spec": {"replicas": replicas}});
        self.patch("rollouts", "demo", &patch).await;
    }

    /// Waits until so many pods of each version are there: stable, new.
    async fn has_pods(&self, rollout: &Rollout, expected: (usize, usize)) {
        eventually(SOON, &format!("there are {expected:?} pods"), || async {
            let stable = self.pods_of(rollout.stable()).await.len();
            let new = self.pods_of(rollout.declared()).await.len();
            if (stable, new) == expected {
                Ok(())
            } else {
                Err(format!("{stable} and {new}"))
            }
        })
        .await;
    }

    async fn waits_for(&self, shown: &str) -> Rollout {
        let waiting = format!("{shown} to exist");
        let rollout = self
            .until(SOON, &waiting, |rollout| {
                rollout.at("/status/waitingFor") == waiting.as_str()
                    && rollout.told("ReferenceMissing").is_some()
            })
            .await;
        let told = format!("{shown} does not exist; create it or correct the spec");
        assert_eq!(rollout.told("ReferenceMissing"), Some(told.as_str()));
        rollout
    }
}

/// With the world at a first pause at step 1 of 2 replicas at half.
pub async fn everything_but_the_way_back_stops(world: &World, vanishing: Vanishing) {
    world.delete(vanishing.plural, vanishing.name).await;
    let rollout = world.waits_for(vanishing.shown).await;

    world.scale(4).await;
    world.has_pods(&rollout, (4, vanishing.scaled)).await;
    world.scale(2).await;
    world.ask(&["promote", "demo", "--no-wait"]).await;
    let rollout = world
        .until(SOON, "the promotion is answered", |rollout| {
            !rollout.at("/status/lastHandledRequest").is_null()
        })
        .await;
    assert!(rollout.step() <= 2, "nothing moves: {rollout:?}");
    world.has_pods(&rollout, (2, vanishing.scaled)).await;

    world.ask(&["abort", "demo", "--no-wait"]).await;
    assert_eq!(world.aborted().await.weight(), 0);

    world.apply(&[vanishing.object]).await;
    let rollout = world
        .until(SOON, "nothing is missing", |rollout| {
            rollout.condition("ReferenceMissing").is_none()
        })
        .await;
    world.only_pods_of(rollout.stable()).await;
    world.ask(&["retry", "demo", "--no-wait"]).await;
    world.paused_at(1).await;
    world.ask(&["promote", "demo"]).await;
    let rollout = world.healthy().await;
    world.only_pods_of(rollout.declared()).await;
    world.serves("v2").await;
}

#[tokio::test]
async fn a_canary_service_that_vanishes_stops_everything_but_the_way_back() {
    let vanishing = Vanishing {
        plural: "services",
        name: "demo-canary",
        shown: "Service demo-canary",
        object: service("demo-canary"),
        scaled: 2,
    };
    let (world, _controller) = in_mid_update("missing-service").await;
    everything_but_the_way_back_stops(&world, vanishing).await;
}

#[tokio::test]
async fn an_ingress_that_vanishes_stops_everything_but_the_way_back() {
    let namespace = "missing-ingress";
    let vanishing = Vanishing {
        plural: "ingresses",
        name: "demo",
        shown: "Ingress demo",
        object: App::canary(2, json!([])).ingress(namespace),
        scaled: 2,
    };
    let (world, _controller) = in_mid_update(namespace).await;
    everything_but_the_way_back_stops(&world, vanishing).await;
}

#[tokio::test]
async fn a_template_that_vanishes_stops_everything_but_the_way_back() {
    let vanishing = Vanishing {
        plural: "analysistemplates",
        name: "one",
        shown: "AnalysisTemplate one",
        object: template(),
        scaled: 2,
    };
    let (world, _controller) = in_mid_update("missing-template").await;
    everything_but_the_way_back_stops(&world, vanishing).await;
}

#[tokio::test]
async fn an_active_service_that_vanishes_stops_the_switch_and_not_the_abort() {
    let world = World::new("missing-active").await;
    let _controller = world.controller().await;
    let fields = json!({"autoPromotionEnabled": false});
    let app = App::blue_green(2, fields);
    let first = world.deploy(&app).await;
    world.set_image("demo:v2").await;
    world.paused_before_the_switch().await;
    world.delete("services", "demo-stable").await;
    let rollout = world.waits_for("Service demo-stable").await;
    world.scale(3).await;
    world.has_pods(&rollout, (3, 3)).await;
    world.ask(&["promote", "demo", "--no-wait"]).await;
    let rollout = world
        .until(SOON, "the promotion is answered", |rollout| {
            !rollout.at("/status/lastHandledRequest").is_null()
        })
        .await;
    assert_eq!(rollout.stable(), first.stable(), "nothing is switched");
    world.ask(&["abort", "demo", "--no-wait"]).await;
    world.aborted().await;
    world.apply(&[service("demo-stable")]).await;
    world.pinned("demo-stable", first.stable()).await;
    world.only_pods_of(first.stable()).await;
    world.ask(&["retry", "demo", "--no-wait"]).await;
    world.paused_before_the_switch().await;
    world.ask(&["promote", "demo"]).await;
    world.healthy().await;
    world.serves("v2").await;
}

/// An analysis that needs a Secret, and cannot have it. Gives what is said of that.
async fn an_analysis_without_its_secret(world: &World) -> String {
    let mut template = template();
    json_patch::merge(
        &mut template["spec"],
        &json!({
            "args": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "credentials", "key": "token"}}}],
            "metrics": [{
                "name": "one", "successCondition": "result[0] == 1", "interval": "1s", "count": 1,
                "consecutiveErrorLimit": 1000,
                "provider": {"prometheus": {"query": r#"label_replace(vector(1), "who", "{{args.token}}", "", "")"#}},
            }],
        }),
    );
    world.apply(&[template]).await;
    let analysis = json!({"templates": [{"templateName": "one"}]});
    let steps = json!([{"setWeight": 50}, {"analysis": analysis}]);
    world.deploy(&App::canary(1, steps)).await;
    world.set_image("demo:v2").await;
    let said = eventually(SOON, "it is told why there is no value", || async {
        let runs = world.list("analysisruns").await;
        let newest = runs.first().and_then(|run| {
            let measurements = run.pointer("/status/metricResults/0/measurements")?;
            measurements.as_array()?.last()?["message"].as_str()
        });
        newest.map(str::to_owned).ok_or_else(|| format!("{runs:?}"))
    })
    .await;
    let rollout = world.rollout().await;
    assert_eq!((rollout.step(), rollout.weight()), (1, 50));
    said
}

fn secret() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "credentials"},
        "stringData": {"token": "sesame"},
    })
}

#[tokio::test]
async fn a_secret_that_is_missing_is_told_and_used_when_it_is_there() {
    let world = World::new("missing-secret").await;
    let _controller = world.controller().await;
    let said = an_analysis_without_its_secret(&world).await;
    assert!(
        said.contains("Secret missing-secret/credentials: there is none; create it"),
        "{said}"
    );
    world.apply(&[secret()]).await;
    world.healthy().await;
    world.serves("v2").await;
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_told_and_used_when_it_may() {
    // The name says that the controller is refused something on purpose.
    let world = World::new("refused-secret").await;
    let _controller = world.controller().await;
    let rules = world.get("roles", "tidegate").await.unwrap()["rules"].clone();
    let others: Vec<&Value> = rules
        .as_array()
        .unwrap()
        .iter()
        .filter(|rule| rule["resources"] != json!(["secrets"]))
        .collect();
    let without = json!({"rules": others});
    world.patch("roles", "tidegate", &without).await;
    world.apply(&[secret()]).await;
    let said = an_analysis_without_its_secret(&world).await;
    assert!(
        said.contains("Secret refused-secret/credentials: the controller may not read it; allow it to get this Secret"),
        "{said}"
    );
    world
        .patch("roles", "tidegate", &json!({"rules": rules}))
        .await;
    world.healthy().await;
    world.serves("v2").await;
}
