//! A look at an AnalysisRun: what is due is measured at once, with what the scenario would show, and judged by the real judge.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Play, Who, moment, writes::may_go_on};
use crate::{
    analysis::{
        act::status_patch,
        decide::{self, AnalysisDecision, MeasureRequest, Next},
        jobs::{self, JOB_NAME, JobView},
        judge::{Judgement, judge},
        observe::{ObservedRun, observe},
        plan::{self, Source},
        snapshot::{AnalysisRunSnapshot, Outcome},
    },
    api::{analysis::MeasurementPhase, names::Kind},
    sim::{request::Subresource, server},
    simulate::{SimulateError, metrics},
};

/// How long an answer takes.
const ANSWER: Duration = Duration::from_millis(30);
/// What Jobs do that measure: the words in the tag say it to the simulated cluster.
const GOOD_JOB: &str = "job:simulated-run10";
const BAD_JOB: &str = "job:simulated-run10-fail";

impl Play<'_> {
    pub(super) fn look_at_run(&mut self, name: &str) -> Result<(), SimulateError> {
        let key = self.key(Kind::AnalysisRun.plural(), name);
        let Some(Ok(run)) = self.world.store.get(&key).map(observe) else {
            return Ok(());
        };
        let (Ok(spec), Ok(status)) = (&run.spec, &run.status) else {
            return Ok(());
        };
        let known = self.plans.entry(name.to_owned());
        let plans = known.or_insert_with(|| Rc::new(plan::plan(spec))).clone();
        let mut snapshot = AnalysisRunSnapshot {
            run: run.identity(),
            spec: spec.clone(),
            status: status.clone(),
            now: self.millis(),
            outcomes: Vec::new(),
            jobs: self.jobs_of(&run),
        };
        let mut decision = decide::decide_planned(&plans, &snapshot);
        let asked = std::mem::take(&mut decision.measure);
        if !asked.is_empty() {
            for request in asked {
                let outcome = self.measure(&run, &request)?;
                snapshot.outcomes.push(outcome);
            }
            decision = decide::decide_planned(&plans, &snapshot);
        }
        self.write_run(&run, &decision)?;
        let due = match &decision.next {
            Next::Measured => Some(self.world.now() + super::NOTICE),
            Next::At { time, .. } | Next::Expires(time) => {
                Some(moment(*time) + Duration::from_millis(1))
            }
            Next::OnChange | Next::Ended => None,
        };
        if let Some(at) = due {
            self.wake(Who::Run(name.to_owned()), at.max(self.world.now()));
        }
        Ok(())
    }

    fn millis(&self) -> Timestamp {
        let now = self.world.time();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    fn write_run(
        &mut self,
        run: &ObservedRun,
        decision: &AnalysisDecision,
    ) -> Result<(), SimulateError> {
        let key = self.key(Kind::AnalysisRun.plural(), &run.name);
        let patch =
            status_patch(run, &decision.status).map_err(|error| SimulateError::Internal {
                what: format!("the status of {key}"),
                message: error.to_string(),
            })?;
        if let Some(patch) = patch {
            let outcome = self.merge(&key, Subresource::Status, &patch);
            self.take_in();
            if !may_go_on(outcome, "write_status")? {
                return Ok(());
            }
            self.tell_run(run, decision);
        }
        for job in &decision.stop {
            let key = self.key("jobs", &job.name);
            let options = json!({"preconditions": {"uid": job.uid}});
            let outcome = server::delete(&mut self.world, &self.author, &key, &options).map(drop);
            may_go_on(outcome, "delete_job")?;
        }
        if decision.expired {
            let outcome =
                server::delete(&mut self.world, &self.author, &key, &Value::Null).map(drop);
            may_go_on(outcome, "delete_analysis_run")?;
        }
        self.take_in();
        Ok(())
    }

    fn measure(
        &mut self,
        run: &ObservedRun,
        request: &MeasureRequest,
    ) -> Result<Outcome, SimulateError> {
        if let Source::Job(plan) = &request.source {
            return self.start_job(run, request, plan);
        }
        let question = metrics::Question {
            source: &request.source,
            conditions: &request.conditions,
            overridden: self.options.metrics.get(&request.metric),
        };
        let answer = metrics::answer(&question, &self.metric_world());
        let started_at = self.millis();
        let took = Timestamp::from_millisecond(
            started_at.as_millisecond() + i64::try_from(ANSWER.as_millis()).unwrap_or(0),
        );
        let (value, judgement) = match &answer.value {
            Ok(value) => (Some(value.shown()), judge(value, &request.conditions)),
            Err(why) => (
                None,
                Judgement::because(MeasurementPhase::Error, why.clone()),
            ),
        };
        self.record
            .assumes(&run.name, &request.metric, answer.assumed);
        Ok(Outcome {
            metric: request.metric.clone(),
            started_at,
            finished_at: Some(took.unwrap_or(started_at)),
            query: request.source.shown(),
            metadata: BTreeMap::new(),
            value,
            judgement,
        })
    }

    fn metric_world(&self) -> metrics::World<'_> {
        metrics::World {
            scenario: self.options.scenario,
            log: &self.log,
            marks: &self.marks,
            now: self.world.now(),
        }
    }

    /// Creates the Job. It ends by itself, as the scenario says.
    fn start_job(
        &mut self,
        run: &ObservedRun,
        request: &MeasureRequest,
        plan: &plan::JobPlan,
    ) -> Result<Outcome, SimulateError> {
        let name = request.job.clone().unwrap_or_default();
        let overridden = self.options.metrics.get(&request.metric);
        let (succeeds, assumed) = metrics::job_succeeds(overridden, &self.metric_world());
        self.record.assumes(&run.name, &request.metric, assumed);
        let mut job = jobs::object(&self.names, &run.identity(), &request.metric, &name, plan);
        let image = if succeeds { GOOD_JOB } else { BAD_JOB };
        let containers = job.pointer_mut("/spec/template/spec/containers");
        for container in containers
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            container["image"] = json!(image);
        }
        let namespace = self.namespace.clone();
        let resource = self.world.store.resource("jobs");
        let created = server::create(&mut self.world, &self.author, resource, &namespace, job);
        self.take_in();
        may_go_on(created.map(drop), "create_job")?;
        Ok(Outcome {
            metric: request.metric.clone(),
            started_at: self.millis(),
            finished_at: None,
            query: None,
            metadata: [(JOB_NAME.to_owned(), name)].into(),
            value: None,
            judgement: Judgement {
                phase: MeasurementPhase::Running,
                message: None,
            },
        })
    }

    fn jobs_of(&self, run: &ObservedRun) -> Vec<JobView> {
        let owned = |object: &Value| {
            let owner = object.pointer("/metadata/ownerReferences/0/uid");
            owner.is_some_and(|uid| *uid == *run.uid)
        };
        let all = self.world.store.list("jobs");
        all.filter(|(_, job)| owned(job))
            .map(|(_, job)| jobs::view(job, &[]))
            .collect()
    }
}
