use serde_json::{Value, json};

use super::*;

/// A run with one metric that is fine, and `change` merged over its spec.
fn spec(change: Value) -> AnalysisRunSpec {
    let mut spec = json!({
        "metrics": [metric(json!({}))],
        "args": [{"name": "service", "value": "shop"}],
    });
    merge(&mut spec, change);
    serde_json::from_value(testbed::heard("AnalysisTemplate", spec)).expect("a spec")
}

fn metric(change: Value) -> Value {
    let mut metric = json!({
        "name": "errors",
        "successCondition": "result[0] < 0.05",
        "provider": {"prometheus": {"query": "errors{service=\"{{args.service}}\"}"}},
    });
    merge(&mut metric, change);
    metric
}

fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}

fn prometheus(plan: &MetricPlan) -> &PrometheusPlan {
    match &plan.source {
        Source::Prometheus(plan) => plan,
        Source::Web(_) | Source::Job(_) => panic!("not Prometheus: {plan:?}"),
    }
}

fn problems(spec: &AnalysisRunSpec) -> Vec<String> {
    plan(spec)
        .map(drop)
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn defaults_are_those_people_know() {
    let _covers = testbed::covers(&[
        "AnalysisTemplate spec.metrics[].provider.prometheus.query",
        "AnalysisTemplate spec.metrics[].name",
    ]);
    let plan = plan(&spec(json!({}))).unwrap().remove(0);
    assert_eq!(
        (
            plan.count,
            plan.interval,
            plan.initial_delay,
            plan.failure_limit,
            plan.inconclusive_limit,
            plan.consecutive_error_limit,
            plan.consecutive_success_limit,
        ),
        (Some(1), None, Duration::ZERO, Some(0), 0, 4, None)
    );
    assert_eq!(
        (
            prometheus(&plan).timeout,
            plan.retention,
            plan.dry_run,
            plan.no_data_policy,
            plan.no_data_limit
        ),
        (
            Duration::from_secs(30),
            10,
            false,
            NoDataPolicy::Inconclusive,
            4
        )
    );
    assert_eq!(prometheus(&plan).query.shown(), "errors{service=\"shop\"}");
}

#[test]
fn fields_are_read_with_their_arguments() {
    let _covers = testbed::covers(&[
        "AnalysisTemplate spec.args",
        "AnalysisTemplate spec.args[].name",
        "AnalysisTemplate spec.args[].value",
        "AnalysisTemplate spec.metrics",
        "AnalysisTemplate spec.metrics[].interval",
        "AnalysisTemplate spec.metrics[].count",
        "AnalysisTemplate spec.metrics[].initialDelay",
        "AnalysisTemplate spec.metrics[].failureLimit",
        "AnalysisTemplate spec.metrics[].successCondition",
        "AnalysisTemplate spec.metrics[].consecutiveErrorLimit",
        "AnalysisTemplate spec.metrics[].noData",
        "AnalysisTemplate spec.metrics[].noData.policy",
        "AnalysisTemplate spec.metrics[].noData.limit",
        "AnalysisTemplate spec.dryRun",
        "AnalysisTemplate spec.dryRun[].metricName",
        "AnalysisTemplate spec.measurementRetention",
        "AnalysisTemplate spec.measurementRetention[].metricName",
        "AnalysisTemplate spec.measurementRetention[].limit",
    ]);
    let spec = spec(json!({
        "args": [{"name": "n", "value": "3"}, {"name": "wait", "value": "1m"}, {"name": "service", "value": "x"}],
        "metrics": [metric(json!({
            "interval": "{{args.wait}}", "count": "{{args.n}}", "initialDelay": "30s", "failureLimit": "1",
            "successCondition": "result[0] < {{args.n}}", "consecutiveErrorLimit": 9,
            "noData": {"policy": "hold", "limit": 7},
        }))],
        "dryRun": [{"metricName": "err.*"}],
        "measurementRetention": [{"metricName": ".*", "limit": 50}],
    }));
    let plan = plan(&spec).unwrap().remove(0);
    assert_eq!(
        (
            plan.interval,
            plan.count,
            plan.initial_delay,
            plan.failure_limit,
            plan.consecutive_error_limit
        ),
        (
            Some(Duration::from_mins(1)),
            Some(3),
            Duration::from_secs(30),
            Some(1),
            9
        )
    );
    assert_eq!((plan.dry_run, plan.retention), (true, 50));
    assert_eq!(
        (plan.no_data_policy, plan.no_data_limit),
        (NoDataPolicy::Hold, 7)
    );
    assert_eq!(plan.conditions.success.unwrap().text(), "result[0] < 3");
}

#[test]
fn a_query_says_how_it_is_asked() {
    let _covers = testbed::covers(&[
        "AnalysisTemplate spec.metrics[].provider.prometheus.address",
        "AnalysisTemplate spec.args[].valueFrom",
        "AnalysisTemplate spec.args[].valueFrom.secretKeyRef",
        "AnalysisTemplate spec.args[].valueFrom.secretKeyRef.name",
        "AnalysisTemplate spec.args[].valueFrom.secretKeyRef.key",
        "AnalysisTemplate spec.metrics[].provider",
        "AnalysisTemplate spec.metrics[].provider.prometheus",
        "AnalysisTemplate spec.metrics[].provider.prometheus.headers",
        "AnalysisTemplate spec.metrics[].provider.prometheus.headers[].key",
        "AnalysisTemplate spec.metrics[].provider.prometheus.headers[].value",
        "AnalysisTemplate spec.metrics[].provider.prometheus.authentication",
        "AnalysisTemplate spec.metrics[].provider.prometheus.authentication.basicAuth",
        "AnalysisTemplate spec.metrics[].provider.prometheus.authentication.basicAuth.username",
        "AnalysisTemplate spec.metrics[].provider.prometheus.authentication.basicAuth.password",
        "AnalysisTemplate spec.metrics[].provider.prometheus.caCert",
        "AnalysisTemplate spec.metrics[].provider.prometheus.rangeQuery",
        "AnalysisTemplate spec.metrics[].provider.prometheus.rangeQuery.start",
        "AnalysisTemplate spec.metrics[].provider.prometheus.rangeQuery.end",
        "AnalysisTemplate spec.metrics[].provider.prometheus.rangeQuery.step",
    ]);
    let secret = |name: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": name}}});
    let spec = spec(json!({
        "args": [secret("user"), secret("password"), secret("ca"), secret("tenant"), {"name": "back", "value": "5m"}],
        "metrics": [metric(json!({"provider": {"prometheus": {
            "query": "up", "address": "http://own.shop.svc",
            "headers": [{"key": "X-Scope-OrgID", "value": "t-{{args.tenant}}"}],
            // As objects that were written by Argo Rollouts have it.
            "authentication": {"sigv4": {}, "oauth2": {}, "basicAuth": {"username": "{{ args.user }}", "password": "{{args.password}}"}},
            "caCert": "{{args.ca}}",
            "rangeQuery": {"start": "now() - duration(\"{{args.back}}\")", "end": "now()", "step": "1m"},
        }}}))],
    }));
    let plan = plan(&spec).unwrap().remove(0);
    let source = prometheus(&plan);
    assert_eq!(source.address.as_deref(), Some("http://own.shop.svc"));
    let header = &source.headers[0];
    assert_eq!(
        (header.0.as_str(), header.1.shown()),
        ("x-scope-orgid", "t-***".to_owned())
    );
    let range = source.range.clone().unwrap();
    assert_eq!(
        range
            .at("2026-01-02T03:04:05Z".parse().unwrap())
            .unwrap()
            .shown(),
        "2026-01-02T02:59:05Z to 2026-01-02T03:04:05Z every 1m"
    );
    let secrets: Vec<&str> = source.secrets().map(|(argument, _)| argument).collect();
    assert_eq!(secrets, ["tenant", "user", "password", "ca"]);
    assert!(source.credentials.is_some() && !source.insecure);
}

#[test]
fn an_interval_without_count_means_without_end() {
    let plan = plan(&spec(
        json!({"metrics": [metric(json!({"interval": "10s"}))]}),
    ))
    .unwrap()
    .remove(0);
    assert_eq!(plan.count, None);
}

/// A change that makes a metric one of `web`.
fn web(change: Value) -> Value {
    let mut web = json!({"url": "http://gate.shop.svc"});
    merge(&mut web, change);
    json!({"provider": {"prometheus": null, "web": web}})
}

/// A change that makes a metric one of `job`.
fn job(job: Value, metric: Value) -> Value {
    let mut whole = json!({"spec": {"template": {"spec": {"containers": []}}}});
    merge(&mut whole, job);
    let mut change =
        json!({"successCondition": null, "provider": {"prometheus": null, "job": whole}});
    merge(&mut change, metric);
    change
}

#[test]
fn a_request_says_how_it_is_made() {
    let _covers = testbed::covers(&[
        "AnalysisTemplate spec.metrics[].provider.web",
        "AnalysisTemplate spec.metrics[].provider.web.url",
        "AnalysisTemplate spec.metrics[].provider.web.method",
        "AnalysisTemplate spec.metrics[].provider.web.headers",
        "AnalysisTemplate spec.metrics[].provider.web.headers[].key",
        "AnalysisTemplate spec.metrics[].provider.web.headers[].value",
        "AnalysisTemplate spec.metrics[].provider.web.body",
        "AnalysisTemplate spec.metrics[].provider.web.insecure",
        "AnalysisTemplate spec.metrics[].provider.web.jsonPath",
    ]);
    let spec = spec(json!({
        "args": [
            {"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
            {"name": "service", "value": "shop"},
        ],
        "metrics": [metric(web(json!({
            "url": "http://gate.{{args.service}}.svc/{{args.token}}", "method": "PUT",
            "headers": [{"key": "Content-Type", "value": "text/plain"}],
            "body": "{{args.token}}", "jsonPath": "{$.a}", "insecure": true,
        })))],
    }));
    let plan = plan(&spec).unwrap().remove(0);
    let Source::Web(web) = &plan.source else {
        panic!("not web: {plan:?}")
    };
    assert_eq!(web.shown(), "PUT http://gate.shop.svc/***");
    assert_eq!(web.secrets().count(), 2);
    let headers = web.headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| (name.as_str(), value.shown()))
        .collect();
    assert_eq!(headers, [("content-type", "text/plain".to_owned())]);
    assert!(web.path.is_some());
    assert_eq!((web.timeout, web.insecure), (Duration::from_secs(10), true));
    assert_eq!(plan.source.shown(), Some(web.shown()));
}

#[test]
fn a_job_has_its_arguments_and_no_secret() {
    let _covers = testbed::covers(&[
        "AnalysisTemplate spec.metrics[].provider.job",
        "AnalysisTemplate spec.metrics[].provider.job.spec",
    ]);
    let secret = json!({"name": "t", "valueFrom": {"secretKeyRef": {"name": "s", "key": "t"}}});
    let of = |image: &str| {
        spec(json!({
            "args": [secret, {"name": "service", "value": "shop"}],
            "metrics": [metric(job(json!({"spec": {"template": {"spec": {"image": image}}}}), json!({})))],
        }))
    };
    let plan = plan(&of("{{args.service}}:1")).unwrap().remove(0);
    let Source::Job(job) = plan.source else {
        panic!("no job: {plan:?}")
    };
    assert_eq!(job.spec["template"]["spec"]["image"], "shop:1");
    assert_eq!(
        problems(&of("{{args.t}}")),
        [
            "spec.metrics[0].provider.job.spec: argument \"t\" comes from a Secret, and everybody who may read Jobs would see it; refer to the Secret in the container's env (valueFrom.secretKeyRef)"
        ]
    );
}

#[test]
fn what_does_not_work_yet_is_refused_by_name() {
    let mut refusals = testbed::refusals();
    let others = [
        "datadog",
        "newRelic",
        "wavefront",
        "cloudWatch",
        "graphite",
        "influxdb",
        "skywalking",
        "kayenta",
        "plugin",
    ];
    let sigv4 = |provider: &str, other: Value| {
        let mut block = json!({"authentication": {"sigv4": {"region": "eu"}}});
        merge(&mut block, other);
        let path = format!("{provider}.authentication.sigv4");
        (
            path,
            json!({"provider": {"prometheus": null, provider: block}}),
        )
    };
    let others = others.map(|name| {
        let change = json!({"provider": {"prometheus": null, name: {}}});
        (name.to_owned(), change)
    });
    let signed = [
        sigv4("prometheus", json!({"query": "up"})),
        sigv4("web", json!({"url": "http://gate.shop.svc"})),
    ];
    for (path, change) in others.into_iter().chain(signed) {
        let found = problems(&spec(json!({"metrics": [metric(change)]})));
        let start = format!("spec.metrics[0].provider.{path}: ");
        let [found] = &found[..] else {
            panic!("{path}: {found:?}");
        };
        let message = found.strip_prefix(&start).unwrap();
        assert!(message.contains("not supported by this release"), "{found}");
        let field = format!("AnalysisTemplate spec.metrics[].provider.{path}");
        refusals.add(&field, message);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_cannot_be_used_is_refused_by_name() {
    let _covers = testbed::covers(&[
        "AnalysisTemplate spec.metrics[].provider.prometheus.authentication.oauth2.tokenUrl",
        "AnalysisTemplate spec.metrics[].provider.job.metadata.annotations",
        "AnalysisTemplate spec.metrics[].provider.web.authentication",
        "AnalysisTemplate spec.metrics[].provider.prometheus.timeout",
        "AnalysisTemplate spec.metrics[].provider.prometheus.insecure",
        "AnalysisTemplate spec.metrics[].provider.prometheus.authentication.oauth2",
        "AnalysisTemplate spec.metrics[].provider.prometheus.authentication.oauth2.clientId",
        "AnalysisTemplate spec.metrics[].provider.prometheus.authentication.oauth2.clientSecret",
        "AnalysisTemplate spec.metrics[].provider.prometheus.authentication.oauth2.scopes",
        "AnalysisTemplate spec.metrics[].inconclusiveLimit",
        "AnalysisTemplate spec.metrics[].consecutiveSuccessLimit",
        "AnalysisTemplate spec.metrics[].failureCondition",
        "AnalysisTemplate spec.metrics[].provider.web.jsonBody",
        "AnalysisTemplate spec.metrics[].provider.web.timeoutSeconds",
        "AnalysisTemplate spec.metrics[].provider.job.metadata",
        "AnalysisTemplate spec.metrics[].provider.job.metadata.labels",
    ]);
    let m = "spec.metrics[0]";
    for (change, problem) in [
        (
            json!({"interval": "soon"}),
            format!(
                "{m}.interval: \"soon\" is not a duration; write something like \"30s\", \"5m\" or \"1h30m\""
            ),
        ),
        (
            json!({"interval": "10ms"}),
            format!("{m}.interval: it is shorter than 1s; use 1s or more"),
        ),
        (
            json!({"count": 3}),
            format!("{m}.interval: it is missing; more than one measurement needs an interval"),
        ),
        (
            json!({"count": -1}),
            format!("{m}.count: it is negative; use 1 or more"),
        ),
        (
            json!({"count": "many"}),
            format!("{m}.count: \"many\" is not a whole number"),
        ),
        (
            json!({"failureLimit": -2}),
            format!("{m}.failureLimit: it is -2; it is -1 or more"),
        ),
        (
            json!({"inconclusiveLimit": -1}),
            format!("{m}.inconclusiveLimit: it is -1; it is 0 or more"),
        ),
        (
            json!({"interval": "1s", "count": 3, "failureLimit": 4}),
            format!(
                "{m}.failureLimit: it is 4, but the metric is measured 3 times; it can never be reached"
            ),
        ),
        (
            json!({"interval": "1s", "count": 3, "failureLimit": 2, "consecutiveSuccessLimit": 2}),
            format!(
                "{m}.failureLimit: failureLimit 2 and consecutiveSuccessLimit 2 are together more than the 3 measurements; raise count"
            ),
        ),
        (
            json!({"noData": {"limit": -1}}),
            format!("{m}.noData.limit: it is negative; it is 0 or more"),
        ),
        (
            json!({"successCondition": "result[0] <"}),
            format!("{m}.successCondition: the condition cannot be used: it does not compile: "),
        ),
        (
            json!({"failureCondition": "len(1..9)>1"}),
            format!(
                "{m}.failureCondition: the condition cannot be used: it uses ranges (..), which conditions may not"
            ),
        ),
        (
            json!({"provider": {"prometheus": {"query": ""}}}),
            format!("{m}.provider.prometheus.query: it is missing; give a PromQL query"),
        ),
        (
            json!({"provider": {"prometheus": {"query": "{{args.x}}"}}}),
            format!(
                "{m}.provider.prometheus.query: argument \"x\" is not declared; add it to args"
            ),
        ),
        (
            json!({"provider": {"prometheus": {"timeout": 0}}}),
            format!("{m}.provider.prometheus.timeout: it is 0 seconds; it is 1 to 300"),
        ),
        (
            json!({"provider": {"prometheus": {"insecure": true, "caCert": "PEM"}}}),
            format!(
                "{m}.provider.prometheus.insecure: it accepts any certificate, so that caCert means nothing; keep one of them"
            ),
        ),
        (
            json!({"provider": {"prometheus": {"headers": [{"key": "a b", "value": "c"}]}}}),
            format!("{m}.provider.prometheus.headers[0].key: it is no name of a header"),
        ),
        (
            json!({"provider": {"prometheus": {"headers": [{"key": "Host", "value": "kubernetes"}]}}}),
            format!(
                "{m}.provider.prometheus.headers[0].key: \"host\" is set by the controller; remove it"
            ),
        ),
        (
            json!({"provider": {"prometheus": {"headers": [{"key": "a", "value": "b\r\nc: d"}]}}}),
            format!(
                "{m}.provider.prometheus.headers[0].value: it has characters that a header cannot have"
            ),
        ),
        (
            json!({"provider": {"prometheus": {"headers": [{"key": "a", "value": "{{args.x}}"}]}}}),
            format!(
                "{m}.provider.prometheus.headers[0].value: argument \"x\" is not declared; add it to args"
            ),
        ),
        (
            json!({"provider": {"prometheus": {"authentication": {"sigv4": {"region": "eu"}}}}}),
            format!(
                "{m}.provider.prometheus.authentication.sigv4: it is not supported by this release; remove it"
            ),
        ),
        (
            json!({"provider": {"prometheus": {"authentication": {"oauth2": {
                "clientId": "me", "clientSecret": "s", "scopes": ["{{args.x}}"], "tokenUrl": "https://x",
            }}}}}),
            format!(
                "{m}.provider.prometheus.authentication.oauth2.scopes: argument \"x\" is not declared; add it to args"
            ),
        ),
        (
            json!({"provider": {"prometheus": {"authentication": {"oauth2": {"clientId": "me", "clientSecret": "s"}}}}}),
            format!(
                "{m}.provider.prometheus.authentication.oauth2.tokenUrl: it is missing; without it nobody knows who asks"
            ),
        ),
        (
            json!({"provider": {"prometheus": {"authentication": {"oauth2": {"clientId": "me"}, "basicAuth": {"username": "me"}}}}}),
            format!(
                "{m}.provider.prometheus.authentication: it has both basicAuth and oauth2; keep one of them"
            ),
        ),
        (
            json!({"provider": {"prometheus": {"authentication": {"basicAuth": {"username": "me"}}}}}),
            format!(
                "{m}.provider.prometheus.authentication.basicAuth.password: it is missing; without it nobody knows who asks"
            ),
        ),
        (
            json!({"provider": {"prometheus": {
                "authentication": {"basicAuth": {"username": "me", "password": "p"}},
                "headers": [{"key": "authorization", "value": "Bearer x"}],
            }}}),
            format!(
                "{m}.provider.prometheus.authentication: there is a header Authorization too; keep one of them"
            ),
        ),
        (
            json!({"provider": {"prometheus": {"rangeQuery": {"start": "now()", "end": "now()"}}}}),
            format!(
                "{m}.provider.prometheus.rangeQuery.step: it is missing; write something like 1m"
            ),
        ),
        (
            json!({"provider": {"datadog": {}, "prometheus": null}}),
            format!(
                "{m}.provider.datadog: this provider is not supported by this release; use prometheus, web or job"
            ),
        ),
        (
            json!({"provider": {"job": {"spec": {}}}}),
            format!(
                "{m}.provider: there is more than one provider; an own metric is needed for each"
            ),
        ),
        (
            json!({"provider": {"prometheus": null}}),
            format!("{m}.provider: there is no provider; set prometheus, web or job"),
        ),
        (
            web(json!({"url": " "})),
            format!("{m}.provider.web.url: it is missing; say where to ask"),
        ),
        (
            web(json!({"body": "x"})),
            format!("{m}.provider.web.body: it is not sent with GET; set method to POST or PUT"),
        ),
        (
            web(json!({"method": "POST", "body": "x", "jsonBody": {}})),
            format!("{m}.provider.web.body: there is a jsonBody too; keep one of them"),
        ),
        (
            web(json!({"method": "POST", "jsonBody": {"a": ["{{args.x}}"]}})),
            format!("{m}.provider.web.jsonBody: argument \"x\" is not declared; add it to args"),
        ),
        (
            web(json!({"authentication": {"basicAuth": {"username": "me"}}})),
            format!(
                "{m}.provider.web.authentication.basicAuth.password: it is missing; without it nobody knows who asks"
            ),
        ),
        (
            job(
                json!({"metadata": {"annotations": {"a": "{{args.x}}"}}}),
                json!({}),
            ),
            format!(
                "{m}.provider.job.metadata.annotations.a: argument \"x\" is not declared; add it to args"
            ),
        ),
        (
            web(json!({"timeoutSeconds": 301})),
            format!("{m}.provider.web.timeoutSeconds: it is 301 seconds; it is 1 to 300"),
        ),
        (
            web(json!({"jsonPath": "{.a}{.b}"})),
            format!(
                "{m}.provider.web.jsonPath: it is not one path in braces, such as {{$.data.value}}"
            ),
        ),
        (
            web(json!({"headers": [{"key": "Host", "value": "kubernetes"}]})),
            format!(
                "{m}.provider.web.headers[0].key: \"host\" is set by the controller; remove it"
            ),
        ),
        (
            job(json!({}), json!({"successCondition": "true"})),
            format!(
                "{m}.successCondition: a Job has no result to judge: it is good when it completes and bad when it fails; remove it"
            ),
        ),
        (
            job(json!({"spec": null}), json!({})),
            format!("{m}.provider.job.spec: it is missing; give the spec of a Job"),
        ),
        (
            job(json!({"spec": {"suspend": true}}), json!({})),
            format!(
                "{m}.provider.job.spec.suspend: a Job that does not run measures nothing; remove it"
            ),
        ),
        (
            job(
                json!({"spec": {"template": {"a": "{{args.x}}"}}}),
                json!({}),
            ),
            format!("{m}.provider.job.spec: argument \"x\" is not declared; add it to args"),
        ),
        (
            job(
                json!({"metadata": {"labels": {"a": "{{args.x}}"}}}),
                json!({}),
            ),
            format!(
                "{m}.provider.job.metadata.labels.a: argument \"x\" is not declared; add it to args"
            ),
        ),
    ] {
        let found = problems(&spec(json!({"metrics": [metric(change.clone())]})));
        assert!(
            found.len() == 1 && found[0].starts_with(&problem),
            "{change}: {found:?}"
        );
    }
    let secret = json!({"name": "s", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}});
    for (change, problem) in [
        (
            json!({"metrics": []}),
            "spec.metrics: there is no metric: no data is never a success; add one",
        ),
        (
            json!({"metrics": [metric(json!({})), metric(json!({}))]}),
            "spec.metrics[1].name: \"errors\" is the name of another metric too; names are unique in a run",
        ),
        (
            json!({"ttlStrategy": {"secondsAfterFailure": -1}}),
            "spec.ttlStrategy.secondsAfterFailure: it is negative; it is 0 or more",
        ),
        (
            json!({"dryRun": [{"metricName": "typo"}]}),
            "spec.dryRun[0].metricName: \"typo\" matches the name of no metric",
        ),
        (
            json!({"dryRun": [{"metricName": "("}]}),
            "spec.dryRun[0].metricName: \"(\" is not a regular expression that can be used",
        ),
        (
            json!({"measurementRetention": [{"metricName": ".", "limit": 2000}]}),
            "spec.measurementRetention: 2000 measurements would be kept; at most 1000 fit in a run's status",
        ),
        (
            json!({"measurementRetention": [{"metricName": ".", "limit": 0}]}),
            "spec.measurementRetention: a limit is at least 1",
        ),
        (
            json!({"args": [{"name": "service", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}], "metrics": [metric(json!({"provider": {"prometheus": {"query": "up"}}}))]}),
            "spec.args[0].valueFrom.fieldRef: a field is read when a Rollout creates the run; in an AnalysisRun give the value itself",
        ),
        (
            json!({"args": [secret], "metrics": [metric(json!({"successCondition": "result[0] < {{args.s}}", "provider": {"prometheus": {"query": "up"}}}))]}),
            "spec.metrics[0].successCondition: argument \"s\" comes from a Secret and may be used in query, headers, url, body, authentication and caCert only",
        ),
    ] {
        assert_eq!(problems(&spec(change.clone())), [problem], "{change}");
    }
}
