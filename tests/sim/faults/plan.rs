//! Faults as data: what goes wrong, and when. A plan can be printed, read again and played again.
//!
//! Not here: how a fault is carried out (`transport`, `watch`, `process`), and which are drawn for a seed (`draw`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sim) struct Fault {
    /// When it does.
    pub(in crate::sim) when: When,
    /// What does.
    pub(in crate::sim) what: What,
}

/// When a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sim) enum When {
    /// So many milliseconds after the beginning; what strikes a write, at the next one.
    At(u64),
    /// At a request of the controller.
    Request(Request),
}

/// The n-th request that matches, counted from 1 since the beginning. Without a verb: of the writes. Events and leases match by kind only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::sim) struct Request {
    pub(in crate::sim) n: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::sim) verb: Option<Verb>,
    /// In the plural.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::sim) kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::sim) name: Option<String>,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sim) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    pub(in crate::sim) fn mutates(self) -> bool {
        match self {
            Self::Get | Self::List | Self::Watch => false,
            Self::Create | Self::Update | Self::Patch | Self::Delete => true,
        }
    }
}

/// Before or after the server has carried a request out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sim) enum Moment {
    Before,
    After,
}

/// How a watch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sim) enum Cut {
    /// As at its timeout.
    Clean,
    /// In the middle of a line.
    MidLine,
    /// With an event that says 410.
    Gone,
}

/// What goes wrong. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::sim) enum What {
    /// The process dies, and a new one comes.
    Crash(Moment),
    /// The connection breaks: the request never arrives, or the answer does not.
    Break(Moment),
    /// The request is carried out a second time, later.
    Duplicate { after: u64 },
    /// The request arrives late, even when nobody waits for its answer any more.
    Delay { by: u64 },
    /// The server says no. `moment` is `After` when it has carried the request out nevertheless, which only a 504 may mean.
    #[serde(rename_all = "camelCase")]
    Refuse {
        code: u16,
        moment: Moment,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// Watches of a kind tell nothing for a while.
    Hold { kind: String, by: u64 },
    /// Watches of a kind end.
    Cut { kind: String, how: Cut },
    /// From now on watches of a kind are so late.
    Lag { kind: String, by: u64 },
    /// The server forgets its history.
    Compact,
    /// The clock of the process jumps.
    Step { by: i64 },
    /// Nothing that the process sends arrives, and it hears nothing; then everything at once.
    Freeze { by: u64 },
    /// A second process acts at the same time.
    Second { by: u64 },
}

impl What {
    /// Whether it happens to one request, and not to the process, its watches or the server.
    pub(in crate::sim) fn strikes_a_request(&self) -> bool {
        match self {
            Self::Crash(_)
            | Self::Break(_)
            | Self::Duplicate { .. }
            | Self::Delay { .. }
            | Self::Refuse { .. } => true,
            Self::Hold { .. }
            | Self::Cut { .. }
            | Self::Lag { .. }
            | Self::Compact
            | Self::Step { .. }
            | Self::Freeze { .. }
            | Self::Second { .. } => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_read_as_it_is_printed() {
        let faults = [
            r#"{"when":{"request":{"n":3,"verb":"patch","kind":"ingresses"}},"what":{"refuse":{"code":504,"moment":"after"}}}"#,
            r#"{"when":{"at":61000},"what":{"hold":{"kind":"pods","by":5000}}}"#,
            r#"{"when":{"request":{"n":7}},"what":{"crash":"before"}}"#,
            r#"{"when":{"at":0},"what":"compact"}"#,
        ];
        for text in faults {
            let fault: Fault = serde_json::from_str(text).expect("a fault");
            assert_eq!(fault.to_string(), text);
        }
    }
}
