//! What a simulation tells: the timeline, samples for charts, the analyses, and what it comes to. Complete as JSON.
//!
//! Not here: how it is drawn (`cli::simulate`).

use serde::Serialize;

use super::scenario::Scenario;

/// A played release. Times are in seconds since the new version was declared.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Simulation {
    /// The Rollout.
    pub rollout: String,
    /// `canary` or `blueGreen`.
    pub strategy: &'static str,
    /// The image before.
    pub from: String,
    /// The image of the new version.
    pub to: String,
    /// What was played.
    pub scenario: Scenario,
    /// Requests of users per second.
    pub rps: f64,
    /// What chance followed from.
    pub seed: u64,
    /// What it comes to.
    pub summary: Summary,
    /// What happened, in order.
    pub timeline: Vec<Moment>,
    /// Traffic and pods: each holds until the next.
    pub samples: Vec<Sample>,
    /// What the analyses said, in the order of their beginning.
    pub analyses: Vec<Analysis>,
    /// What was assumed, in sentences.
    pub assumptions: Vec<String>,
}

/// How a release ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The new version serves.
    Completed,
    /// Everything was put back to the version before.
    RolledBack,
    /// Somebody has to say how it goes on.
    WaitsForPerson,
    /// It has not ended within the time that was played, or nothing is left to happen.
    Unfinished,
}

/// What it comes to.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// How it ends.
    pub outcome: Outcome,
    /// When that was settled: the new version serves, or everything is put back.
    pub settled_at: f64,
    /// When nothing was left to happen, old pods included.
    pub ended_at: f64,
    /// The Rollout's phase at the end.
    pub phase: String,
    /// Why it is in this phase, or what it waits for.
    pub message: String,
    /// When the update was aborted, and why.
    pub aborted: Option<Aborted>,
    /// Requests of users.
    pub requests: Requests,
    /// Pods.
    pub pods: Pods,
}

/// An abort.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Aborted {
    /// When.
    pub at: f64,
    /// Why.
    pub cause: String,
    /// Requests that the new version had answered by then.
    pub requests_to_new: f64,
    /// Errors among them.
    pub errors: f64,
}

/// Requests of users, from the declaration until everything is settled.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// All.
    pub total: f64,
    /// Those that the new version answered.
    pub to_new: f64,
    /// Errors among them.
    pub errors: f64,
    /// Those that found no pod.
    pub lost: f64,
}

/// Pods of all versions.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// `spec.replicas`.
    pub declared: i32,
    /// The most at one time.
    pub most: i32,
    /// Hours of pods beyond those declared, until the end.
    pub extra_hours: f64,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// When.
    pub at: f64,
    /// What kind of thing.
    pub kind: MomentKind,
    /// What, in a sentence.
    pub text: String,
}

/// What kind of thing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MomentKind {
    /// Somebody does something.
    Person,
    /// The release goes on.
    Step,
    /// Traffic moves.
    Traffic,
    /// Pods come or go.
    Pods,
    /// An analysis says something.
    Analysis,
    /// It ends well.
    Good,
    /// Something is not as it should be.
    Bad,
}

/// Traffic and pods at a time.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Since when it is so.
    pub at: f64,
    /// The share of users' requests that goes to the new version, 0 to 1.
    pub share: f64,
    /// Pods of the new version.
    pub new: PodCount,
    /// Pods of other versions.
    pub old: PodCount,
    /// The Rollout's phase.
    pub phase: String,
}

/// Pods of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PodCount {
    /// As many as asked for.
    pub desired: i32,
    /// That exist.
    pub current: i32,
    /// That are available.
    pub available: i32,
}

/// An AnalysisRun.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// Its name.
    pub name: String,
    /// When it began.
    pub from: f64,
    /// When it ended.
    pub to: Option<f64>,
    /// Its verdict.
    pub phase: String,
    /// Why.
    pub message: String,
    /// Its metrics.
    pub metrics: Vec<MetricStory>,
}

/// A metric of an AnalysisRun.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricStory {
    /// Its name.
    pub name: String,
    /// What its values were assumed to be.
    pub assumed: String,
    /// The measurements, in order.
    pub measurements: Vec<MeasurementStory>,
}

/// A measurement.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MeasurementStory {
    /// When.
    pub at: f64,
    /// The value, as the status shows it.
    pub value: Option<String>,
    /// What it says.
    pub phase: String,
    /// Why, unless it is simply good.
    pub message: Option<String>,
}
