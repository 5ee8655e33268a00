//! Symbols and colours for states. Colours are taken out again where they are not wanted (`terminal`).

use anstyle::{AnsiColor, Style};

use crate::api::{analysis::AnalysisPhase, rollout_status::Phase};

/// Text of lesser weight.
pub(in crate::cli) const DIM: Style = Style::new().dimmed();
/// Names.
pub(in crate::cli) const BOLD: Style = Style::new().bold();
/// Good.
pub(in crate::cli) const GOOD: Style = AnsiColor::Green.on_default();
/// Bad.
pub(in crate::cli) const BAD: Style = AnsiColor::Red.on_default();
/// Waiting for somebody.
pub(in crate::cli) const WAITING: Style = AnsiColor::Yellow.on_default();
/// Under way.
pub(in crate::cli) const MOVING: Style = AnsiColor::Cyan.on_default();

/// Text in a style.
pub(in crate::cli) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Symbol and style of a phase.
pub(in crate::cli) const fn of_phase(phase: Phase) -> (&'static str, Style) {
    match phase {
        Phase::Healthy => ("✔", GOOD),
        Phase::Progressing => ("◌", MOVING),
        Phase::Paused => ("॥", WAITING),
        Phase::Degraded => ("✖", BAD),
    }
}

/// Symbol and style of a verdict.
pub(in crate::cli) const fn of_verdict(phase: Option<AnalysisPhase>) -> (&'static str, Style) {
    match phase {
        Some(AnalysisPhase::Successful) => ("✔", GOOD),
        Some(AnalysisPhase::Failed | AnalysisPhase::Error) => ("✖", BAD),
        Some(AnalysisPhase::Inconclusive) => ("?", WAITING),
        Some(AnalysisPhase::Pending | AnalysisPhase::Running) | None => ("◌", MOVING),
    }
}

/// A verdict in a word.
pub(in crate::cli) const fn verdict(phase: Option<AnalysisPhase>) -> &'static str {
    match phase {
        Some(AnalysisPhase::Pending) | None => "Pending",
        Some(AnalysisPhase::Running) => "Running",
        Some(AnalysisPhase::Successful) => "Successful",
        Some(AnalysisPhase::Failed) => "Failed",
        Some(AnalysisPhase::Error) => "Error",
        Some(AnalysisPhase::Inconclusive) => "Inconclusive",
    }
}
