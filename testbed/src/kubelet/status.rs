//! The pod status that the kubelet writes, from what it knows of the pod. Pure; `report` writes it.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::job::RestartPolicy;

/// Everything a pod's status is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The pod's address.
    pub ip: Ipv4Addr,
    /// When the kubelet took the pod on.
    pub accepted: Timestamp,
    /// Whether the pod may get traffic.
    pub ready: bool,
    /// Since when `ready` has its value.
    pub ready_since: Timestamp,
    /// What the container does now.
    pub state: State,
    /// How it ended the last time.
    pub last: Option<Ended>,
    /// How often it was started again.
    pub restarts: u32,
    /// Whether nothing will follow: the pod is done or is being deleted.
    pub finished: bool,
}

/// What a container does now.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// It does not run, and why.
    Waiting {
        /// A machine's word, as `CrashLoopBackOff`.
        reason: &'static str,
        /// A person's sentence.
        message: String,
    },
    /// It runs since.
    Running(Timestamp),
    /// It ended.
    Terminated(Ended),
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ended {
    /// 0 is success, 137 is SIGKILL.
    pub exit_code: u8,
    /// When it was started, if it was.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Timestamp,
}

impl Facts {
    /// A pod whose container is being made.
    pub fn accepted(ip: Ipv4Addr, now: Timestamp) -> Self {
        Self {
            ip,
            accepted: now,
            ready: false,
            ready_since: now,
            state: State::Waiting {
                reason: "ContainerCreating",
                message: String::new(),
            },
            last: None,
            restarts: 0,
            finished: false,
        }
    }

    /// Sets the readiness; only a change moves the transition time.
    pub fn set_ready(&mut self, ready: bool, now: Timestamp) {
        if self.ready != ready {
            self.ready = ready;
            self.ready_since = now;
        }
    }

    /// The container ended with this code.
    pub fn end(&mut self, exit_code: u8, now: Timestamp) -> Ended {
        let started = match &self.state {
            State::Running(since) => Some(*since),
            State::Terminated(ended) => ended.started,
            State::Waiting { .. } => None,
        };
        let ended = Ended {
            exit_code,
            started,
            finished: now,
        };
        self.state = State::Terminated(ended);
        self.set_ready(false, now);
        ended
    }

    /// `status.phase`.
    fn phase(&self, policy: RestartPolicy) -> &'static str {
        match &self.state {
            State::Terminated(ended)
                if self.finished || !policy.restarts_after(ended.exit_code) =>
            {
                if ended.exit_code == 0 {
                    "Succeeded"
                } else {
                    "Failed"
                }
            }
            State::Terminated(_) | State::Running(_) => "Running",
            // A container that ran once makes the pod Running for good.
            State::Waiting { .. } if self.last.is_some() => "Running",
            State::Waiting { .. } => "Pending",
        }
    }
}

/// The strategic merge patch of the `status` subresource. `containers` are names and images; they share one fate.
pub fn patch(
    uid: &str,
    containers: &[(String, String)],
    policy: RestartPolicy,
    facts: &Facts,
) -> Value {
    let status = PodStatus {
        phase: Some(facts.phase(policy).to_owned()),
        pod_ip: Some(facts.ip.to_string()),
        pod_ips: Some(vec![PodIP {
            ip: facts.ip.to_string(),
        }]),
        host_ip: Some(super::node::ADDRESS.to_owned()),
        start_time: Some(Time(facts.accepted)),
        conditions: Some(conditions(policy, facts)),
        container_statuses: Some(
            containers
                .iter()
                .map(|container| container_status(container, facts))
                .collect(),
        ),
        ..PodStatus::default()
    };
    json!({"metadata": {"uid": uid}, "status": status})
}

fn conditions(policy: RestartPolicy, facts: &Facts) -> Vec<PodCondition> {
    let reason = match facts.phase(policy) {
        "Succeeded" => Some("PodCompleted"),
        "Failed" => Some("PodFailed"),
        _ => Some("ContainersNotReady"),
    };
    [
        ("PodReadyToStartContainers", true, facts.accepted),
        ("Initialized", true, facts.accepted),
        ("Ready", facts.ready, facts.ready_since),
        ("ContainersReady", facts.ready, facts.ready_since),
        ("PodScheduled", true, facts.accepted),
    ]
    .map(|(type_, value, since)| PodCondition {
        type_: type_.to_owned(),
        status: if value { "True" } else { "False" }.to_owned(),
        reason: reason.filter(|_| !value).map(str::to_owned),
        last_transition_time: Some(Time(since)),
        ..PodCondition::default()
    })
    .to_vec()
}

fn container_status((name, image): &(String, String), facts: &Facts) -> ContainerStatus {
    ContainerStatus {
        name: name.clone(),
        image: image.clone(),
        image_id: image.clone(),
        ready: facts.ready,
        started: Some(matches!(facts.state, State::Running(_))),
        restart_count: i32::try_from(facts.restarts).unwrap_or(i32::MAX),
        state: Some(container_state(&facts.state)),
        last_state: facts
            .last
            .map(|ended| container_state(&State::Terminated(ended))),
        ..ContainerStatus::default()
    }
}

fn container_state(state: &State) -> ContainerState {
    let mut rendered = ContainerState::default();
    match state {
        State::Waiting { reason, message } => {
            rendered.waiting = Some(ContainerStateWaiting {
                reason: Some((*reason).to_owned()),
                message: (!message.is_empty()).then(|| message.clone()),
            });
        }
        State::Running(since) => {
            rendered.running = Some(ContainerStateRunning {
                started_at: Some(Time(*since)),
            });
        }
        State::Terminated(ended) => {
            rendered.terminated = Some(ContainerStateTerminated {
                exit_code: i32::from(ended.exit_code),
                reason: Some(
                    if ended.exit_code == 0 {
                        "Completed"
                    } else {
                        "Error"
                    }
                    .to_owned(),
                ),
                started_at: ended.started.map(Time),
                finished_at: Some(Time(ended.finished)),
                ..ContainerStateTerminated::default()
            });
        }
    }
    rendered
}

#[cfg(test)]
mod tests;
