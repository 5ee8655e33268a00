//! When a run that ended is deleted.

use std::time::Duration;

use jiff::Timestamp;

use super::Next;
use crate::api::analysis::{AnalysisPhase, AnalysisRunSpec, AnalysisRunStatus};

/// Whether the ended run is to be deleted now, or when. How it ended wins over that it ended.
pub(super) fn expiry(
    spec: &AnalysisRunSpec,
    status: &AnalysisRunStatus,
    now: Timestamp,
) -> (bool, Next) {
    let seconds = spec.ttl_strategy.as_ref().and_then(|ttl| {
        let own = match status.phase {
            Some(AnalysisPhase::Successful) => ttl.seconds_after_success,
            Some(AnalysisPhase::Failed | AnalysisPhase::Error | AnalysisPhase::Inconclusive) => {
                ttl.seconds_after_failure
            }
            Some(AnalysisPhase::Pending | AnalysisPhase::Running) | None => None,
        };
        own.or(ttl.seconds_after_completion)
    });
    let (Some(seconds), Some(ended)) = (seconds, status.completed_at) else {
        return (false, Next::Ended);
    };
    let wait = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    let at = ended.checked_add(wait).unwrap_or(Timestamp::MAX);
    if at <= now {
        (true, Next::Ended)
    } else {
        (false, Next::Expires(at))
    }
}
