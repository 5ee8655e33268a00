use super::*;

#[expect(
    clippy::needless_pass_by_value,
    reason = "reads better with json! at the call"
)]
fn template(args: Value, metric: Value) -> Template {
    let mut metrics = json!([{
        "name": "errors",
        "successCondition": "result[0] < 0.05",
        "provider": {"prometheus": {"query": "errors"}},
    }]);
    for (key, value) in metric.as_object().expect("an object") {
        metrics[0][key] = value.clone();
    }
    let spec = json!({"args": args, "metrics": metrics});
    Template {
        shown: "AnalysisTemplate \"errors\"".into(),
        spec: serde_json::from_value(testbed::heard("AnalysisTemplate", spec)).expect("a template"),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "reads better with json! at the call"
)]
fn analysis(value: Value) -> RolloutAnalysis {
    let spec = json!({"strategy": {"canary": {"steps": [{"analysis": value}]}}});
    let mut spec = testbed::heard("Rollout", spec);
    let value = spec["strategy"]["canary"]["steps"][0]["analysis"].take();
    serde_json::from_value(value).expect("an analysis")
}

fn run(
    analysis: &RolloutAnalysis,
    templates: &[Template],
    must_end: bool,
) -> Result<Value, RenderError> {
    let rollout =
        json!({"metadata": {"name": "shop", "labels": {"env": "prod"}}, "spec": {"replicas": 5}});
    analysis_run(&RunRequest {
        api_version: "tidegate.dev/v1alpha1",
        name: "shop-abc-2-1",
        namespace: "default",
        owner: json!({"kind": "Rollout", "name": "shop", "uid": "u"}),
        labels: [("rollout-type".to_owned(), "Step".to_owned())].into(),
        annotations: BTreeMap::new(),
        additions: Additions::from(analysis),
        templates,
        subject: &rollout,
        stable_hash: None,
        latest_hash: Some("abc"),
        must_end,
    })
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "reads better with json! at the call"
)]
fn args(template_args: Value, rollout_args: Value) -> Result<Value, String> {
    run(
        &analysis(json!({"args": rollout_args})),
        &[template(template_args, json!({}))],
        true,
    )
    .map(|run| run["spec"]["args"].clone())
    .map_err(|error| error.to_string())
}

#[test]
fn a_run_is_a_snapshot_of_its_template() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.steps[].analysis.analysisRunMetadata",
        "spec.strategy.canary.steps[].analysis.analysisRunMetadata.labels",
        "spec.strategy.canary.steps[].analysis.analysisRunMetadata.annotations",
    ]);
    let analysis = analysis(json!({
        "dryRun": [{"metricName": "errors"}],
        "analysisRunMetadata": {"labels": {"team": "a", "rollout-type": "mine"}, "annotations": {"note": "x"}},
    }));
    let run = run(&analysis, &[template(json!([]), json!({"count": 1}))], true).unwrap();
    assert_eq!(
        run,
        json!({
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "AnalysisRun",
            "metadata": {
                "name": "shop-abc-2-1",
                "namespace": "default",
                "ownerReferences": [{"kind": "Rollout", "name": "shop", "uid": "u"}],
                "labels": {"rollout-type": "Step", "team": "a"},
                "annotations": {"note": "x"},
            },
            "spec": {
                "metrics": [{
                    "name": "errors",
                    "count": 1,
                    "successCondition": "result[0] < 0.05",
                    "provider": {"prometheus": {"query": "errors"}},
                }],
                "dryRun": [{"metricName": "errors"}],
            },
        })
    );
}

#[test]
fn arguments_come_from_the_rollout_else_from_the_template() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.steps[].analysis.args[].valueFrom",
        "spec.strategy.canary.steps[].analysis.args[].valueFrom.podTemplateHashValue",
        "spec.strategy.canary.steps[].analysis.args[].valueFrom.fieldRef",
        "spec.strategy.canary.steps[].analysis.args[].valueFrom.fieldRef.fieldPath",
        "AnalysisTemplate spec.args[].valueFrom.fieldRef",
        "AnalysisTemplate spec.args[].valueFrom.fieldRef.fieldPath",
    ]);
    let from = |from: Value| json!([{"name": "a", "valueFrom": from}]);
    let declared = json!([{"name": "a"}]);
    let secret = from(json!({"secretKeyRef": {"name": "s", "key": "k"}}));
    for (template_args, rollout_args, expected) in [
        (
            declared.clone(),
            json!([{"name": "a", "value": "1"}]),
            Ok(json!([{"name": "a", "value": "1"}])),
        ),
        (
            json!([{"name": "a", "value": "0"}]),
            json!([]),
            Ok(json!([{"name": "a", "value": "0"}])),
        ),
        (
            json!([{"name": "a", "value": "0"}]),
            json!([{"name": "a", "value": "1"}]),
            Ok(json!([{"name": "a", "value": "1"}])),
        ),
        (
            declared.clone(),
            from(json!({"podTemplateHashValue": "Latest"})),
            Ok(json!([{"name": "a", "value": "abc"}])),
        ),
        (
            declared.clone(),
            from(json!({"fieldRef": {"fieldPath": "metadata.labels['env']"}})),
            Ok(json!([{"name": "a", "value": "prod"}])),
        ),
        (
            from(json!({"fieldRef": {"fieldPath": "spec.replicas"}})),
            json!([]),
            Ok(json!([{"name": "a", "value": "5"}])),
        ),
        (secret.clone(), json!([]), Ok(secret.clone())),
        (
            declared.clone(),
            json!([{"name": "a", "value": "1"}, {"name": "not-declared", "value": "2"}]),
            Ok(json!([{"name": "a", "value": "1"}])),
        ),
        (
            declared.clone(),
            json!([]),
            Err(
                "argument \"a\" of AnalysisTemplate \"errors\" has no value; give it one in the args of whatever uses the template",
            ),
        ),
        (
            declared.clone(),
            from(json!({"podTemplateHashValue": "Stable"})),
            Err(
                "argument \"a\" asks for the pod template hash of the stable version, but there is none yet",
            ),
        ),
        (
            declared.clone(),
            from(json!({"fieldRef": {"fieldPath": "spec.x"}})),
            Err(
                "argument \"a\" cannot be read: field path \"spec.x\" leads nowhere: there is no \"x\"",
            ),
        ),
        (
            declared.clone(),
            from(json!({})),
            Err("argument \"a\" needs exactly one of value and valueFrom with one source"),
        ),
    ] {
        let found = args(template_args.clone(), rollout_args.clone());
        assert_eq!(
            found,
            expected.map_err(str::to_owned),
            "{template_args} {rollout_args}"
        );
    }
}

#[test]
fn what_could_not_run_is_refused() {
    let many: Vec<Value> = (0..51)
        .map(|index| json!({"name": format!("a{index}"), "value": ""}))
        .collect();
    for (templates, error) in [
        (
            vec![],
            "the analysis names no template; no data is never a success: name one in templates",
        ),
        (
            vec![template(json!([]), json!({"interval": "soon"}))],
            "AnalysisTemplate \"errors\" cannot be used: spec.metrics[0].interval: \"soon\" is not a duration; write something like \"30s\", \"5m\" or \"1h30m\"",
        ),
        (
            vec![template(json!([]), json!({"interval": "1m"}))],
            "metric \"errors\" of AnalysisTemplate \"errors\" has an interval but no count, so this analysis would never end; set count (or consecutiveSuccessLimit)",
        ),
        (
            vec![template(json!(many), json!({}))],
            "AnalysisTemplate \"errors\" cannot be used: spec.args: there are 51 entries; at most 50 are allowed",
        ),
        (
            vec![named("none", json!({}))],
            "AnalysisTemplate none cannot be used: spec.metrics: there is no metric: no data is never a success; add one",
        ),
    ] {
        let found =
            run(&RolloutAnalysis::default(), &templates, true).map_err(|error| error.to_string());
        assert_eq!(found, Err(error.to_owned()));
    }
}

/// A template of this name with these fields.
fn named(name: &str, spec: Value) -> Template {
    Template {
        shown: format!("AnalysisTemplate {name}"),
        spec: serde_json::from_value(spec).expect("a template"),
    }
}

fn metric(name: &str, query: &str) -> Value {
    json!({"name": name, "provider": {"prometheus": {"query": query}}})
}

#[test]
fn several_templates_make_one_run() {
    let _covers = testbed::covers(&[
        "spec.strategy.canary.steps[].analysis.dryRun",
        "spec.strategy.canary.steps[].analysis.dryRun[].metricName",
        "spec.strategy.canary.steps[].analysis.measurementRetention",
        "spec.strategy.canary.steps[].analysis.measurementRetention[].metricName",
        "spec.strategy.canary.steps[].analysis.measurementRetention[].limit",
        "spec.strategy.canary.steps[].analysis.args",
        "spec.strategy.canary.steps[].analysis.args[].name",
        "spec.strategy.canary.steps[].analysis.args[].value",
    ]);
    let templates = [
        named(
            "a",
            json!({
                "metrics": [metric("errors", "errors{s=\"{{args.service}}\"}"), metric("busy", "busy")],
                "args": [{"name": "service"}, {"name": "shared", "value": "1"}],
                "dryRun": [{"metricName": "busy"}],
                "measurementRetention": [{"metricName": "errors", "limit": 20}],
            }),
        ),
        named(
            "b",
            json!({
                "metrics": [metric("latency", "latency{s=\"{{args.service}}\"} > {{args.shared}}")],
                "args": [{"name": "shared", "value": "1"}, {"name": "service", "value": "default"}, {"name": "own", "value": "x"}],
                "dryRun": [{"metricName": "busy"}, {"metricName": "latency"}],
            }),
        ),
    ];
    let analysis = analysis(json!({
        "dryRun": [{"metricName": "errors"}],
        "measurementRetention": [{"metricName": "errors", "limit": 5}],
        "args": [{"name": "own", "value": "y"}],
    }));
    let run = run(&analysis, &templates, true).unwrap();
    assert_eq!(
        run["spec"],
        json!({
            "metrics": [
                metric("errors", "errors{s=\"{{args.service}}\"}"),
                metric("busy", "busy"),
                metric("latency", "latency{s=\"{{args.service}}\"} > {{args.shared}}"),
            ],
            "args": [
                {"name": "service", "value": "default"},
                {"name": "shared", "value": "1"},
                {"name": "own", "value": "y"},
            ],
            "dryRun": [{"metricName": "busy"}, {"metricName": "latency"}, {"metricName": "errors"}],
            "measurementRetention": [{"metricName": "errors", "limit": 5}],
        })
    );
}

#[test]
fn templates_that_do_not_fit_together_are_refused() {
    let secret =
        |key: &str| json!({"name": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": key}}});
    let with = |name: &str, argument: Value| {
        named(
            name,
            json!({"metrics": [metric(name, "up")], "args": [argument]}),
        )
    };
    for (first, second, error) in [
        (
            named("a", json!({"metrics": [metric("up", "1")]})),
            named(
                "b",
                json!({"metrics": [metric("other", "1"), metric("up", "1")]}),
            ),
            "metric \"up\" is in AnalysisTemplate a and in AnalysisTemplate b; metric names are unique in an analysis, rename one",
        ),
        (
            with("a", json!({"name": "x", "value": "1"})),
            with("b", json!({"name": "x", "value": "2"})),
            "argument \"x\" has different defaults in AnalysisTemplate a and AnalysisTemplate b; make them the same, or rename one",
        ),
        (
            with("a", secret("k")),
            with("b", secret("l")),
            "argument \"x\" has different defaults in AnalysisTemplate a and AnalysisTemplate b; make them the same, or rename one",
        ),
        (
            with("a", json!({"name": "y", "value": "1"})),
            with("b", json!({"name": "x"})),
            "argument \"x\" of AnalysisTemplate b has no value; give it one in the args of whatever uses the template",
        ),
        (
            named("a", json!({"metrics": [metric("a", "1")]})),
            named(
                "b",
                json!({"metrics": [metric("b", "1"), metric("c", "{{args.nobody}}")]}),
            ),
            "AnalysisTemplate b cannot be used: spec.metrics[1].provider.prometheus.query: argument \"nobody\" is not declared; add it to args",
        ),
        (
            named(
                "a",
                json!({"metrics": [metric("a", "1")], "dryRun": [{"metricName": "typo"}]}),
            ),
            named("b", json!({"metrics": [metric("b", "")]})),
            "AnalysisTemplate a, AnalysisTemplate b cannot be used: spec.dryRun[0].metricName: \"typo\" matches the name of no metric. \
             AnalysisTemplate b cannot be used: spec.metrics[0].provider.prometheus.query: it is missing; give a PromQL query",
        ),
        (
            named("a", json!({"metrics": [metric("a", "1")]})),
            named(
                "b",
                json!({"metrics": [{"name": "b", "interval": "1m", "provider": {"prometheus": {"query": "1"}}}]}),
            ),
            "metric \"b\" of AnalysisTemplate b has an interval but no count, so this analysis would never end; set count (or consecutiveSuccessLimit)",
        ),
    ] {
        let found = run(&RolloutAnalysis::default(), &[first, second], true)
            .map_err(|error| error.to_string());
        assert_eq!(found, Err(error.to_owned()));
    }
}

#[test]
fn a_background_analysis_may_be_without_end() {
    let endless = template(json!([]), json!({"interval": "1m"}));
    assert!(run(&RolloutAnalysis::default(), &[endless], false).is_ok());
}
