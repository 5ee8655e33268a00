//! Rollouts as a table, and one Rollout as a line.

use jiff::Timestamp;

use super::style::{self, paint};
use crate::cli::{rollout::Rollout, time};

/// The table, with its heading; nothing when there are no Rollouts.
pub(super) fn render(rollouts: &[Rollout], with_namespace: bool, now: Timestamp) -> String {
    if rollouts.is_empty() {
        return String::new();
    }
    let heading = [
        "NAMESPACE",
        "NAME",
        "STRATEGY",
        "PHASE",
        "STEP",
        "WEIGHT",
        "READY",
        "DESIRED",
        "UP-TO-DATE",
        "AVAILABLE",
        "AGE",
    ];
    let mut rows = vec![heading.map(str::to_owned)];
    rows.extend(rollouts.iter().map(|rollout| cells(rollout, now)));
    let skipped = usize::from(!with_namespace);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate().skip(skipped) {
            let padded = format!(
                "{cell:<width$}  ",
                width = width(column).unwrap_or_default()
            );
            let rollout = index.checked_sub(1).and_then(|at| rollouts.get(at));
            match rollout.filter(|_| heading[column] == "PHASE") {
                Some(rollout) => line.push_str(&paint(style::of_phase(rollout.phase()).1, &padded)),
                None => line.push_str(&padded),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cells(rollout: &Rollout, now: Timestamp) -> [String; 11] {
    let (symbol, _) = style::of_phase(rollout.phase());
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let status = &rollout.status;
    [
        rollout.namespace.clone(),
        rollout.name.clone(),
        rollout.strategy().to_owned(),
        format!("{symbol} {}", rollout.phase().name()),
        or_dash(rollout.progress()),
        or_dash(rollout.weight_given().map(|weight| weight.to_string())),
        status.ready_replicas.to_string(),
        rollout.spec.desired_replicas().to_string(),
        status.updated_replicas.to_string(),
        status.available_replicas.to_string(),
        or_dash(rollout.created.map(|created| time::age(created, now))),
    ]
}

/// What matters of a Rollout in one line, without times, so that two can be compared.
pub(super) fn line(rollout: &Rollout) -> String {
    let (symbol, color) = style::of_phase(rollout.phase());
    let mut parts = vec![
        format!("{}/{}", rollout.namespace, rollout.name),
        paint(color, &format!("{symbol} {}", rollout.state())),
    ];
    parts.extend(
        rollout
            .progress()
            .map(|progress| format!("step {progress}")),
    );
    parts.extend(
        rollout
            .weight_given()
            .map(|weight| format!("weight {weight}")),
    );
    let status = &rollout.status;
    parts.push(format!(
        "pods {} updated, {} available, {} desired",
        status.updated_replicas,
        status.available_replicas,
        rollout.spec.desired_replicas()
    ));
    parts.extend(
        status
            .waiting_for
            .as_ref()
            .map(|what| format!("waiting for {what}")),
    );
    parts.join(" | ")
}
