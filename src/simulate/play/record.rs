//! What is told of a release while it is played.
//!
//! Not here: what happens (the other files of `play`), and how it is shown.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{Play, Who};
use crate::{
    api::{
        rollout_status::{PauseReason, RolloutStatus},
        strategy::Declared,
    },
    rollout::{
        decide::describe_step,
        decision::{Action, Decision, Note},
        snapshot::Snapshot,
    },
    simulate::story::{
        Aborted, Analysis, Moment, MomentKind, Outcome, PodCount, Pods, Requests, Sample,
        Simulation, Summary,
    },
};

/// So long nothing has to happen until nothing is expected to happen any more.
const QUIET: Duration = Duration::from_mins(30);

/// What has been told so far.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// When the new version was declared.
    pub(super) begun: Option<Duration>,
    from: String,
    to: String,
    timeline: Vec<Moment>,
    samples: Vec<Sample>,
    pub(super) analyses: Vec<Analysis>,
    pub(super) assumptions: BTreeMap<(String, String), String>,
    pub(super) requests: Requests,
    aborted: Option<Aborted>,
    pub(super) most_pods: i32,
    pub(super) extra_hours: f64,
    pub(super) settled: Option<Duration>,
    step: Option<i32>,
    pub(super) waits: String,
    changed: Duration,
    pub(super) has_testers: bool,
}

impl Record {
    /// What was assumed about a metric of a run.
    pub(super) fn assumes(&mut self, run: &str, metric: &str, assumed: String) {
        self.assumptions
            .insert((run.to_owned(), metric.to_owned()), assumed);
    }
}

impl Play<'_> {
    pub(super) fn begin_record(&mut self, from: String, to: String, status: &RolloutStatus) {
        self.record.begun = Some(self.world.now());
        self.record.from = from;
        self.record.to = to;
        self.sample(status);
    }

    /// Seconds since the new version was declared.
    pub(super) fn since(&self, at: Duration) -> f64 {
        let begun = self.record.begun.unwrap_or_default();
        let seconds = at.saturating_sub(begun).as_secs_f64();
        (seconds * 1000.0).round() / 1000.0
    }

    pub(super) fn tell(&mut self, kind: MomentKind, text: String) {
        if self.record.begun.is_none() {
            return;
        }
        let at = self.since(self.world.now());
        self.record.timeline.push(Moment { at, kind, text });
        self.record.changed = self.world.now();
    }

    /// Whether nothing has happened for long, and nothing is going to: a person is waited for who does not come, or nothing of
    /// ours is due.
    pub(super) fn is_over(&self) -> bool {
        let quiet = self.world.now().saturating_sub(self.record.changed);
        quiet > QUIET + self.options.after && (self.is_alone() || self.due.is_empty())
    }

    /// Whether a person is waited for who does not come.
    pub(super) fn is_alone(&self) -> bool {
        !self.record.waits.is_empty() && !self.due.contains_key(&Who::Person)
    }

    /// Traffic and pods as they are.
    pub(super) fn sample(&mut self, status: &RolloutStatus) {
        let now = self.world.now();
        let Some(seen) = self.seen.as_ref().filter(|_| self.record.begun.is_some()) else {
            return;
        };
        let (mut new, mut old) = (PodCount::default(), PodCount::default());
        for set in &seen.replica_sets {
            let count = if set.pod_template_hash == self.new_hash {
                &mut new
            } else {
                &mut old
            };
            count.desired += set.replicas;
            count.current += set.current;
            count.available += set.available;
        }
        let sample = Sample {
            at: self.since(now),
            share: (self.shares.new * 1000.0).round() / 1000.0,
            new,
            old,
            phase: status.phase.map_or("", |phase| phase.name()).to_owned(),
        };
        let last = self.record.samples.last();
        let before = last.map_or(0.0, |last| last.share);
        if last.is_some_and(|last| {
            Sample {
                at: sample.at,
                ..last.clone()
            } == sample
        }) {
            return;
        }
        self.record.changed = now;
        let share = sample.share;
        if last.is_some_and(|last| last.at >= sample.at) {
            self.record.samples.pop();
        }
        self.record.samples.push(sample);
        if (share - before).abs() >= 0.0005 {
            self.tell(
                MomentKind::Traffic,
                format!("{} of the traffic goes to the new version", percent(share)),
            );
        }
        let aborted_and_back = self.record.aborted.is_some() && share == 0.0;
        if aborted_and_back && self.record.settled.is_none() {
            self.record.settled = Some(now);
        }
    }

    /// What a decision says that was carried out.
    pub(super) fn tell_decision(&mut self, snapshot: &Snapshot, decision: &Decision) {
        if self.record.begun.is_none() {
            return;
        }
        let status = &decision.status;
        if status.current_pod_hash != status.stable_rs && self.new_hash.is_empty() {
            self.new_hash.clone_from(&status.current_pod_hash);
            self.marks.new.push(self.new_hash.clone());
        }
        let steps = snapshot.rollout.spec.as_ref().ok();
        let steps = steps.and_then(|spec| spec.strategy.declared());
        let steps = steps.map(Declared::steps).unwrap_or_default();
        if status.current_step_index != self.record.step && status.stable_rs != self.new_hash {
            self.record.step = status.current_step_index;
            let index = usize::try_from(status.current_step_index.unwrap_or(0)).unwrap_or(0);
            if let Some(step) = steps.get(index).filter(|_| !status.abort) {
                let text = format!(
                    "step {} of {}: {}",
                    index + 1,
                    steps.len(),
                    describe_step(step)
                );
                self.tell(MomentKind::Step, text);
            }
        }
        for note in &decision.notes {
            self.tell_note(note, status);
        }
        if status.abort && self.record.aborted.is_none() {
            self.record.aborted = Some(Aborted {
                at: self.since(self.world.now()),
                cause: status.abort_cause.clone().unwrap_or_default(),
                requests_to_new: self.record.requests.to_new,
                errors: self.record.requests.errors,
            });
        }
        let pause = status.pause_conditions.first();
        let ends_by_itself = status.next.as_ref().is_some_and(|next| next.at.is_some());
        let waits = pause.filter(|pause| pause.reason.asks_person() || !ends_by_itself);
        let waits = waits.map_or("", |pause| asked(pause.reason));
        if waits != self.record.waits {
            waits.clone_into(&mut self.record.waits);
            if !waits.is_empty() {
                self.tell(
                    MomentKind::Person,
                    format!("it waits for a person: {waits}"),
                );
            }
        }
    }

    fn tell_note(&mut self, note: &Note, status: &RolloutStatus) {
        let kind = match note.reason {
            "RolloutCompleted" => {
                self.record.settled = Some(self.world.now());
                return self.tell(
                    MomentKind::Good,
                    "the new version is the stable one".to_owned(),
                );
            }
            "RolloutAborted" => {
                let cause = status.abort_cause.clone().unwrap_or_default();
                return self.tell(
                    MomentKind::Bad,
                    format!("aborted: {}", self.readable(&cause)),
                );
            }
            // Said in other words already, or of no interest here.
            "RolloutUpdated"
            | "RolloutStepCompleted"
            | "RolloutNotCompleted"
            | "RolloutHealthy"
            | "RolloutPaused"
            | "RolloutResumed"
            | "TrafficWeightUpdated"
            | "AnalysisRunRunning"
            | "AnalysisRunSuccessful"
            | "AnalysisRunFailed"
            | "AnalysisRunError"
            | "AnalysisRunInconclusive"
            | "RequestAccepted" => return,
            _ if note.warning => MomentKind::Bad,
            _ => MomentKind::Step,
        };
        let text = self.readable(&note.message);
        if kind == MomentKind::Bad && status.abort {
            return;
        }
        self.tell(kind, text);
    }

    /// What an action that was carried out did, where traffic or pods move by it.
    pub(super) fn tell_action(&mut self, action: &Action, note: &Note) {
        let kind = match action {
            Action::PatchReplicaSet { .. } => MomentKind::Pods,
            Action::PinService { .. } | Action::CreateExperiment { .. } => MomentKind::Step,
            Action::CreateReplicaSet { .. }
            | Action::AdoptReplicaSet { .. }
            | Action::RecogniseReplicaSet { .. }
            | Action::DeleteReplicaSet { .. }
            | Action::CreateIngress { .. }
            | Action::PatchIngress { .. }
            | Action::PatchRoute { .. }
            | Action::DeleteIngress { .. }
            | Action::CreateService { .. }
            | Action::DeleteService { .. }
            | Action::TerminateExperiment { .. }
            | Action::DeleteExperiment { .. }
            | Action::ReadPodTemplate { .. }
            | Action::CreateAnalysisRun { .. }
            | Action::TerminateAnalysisRun { .. }
            | Action::DeleteAnalysisRun { .. }
            | Action::PatchPods { .. }
            | Action::EvictPod { .. }
            | Action::ScaleWorkload { .. }
            | Action::RestoreWorkload { .. } => return,
        };
        let text = self.readable(&note.message);
        self.tell(kind, text);
    }

    /// A sentence with versions in the place of generated names.
    pub(super) fn readable(&self, text: &str) -> String {
        let Some(seen) = &self.seen else {
            return text.to_owned();
        };
        let mut text = text.to_owned();
        if !self.new_hash.is_empty() {
            // Before its ReplicaSet is seen.
            let name = format!("{}-{}", self.rollout, self.new_hash);
            for long in [format!("ReplicaSet {name} (revision "), name.clone()] {
                let Some((before, after)) = text.split_once(&long) else {
                    continue;
                };
                let after = match after.split_once(')') {
                    Some((_, after)) if long.ends_with('(') || long.ends_with(' ') => after,
                    Some(_) | None => after,
                };
                if !after.starts_with('-') {
                    text = format!("{before}the new version{after}");
                }
            }
        }
        for set in &seen.replica_sets {
            let version = if set.pod_template_hash == self.new_hash {
                "the new version"
            } else {
                "the stable version"
            };
            let set_name = &set.name;
            for (long, short) in [
                (
                    format!("ReplicaSet {set_name} (revision {})", set.revision),
                    version,
                ),
                (format!("ReplicaSet {set_name}"), version),
                (set_name.clone(), version),
                (format!("-{}", set.pod_template_hash), ""),
            ] {
                // Names of what belongs to a version begin with its name.
                let is_prefix = text.contains(&format!("{set_name}-"));
                if !(long == *set_name && is_prefix) {
                    text = text.replace(&long, short);
                }
            }
        }
        text
    }

    /// All of it.
    pub(super) fn finish(&mut self, status: &Value) -> Simulation {
        let status: RolloutStatus = serde_json::from_value(status.clone()).unwrap_or_default();
        let ended = self.record.changed;
        let completed = !self.new_hash.is_empty() && status.stable_rs == self.new_hash;
        let outcome = if completed {
            Outcome::Completed
        } else if status.abort {
            Outcome::RolledBack
        } else if !status.pause_conditions.is_empty() {
            Outcome::WaitsForPerson
        } else {
            Outcome::Unfinished
        };
        let pause = status.pause_conditions.first();
        let message = if let Some(pause) = pause {
            asked(pause.reason).to_owned()
        } else if status.message.is_empty() {
            status.waiting_for.clone().unwrap_or_default()
        } else {
            status.message.clone()
        };
        let assumptions = self.assumptions();
        let (_, declared) = self.pods();
        let spec = self
            .seen
            .as_ref()
            .and_then(|seen| seen.rollout.spec.as_ref().ok());
        let strategy = spec.and_then(|spec| spec.strategy.declared());
        let strategy = strategy.map_or("", Declared::name);
        let settled = self.record.settled.unwrap_or(ended);
        let summary = Summary {
            outcome,
            settled_at: self.since(settled),
            ended_at: self.since(ended),
            phase: status.phase.map_or("", |phase| phase.name()).to_owned(),
            message: self.readable(&message),
            aborted: self.record.aborted.clone().map(|aborted| Aborted {
                cause: self.readable(&aborted.cause),
                ..aborted
            }),
            requests: self.record.requests,
            pods: Pods {
                declared,
                most: self.record.most_pods,
                extra_hours: (self.record.extra_hours * 1e4).round() / 1e4,
            },
        };
        let mut analyses = std::mem::take(&mut self.record.analyses);
        for analysis in &mut analyses {
            analysis.message = self.readable(&analysis.message);
        }
        Simulation {
            rollout: self.rollout.clone(),
            strategy,
            from: std::mem::take(&mut self.record.from),
            to: std::mem::take(&mut self.record.to),
            scenario: self.options.scenario,
            rps: self.rps(),
            seed: self.options.seed,
            summary,
            timeline: std::mem::take(&mut self.record.timeline),
            samples: std::mem::take(&mut self.record.samples),
            analyses,
            assumptions,
        }
    }

    fn assumptions(&self) -> Vec<String> {
        let mut all = self.manifests.notes.clone();
        let mut of_metrics: Vec<(String, &String)> = self
            .record
            .assumptions
            .iter()
            .map(|((_, metric), assumed)| (metric.clone(), assumed))
            .collect();
        of_metrics.dedup();
        of_metrics.sort();
        of_metrics.dedup();
        all.extend(
            of_metrics
                .into_iter()
                .map(|(metric, assumed)| format!("metric {metric}: {assumed}")),
        );
        if self.record.has_testers {
            all.push(
                "testers send the new version one request per second before users do".to_owned(),
            );
        }
        all
    }
}

/// What a person is asked.
const fn asked(reason: PauseReason) -> &'static str {
    match reason {
        PauseReason::CanaryPauseStep => "the pause has no duration",
        PauseReason::BlueGreenPause => "the switch is not automatic",
        PauseReason::InconclusiveAnalysisRun => "an analysis cannot tell",
        PauseReason::InconclusiveExperiment => "an Experiment cannot tell",
        PauseReason::TrafficOverwritten => "somebody keeps changing the traffic",
    }
}

/// A share as people write it.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if (percent - percent.round()).abs() < 0.05 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}
