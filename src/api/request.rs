//! What a person asks for: one `Intent`, written as a request annotation on the Rollout.
//!
//! Not here: what is done about it (`rollout::decide::intents`), and `spec.paused`, which is desired state.

use serde::{Deserialize, Serialize};

/// What may be asked of a Rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// End the pause, or skip the step, that is named.
    Promote,
    /// Skip all remaining steps, pauses and analyses.
    PromoteFull,
    /// Put everything back to the stable version.
    Abort,
    /// Start the aborted update again from its first step.
    Retry,
}

impl Verb {
    /// As written in the annotation and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::PromoteFull => "promote-full",
            Self::Abort => "abort",
            Self::Retry => "retry",
        }
    }
}

/// A request as written by a client: bound to a revision and a step, so that it cannot hit another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Unique per request; a request whose id was handled is never handled again.
    pub id: String,
    /// What is asked.
    pub verb: Verb,
    /// The pod template hash that the person saw as the new version. Absent: whatever is current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The step index that the person saw. Absent: whatever is current.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i32>,
    /// Who asks, as the client knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// An annotation value that is no request.
#[derive(Debug, thiserror::Error)]
#[error(
    "annotation {key} is not a request like {{\"id\":\"…\",\"verb\":\"promote|promote-full|abort|retry\",\"revision\":\"…\",\"step\":0,\"by\":\"…\"}}: {source}"
)]
pub struct RequestError {
    /// The annotation's key.
    pub key: String,
    /// What is wrong with it.
    pub source: serde_json::Error,
}

/// Reads the annotation's value.
pub fn parse(key: &str, text: &str) -> Result<Request, RequestError> {
    serde_json::from_str(text).map_err(|source| RequestError {
        key: key.to_owned(),
        source,
    })
}
