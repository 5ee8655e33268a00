//! What the controller may do: the rules of the chart, as helm renders them for the whole cluster. What is not in them is refused, and
//! the run complains.
//!
//! Not here: helm itself (`cluster::chart` has it); templates are read as far as those of the rules go, and no further.

use std::{fs, sync::LazyLock};

use serde_json::Value;
use tidegate::sim::{
    request::ApiRequest,
    server::{Refused, Rights},
};

/// Somebody who may do everything.
pub(super) const ADMIN: &str = "admin";
const CONTROLLER: &str = "system:serviceaccount:tidegate:tidegate";

static CHART: LazyLock<Rights> = LazyLock::new(|| {
    let mut rules = rendered(&within(&template("_rules.tpl"), "{{- define", None));
    rules.extend(rendered(&lease_rules()));
    Rights::new(&rules).expect("rules")
});

/// The refusal of a request that is not granted.
pub(super) fn refusal(request: &ApiRequest) -> Option<Refused> {
    let checked = match request.user.as_deref() {
        None => CHART.check(CONTROLLER, request),
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

fn lease_rules() -> String {
    within(&template("rbac.yaml"), "rules:", Some("---"))
        .replace("{{ include \"tidegate.lease\" . | quote }}", "tidegate")
}

/// The rules in a template of them, with the values of this cluster.
fn rendered(template: &str) -> Vec<Value> {
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
                "apiGroup" => "\"tidegate.dev\"",
                "mode" => "\"cluster\"",
                other => panic!("the value {other} of the chart is not known here"),
            };
            kept.push(own == value);
        } else if word.starts_with("{{- end") {
            kept.pop();
        } else if kept.iter().all(|kept| *kept) {
            text += &line.replace("{{ .Values.apiGroup }}", "tidegate.dev");
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
    let rules = rendered(&within(&template("_rules.tpl"), "{{- define", None));
    let of = |resource: &str| {
        let rule = rules.iter().find(|rule| rule["resources"][0] == resource);
        rule.map(|rule| rule["verbs"].to_string())
    };
    assert_eq!(
        [
            of("secrets"),
            of("rollouts/status"),
            of("clusteranalysistemplates")
        ],
        [
            Some("[\"get\"]".to_owned()),
            Some("[\"patch\"]".to_owned()),
            Some("[\"list\",\"watch\"]".to_owned())
        ]
    );
}
