//! `tidegate status`: waits until a Rollout is Healthy or Degraded, and says so by its exit code.

use std::time::Duration;

use clap::Args;

use super::{
    CliError,
    cluster::Cluster,
    get::{of_phase, paint},
    rollout::Rollout,
    terminal::Terminal,
    time,
};
use crate::api::{duration, rollout_status::Phase};

/// Options of `tidegate status`.
#[derive(Args, Debug)]
pub(super) struct StatusOptions {
    /// The Rollout.
    name: String,
    /// How long to wait at most, such as 90s or 10m [default: as long as it takes].
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    timeout: Option<Duration>,
    /// Wait until it is Healthy or Degraded; =false looks once.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    watch: bool,
}

/// Prints each change of the phase or message until the end.
pub(super) async fn run(
    options: &StatusOptions,
    cluster: &Cluster,
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    let mut last = String::new();
    let timeout = if options.watch {
        options.timeout
    } else {
        Some(Duration::ZERO)
    };
    let ended = cluster
        .wait(&options.name, timeout, |rollout| {
            let (symbol, color) = of_phase(rollout.phase());
            let state = rollout.state();
            if state != last {
                terminal.print(&format!("{}\n", paint(color, &format!("{symbol} {state}"))))?;
                last.clone_from(&state);
            }
            outcome(rollout)
        })
        .await?;
    ended.ok_or_else(|| CliError::NotHealthy {
        name: options.name.clone(),
        state: last,
        after: timeout
            .filter(|timeout| !timeout.is_zero())
            .map(|timeout| format!(" after {}", time::short(timeout)))
            .unwrap_or_default(),
    })
}

fn outcome(rollout: &Rollout) -> Result<Option<()>, CliError> {
    match rollout.phase() {
        Phase::Healthy => Ok(Some(())),
        Phase::Degraded => Err(CliError::Degraded {
            name: rollout.name.clone(),
            message: rollout.message().to_owned(),
        }),
        Phase::Progressing | Phase::Paused => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{names::ApiNames, object::CachedObject};

    #[test]
    fn the_phase_of_an_older_spec_ends_nothing() {
        for (phase, observed, ends_with) in [
            ("Healthy", 2, Some(0)),
            ("Healthy", 1, None),
            ("Degraded", 2, Some(1)),
            ("Degraded", 1, None),
            ("Progressing", 2, None),
            ("Paused", 2, None),
        ] {
            let object = json!({
                "metadata": { "name": "demo", "generation": 2 },
                "spec": { "strategy": { "canary": {} } },
                "status": { "phase": phase, "observedGeneration": observed },
            });
            let rollout = Rollout::read(&ApiNames::default(), &CachedObject::new(object)).unwrap();
            let code = match outcome(&rollout) {
                Ok(ended) => ended.map(|()| 0),
                Err(error) => Some(error.exit_code()),
            };
            assert_eq!(
                code, ends_with,
                "{phase} seen at generation {observed} of 2"
            );
        }
    }
}
