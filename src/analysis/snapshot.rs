//! Everything a decision about one AnalysisRun rests on.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::jobs::{JobView, RunIdentity};
use super::judge::Judgement;
use crate::api::analysis::{AnalysisRunSpec, AnalysisRunStatus};

/// One AnalysisRun at one point in time, and what was measured since its status was written.
#[derive(Clone, Debug)]
pub struct AnalysisRunSnapshot {
    /// Which run it is.
    pub run: RunIdentity,
    /// What to measure.
    pub spec: AnalysisRunSpec,
    /// What was found so far.
    pub status: AnalysisRunStatus,
    /// The time.
    pub now: Timestamp,
    /// Measurements that are not in the status yet, oldest first.
    pub outcomes: Vec<Outcome>,
    /// The run's Jobs. A name that is absent does not exist.
    pub jobs: Vec<JobView>,
}

/// A measurement that was taken and judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The metric's name.
    pub metric: String,
    /// When it was begun.
    pub started_at: Timestamp,
    /// When its answer was there. One that has only begun has none.
    pub finished_at: Option<Timestamp>,
    /// The query as sent, with secrets left out. A Job asks nothing.
    pub query: Option<String>,
    /// What else there is to say about it, such as `warnings` of the server.
    pub metadata: BTreeMap<String, String>,
    /// The value, shown; nothing when none was measured.
    pub value: Option<String>,
    /// What the value says.
    pub judgement: Judgement,
}
