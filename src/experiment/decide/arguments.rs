//! What stands in an argument's value for what the Experiment has, such as `{{templates.canary.podTemplateHash}}`.
//!
//! Not here: the arguments of metrics, `{{args.…}}` (`analysis::args`).

use std::collections::BTreeMap;

use super::{pass::Pass, verdict};

/// What the placeholders stand for. Times that are not known yet are those of now, so that the rest can be checked.
pub(super) fn known(pass: &Pass<'_>) -> BTreeMap<String, String> {
    let mut known = BTreeMap::new();
    for template in &pass.spec.templates {
        let name = &template.name;
        let set = pass.set(template);
        let hash = set.map_or_else(|| pass.hash(template), |set| set.pod_template_hash.clone());
        known.insert(format!("templates.{name}.podTemplateHash"), hash);
        known.insert(
            format!("templates.{name}.replicaset.name"),
            pass.set_name(template),
        );
    }
    let available = pass.status.available_at.unwrap_or(pass.now());
    known.insert("experiment.availableAt".to_owned(), available.to_string());
    if pass.spec.duration.is_some() {
        let finished = verdict::finished_at(pass).unwrap_or(pass.now());
        known.insert("experiment.finishedAt".to_owned(), finished.to_string());
    }
    known
}

/// The value with its placeholders filled in; `Err` names one that stands for nothing.
pub(super) fn fill(value: &str, known: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((key, tail)) = after.split_once("}}") else {
            break;
        };
        let Some(found) = known.get(key.trim()) else {
            let all: Vec<&str> = known.keys().map(String::as_str).collect();
            return Err(format!(
                "{{{{{}}}}} stands for nothing; there is {}",
                key.trim(),
                all.join(", ")
            ));
        };
        filled.push_str(before);
        filled.push_str(found);
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_or_named() {
        let known = BTreeMap::from([("a.b".to_owned(), "1".to_owned())]);
        for (value, expected) in [
            ("plain", Ok("plain")),
            ("{{a.b}}", Ok("1")),
            ("x {{ a.b }} {{a.b}}!", Ok("x 1 1!")),
            ("{{a", Ok("{{a")),
            ("{{a.c}}", Err("{{a.c}} stands for nothing; there is a.b")),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(fill(value, &known), expected, "{value}");
        }
    }
}
