//! AnalysisRuns: what to measure, when, and what the measurements say about a version.
//!
//! [`plan`] is the spec, checked and with its arguments; [`decide`] says what is due and what the verdict is; [`judge`]
//! says what one value means; [`render`] makes the AnalysisRun a Rollout creates.

pub mod allow_list;
pub mod args;
pub mod decide;
pub mod judge;
pub mod plan;
pub mod render;
pub mod snapshot;
pub mod text;

use crate::api::analysis::AnalysisRunSpec;

pub use plan::FieldError;

/// Checks a run's spec; every problem is named with its field.
pub fn validate(spec: &AnalysisRunSpec) -> Result<(), Vec<FieldError>> {
    plan::plan(spec).map(drop)
}
