//! What the controller may do: the rules of the chart, as helm renders them for the whole cluster. What is not in them is refused, and
//! the run complains.
//!
//! Not here: helm itself (`cluster::chart` has it); templates are read as far as those of the rules go, and no further.

use std::{fs, sync::LazyLock};

use serde_json::Value;
use tidegate::{
    api::names::{ApiNames, Conventions},
    sim::{
        request::ApiRequest,
        server::{Refused, Rights},
    },
};

/// Somebody who may do everything.
pub(super) const ADMIN: &str = "admin";
const CONTROLLER: &str = "system:serviceaccount:tidegate:tidegate";

static OURS: LazyLock<Rights> = LazyLock::new(|| rights(&ApiNames::default()));
static ARGOS: LazyLock<Rights> = LazyLock::new(|| rights(&ApiNames::argo_rollouts()));

fn rights(names: &ApiNames) -> Rights {
    let mut rules = rules(names);
    rules.extend(rendered(names, &lease_rules(names)));
    Rights::new(&rules).expect("rules")
}

fn rules(names: &ApiNames) -> Vec<Value> {
    rendered(names, &within(&template("_rules.tpl"), "{{- define", None))
}

/// The refusal of a request that is not granted to the controller of this group.
pub(super) fn refusal(api: Conventions, request: &ApiRequest) -> Option<Refused> {
    let chart = match api {
        Conventions::Tidegate => &OURS,
        Conventions::ArgoRollouts => &ARGOS,
    };
    let checked = match request.user.as_deref() {
        None => chart.check(CONTROLLER, request),
        Some(ADMIN) => Ok(()),
        Some(user) => Rights::default().check(user, request),
    };
    checked.err()
}

fn template(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/tidegate/templates");
    fs::read_to_string(format!("{folder}/{name}")).expect("a template")
}

/// The lines after the last one that begins so, up to another.
fn within(text: &str, begin: &str, end: Option<&str>) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let first = lines
        .iter()
        .rposition(|line| line.starts_with(begin))
        .expect("the beginning of the rules");
    let rest = lines[first + 1..].iter();
    let rest = rest.take_while(|line| end.is_none_or(|end| !line.starts_with(end)));
    rest.copied().collect::<Vec<_>>().join("\n")
}

fn lease_rules(names: &ApiNames) -> String {
    within(&template("rbac.yaml"), "rules:", Some("---"))
        .replace("{{ include \"tidegate.lease\" . | quote }}", names.lease)
}

/// The rules in a template of them, with the values of a cluster where this group is served.
fn rendered(names: &ApiNames, template: &str) -> Vec<Value> {
    let mut text = String::new();
    let mut kept = vec![true];
    for line in template.lines() {
        let word = line.trim();
        if word.starts_with("{{- /*") || word.starts_with("{{- end") && kept.len() == 1 {
            continue;
        }
        if let Some(condition) = word.strip_prefix("{{- if eq .Values.") {
            let (name, value) = condition
                .trim_end_matches(" }}")
                .split_once(' ')
                .expect("a name and a value");
            let own = match name {
                "apiGroup" => &names.group,
                "mode" => "cluster",
                other => panic!("the value {other} of the chart is not known here"),
            };
            kept.push(value.trim_matches('"') == own);
        } else if word.starts_with("{{- end") {
            kept.pop();
        } else if kept.iter().all(|kept| *kept) {
            text += &line.replace("{{ .Values.apiGroup }}", &names.group);
            text.push('\n');
        }
    }
    assert!(
        !text.contains("{{"),
        "something in the chart's rules is not known here:\n{text}"
    );
    serde_saphyr::from_str(&text).expect("rules")
}

#[test]
fn the_rules_are_those_of_the_chart() {
    let of = |names: &ApiNames, resource: &str| {
        let rules = rules(names);
        let rule = rules.iter().find(|rule| rule["resources"][0] == resource)?;
        Some(format!("{} {}", rule["apiGroups"][0], rule["verbs"]))
    };
    let (ours, argos) = (ApiNames::default(), ApiNames::argo_rollouts());
    assert_eq!(
        [
            of(&ours, "secrets"),
            of(&ours, "rollouts/status"),
            of(&argos, "rollouts/status"),
            of(&ours, "analysisruns/status"),
            of(&argos, "analysisruns/status"),
            of(&ours, "clusteranalysistemplates"),
        ]
        .map(Option::unwrap_or_default),
        [
            r#""" ["get"]"#,
            r#""tidegate.dev" ["patch"]"#,
            r#""argoproj.io" ["patch"]"#,
            r#""tidegate.dev" ["patch"]"#,
            "",
            r#""tidegate.dev" ["list","watch"]"#,
        ]
    );
}
