//! When an Experiment ends, and with which verdict.
//!
//! Successful is only what has run to its end with nothing bad: not before every required AnalysisRun is successful, and
//! not before those that are not required have ended too. Not here: what is cleaned up then (`services`, `replica_sets`).

use jiff::{SignedDuration, Timestamp};

use super::{analyses, pass::Pass, templates};
use crate::api::{analysis::AnalysisPhase, duration, experiment::TemplatePhase};

/// Whether what is waited for has come.
enum Over {
    /// Not yet.
    No {
        why: String,
        until: Option<Timestamp>,
    },
    /// Everything that was asked for is done.
    Yes,
    /// Somebody ended it before.
    BrokenOff(String),
}

/// Ends the Experiment if it is time.
pub(super) fn settle(pass: &mut Pass<'_>) {
    if pass.has_ended() {
        return;
    }
    let late = pass
        .status
        .template_statuses
        .iter()
        .find(|status| status.status == Some(TemplatePhase::Failed));
    if let Some(late) = late {
        let why = late.message.clone().unwrap_or_default();
        let message = format!("template {} is {why}", late.name);
        return end(pass, AnalysisPhase::Failed, message);
    }
    if let Some((phase, message)) = analyses::bad_news(pass) {
        return end(pass, phase, message);
    }
    match over(pass) {
        Over::No { why, until } => {
            pass.wait(why, until);
            let phase = if pass.status.available_at.is_some() {
                AnalysisPhase::Running
            } else {
                AnalysisPhase::Pending
            };
            if pass.status.phase != Some(phase) {
                pass.status.phase = Some(phase);
                if phase == AnalysisPhase::Running {
                    let text = "All versions are available".to_owned();
                    pass.note(false, "ExperimentRunning", text);
                }
            }
        }
        Over::BrokenOff(why) => end(pass, AnalysisPhase::Inconclusive, why),
        Over::Yes => match analyses::first_open(pass) {
            Some(name) => {
                pass.finishing = true;
                pass.wait(format!("AnalysisRun {name} to end"), None);
            }
            None => end(pass, AnalysisPhase::Successful, String::new()),
        },
    }
}

fn over(pass: &mut Pass<'_>) -> Over {
    let required: Option<String> = pass
        .spec
        .required()
        .find(|analysis| !analyses::is_successful(pass, analysis))
        .map(|analysis| format!("analysis {} to be successful", analysis.name));
    let end = match length(pass) {
        Ok(length) => length.and_then(|length| {
            let available = pass.status.available_at?;
            Some(available.saturating_add(length).unwrap_or(Timestamp::MAX))
        }),
        // `validate` has told it.
        Err(why) => return Over::No { why, until: None },
    };
    let lasts_for_ever = pass.spec.duration.is_none() && pass.spec.required().next().is_none();
    let not_yet = if pass.status.available_at.is_none() {
        Some(("all versions to be available".to_owned(), None))
    } else if let Some(end) = end.filter(|end| pass.now() < *end) {
        Some(("the duration to be over".to_owned(), Some(end)))
    } else if let Some(why) = required {
        Some((why, None))
    } else if !templates::all_running(pass) {
        Some(("all versions to be available".to_owned(), None))
    } else {
        None
    };
    let ends_so = lasts_for_ever && pass.status.available_at.is_some();
    match (pass.spec.terminate, ends_so, not_yet) {
        // That is how an Experiment ends that waits for nothing else.
        (true, true, _) | (false | true, false, None) => Over::Yes,
        (true, false, Some((why, _))) => {
            Over::BrokenOff(format!("terminated while it waited for {why}"))
        }
        (false, true, None) => Over::No {
            why: "spec.terminate: it has neither a duration nor an analysis that is required"
                .to_owned(),
            until: None,
        },
        (false, _, Some((why, until))) => Over::No { why, until },
    }
}

/// `spec.duration`.
fn length(pass: &Pass<'_>) -> Result<Option<SignedDuration>, String> {
    let Some(text) = &pass.spec.duration else {
        return Ok(None);
    };
    let length = duration::parse(text).map_err(|_| "spec.duration to be a duration".to_owned())?;
    Ok(Some(
        SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX),
    ))
}

/// When the duration is over, once that is known.
pub(super) fn finished_at(pass: &Pass<'_>) -> Option<Timestamp> {
    let length = length(pass).ok()??;
    let available = pass.status.available_at?;
    Some(available.saturating_add(length).unwrap_or(Timestamp::MAX))
}

/// The verdict. It stays.
pub(super) fn end(pass: &mut Pass<'_>, phase: AnalysisPhase, message: String) {
    pass.status.phase = Some(phase);
    pass.status.completed_at = Some(pass.now());
    for status in &mut pass.status.template_statuses {
        let ended_well = match status.status {
            Some(TemplatePhase::Failed | TemplatePhase::Successful) => false,
            Some(TemplatePhase::Pending | TemplatePhase::Progressing | TemplatePhase::Running)
            | None => true,
        };
        if ended_well {
            status.status = Some(TemplatePhase::Successful);
            status.last_transition_time = Some(pass.snapshot.now);
            status.message = None;
        }
    }
    let (warning, reason) = match phase {
        AnalysisPhase::Failed => (true, "ExperimentFailed"),
        AnalysisPhase::Error => (true, "ExperimentError"),
        AnalysisPhase::Inconclusive => (true, "ExperimentInconclusive"),
        AnalysisPhase::Successful | AnalysisPhase::Pending | AnalysisPhase::Running => {
            (false, "ExperimentSuccessful")
        }
    };
    let why = if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    };
    let name = pass.snapshot.experiment.name.clone();
    pass.note(
        warning,
        reason,
        format!("Experiment {name} is {phase:?}{why}"),
    );
    pass.status.message = (!message.is_empty()).then_some(message);
    // What was waited for until now is over.
    pass.waits.clear();
}
