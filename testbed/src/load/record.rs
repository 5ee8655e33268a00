//! What became of each request. Pure; `summary` counts it.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use tokio::time::Instant;

/// How many lost requests are kept with their details.
const EXAMPLES: usize = 50;

/// Why a request counts as lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LostKind {
    /// Nobody listened.
    Refused,
    /// The connection was reset.
    Reset,
    /// The connection was closed before the answer was complete.
    ClosedMidway,
    /// No complete answer within the time limit.
    Timeout,
    /// A complete answer without `X-Version`: it is not the application's.
    WithoutVersion,
    /// Anything else; the details say what.
    Other,
}

impl fmt::Display for LostKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "connection refused",
            Self::Reset => "connection reset",
            Self::ClosedMidway => "closed midway",
            Self::Timeout => "timeout",
            Self::WithoutVersion => "answer without X-Version",
            Self::Other => "failed",
        })
    }
}

/// How one request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The application answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// `X-Version`.
        version: String,
        /// `X-Pod`, empty when missing.
        pod: String,
    },
    /// The request is lost.
    Lost {
        /// Why.
        kind: LostKind,
        /// A sentence for a failed test's message.
        detail: String,
    },
}

/// One request as it is kept: small, because there are many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) result: Result<Answer, LostKind>,
    pub(super) resent: bool,
}

/// The application's answer; names are indices into the ledger's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) version: usize,
    pub(super) pod: usize,
}

/// A lost request with its details.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lost {
    /// When it was due, milliseconds after the start of the load.
    pub at_ms: u64,
    /// How long it took to fail, milliseconds.
    pub after_ms: u64,
    /// Why it counts as lost.
    pub kind: LostKind,
    /// What happened.
    pub detail: String,
}

/// All requests that have ended.
#[derive(Debug)]
pub(super) struct Ledger {
    begun: Instant,
    pub(super) rows: Vec<Row>,
    /// The first lost ones, with their due time for choosing among them.
    pub(super) lost: Vec<(Instant, Lost)>,
    pub(super) names: Vec<String>,
    index: HashMap<String, usize>,
}

impl Ledger {
    pub(super) fn new(begun: Instant) -> Self {
        Self {
            begun,
            rows: Vec::new(),
            lost: Vec::new(),
            names: Vec::new(),
            index: HashMap::new(),
        }
    }

    pub(super) fn note(&mut self, start: Instant, end: Instant, outcome: Outcome, resent: bool) {
        let result = match outcome {
            Outcome::Answered {
                status,
                version,
                pod,
            } => Ok(Answer {
                status,
                version: self.index_of(version),
                pod: self.index_of(pod),
            }),
            Outcome::Lost { kind, detail } => {
                if self.lost.len() < EXAMPLES {
                    let at_ms = milliseconds(start - self.begun);
                    let after_ms = milliseconds(end - start);
                    self.lost.push((
                        start,
                        Lost {
                            at_ms,
                            after_ms,
                            kind,
                            detail,
                        },
                    ));
                }
                Err(kind)
            }
        };
        self.rows.push(Row {
            start,
            end,
            result,
            resent,
        });
    }

    fn index_of(&mut self, name: String) -> usize {
        if let Some(known) = self.index.get(&name) {
            return *known;
        }
        self.names.push(name.clone());
        self.index.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
