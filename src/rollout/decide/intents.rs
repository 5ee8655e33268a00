//! What a person asked for, and the answer.
//!
//! Not here: reading the annotation (`api::request`).

use super::{
    abort, bake,
    pass::{Mode, Pass},
    pauses, revisions,
};
use crate::api::{
    request::{Request, Verb},
    rollout_status::HandledRequest,
    strategy::Declared,
};
use crate::mutants::{Mutant, mutated};

/// Answers the request on the Rollout, once, and what clients have written into the status.
pub(super) fn answer(pass: &mut Pass<'_>) {
    heed_aliases(pass);
    let request = match &pass.snapshot.rollout.request {
        None => return,
        Some(Ok(request)) => request.clone(),
        Some(Err(message)) => {
            let message = message.clone();
            pass.wait(format!("a readable request: {message}"), None);
            return;
        }
    };
    if pass
        .status
        .last_handled_request
        .as_ref()
        .is_some_and(|handled| handled.id == request.id)
    {
        return;
    }
    let result = carry_out(pass, &request);
    let accepted = result.is_ok();
    let message = match result {
        Ok(message) | Err(message) => message,
    };
    let by = request
        .by
        .as_ref()
        .map(|by| format!(" by {by}"))
        .unwrap_or_default();
    pass.note(
        !accepted,
        if accepted {
            "RequestAccepted"
        } else {
            "RequestRefused"
        },
        format!("{}{by}: {message}", request.verb.name()),
    );
    pass.status.last_handled_request = Some(HandledRequest {
        id: request.id,
        verb: request.verb,
        accepted,
        message,
        at: pass.now(),
    });
}

/// Clients of Argo Rollouts patch the status: `abort: true` (see `abort::settle`), `abort: false` to retry,
/// `promoteFull: true`, and an empty `pauseConditions` to promote (see `steps`).
fn heed_aliases(pass: &mut Pass<'_>) {
    match pass.mode() {
        Mode::Stepping | Mode::Full if pass.status.aborted_at.is_some() => retry(pass),
        Mode::Full => end_pauses(pass),
        Mode::Stable | Mode::Stepping | Mode::Aborted => {}
    }
}

fn retry(pass: &mut Pass<'_>) {
    pass.status.abort = false;
    pass.status.aborted_at = None;
    pass.status.abort_cause = None;
    pass.status.promote_full = false;
    pass.status.attempt = pass.status.attempt.saturating_add(1);
    revisions::restart(pass);
    pass.note(
        false,
        "RolloutRetry",
        "Retrying Rollout after abort".to_owned(),
    );
}

/// No pause is left, and whoever was quarrelled with about traffic gets a new count.
fn end_pauses(pass: &mut Pass<'_>) {
    pass.status.pause_conditions.clear();
    pass.status.controller_pause = false;
    if let Some(overwritten) = &mut pass.status.overwritten {
        overwritten.rounds = 0;
    }
}

/// `Err` says why it was refused.
fn carry_out(pass: &mut Pass<'_>, request: &Request) -> Result<String, String> {
    let mode = pass.mode();
    if let Some(revision) = &request.revision
        && *revision != pass.revisions.new_hash
    {
        return Err(format!(
            "meant revision {revision}, but {} is the current one",
            pass.revisions.new_hash
        ));
    }
    match (request.verb, mode) {
        (Verb::Promote | Verb::PromoteFull | Verb::Abort, Mode::Stable) => {
            Err("no update is under way".to_owned())
        }
        (Verb::Promote | Verb::PromoteFull, Mode::Aborted) => {
            Err("the update is aborted; retry it, or declare another version".to_owned())
        }
        (Verb::Promote, Mode::Stepping) => match pass.strategy {
            Declared::Canary(_) => promote(pass, request),
            Declared::BlueGreen(_) => switch(pass),
        },
        (Verb::Promote | Verb::PromoteFull, Mode::Full) => {
            Ok("all steps are being skipped already".to_owned())
        }
        (Verb::PromoteFull, Mode::Stepping) => {
            pass.status.promote_full = true;
            end_pauses(pass);
            pass.note(
                false,
                "SkipSteps",
                "skipping all remaining steps as requested".to_owned(),
            );
            Ok("skipping all remaining steps, pauses and analyses".to_owned())
        }
        (Verb::Abort, Mode::Full) if mutated(Mutant::A37PromoteBeatsAbort) => {
            Ok("a promotion is under way".to_owned())
        }
        (Verb::Abort, Mode::Stepping | Mode::Full) => {
            let by = request
                .by
                .as_ref()
                .map(|by| format!(" by {by}"))
                .unwrap_or_default();
            abort::abort(pass, format!("requested{by}"));
            Ok("putting everything back to the stable version".to_owned())
        }
        (Verb::Abort, Mode::Aborted) => Ok("aborted already".to_owned()),
        (Verb::Retry, Mode::Aborted) => {
            retry(pass);
            Ok("starting again at the first step".to_owned())
        }
        (Verb::Retry, Mode::Stable | Mode::Stepping | Mode::Full) => {
            Err("the update is not aborted".to_owned())
        }
    }
}

/// A person's promotion during a bake ends it.
fn end_bake(pass: &mut Pass<'_>) -> Option<Result<String, String>> {
    if !bake::is_on(pass) {
        return None;
    }
    let answer = match &pass.hold {
        Some(why) => Err(format!("nothing moves forward; waiting for {why}")),
        None => Ok(bake::promote(pass)),
    };
    Some(answer)
}

/// Ends the pause, or skips the step that is under way.
fn promote(pass: &mut Pass<'_>, request: &Request) -> Result<String, String> {
    let index = pass.status.current_step_index.unwrap_or(0);
    if let Some(step) = request.step
        && step != index
    {
        return Err(format!(
            "meant step {step}, but the update is at step {index}"
        ));
    }
    if let Some(answer) = end_bake(pass) {
        return answer;
    }
    if index == revisions::steps_len(pass) {
        return Err("all steps are done; the promotion itself is under way".to_owned());
    }
    if pauses::promoted(pass) {
        return Ok(format!("going on from the pause at step {index} already"));
    }
    if let Some(why) = &pass.hold {
        return Err(format!("nothing moves forward; waiting for {why}"));
    }
    if pass.status.pause_conditions.is_empty() {
        pass.status.current_step_index = Some(index.saturating_add(1));
        pass.status.controller_pause = false;
        pass.status.canary.current_step_analysis_run_status = None;
        return Ok(format!("skipping step {index}"));
    }
    // `controllerPause` with no condition left is how a step sees that it was promoted.
    end_pauses(pass);
    pass.status.controller_pause = true;
    Ok(format!("going on from the pause at step {index}"))
}

/// Ends what a blue-green release waits for a person with. Nothing that runs is skipped: that is what a full promotion is for.
fn switch(pass: &mut Pass<'_>) -> Result<String, String> {
    if let Some(answer) = end_bake(pass) {
        return answer;
    }
    let revision = pass.status.revision.unwrap_or(0);
    if pauses::promoted(pass) {
        return Ok(format!("going on with revision {revision} already"));
    }
    if let Some(why) = &pass.hold {
        return Err(format!("nothing moves forward; waiting for {why}"));
    }
    if pass.status.pause_conditions.is_empty() {
        return Err("nothing waits for a person; a full promotion skips what is left".to_owned());
    }
    end_pauses(pass);
    pass.status.controller_pause = true;
    Ok(format!("going on with revision {revision}"))
}
