//! How metric servers are told who asks.

use serde_json::json;
use testbed::guard::Guard;
use wiremock::matchers::{header, path, query_param};
use wiremock::{Mock, ResponseTemplate};

use super::{AllowList, Installation, World, api_server, metric};
use crate::api::analysis::AnalysisPhase;

/// A Prometheus that demands these headers and knows the value of `up`.
async fn demand(world: &World, headers: &[(&'static str, &'static str)]) {
    let body = json!({"status": "success", "data": {
        "resultType": "vector", "result": [{"metric": {}, "value": [1, "0.01"]}],
    }, "warnings": ["who is hunter2?", format!("not {}", headers.first().map_or("", |(_, value)| value))]});
    let mut mock = Mock::given(query_param("query", "up"));
    for (name, value) in headers {
        mock = mock.and(header(*name, *value));
    }
    mock.respond_with(ResponseTemplate::new(200).set_body_json(body))
        .mount(&world.prometheus)
        .await;
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    for (provider, expected, shown_as) in [
        (
            json!({"headers": [
                {"key": "Authorization", "value": "Bearer {{args.token}}"}, {"key": "X-Scope-OrgID", "value": "shop"},
            ]}),
            vec![
                ("authorization", "Bearer hunter2"),
                ("x-scope-orgid", "shop"),
            ],
            "who is ***?; not Bearer ***",
        ),
        (
            json!({"authentication": {"basicAuth": {"username": "me", "password": "{{args.token}}"}}}),
            vec![("authorization", "Basic bWU6aHVudGVyMg==")],
            "who is ***?; not Basic ***",
        ),
    ] {
        let change = json!({"provider": {"prometheus": provider}});
        // A Secret that was made from a file ends with a line break.
        let world = World::new(
            json!([metric("errors", "up", &change)]),
            &[("token", "hunter2\n")],
        )
        .await;
        demand(&world, &expected).await;
        world.reconcile().await;
        let status = world.status();
        assert_eq!(status.phase, Some(AnalysisPhase::Successful), "{status:?}");
        let measurement = &status.metric_results[0].measurements[0];
        assert_eq!(measurement.metadata["warnings"], shown_as);
        let shown = serde_json::to_string(&status).unwrap();
        assert!(
            !shown.contains("hunter2") && !shown.contains("bWU6"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_token_is_got_for_a_measurement_and_never_shown() {
    let oauth2 = |url: String| {
        json!({"provider": {"prometheus": {"authentication": {"oauth2": {
            "tokenUrl": url, "clientId": "me", "clientSecret": "{{args.token}}", "scopes": ["read"],
        }}}}})
    };
    // Stands for the server that each world has of its own.
    let address = "http://prometheus.test";
    for (url, message) in [
        (format!("{address}/token"), None),
        (
            "http://169.254.169.254/token".to_owned(),
            Some(
                "the address http://169.254.169.254 is not allowed; an administrator can allow it with --metric-address-allow",
            ),
        ),
        (
            format!("{address}/elsewhere"),
            Some("the token's issuer answered 404"),
        ),
    ] {
        let metrics = json!([metric("errors", "up", &oauth2(url))]);
        let world = World::new(metrics, &[("token", "hunter2")]).await;
        Mock::given(path("/token"))
            .and(header("authorization", "Basic bWU6aHVudGVyMg=="))
            .respond_with(
                ResponseTemplate::new(200).set_body_json(json!({"access_token": "swordfish"})),
            )
            .mount(&world.prometheus)
            .await;
        demand(&world, &[("authorization", "Bearer swordfish")]).await;
        let text = world.run.lock().unwrap().to_string();
        *world.run.lock().unwrap() =
            serde_json::from_str(&text.replace(address, &world.prometheus.uri())).unwrap();
        world.reconcile().await;
        let status = world.status();
        match message {
            None => {
                assert_eq!(status.phase, Some(AnalysisPhase::Successful), "{status:?}");
                let measurement = &status.metric_results[0].measurements[0];
                assert_eq!(
                    measurement.metadata["warnings"],
                    "who is ***?; not Bearer ***"
                );
            }
            Some(message) => assert_eq!(world.newest_message(), message),
        }
        let shown = serde_json::to_string(&status).unwrap();
        assert!(
            !shown.contains("hunter2") && !shown.contains("swordfish"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_secret_that_is_no_header_is_an_error_that_does_not_show_it() {
    let change =
        json!({"provider": {"prometheus": {"headers": [{"key": "x", "value": "{{args.token}}"}]}}});
    let world = World::new(
        json!([metric("errors", "up", &change)]),
        &[("token", "hunter2\nhost: elsewhere")],
    )
    .await;
    world.reconcile().await;
    assert_eq!(
        world.newest_message(),
        "the value of header x has characters that a header cannot have; is it a line of plain text?"
    );
}

#[tokio::test]
async fn the_token_of_the_installation_is_sent_to_its_prometheus_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let unreadable = "the bearer token of the installation's Prometheus cannot be read; its administrator finds the reason in the controller's log";
    let refused = "Prometheus answered 404";
    for (token, provider, message) in [
        (Some("hunter2\n"), json!({}), None),
        (None, json!({}), Some(unreadable)),
        (Some("hunter2"), json!({"address": "/base"}), Some(refused)),
        (Some("hunter2"), json!({"insecure": true}), Some(refused)),
        (
            Some("hunter2"),
            json!({"headers": [{"key": "authorization", "value": "Bearer mine"}]}),
            Some(refused),
        ),
    ] {
        let mut world = World::new(json!([metric("errors", "up", &json!({}))]), &[]).await;
        let mut provider = provider;
        if provider["address"].is_string() {
            provider["address"] = json!(format!("{}/base", world.prometheus.uri()));
        }
        let change = json!({"metrics": [metric("errors", "up", &json!({"provider": {"prometheus": provider}}))]});
        json_patch::merge(&mut world.run.lock().unwrap()["spec"], &change);
        std::fs::remove_file(&file).ok();
        if let Some(token) = token {
            std::fs::write(&file, token).unwrap();
        }
        world.context.installation.bearer_token_file = Some(file.clone());
        demand(&world, &[("authorization", "Bearer hunter2")]).await;
        world.reconcile().await;
        match message {
            None => assert_eq!(world.status().phase, Some(AnalysisPhase::Successful)),
            Some(message) => assert_eq!(world.newest_message(), message, "{provider}"),
        }
        let shown = serde_json::to_string(&world.status()).unwrap();
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn a_metric_server_may_have_an_authority_of_its_own() {
    for from_secret in [true, false] {
        let mut world = World::new(json!([metric("errors", "up", &json!({}))]), &[]).await;
        let world_uri = world.prometheus.uri();
        demand(&world, &[]).await;
        let guard = Guard::before(&world_uri, "Bearer hunter2", http::HeaderMap::new())
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (token, ca) = (folder.path().join("token"), folder.path().join("ca.crt"));
        std::fs::write(&token, "hunter2").unwrap();
        std::fs::write(&ca, guard.ca_pem()).unwrap();
        world.context.allow_list = AllowList::cluster_local(Some(guard.url()));
        if from_secret {
            world.context.client = api_server(
                &world.run,
                &world.requests,
                &[("ca", guard.ca_pem()), ("token", "hunter2")],
            );
            let provider = json!({"prometheus": {
                "address": guard.url(), "caCert": "{{args.ca}}",
                "headers": [{"key": "authorization", "value": "Bearer {{args.token}}"}],
            }});
            let argument = |name: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "prometheus", "key": name}}});
            let change = json!({
                "metrics": [metric("errors", "up", &json!({"provider": provider}))],
                "args": [argument("ca"), argument("token")],
            });
            json_patch::merge(&mut world.run.lock().unwrap()["spec"], &change);
        } else {
            world.context.installation = Installation {
                address: Some(guard.url().to_owned()),
                bearer_token_file: Some(token),
                ca_file: Some(ca),
            };
        }
        world.reconcile().await;
        let status = world.status();
        assert_eq!(status.phase, Some(AnalysisPhase::Successful), "{status:?}");
    }
}
