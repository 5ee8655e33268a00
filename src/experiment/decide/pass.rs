//! The state of one pass of `decide`: what is known, and what has been decided so far.
//!
//! Not here: any rule.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::conditions;
use crate::{
    api::{
        analysis::AnalysisPhase,
        experiment::{ExperimentSpec, ExperimentStatus, ExperimentTemplate},
        names::Kind,
        template_hash,
    },
    experiment::{
        decision::ExperimentDecision,
        snapshot::{ExperimentServiceView, ExperimentSnapshot},
    },
    rollout::{
        decision::{Action, Next, Note, Wait},
        snapshot::ReplicaSetView,
    },
};

/// The longest name of a Service, and value of a label.
const LONGEST: usize = 63;

/// One pass.
pub(super) struct Pass<'a> {
    pub(super) snapshot: &'a ExperimentSnapshot,
    pub(super) spec: &'a ExperimentSpec,
    /// The status under construction.
    pub(super) status: ExperimentStatus,
    /// Why nothing is started, if so.
    pub(super) hold: Option<String>,
    /// What is wrong with the spec, if anything.
    pub(super) invalid: Option<String>,
    /// Objects that the spec names and that do not exist.
    pub(super) missing: Vec<String>,
    /// Nothing is left to wait for but the ends of AnalysisRuns that are broken off.
    pub(super) finishing: bool,
    pub(super) actions: Vec<Action>,
    pub(super) notes: Vec<Note>,
    pub(super) waits: Vec<Wait>,
    pub(super) next: Next,
}

impl<'a> Pass<'a> {
    pub(super) fn new(snapshot: &'a ExperimentSnapshot, spec: &'a ExperimentSpec) -> Self {
        let mut status = ExperimentStatus {
            observed_generation: Some(snapshot.experiment.generation),
            waiting_for: None,
            next: None,
            ..snapshot.experiment.status.clone()
        };
        if status.completed_at.is_none() && status.phase.is_some_and(AnalysisPhase::is_terminal) {
            // Written by somebody who keeps no such time.
            status.completed_at = Some(snapshot.now);
        }
        Self {
            snapshot,
            spec,
            status,
            hold: None,
            invalid: None,
            missing: Vec::new(),
            finishing: false,
            actions: Vec::new(),
            notes: Vec::new(),
            waits: Vec::new(),
            next: Next::OnChange,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.snapshot.now
    }

    /// The verdict is there.
    pub(super) fn has_ended(&self) -> bool {
        self.status.completed_at.is_some()
    }

    /// The verdict is on record: what follows from it may be undone by nobody.
    pub(super) fn is_over(&self) -> bool {
        let stored = &self.snapshot.experiment.status;
        stored.phase.is_some_and(AnalysisPhase::is_terminal)
    }

    /// Pods were asked for.
    pub(super) fn has_started(&self) -> bool {
        self.status.started_at.is_some()
    }

    /// The name of a template's ReplicaSet.
    pub(super) fn set_name(&self, template: &ExperimentTemplate) -> String {
        replica_set_name(&self.snapshot.experiment.name, &template.name)
    }

    /// A template's ReplicaSet, if it is there.
    pub(super) fn set(&self, template: &ExperimentTemplate) -> Option<&'a ReplicaSetView> {
        let name = self.set_name(template);
        let mut sets = self.snapshot.replica_sets.iter();
        sets.find(|set| set.name == name && !set.deleting)
    }

    /// A template's own Service, if it is there.
    pub(super) fn service(
        &self,
        template: &ExperimentTemplate,
    ) -> Option<&'a ExperimentServiceView> {
        let name = service_name(&self.snapshot.experiment.name, template)?;
        let service = self.snapshot.services.get(&name)?;
        (service.owned && !service.deleting).then_some(service)
    }

    /// The hash of a template's pods. The Experiment is in it: no Service of a Rollout with the same pod template may
    /// select them.
    pub(super) fn hash(&self, template: &ExperimentTemplate) -> String {
        template_hash::hash(&json!({
            "experiment": [self.snapshot.experiment.namespace, self.snapshot.experiment.name],
            "name": template.name,
            "template": template.template.0,
        }))
    }

    /// The reference to the Experiment as controlling owner.
    pub(super) fn owner(&self) -> Value {
        json!({
            "apiVersion": self.snapshot.names.api_version(),
            "kind": Kind::Experiment.name(),
            "name": self.snapshot.experiment.name,
            "uid": self.snapshot.experiment.uid,
            "controller": true,
            "blockOwnerDeletion": false,
        })
    }

    /// Remembers what is waited for; the first one is told.
    pub(super) fn wait(&mut self, why: impl Into<String>, until: Option<Timestamp>) {
        if let Some(until) = until {
            self.look_again(until);
        }
        self.waits.push(Wait {
            why: why.into(),
            until,
        });
    }

    /// Asks for another look at `at`.
    pub(super) fn look_again(&mut self, at: Timestamp) {
        self.next = self.next.or_at(at);
    }

    pub(super) fn note(&mut self, warning: bool, reason: &'static str, message: String) {
        self.notes.push(Note {
            warning,
            reason,
            message,
        });
    }

    /// The decision, with everything that is told about it.
    pub(super) fn finish(mut self) -> ExperimentDecision {
        conditions::tell(&mut self);
        ExperimentDecision {
            actions: self.actions,
            status: self.status,
            notes: self.notes,
            next: self.next,
        }
    }
}

/// `<experiment>-<template>`.
pub fn replica_set_name(experiment: &str, template: &str) -> String {
    format!("{experiment}-{template}")
}

/// The name of a template's Service, if it has one: the declared one, else the ReplicaSet's, cut to what a Service may have.
pub fn service_name(experiment: &str, template: &ExperimentTemplate) -> Option<String> {
    let service = template.service.as_ref()?;
    Some(match &service.name {
        Some(name) => name.clone(),
        None => short(&replica_set_name(experiment, &template.name)),
    })
}

/// Names that are too long keep their beginning and get the hash of the whole.
fn short(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let hash = template_hash::hash(&json!(name));
    let keep = LONGEST - hash.len() - 1;
    let kept: String = name.chars().take(keep).collect();
    format!("{}-{hash}", kept.trim_end_matches(['-', '.']))
}

/// As the value of a label.
pub(super) fn label_value(name: &str) -> String {
    short(name)
}

/// `at` plus whole seconds, saturating.
pub(super) fn after(at: Timestamp, seconds: i32) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(i64::from(seconds)))
        .unwrap_or(Timestamp::MAX)
}
