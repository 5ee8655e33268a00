//! The progress deadline: measured on the best progress so far, so that pods that come and go cannot reset it.
//!
//! Not here: what an abort does (`abort`).

use super::{
    abort,
    pass::{Mode, Pass, after},
    scale,
};
use crate::api::rollout_status::Progress;

/// Updates the clock, and aborts when the deadline has passed and the spec says so.
pub(super) fn measure(pass: &mut Pass<'_>) {
    let replicas = pass.replicas();
    let index = pass.status.current_step_index.unwrap_or(0);
    let of = format!(
        "{}/{index}/{replicas}/{}",
        pass.revisions.new_hash, pass.status.canary.attempt
    );
    let (want, available) = match pass.mode() {
        Mode::Stable => (replicas, pass.revisions.new.map_or(0, |new| new.available)),
        Mode::Stepping | Mode::Full => (
            scale::wanted_canary(pass),
            pass.revisions.new.map_or(0, |new| new.available),
        ),
        Mode::Aborted => (
            replicas,
            pass.revisions.stable().map_or(0, |stable| stable.available),
        ),
    };
    let available = available.min(want);
    let waiting = available < want && !pass.spec.paused;
    let now = pass.now();
    let limit = i64::from(pass.spec.progress_deadline_seconds());
    let progress = match pass.status.progress.take() {
        Some(progress) if progress.of == of => advance(progress, available, waiting, now, limit),
        Some(_) | None => Progress {
            of,
            available,
            waiting,
            since: now,
            waited_seconds: 0,
        },
    };
    let left = limit - waited(&progress, now);
    if progress.waiting && left > 0 {
        pass.look_again(after(now, i32::try_from(left).unwrap_or(i32::MAX)));
    }
    pass.status.progress = Some(progress);
    if exceeded(pass) && pass.spec.progress_deadline_abort {
        let cause =
            format!("no progress for {limit} seconds: {available} of {want} pods are available");
        abort::abort(pass, cause);
    }
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

fn waited(progress: &Progress, now: jiff::Timestamp) -> i64 {
    progress.waited_seconds
        + if progress.waiting {
            seconds(progress.since, now)
        } else {
            0
        }
}

/// Whether pods have been waited for longer than the deadline allows.
pub(super) fn exceeded(pass: &Pass<'_>) -> bool {
    pass.status.progress.as_ref().is_some_and(|progress| {
        progress.waiting
            && waited(progress, pass.now()) >= i64::from(pass.spec.progress_deadline_seconds())
    })
}
