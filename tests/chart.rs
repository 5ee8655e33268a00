//! What of the chart can be checked without helm and without a server.

use std::fs;

use serde_json::Value;

fn chart(file: &str) -> String {
    fs::read_to_string(format!(
        "{}/charts/tidegate/{file}",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart: Value = serde_saphyr::from_str(&chart("Chart.yaml")).unwrap();
    let program = env!("CARGO_PKG_VERSION");
    assert_eq!(
        (chart["version"].as_str(), chart["appVersion"].as_str()),
        (Some(program), Some(program))
    );
}

/// Every object in the values that has a fixed set of keys, as dotted paths.
fn keys(value: &Value, schema: &Value, path: &str, found: &mut Vec<String>) {
    let Some(fields) = value
        .as_object()
        .filter(|_| schema.get("properties").is_some())
    else {
        found.push(path.to_owned());
        return;
    };
    for (name, field) in fields {
        keys(
            field,
            &schema["properties"][name],
            &format!("{path}.{name}"),
            found,
        );
    }
}

/// Every leaf of the schema, as dotted paths.
fn leaves(schema: &Value, path: &str, found: &mut Vec<String>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        found.push(path.to_owned());
        return;
    };
    for (name, field) in properties {
        leaves(field, &format!("{path}.{name}"), found);
    }
}

#[test]
fn every_value_has_a_schema_and_a_default() {
    let values: Value = serde_saphyr::from_str(&chart("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&chart("values.schema.json")).unwrap();
    let (mut given, mut described) = (Vec::new(), Vec::new());
    keys(&values, &schema, "", &mut given);
    leaves(&schema, "", &mut described);
    // Helm puts `global` into every chart's values.
    described.retain(|path| path != ".global");
    given.sort();
    described.sort();
    assert_eq!(given, described);
}
