//! AnalysisRuns: what to measure, when, and what the measurements say about a version.
//!
//! The pure part is [`plan`] (the spec, checked and with its arguments), [`decide`] (what is due, what the verdict is),
//! [`judge`] (what one value says), [`jobs`] (Jobs that measure), [`templates`] (what an analysis leads to) and [`render`] (the AnalysisRun a Rollout creates). [`observe`], [`measure`],
//! [`installation`], [`providers`] and [`act`] read and write; [`controller`] ties them together for one run. When a Rollout starts a run and what it makes
//! of the verdict is not here.

pub mod act;
pub mod allow_list;
pub mod args;
pub mod controller;
pub mod decide;
pub mod installation;

pub mod jobs;
pub mod json_path;
pub mod judge;
pub mod measure;
pub mod observe;
pub mod plan;
pub mod providers;
pub mod render;
pub mod snapshot;
pub mod templates;
pub mod text;

use crate::api::analysis::AnalysisRunSpec;

pub use plan::FieldError;

/// Checks a run's spec; every problem is named with its field.
pub fn validate(spec: &AnalysisRunSpec) -> Result<(), Vec<FieldError>> {
    plan::plan(spec).map(drop)
}
