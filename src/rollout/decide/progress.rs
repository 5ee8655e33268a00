//! The progress deadline: measured on the best progress so far, so that pods that come and go cannot reset it.
//!
//! Not here: what an abort does (`abort`).

use super::{
    abort, blue_green, header_routes,
    pass::{Mode, Pass},
    scale, services, steps, threshold,
};
use crate::{
    api::{rollout_status::Progress, strategy::Declared},
    rollout::decision::Outcome,
};

/// Updates the clock, and aborts when the deadline has passed and the spec says so.
pub(super) fn measure(pass: &mut Pass<'_>) {
    let replicas = pass.replicas();
    let index = match pass.strategy {
        Declared::Canary(_) => pass.status.current_step_index.unwrap_or(0),
        Declared::BlueGreen(_) => i32::from(pass.status.blue_green.scale_up_preview_check_point),
    };
    let size = format!("{replicas}/{}", pass.status.attempt);
    let of = format!("{}/{index}/{size}", pass.revisions.new_hash);
    let available = pass.revisions.new.map_or(0, |new| new.available);
    let (want, available, blocked) = match pass.mode() {
        Mode::Stable => (replicas, available, release_ends(pass)),
        Mode::Stepping | Mode::Full => (scale::wanted_new(pass), available, is_blocked(pass)),
        Mode::Aborted => (
            replicas,
            pass.revisions.stable().map_or(0, |stable| stable.available),
            false,
        ),
    };
    let want = match pass.mode() {
        Mode::Stable | Mode::Stepping | Mode::Full => threshold::enough(pass, want),
        Mode::Aborted => want,
    };
    let available = available.min(want);
    let frozen = pass.hold.is_some() || pass.spec.paused;
    let waiting = (available < want && !pass.spec.paused) || (blocked && !frozen);
    let now = pass.now();
    let limit = i64::from(pass.spec.progress_deadline_seconds());
    let progress = match pass.status.progress.take() {
        Some(progress) if progress.of == of => advance(progress, available, waiting, now, limit),
        before => {
            // Pods that were there in the step before are no progress in this one, but they can be missed.
            let had = before
                .filter(|before| {
                    before
                        .of
                        .starts_with(&format!("{}/", pass.revisions.new_hash))
                        && before.of.ends_with(&format!("/{size}"))
                })
                .map_or(0, |before| before.available.min(want));
            Progress {
                of,
                available: available.max(had),
                waiting,
                since: now,
                waited_seconds: 0,
            }
        }
    };
    if progress.waiting {
        let deadline = deadline(&progress, limit);
        if now < deadline {
            pass.look_again(deadline);
        }
    }
    pass.status.progress = Some(progress);
    if exceeded(pass) && pass.spec.progress_deadline_abort {
        let cause =
            format!("no progress for {limit} seconds: {available} of {want} pods are available");
        abort::abort(pass, cause);
    }
}

/// Traffic is not where it should be by now.
fn is_blocked(pass: &Pass<'_>) -> bool {
    match pass.strategy {
        Declared::Canary(_) => {
            steps::reached(pass, steps::goal_weight(pass)) != Outcome::Done
                || (pass.mode() == Mode::Stepping
                    && header_routes::reached(pass, pass.step_index()) != Outcome::Done)
        }
        Declared::BlueGreen(_) => blue_green::is_switching(pass),
    }
}

/// After the promotion, Services and weights still have to follow.
fn release_ends(pass: &Pass<'_>) -> bool {
    pass.observed.highest > 0
        || pass.observed.by_header
        || !services::stable_serves(pass)
        || !services::pinned_at_rest(pass)
}

fn advance(
    mut progress: Progress,
    available: i32,
    waiting: bool,
    now: jiff::Timestamp,
    limit: i64,
) -> Progress {
    if available > progress.available {
        progress = Progress {
            available,
            waited_seconds: 0,
            since: now,
            waiting,
            of: progress.of,
        };
    }
    match (progress.waiting, waiting) {
        (true, false) => {
            progress.waited_seconds += seconds(progress.since, now);
            progress.since = now;
        }
        (false, true) => {
            if seconds(progress.since, now) >= limit {
                progress.waited_seconds = 0;
            }
            progress.since = now;
        }
        (true, true) | (false, false) => {}
    }
    progress.waiting = waiting;
    progress
}

fn seconds(from: jiff::Timestamp, to: jiff::Timestamp) -> i64 {
    to.duration_since(from).as_secs().max(0)
}

fn deadline(progress: &Progress, limit: i64) -> jiff::Timestamp {
    let left = jiff::SignedDuration::from_secs(limit - progress.waited_seconds);
    progress
        .since
        .saturating_add(left)
        .unwrap_or(jiff::Timestamp::MAX)
}

/// Whether progress has been waited for longer than the deadline allows.
pub(super) fn exceeded(pass: &Pass<'_>) -> bool {
    let limit = i64::from(pass.spec.progress_deadline_seconds());
    pass.status
        .progress
        .as_ref()
        .is_some_and(|progress| progress.waiting && pass.now() >= deadline(progress, limit))
}
