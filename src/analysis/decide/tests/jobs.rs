//! Measurements that Jobs take.

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::analysis::decide::{AnalysisDecision, Next, decide};
use crate::analysis::jobs::{JOB_NAME, JobState, JobView, RunIdentity};
use crate::analysis::judge::Judgement;
use crate::analysis::snapshot::{AnalysisRunSnapshot, Outcome};
use crate::api::analysis::{AnalysisPhase, AnalysisRunStatus, MeasurementPhase};

/// A run with one metric whose measurements are Jobs.
struct World {
    snapshot: AnalysisRunSnapshot,
}

impl World {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "reads better with json! at the call"
    )]
    fn new(metric: Value) -> Self {
        let mut whole = json!({
            "name": "smoke",
            "provider": {"job": {"spec": {"template": {"spec": {"containers": []}}}}},
        });
        json_patch::merge(&mut whole, &metric);
        let run = RunIdentity {
            name: "run".into(),
            namespace: "shop".into(),
            uid: "uid".into(),
        };
        Self {
            snapshot: AnalysisRunSnapshot {
                run,
                spec: serde_json::from_value(json!({"metrics": [whole]})).unwrap(),
                status: AnalysisRunStatus::default(),
                now: "2026-01-01T00:00:00Z".parse().unwrap(),
                outcomes: Vec::new(),
                jobs: Vec::new(),
            },
        }
    }

    fn after(&mut self, seconds: i64) {
        self.snapshot.now = self.snapshot.now.checked_add(seconds.seconds()).unwrap();
    }

    /// Looks once, and creates the Jobs that are asked for.
    fn look(&mut self) -> AnalysisDecision {
        let mut decision = decide(&self.snapshot);
        for request in std::mem::take(&mut decision.measure) {
            let name = request.job.clone().expect("a Job's name");
            self.job(&name, JobState::Active);
            self.snapshot.outcomes.push(Outcome {
                metric: request.metric,
                started_at: self.snapshot.now,
                finished_at: None,
                query: None,
                metadata: [(JOB_NAME.to_owned(), name)].into(),
                value: None,
                judgement: Judgement {
                    phase: MeasurementPhase::Running,
                    message: None,
                },
            });
            decision = decide(&self.snapshot);
        }
        self.snapshot.outcomes.clear();
        self.snapshot.status = decision.status.clone();
        for job in &decision.stop {
            self.snapshot.jobs.retain(|known| known.name != job.name);
        }
        decision
    }

    fn job(&mut self, name: &str, state: JobState) {
        self.snapshot.jobs.retain(|job| job.name != name);
        self.snapshot.jobs.push(JobView {
            name: name.to_owned(),
            uid: format!("{name}-uid"),
            created: Some(self.snapshot.now),
            state,
        });
    }

    fn phase(&self) -> AnalysisPhase {
        self.snapshot.status.phase.unwrap()
    }

    fn measurement(&self) -> (Option<MeasurementPhase>, String) {
        let newest = self.snapshot.status.metric_results[0].measurements.last();
        let newest = newest.cloned().unwrap_or_default();
        (newest.phase, newest.message.unwrap_or_default())
    }

    fn jobs(&self) -> Vec<&str> {
        self.snapshot
            .jobs
            .iter()
            .map(|job| job.name.as_str())
            .collect()
    }
}

#[test]
fn a_job_is_started_and_its_end_is_the_measurement() {
    use MeasurementPhase as M;
    for (state, measured, phase, why, stopped) in [
        (
            JobState::Complete,
            M::Successful,
            AnalysisPhase::Successful,
            "",
            0,
        ),
        (
            JobState::Failed("BackoffLimitExceeded: too often".into()),
            M::Failed,
            AnalysisPhase::Failed,
            "Job uid.smoke.1 failed: BackoffLimitExceeded: too often",
            0,
        ),
        (
            JobState::NoImage("ImagePullBackOff: no such image".into()),
            M::Inconclusive,
            AnalysisPhase::Inconclusive,
            "Job uid.smoke.1 cannot run, which says nothing about the version: ImagePullBackOff: no such image",
            1,
        ),
        (
            JobState::Deleting,
            M::Inconclusive,
            AnalysisPhase::Inconclusive,
            "Job uid.smoke.1 was deleted before it was done",
            0,
        ),
    ] {
        let mut world = World::new(json!({}));
        let begun = world.look();
        assert_eq!(
            (world.jobs(), begun.next),
            (vec!["uid.smoke.1"], Next::OnChange)
        );
        assert_eq!(world.measurement(), (Some(M::Running), String::new()));
        world.after(30);
        world.job("uid.smoke.1", state);
        let done = world.look();
        assert_eq!(world.measurement(), (Some(measured), why.to_owned()));
        assert_eq!((world.phase(), done.stop.len()), (phase, stopped), "{why}");
        let measurement = &world.snapshot.status.metric_results[0].measurements[0];
        let took =
            |at: Option<Timestamp>| at.map(|at| at.duration_since(world.snapshot.now).as_secs());
        assert_eq!(
            (took(measurement.started_at), took(measurement.finished_at)),
            (Some(-30), Some(0))
        );
    }
}

#[test]
fn a_job_that_vanished_proves_nothing() {
    let mut world = World::new(json!({}));
    world.look();
    world.snapshot.jobs.clear();
    world.look();
    assert_eq!(world.phase(), AnalysisPhase::Inconclusive);
    assert_eq!(
        world.measurement().1,
        "its Job was deleted before it was done"
    );
}

#[test]
fn a_job_that_was_started_before_a_crash_is_found_again() {
    let mut world = World::new(json!({}));
    world.look();
    // The status was not written any more.
    world.snapshot.status = AnalysisRunStatus::default();
    world.after(5);
    let decision = decide(&world.snapshot);
    assert_eq!(
        (decision.measure.len(), decision.stop.len(), decision.next),
        (0, 0, Next::OnChange)
    );
    world.job("uid.smoke.1", JobState::Complete);
    world.snapshot.status = AnalysisRunStatus::default();
    world.look();
    assert_eq!(
        (world.phase(), world.jobs()),
        (AnalysisPhase::Successful, vec!["uid.smoke.1"])
    );
}

#[test]
fn each_measurement_has_a_job_of_its_own_and_only_those_shown_are_kept() {
    let mut world = World::new(json!({"interval": "10s", "count": 12}));
    for number in 1..=12 {
        world.look();
        let name = format!("uid.smoke.{number}");
        assert_eq!(world.jobs().last(), Some(&name.as_str()));
        world.job(&name, JobState::Complete);
        let done = world.look();
        if number < 12 {
            assert!(matches!(done.next, Next::At { .. }), "{:?}", done.next);
            world.after(10);
        }
    }
    assert_eq!(world.phase(), AnalysisPhase::Successful);
    // Ten measurements are kept.
    assert_eq!(world.jobs().len(), 10);
}

#[test]
fn argo_4393_a_run_is_never_successful_while_a_job_has_failed_or_goes_on() {
    for (terminate, state, phase) in [
        (
            false,
            JobState::Failed(String::new()),
            AnalysisPhase::Failed,
        ),
        (true, JobState::Failed(String::new()), AnalysisPhase::Failed),
        (true, JobState::Active, AnalysisPhase::Inconclusive),
        (true, JobState::Complete, AnalysisPhase::Inconclusive),
    ] {
        let mut world = World::new(json!({"interval": "10s", "count": 3}));
        world.look();
        world.job("uid.smoke.1", JobState::Complete);
        world.look();
        world.after(10);
        world.look();
        world.job("uid.smoke.2", state.clone());
        world.snapshot.spec.terminate = Some(terminate);
        world.look();
        assert_eq!(world.phase(), phase, "{state:?}");
    }
}

#[test]
fn a_job_of_a_terminated_run_is_stopped_also_by_a_controller_that_comes_later() {
    let mut world = World::new(json!({}));
    world.look();
    world.snapshot.spec.terminate = Some(true);
    let decision = decide(&world.snapshot);
    assert_eq!(decision.stop[0].uid, "uid.smoke.1-uid");
    world.snapshot.status = decision.status;
    assert_eq!(world.phase(), AnalysisPhase::Inconclusive);
    assert_eq!(
        world.measurement().1,
        "Job uid.smoke.1 was stopped: the run has ended"
    );
    // It crashed before it deleted the Job.
    let later = decide(&world.snapshot);
    assert_eq!(
        (later.stop.len(), later.status),
        (1, world.snapshot.status.clone())
    );
    world.job("uid.smoke.1", JobState::Failed(String::new()));
    assert_eq!(
        decide(&world.snapshot).stop.len(),
        0,
        "what has ended stays to be looked at"
    );
}
