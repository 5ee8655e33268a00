use serde_json::{Value, json};

use super::*;

/// A chart in both of its modes, small.
const CHART: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: tidegate}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: all}
rules:
- {apiGroups: [apps], resources: [replicasets], verbs: [list, patch]}
- {apiGroups: [tidegate.dev], resources: [rollouts/status], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: lease}
rules:
- {apiGroups: [""], resources: [secrets], resourceNames: [one], verbs: [get]}
"#;

fn granted(manifests: &str) -> Granted {
    let mut granted = Granted::default();
    granted.add(manifests).unwrap();
    granted
}

/// One line of an audit log.
fn line(who: &str, verb: &str, group: &str, resource: &str, decision: &str) -> String {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let event = json!({
        "kind": "Event", "stage": "ResponseComplete", "requestURI": "/apis/x", "verb": verb,
        "user": {"username": who, "groups": ["system:serviceaccounts"]},
        "objectRef": {"resource": resource, "apiGroup": group, "subresource": subresource, "name": "demo"},
        "responseStatus": {"code": 200},
        "annotations": {"authorization.k8s.io/decision": decision},
    });
    format!("{event}\n")
}

const OURS: &str = "system:serviceaccount:team-a:tidegate";

/// A run in which everything was used that `CHART` grants.
fn everything() -> Vec<String> {
    vec![
        line(OURS, "list", "apps", "replicasets", "allow"),
        line(OURS, "patch", "apps", "replicasets", "allow"),
        line(OURS, "patch", "tidegate.dev", "rollouts/status", "allow"),
        line(OURS, "get", "", "secrets", "allow"),
    ]
}

fn report(log: &[String]) -> Report {
    let granted = granted(CHART);
    let mut used = Used::default();
    used.add(&log.concat(), &granted.accounts).unwrap();
    compare(&granted, used, 1)
}

#[test]
fn a_run_that_uses_everything_is_good() {
    let report = report(&everything());
    assert!(report.is_good(), "{report}");
    assert_eq!(
        report.to_string(),
        "4 permissions granted, 4 used, by 4 requests in 1 audit logs; 0 kinds of request forbidden"
    );
}

#[test]
fn what_nothing_uses_is_named() {
    for (left_out, named) in [
        (0, "list apps/replicasets"),
        (1, "patch apps/replicasets"),
        (2, "patch tidegate.dev/rollouts/status"),
        (3, "get secrets"),
    ] {
        let mut log = everything();
        log.remove(left_out);
        let report = report(&log);
        let expected = format!("granted and never used: {named} (");
        assert!(!report.is_good(), "{named}");
        assert!(report.to_string().contains(&expected), "{report}");
    }
}

#[test]
fn use_by_others_is_no_use() {
    let others = [
        "admin",
        "system:serviceaccount:team-a:default",
        "system:serviceaccount:kube-system:replicaset-controller",
    ];
    for other in others {
        let mut log = everything();
        log[1] = line(other, "patch", "apps", "replicasets", "allow");
        assert!(!report(&log).is_good(), "{other}");
    }
    let mut log = everything();
    log[2] = line(OURS, "patch", "tidegate.dev", "rollouts", "allow");
    assert!(!report(&log).is_good(), "a resource is not its subresource");
    let mut log = everything();
    log[1] = line(OURS, "patch", "extensions", "replicasets", "allow");
    assert!(!report(&log).is_good(), "a group is not another group");
}

#[test]
fn what_is_forbidden_is_named_and_is_no_use() {
    let mut log = everything();
    log.push(line(OURS, "list", "", "secrets", "forbid"));
    log.push(line(OURS, "list", "", "secrets", "forbid"));
    let report = report(&log);
    assert!(!report.is_good());
    assert!(
        report
            .to_string()
            .contains("forbidden: list secrets, 2 times, to system:serviceaccount:team-a:tidegate"),
        "{report}"
    );
}

#[test]
fn an_address_outside_the_api_can_be_forbidden_too() {
    let mut event: Value = serde_json::from_str(&line(OURS, "get", "", "", "forbid")).unwrap();
    event.as_object_mut().unwrap().remove("objectRef");
    event["requestURI"] = json!("/metrics");
    let mut log = everything();
    log.push(format!("{event}\n"));
    let report = report(&log);
    assert!(
        report.to_string().contains("forbidden: get /metrics"),
        "{report}"
    );
}

#[test]
fn what_a_test_wants_to_see_forbidden_is_not_told() {
    let marked = "system:serviceaccount:refused-secret:tidegate";
    let mut log = everything();
    log.push(line(marked, "get", "", "secrets", "forbid"));
    assert!(report(&log).is_good());
    log.remove(3);
    assert!(!report(&log).is_good(), "nor is it a use");
}

#[test]
fn a_quota_is_not_the_rules() {
    let mut event: Value = serde_json::from_str(&everything()[1]).unwrap();
    event["responseStatus"]["code"] = json!(403);
    let mut log = everything();
    log.push(format!("{event}\n"));
    assert!(report(&log).is_good());
}

#[test]
fn without_requests_or_rules_nothing_is_proven() {
    assert!(!report(&[]).is_good());
    let mut used = Used::default();
    used.add(&everything().concat(), &["tidegate".to_owned()].into())
        .unwrap();
    assert!(!compare(&Granted::default(), used, 1).is_good());
}

#[test]
fn a_log_may_end_in_the_middle_of_a_line_but_not_be_broken() {
    let mut log = everything();
    log.push(r#"{"kind":"Event","user":{"username":"system:serviceaccount:"#.to_owned());
    assert!(report(&log).is_good());
    log.push("\n".to_owned());
    let broken = Used::default().add(&log.concat(), &["tidegate".to_owned()].into());
    assert_eq!(broken.unwrap_err().to_string(), "line 5");
}

#[test]
fn a_rule_for_everything_is_refused() {
    for (from, to) in [
        ("verbs: [get]", "verbs: ['*']"),
        ("[apps]", "['*']"),
        ("[rollouts/status]", "['rollouts/*']"),
        ("resourceNames: [one], ", "nonResourceURLs: [/x], "),
    ] {
        let mut manifests = CHART.replace(from, to);
        if to.contains("nonResourceURLs") {
            manifests = manifests.replace("apiGroups: [\"\"], resources: [secrets], ", "");
        }
        assert_ne!(manifests, CHART);
        assert!(Granted::default().add(&manifests).is_err(), "{to}");
    }
}
