//! A run for tests, with measurements from a script.

use std::collections::{BTreeMap, VecDeque};

use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::analysis::decide::{AnalysisDecision, Next, decide};
use crate::analysis::jobs::RunIdentity;
use crate::analysis::judge::Judgement;
use crate::analysis::snapshot::{AnalysisRunSnapshot, Outcome};
use crate::api::analysis::{
    AnalysisPhase, AnalysisRunSpec, AnalysisRunStatus, MeasurementPhase, MetricResult,
};

/// A run whose measurements come from a script; after the script a metric repeats its last line.
pub(super) struct Run {
    pub(super) spec: AnalysisRunSpec,
    pub(super) status: AnalysisRunStatus,
    pub(super) now: Timestamp,
    pub(super) start: Timestamp,
    pub(super) script: BTreeMap<String, VecDeque<MeasurementPhase>>,
    /// When each measurement was taken, in seconds after the start.
    pub(super) taken: Vec<(String, i64)>,
}

impl Run {
    pub(super) fn new(metrics: Value) -> Self {
        let mut metrics = metrics;
        for metric in metrics.as_array_mut().expect("a list") {
            metric["provider"] = json!({"prometheus": {"query": "up"}});
        }
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let spec = testbed::heard("AnalysisTemplate", json!({"metrics": metrics}));
        Self {
            spec: serde_json::from_value(spec).expect("a spec"),
            status: AnalysisRunStatus::default(),
            now: start,
            start,
            script: BTreeMap::new(),
            taken: Vec::new(),
        }
    }

    /// One metric `m`.
    pub(super) fn one(metric: Value) -> Self {
        let mut metric = metric;
        metric["name"] = json!("m");
        Self::new(json!([metric]))
    }

    pub(super) fn answers(mut self, metric: &str, phases: &[MeasurementPhase]) -> Self {
        self.script
            .insert(metric.into(), phases.iter().copied().collect());
        self
    }

    pub(super) fn dry_run(mut self, pattern: &str) -> Self {
        let spec = json!({"metrics": [], "dryRun": [{"metricName": pattern}]});
        let spec = testbed::heard("AnalysisTemplate", spec);
        let spec: AnalysisRunSpec = serde_json::from_value(spec).unwrap();
        self.spec.dry_run = spec.dry_run;
        self
    }

    pub(super) fn decide(&self, outcomes: Vec<Outcome>) -> AnalysisDecision {
        decide(&AnalysisRunSnapshot {
            spec: self.spec.clone(),
            status: self.status.clone(),
            now: self.now,
            outcomes,
            run: RunIdentity::default(),
            jobs: Vec::new(),
        })
    }

    /// Measures and waits until nothing is due before `seconds` after the start have passed.
    pub(super) fn until(&mut self, seconds: i64) -> &mut Self {
        let end = self.start.checked_add(seconds.seconds()).unwrap();
        loop {
            let decision = self.decide(Vec::new());
            self.status = decision.status;
            if decision.next == Next::Measured {
                let outcomes = decision
                    .measure
                    .iter()
                    .map(|request| self.measure(&request.metric))
                    .collect();
                self.status = self.decide(outcomes).status;
                continue;
            }
            match decision.next {
                Next::At { time, .. } if time <= end => self.now = time,
                Next::At { .. }
                | Next::OnChange
                | Next::Expires(_)
                | Next::Ended
                | Next::Measured => return self,
            }
        }
    }

    pub(super) fn measure(&mut self, metric: &str) -> Outcome {
        self.taken
            .push((metric.into(), self.now.duration_since(self.start).as_secs()));
        let script = self.script.get_mut(metric).expect("a script");
        let phase = if script.len() > 1 {
            script.pop_front()
        } else {
            script.front().copied()
        };
        let phase = phase.expect("an answer");
        Outcome {
            metric: metric.into(),
            started_at: self.now,
            finished_at: Some(self.now),
            query: Some("up".into()),
            metadata: BTreeMap::new(),
            value: Some("0.21".into()),
            judgement: Judgement {
                phase,
                message: (phase != MeasurementPhase::Successful)
                    .then(|| "0.21 does not satisfy `result < 0.05`".into()),
            },
        }
    }

    pub(super) fn phase(&self) -> AnalysisPhase {
        self.status.phase.expect("a phase")
    }

    pub(super) fn result(&self, metric: &str) -> &MetricResult {
        self.status
            .metric_results
            .iter()
            .find(|result| result.name == metric)
            .expect("a result")
    }

    pub(super) fn seconds(&self) -> Vec<i64> {
        self.taken.iter().map(|(_, seconds)| *seconds).collect()
    }
}
