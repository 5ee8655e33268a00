//! Releases in clusters that are not quiet: traffic that is counted, pods and nodes that break, autoscalers, GitOps agents.
//!
//! Here it is shown that a release comes to its end and that nobody loses a request because of us. Not here: faults of the
//! server and of the process.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tidegate::{
    analysis::judge::MetricValue,
    api::request::Verb,
    sim::{
        actors::{Due, gitops, nodes, person, turns::Turn},
        nature::{Entry, Mood, Nature, Span},
        store::Key,
        traffic::{Counters, Load, rate::Rate},
    },
};

use super::{
    run::{self, Beat, Get, Outcome, Same, Scenario, Stage},
    scenarios::manifests,
    trouble,
};

/// Requests per second.
const RATE: f64 = 50.0;

fn route() -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "web"},
        "spec": {"parentRefs": [{"name": "gateway"}], "rules": [{"backendRefs": [
            {"name": "web-stable", "port": 80, "weight": 100}, {"name": "web-canary", "port": 80, "weight": 0},
        ]}]},
    })
}

/// The share of errors of the new version, three times in ten seconds.
fn template() -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "errors"},
        "spec": {"args": [{"name": "hash"}], "metrics": [{
            "name": "errors", "interval": "5s", "count": 3, "successCondition": "result[0] < 0.05",
            "provider": {"prometheus": {"query": "error_ratio{revision=\"{{args.hash}}\"}[30s]"}},
        }]},
    })
}

fn strategy(more: &Value) -> Value {
    let mut canary = json!({
        "stableService": "web-stable", "canaryService": "web-canary",
        "trafficRouting": {"gatewayAPI": {"httpRoutes": [{"name": "web"}]}},
        "scaleDownDelaySeconds": 10, "abortScaleDownDelaySeconds": 10,
        "steps": [
            {"setWeight": 20}, {"pause": {"duration": "20s"}},
            {"analysis": {"templates": [{"templateName": "errors"}], "args": [
                {"name": "hash", "valueFrom": {"podTemplateHashValue": "Latest"}},
            ]}},
            {"setWeight": 60}, {"pause": {"duration": "20s"}},
        ],
    });
    json_patch::merge(&mut canary, more);
    json!({ "canary": canary })
}

fn apply(stage: &Stage, more: &Value) {
    stage.create(manifests::service("web-stable"));
    stage.create(manifests::service("web-canary"));
    stage.create(route());
    stage.create(template());
    stage.create(manifests::with_strategy(5, "web:1", &strategy(more)));
}

fn nature() -> Nature {
    Nature {
        entry: Entry::HttpRoute("web".to_owned()),
        load: Load {
            rate: Rate::Constant(RATE),
            ..Load::default()
        },
        ..Nature::default()
    }
}

fn is_healthy(get: Get<'_>) -> bool {
    let rollout = get("rollouts/web");
    rollout["status"]["phase"] == "Healthy"
        && rollout["status"]["observedGeneration"] == rollout["metadata"]["generation"]
}

/// Pods that go on for a while after they are told to end: a version that shrinks loses nothing then.
fn draining() -> Nature {
    Nature {
        grace: Duration::from_secs(3),
        ..nature()
    }
}

/// All of the route's weight is on the stable Service.
fn is_back(get: Get<'_>) -> bool {
    let backends = &get("httproutes/web")["spec"]["rules"][0]["backendRefs"];
    get("rollouts/web")["status"]["abort"] == true && backends[1]["weight"] == 0
}

/// The first version serves behind a route, requests come in, and then this.
fn story(name: &'static str, nature: Nature, story: Vec<Beat>) -> Scenario {
    let deployed = vec![
        Beat::Do(|stage| apply(stage, &json!({}))),
        Beat::Until("the first version", is_healthy),
        // Endpoints and proxies follow.
        Beat::Pause(Duration::from_secs(3)),
        Beat::Do(Stage::open_traffic),
    ];
    Scenario {
        name,
        nature,
        elect: false,
        same: Same::End,
        answers: Arc::new(|_| Ok(MetricValue::Vector(Vec::new()))),
        story: [deployed, story].concat(),
    }
}

fn image(image: &'static str) -> impl Fn(&Stage) {
    move |stage| stage.patch("rollouts", "web", &manifests::image(image))
}

/// Plays the story; nothing may happen that must not.
fn green(story: &Scenario, seed: u64) -> Outcome {
    let outcome = run::play(story, seed, false);
    assert_eq!(
        outcome.complaints,
        Vec::<String>::new(),
        "seed {seed}:\n{}",
        outcome.around(300)
    );
    outcome
}

fn in_all(counts: &BTreeMap<String, Counters>) -> Counters {
    let mut sum = Counters::default();
    for counters in counts.values() {
        sum.requests += counters.requests;
        sum.errors += counters.errors;
        sum.lost += counters.lost;
    }
    sum
}

#[test]
fn a_bad_version_is_caught_by_what_it_answers() {
    let story = story(
        "bad version",
        nature(),
        vec![
            Beat::Do(|stage| image("web:2-err20")(stage)),
            Beat::Until("the abort, and all weight on stable", is_back),
        ],
    );
    let outcome = green(&story, 1);
    let sum = in_all(&outcome.traffic);
    // It had 20 % of the requests for less than a minute, and failed 20 % of them.
    assert!(sum.lost == 0 && (20..120).contains(&sum.errors), "{sum:?}");
}

#[test]
fn a_good_version_goes_through_by_what_it_answers() {
    let story = story(
        "good version",
        nature(),
        vec![
            Beat::Do(|stage| image("web:2-lat50")(stage)),
            Beat::Pause(Duration::from_secs(5)),
            Beat::Until("the second version", is_healthy),
        ],
    );
    let outcome = green(&story, 1);
    let sum = in_all(&outcome.traffic);
    assert!(
        sum.lost == 0 && sum.errors == 0 && sum.requests > 5_000,
        "{sum:?}"
    );
}

#[test]
fn without_a_request_nothing_goes_through_by_its_answers() {
    let nature = Nature {
        load: Load::default(),
        ..nature()
    };
    let story = story(
        "no traffic",
        nature,
        vec![
            Beat::Do(|stage| image("web:2")(stage)),
            Beat::Until("a person to be asked", |get| {
                let rollout = get("rollouts/web");
                rollout["status"]["pauseConditions"][0]["reason"] == "InconclusiveAnalysisRun"
            }),
        ],
    );
    green(&story, 1);
}

#[test]
fn a_canary_ends_though_pods_flap_crash_and_lose_their_node() {
    let nature = Nature {
        flaps: Some(Span::millis(20_000, 90_000)),
        crashes: Some(Span::millis(60_000, 300_000)),
        ..nature()
    };
    let story = story(
        "a bad day",
        nature,
        vec![
            Beat::Do(|stage| image("web:2")(stage)),
            Beat::Pause(Duration::from_secs(12)),
            Beat::Do(|stage| {
                let mut world = stage.world();
                world.plan(Duration::ZERO, Due::Node(0, nodes::Step::Lost));
            }),
            Beat::Until("the second version to be stable", |get| {
                let status = get("rollouts/web")["status"].clone();
                status["stableRS"] == status["currentPodHash"] && status["stableRS"].is_string()
            }),
            Beat::Do(|stage| {
                let mut world = stage.world();
                world.nature.flaps = None;
                world.nature.crashes = None;
            }),
        ],
    );
    for seed in 1..=8 {
        green(&story, seed);
    }
}

#[test]
fn weights_wait_for_a_gateway_that_says_nothing() {
    let story = story(
        "silent Gateway",
        nature(),
        vec![
            Beat::Do(|stage| image("web:2")(stage)),
            Beat::Until("the first weight", |get| {
                get("httproutes/web")["spec"]["rules"][0]["backendRefs"][1]["weight"] == 20
            }),
            Beat::Do(|stage| {
                let mut world = stage.world();
                world.plan(Duration::ZERO, Due::Turn(Turn::Gateway(Mood::Refuses)));
                world.plan(
                    Duration::from_secs(90),
                    Due::Turn(Turn::Gateway(Mood::Accepts)),
                );
            }),
            Beat::Pause(Duration::from_secs(80)),
            Beat::Do(|stage| {
                let world = stage.world();
                let key = Key::new("httproutes", "default", "web");
                let weight = world
                    .store
                    .get(&key)
                    .map(|route| route["spec"]["rules"][0]["backendRefs"][1]["weight"].clone());
                // Nothing goes forward while the Gateway refuses.
                assert_eq!(weight, Some(json!(20)));
            }),
            Beat::Until("the second version", is_healthy),
        ],
    );
    green(&story, 1);
}

#[test]
fn an_agent_that_re_applies_routes_and_services_loses_no_request() {
    let story = story(
        "GitOps",
        nature(),
        vec![
            Beat::Do(|stage| {
                let manifests = vec![
                    manifests::service("web-stable"),
                    manifests::service("web-canary"),
                    manifests::with_strategy(5, "web:2", &strategy(&json!({}))),
                    route(),
                ];
                let agent = gitops::Agent {
                    every: Duration::from_secs(15),
                    manifests,
                    prunes: true,
                    ignores: Vec::new(),
                    respects_marks: false,
                };
                gitops::begin(&mut stage.world(), agent);
            }),
            Beat::Pause(Duration::from_secs(240)),
            Beat::Do(|stage| gitops::end(&mut stage.world())),
            Beat::Do(|stage| {
                // Whatever it was told, a person has it go on.
                let rollout = Key::new("rollouts", "default", "web");
                let what = person::What::Request(Verb::PromoteFull);
                person::plan(
                    &mut stage.world(),
                    Duration::from_secs(60),
                    person::Wish { rollout, what },
                );
            }),
            Beat::Until("the second version", is_healthy),
        ],
    );
    let outcome = green(&story, 1);
    assert_eq!(in_all(&outcome.traffic).lost, 0);
}

#[test]
fn an_autoscaler_grows_a_canary_under_way() {
    let story = story(
        "autoscaler",
        draining(),
        vec![
            Beat::Do(|stage| {
                stage.create(json!({
                    "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
                    "spec": {
                        "scaleTargetRef": {"apiVersion": "tidegate.dev/v1alpha1", "kind": "Rollout", "name": "web"},
                        "minReplicas": 2, "maxReplicas": 12,
                        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {
                            "type": "Utilization", "averageUtilization": 60,
                        }}}],
                    },
                }));
                image("web:2")(stage);
            }),
            Beat::Until("more replicas", |get| {
                get("rollouts/web")["spec"]["replicas"].as_i64() > Some(7)
            }),
            Beat::Until("the second version", is_healthy),
        ],
    );
    let outcome = green(&story, 1);
    assert_eq!(in_all(&outcome.traffic).lost, 0);
}

#[test]
fn whatever_a_person_asks_for_it_comes_to_an_end_and_loses_no_request() {
    let story = story(
        "a person",
        draining(),
        vec![
            Beat::Do(|stage| {
                let mut world = stage.world();
                let rollout = Key::new("rollouts", "default", "web");
                let images = ["web:2", "web:3", "web:1"].map(str::to_owned);
                let mut random = world.random.fork();
                let between = Span::millis(500, 30_000);
                for (after, wish) in person::draw(&mut random, &rollout, 8, between, &images) {
                    person::plan(&mut world, after, wish);
                }
            }),
            Beat::Pause(Duration::from_secs(300)),
        ],
    );
    for seed in 1..=8 {
        green(&story, seed);
    }
}

/// A canary whose analysis is a Job with this image.
fn checked(name: &'static str, deploy: fn(&Stage), last: Beat) -> Scenario {
    let mut story = story(
        name,
        nature(),
        vec![Beat::Do(|stage| image("web:2")(stage)), last],
    );
    story.story[0] = Beat::Do(deploy);
    story
}

fn with_job(stage: &Stage, image: &str) {
    let more = json!({"steps": [
        {"setWeight": 20}, {"analysis": {"templates": [{"templateName": "check"}]}}, {"setWeight": 60},
    ]});
    apply(stage, &more);
    stage.create(json!({
        "apiVersion": "tidegate.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "check"},
        "spec": {"metrics": [{"name": "check", "provider": {"job": {"spec": {
            "backoffLimit": 1, "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "check", "image": image}],
            }},
        }}}}]},
    }));
}

#[test]
fn a_job_says_how_a_release_ends() {
    let stories = [
        checked(
            "Job that succeeds",
            |stage| with_job(stage, "check:1-run5"),
            Beat::Until("the second version", |get| {
                is_healthy(get) && get("rollouts/web")["metadata"]["generation"] == 2
            }),
        ),
        checked(
            "Job that fails",
            |stage| with_job(stage, "check:1-fail"),
            Beat::Until("the abort, and all weight on stable", is_back),
        ),
    ];
    for story in stories {
        let outcome = green(&story, 1);
        assert_eq!(in_all(&outcome.traffic).lost, 0);
    }
}

#[test]
fn a_good_version_goes_through_whatever_breaks_meanwhile() {
    let story = story(
        "troubles",
        draining(),
        vec![
            Beat::Do(|stage| image("web:2")(stage)),
            Beat::Do(|stage| {
                let mut world = stage.world();
                let mut troubles = trouble::draw(&mut world.random.fork(), 60_000);
                troubles.retain(|trouble| !trouble.what.may_change_the_end());
                world.note(format_args!("{}", json!(troubles)));
                trouble::begin(&mut world, &troubles);
            }),
            Beat::Pause(Duration::from_secs(61)),
            Beat::Until("the second version", is_healthy),
        ],
    );
    for seed in 1..=6 {
        green(&story, seed);
    }
}
