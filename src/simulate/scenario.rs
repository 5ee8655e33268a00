//! What the new version is like, and what happens to it.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::sim::actors::behaviour::{Behaviour, Run};

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Nothing goes wrong.
    Good,
    /// The new version answers with errors from its start.
    Bad,
    /// It answers with errors some time after its start (`--after`).
    BadLater,
    /// Its pods take a minute and a half to be ready.
    SlowStart,
    /// Its pods exit again and again.
    CrashLoop,
    /// Its pods never become ready.
    NeverReady,
    /// No user sends a request.
    NoTraffic,
    /// The metric servers do not answer.
    NoMetrics,
    /// A third of the pods vanish with their node (`--after`).
    NodeLoss,
}

/// How long a pod of `slow-start` takes.
const SLOW: Duration = Duration::from_secs(90);

impl Scenario {
    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::BadLater => "bad-later",
            Self::SlowStart => "slow-start",
            Self::CrashLoop => "crash-loop",
            Self::NeverReady => "never-ready",
            Self::NoTraffic => "no-traffic",
            Self::NoMetrics => "no-metrics",
            Self::NodeLoss => "node-loss",
        }
    }

    /// Whether the new version is one that must not get through because of its answers.
    pub const fn is_bad(self) -> bool {
        match self {
            Self::Bad | Self::BadLater => true,
            Self::Good
            | Self::SlowStart
            | Self::CrashLoop
            | Self::NeverReady
            | Self::NoTraffic
            | Self::NoMetrics
            | Self::NodeLoss => false,
        }
    }

    /// What the containers of the new version do.
    pub(super) fn behaviour(self) -> Behaviour {
        let ordinary = Behaviour::default();
        match self {
            Self::SlowStart => Behaviour {
                ready_after: Some(SLOW),
                ..ordinary
            },
            Self::CrashLoop => Behaviour {
                run: Run::CrashesAfter(Duration::ZERO),
                ..ordinary
            },
            Self::NeverReady => Behaviour {
                ready_after: None,
                ..ordinary
            },
            Self::Good
            | Self::Bad
            | Self::BadLater
            | Self::NoTraffic
            | Self::NoMetrics
            | Self::NodeLoss => ordinary,
        }
    }
}
