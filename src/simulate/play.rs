//! The loop: goes to the next time at which anything is due, lets the cluster act, and has our decisions made and carried out.
//!
//! Not here: what a look at an object does (`rollout`, `run`, `experiment`), how it is written (`writes`), what is told (`record`).

mod experiment;
mod people;
mod record;
mod requests;
mod rollout;
mod run;
mod verdicts;
mod writes;

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    Options, SimulateError,
    manifests::{Manifests, text},
    metrics::Marks,
    scenario::Scenario,
    story::Simulation,
    traffic::{Log, Shares},
};
use crate::{
    analysis::plan::{FieldError, MetricPlan},
    api::names::{ApiNames, FIELD_MANAGER, Kind},
    caches::fed::Fed,
    rollout::{observe::Memory, snapshot::Snapshot},
    sim::{
        nature::{Nature, Span},
        request::{ApiRequest, Subresource, Verb},
        resources, server,
        store::{Author, By, Change, Key},
        world::{Event, Happened, World},
    },
};
use record::Record;

/// From a change to the look at what it concerns: the way of a watch, and the time that changes are waited for together.
const NOTICE: Duration = Duration::from_millis(30);
/// How long the first deploy may take.
const FIRST_DEPLOY: Duration = Duration::from_hours(1);
/// How long pods go on serving that are told to end, when their template does not say.
const GRACE: Duration = Duration::from_secs(5);

/// What an AnalysisRun is to measure, or why it cannot.
type Plans = Result<Vec<MetricPlan>, Vec<FieldError>>;

/// Who looks at what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    /// The cluster, or a person, does something to the release.
    Fate,
    /// A person looks at the Rollout.
    Person,
    /// The Rollout is looked at.
    Rollout,
    /// An Experiment is.
    Experiment(String),
    /// An AnalysisRun is.
    Run(String),
}

/// A release as it is played.
pub(super) struct Play<'a> {
    options: &'a Options,
    names: ApiNames,
    namespace: String,
    rollout: String,
    manifests: Manifests,
    world: World,
    fed: Fed,
    /// When whom is due next.
    due: BTreeMap<Who, Duration>,
    memory: Memory,
    /// The last look at the Rollout.
    seen: Option<Rc<Snapshot>>,
    shares: Shares,
    log: Log,
    /// How far `log` is.
    logged: Duration,
    marks: Marks,
    /// The hash of the new version, once it is declared and seen.
    new_hash: String,
    /// The controller, as the server knows it.
    author: Author,
    /// The plans of AnalysisRuns, whose metrics never change.
    plans: BTreeMap<String, Rc<Plans>>,
    record: Record,
}

impl<'a> Play<'a> {
    /// An empty cluster with everything in it but the Rollout.
    pub(super) fn begin(
        manifests: &Manifests,
        options: &'a Options,
    ) -> Result<Self, SimulateError> {
        let names = ApiNames::default();
        let nature = Nature {
            grace: grace(&manifests.rollout),
            start: about(options.pod_start),
            ..Nature::default()
        };
        let epoch = Timestamp::UNIX_EPOCH;
        let mut play = Self {
            options,
            namespace: manifests.namespace().to_owned(),
            rollout: manifests.name().to_owned(),
            manifests: manifests.clone(),
            world: World::new(options.seed, epoch, nature),
            fed: Fed::new(&names),
            names,
            due: BTreeMap::new(),
            memory: Memory::default(),
            seen: None,
            shares: Shares::default(),
            log: Log::default(),
            logged: Duration::ZERO,
            marks: Marks::default(),
            new_hash: String::new(),
            author: Author {
                by: By::Controller,
                manager: FIELD_MANAGER.to_owned(),
            },
            plans: BTreeMap::new(),
            record: Record::default(),
        };
        for object in manifests.others.clone() {
            play.apply(object)?;
        }
        Ok(play)
    }

    /// Deploys the version before the new one, until it is at rest.
    pub(super) fn deploy(&mut self) -> Result<(), SimulateError> {
        self.apply(self.manifests.rollout.clone())?;
        self.run(FIRST_DEPLOY)?;
        let status = self.status();
        let is = |pointer: &str| text(&status, pointer).to_owned();
        if is("/phase") == "Healthy" {
            return Ok(());
        }
        let condition = |type_: &str| {
            let all = status["conditions"].as_array().into_iter().flatten();
            let mut of_type = all.filter(|one| one["type"] == *type_ && one["status"] == *"True");
            of_type.next().map(|one| text(one, "/message").to_owned())
        };
        let name = self.rollout.clone();
        if let Some(message) = condition("InvalidSpec") {
            return Err(SimulateError::Invalid { name, message });
        }
        let why = Some(is("/waitingFor"))
            .filter(|why| !why.is_empty())
            .unwrap_or_else(|| is("/message"));
        if let Some(what) = why.strip_suffix(" to exist") {
            return Err(SimulateError::Missing {
                name,
                what: what.to_owned(),
            });
        }
        Err(SimulateError::NotDeployed {
            name,
            waited: self.world.now(),
            why,
        })
    }

    /// Declares the new version, and plays until nothing is left to happen.
    pub(super) fn release(&mut self) -> Result<(), SimulateError> {
        // The first deploy is over; a whole second later is easy to read.
        self.world
            .set_now(self.world.now() + Duration::from_secs(1));
        self.begin_release()?;
        self.run(self.options.limit)
    }

    /// What was played.
    pub(super) fn end(mut self) -> Simulation {
        let status = self.status();
        self.finish(&status)
    }

    /// Creates an object, as `kubectl create`.
    fn apply(&mut self, mut object: Value) -> Result<(), SimulateError> {
        let (version, kind) = (
            text(&object, "/apiVersion").to_owned(),
            text(&object, "/kind").to_owned(),
        );
        let name = text(&object, "/metadata/name").to_owned();
        // Kinds that are not modelled were left out when the files were read.
        let Some(resource) = resources::of_kind(self.world.store.api(), &version, &kind) else {
            return Ok(());
        };
        let namespace = if resource.namespaced {
            self.namespace.clone()
        } else {
            String::new()
        };
        if resource.namespaced {
            object["metadata"]["namespace"] = namespace.clone().into();
        }
        let person = Author::person();
        let request = ApiRequest {
            resource,
            namespace,
            name: String::new(),
            subresource: Subresource::None,
            verb: Verb::Create(object),
            // As kubectl asks it. The definitions of the other group refuse nothing.
            options: server::Options {
                dry_run: false,
                strict: !self.manifests.from_argo,
            },
            user: None,
            manager: person.manager.clone(),
            shown: String::new(),
        };
        server::handle(&mut self.world, &person, &request).map_err(|refused| {
            SimulateError::Refused {
                kind,
                name,
                message: refused.message,
            }
        })?;
        self.take_in();
        Ok(())
    }

    /// Plays for so long, or until nothing is left to happen.
    fn run(&mut self, at_most: Duration) -> Result<(), SimulateError> {
        let end = self.world.now() + at_most;
        loop {
            let own = self.due.values().min().copied();
            let Some(next) = own.into_iter().chain(self.world.next_due()).min() else {
                return Ok(());
            };
            if next > end {
                return Ok(());
            }
            self.count_requests(next.max(self.world.now()));
            self.world.set_now(next);
            self.world.act();
            self.take_in();
            let now = self.world.now();
            let due: Vec<Who> = self
                .due
                .iter()
                .filter(|(_, at)| **at <= now)
                .map(|(who, _)| who.clone())
                .collect();
            for who in due {
                self.due.remove(&who);
                match &who {
                    Who::Rollout => self.look_at_rollout()?,
                    Who::Experiment(name) => self.look_at_experiment(name)?,
                    Who::Run(name) => self.look_at_run(name)?,
                    Who::Person => self.person_looks()?,
                    Who::Fate => self.fate_strikes(),
                }
                self.take_in();
            }
            if self.is_over() {
                return Ok(());
            }
        }
    }

    fn wake(&mut self, who: Who, at: Duration) {
        let due = self.due.entry(who).or_insert(at);
        *due = at.min(*due);
    }

    /// Takes in what has happened: caches follow, and whom it concerns is woken.
    fn take_in(&mut self) {
        for Event { at: _, what } in std::mem::take(&mut self.world.events) {
            match what {
                Happened::Change(change) => self.changed(&change),
                Happened::Lost(_) | Happened::Complaint(_) | Happened::Note(_) => {}
            }
        }
    }

    fn changed(&mut self, change: &Change) {
        let plural = change.key.plural;
        self.fed.apply(plural, &change.object, change.deleted);
        let soon = self.world.now() + NOTICE;
        match plural {
            "pods" | "events" | "leases" | "secrets" => {}
            _ => {
                if plural != Kind::AnalysisRun.plural() || says_more(change) {
                    self.wake(Who::Rollout, soon);
                }
                if plural == Kind::AnalysisRun.plural() && !change.deleted {
                    self.wake(Who::Run(change.key.name.clone()), soon);
                }
                let experiments: Vec<String> = self
                    .world
                    .store
                    .list(Kind::Experiment.plural())
                    .map(|(key, _)| key.name.clone())
                    .collect();
                for name in experiments {
                    self.wake(Who::Experiment(name), soon);
                }
            }
        }
        if plural == "jobs" {
            let runs = change.object["metadata"]["ownerReferences"].as_array();
            for run in runs.into_iter().flatten() {
                self.wake(Who::Run(text(run, "/name").to_owned()), soon);
            }
        }
    }

    fn key(&self, plural: &'static str, name: &str) -> Key {
        Key::new(plural, &self.namespace, name)
    }

    /// The Rollout's status; null when it has none.
    fn status(&self) -> Value {
        let key = self.key(Kind::Rollout.plural(), &self.rollout);
        self.world
            .store
            .get(&key)
            .and_then(|rollout| rollout.get("status").cloned())
            .unwrap_or_default()
    }

    /// Whether the traffic has a source in this scenario.
    fn rps(&self) -> f64 {
        match self.options.scenario {
            Scenario::NoTraffic => 0.0,
            Scenario::Good
            | Scenario::Bad
            | Scenario::BadLater
            | Scenario::SlowStart
            | Scenario::CrashLoop
            | Scenario::NeverReady
            | Scenario::NoMetrics
            | Scenario::NodeLoss => self.options.rps,
        }
    }
}

/// Whether an AnalysisRun says anything that its Rollout rests on: a long release has thousands of measurements.
fn says_more(change: &Change) -> bool {
    let said = |object: &Value, field: &str| object["status"][field].clone();
    let Some(before) = change.before.as_deref().filter(|_| !change.deleted) else {
        return true;
    };
    change.object["spec"] != before["spec"]
        || ["phase", "message", "completedAt"]
            .into_iter()
            .any(|field| said(before, field) != said(&change.object, field))
}

/// A fifth more or less than so long.
fn about(time: Duration) -> Span {
    let least = time.mul_f64(0.8);
    Span {
        least,
        most: time.mul_f64(1.2),
    }
}

/// The simulated time of a time of day.
fn moment(time: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default()
}

/// How long a pod serves on after it is told to end, as its preStop hook says.
fn grace(rollout: &Value) -> Duration {
    let containers = rollout.pointer("/spec/template/spec/containers");
    let sleeps = containers
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|container| {
            container
                .pointer("/lifecycle/preStop/sleep/seconds")?
                .as_u64()
        });
    sleeps.max().map_or(GRACE, Duration::from_secs)
}
