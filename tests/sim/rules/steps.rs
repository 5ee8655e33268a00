//! T10: the most weight that the steps allow now.
//!
//! A controller may write the weight of a step before the status says that the step has begun: the steps before it must then
//! be over by what the server holds.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::facts::Facts;

/// The most that the canary may get now, by what the server held before.
pub(super) fn most(facts: &Facts, now: Timestamp) -> i64 {
    if facts.promote_full {
        return facts.total();
    }
    let mut step = facts.step;
    let mut passed_blocking = false;
    loop {
        let Some(current) = facts.steps.get(step) else {
            return facts.total();
        };
        let blocking = current.get("setWeight").is_none();
        let over = if blocking {
            // Only the step that the status names can have ended meanwhile; the next has not begun.
            !passed_blocking && is_over(current, facts, now)
        } else {
            facts.canary_weight >= current["setWeight"].as_i64().unwrap_or(0)
        };
        if !over {
            break;
        }
        passed_blocking |= blocking;
        step += 1;
    }
    facts.steps[..=step]
        .iter()
        .rev()
        .find_map(|step| step["setWeight"].as_i64())
        .unwrap_or(0)
}

fn is_over(step: &Value, facts: &Facts, now: Timestamp) -> bool {
    if step.get("analysis").is_some() {
        return facts.step_run.as_deref() == Some("Successful");
    }
    let Some(since) = facts.pause_since else {
        return false;
    };
    let seconds = match &step["pause"]["duration"] {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim_end_matches('s').parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    seconds.is_some_and(|seconds| since + SignedDuration::from_secs(seconds) <= now)
}
