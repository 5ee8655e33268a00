//! Logs, on standard error: JSON lines for machines, text for people on a terminal.
//!
//! What is logged is up to whoever logs; metrics are in `instruments`.

use std::io::{self, IsTerminal};

use tracing::{Subscriber, subscriber::SetGlobalDefaultError};
use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::Registry,
};

/// kube logs an error line for each 5xx, which whoever made the call reports in its context.
const DEFAULT_FILTER: &str = "info,kube_client::client::builder=off";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    #[default]
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error(
        "log level {given:?}: {source}. Give a level such as `debug`, or `info,tidegate::rollout=trace`"
    )]
    Filter {
        /// What was given.
        given: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Something logs already.
    #[error("logging: {0}")]
    Installed(#[from] SetGlobalDefaultError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Json,
    Text { colour: bool },
}

/// Begins to log to standard error. `level` is a level or a filter in the form of `RUST_LOG`, which stands in for it when
/// absent.
pub fn install(format: LogFormat, level: Option<&str>) -> Result<(), TelemetryError> {
    let environment = std::env::var("RUST_LOG").ok();
    let filter = filter(level.or(environment.as_deref()))?;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let style = style(format, io::stderr().is_terminal(), no_color);
    tracing::subscriber::set_global_default(subscriber(style, filter, io::stderr))?;
    Ok(())
}

fn filter(given: Option<&str>) -> Result<EnvFilter, TelemetryError> {
    let given = given
        .filter(|given| !given.trim().is_empty())
        .unwrap_or(DEFAULT_FILTER);
    EnvFilter::builder()
        .parse(given)
        .map_err(|source| TelemetryError::Filter {
            given: given.to_owned(),
            source,
        })
}

fn style(format: LogFormat, terminal: bool, no_color: bool) -> Style {
    match (format, terminal) {
        (LogFormat::Json, _) | (LogFormat::Auto, false) => Style::Json,
        (LogFormat::Text, _) | (LogFormat::Auto, true) => Style::Text {
            colour: terminal && !no_color,
        },
    }
}

fn subscriber<W>(style: Style, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let registry = Registry::default().with(filter);
    match style {
        Style::Json => {
            let layer = fmt::layer()
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .with_writer(writer);
            Box::new(registry.with(layer))
        }
        Style::Text { colour } => {
            Box::new(registry.with(fmt::layer().compact().with_ansi(colour).with_writer(writer)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn lines_suit_their_reader() {
        let (json, plain, coloured) = (
            Style::Json,
            Style::Text { colour: false },
            Style::Text { colour: true },
        );
        let table = [
            // format, terminal, NO_COLOR
            (LogFormat::Auto, true, false, coloured),
            (LogFormat::Auto, true, true, plain),
            (LogFormat::Auto, false, false, json),
            (LogFormat::Json, true, false, json),
            (LogFormat::Text, false, false, plain),
            (LogFormat::Text, true, false, coloured),
        ];
        for (format, terminal, no_color, expected) in table {
            assert_eq!(
                style(format, terminal, no_color),
                expected,
                "{format:?} {terminal} {no_color}"
            );
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("unpoisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(style: Style, level: Option<&str>, log: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(style, filter(level).expect("a filter"), move || {
            writer.clone()
        });
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().expect("unpoisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn json_lines_carry_fields_and_the_span_they_are_in() {
        let line = logged(Style::Json, None, || {
            let _entered =
                tracing::info_span!("reconcile", namespace = "demo", rollout = "app").entered();
            tracing::warn!(weight = 20, "weight moved");
        });
        let line: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
        let picked = [
            &line["level"],
            &line["message"],
            &line["weight"],
            &line["span"]["rollout"],
        ];
        assert_eq!(
            picked,
            [
                &"WARN".into(),
                &"weight moved".into(),
                &20.into(),
                &serde_json::Value::from("app")
            ]
        );
    }

    #[test]
    fn text_without_colour_has_no_escapes() {
        let line = logged(Style::Text { colour: false }, None, || {
            tracing::info!(weight = 20, "weight moved");
        });
        assert!(
            line.ends_with("weight moved weight=20\n") && !line.contains('\u{1b}'),
            "{line:?}"
        );
    }

    #[test]
    fn the_level_decides_what_is_logged() {
        let log = || {
            tracing::debug!("details");
            tracing::info!("news");
        };
        let lines = [None, Some(""), Some("debug"), Some("off")]
            .map(|level| logged(Style::Json, level, log).lines().count());
        assert_eq!(lines, [1, 1, 2, 0]);
    }

    #[test]
    fn a_level_that_is_none_is_refused_by_name() {
        let error = filter(Some("tidegate=loud"))
            .expect_err("refused")
            .to_string();
        assert!(
            error.starts_with("log level \"tidegate=loud\": "),
            "{error}"
        );
    }
}
