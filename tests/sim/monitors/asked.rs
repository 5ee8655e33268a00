//! What a request of the controller says about itself: what it is about, and what it rests on.

use std::time::Duration;

use serde_json::Value;
use tidegate::sim::request::{ApiRequest, PatchType, Subresource, Verb};

use super::Asked;

impl Asked {
    /// The request, if it is to change something.
    pub(in crate::sim) fn of(request: &ApiRequest, process: u64, sent: Duration) -> Option<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (verb, body) = match &request.verb {
            Verb::Get | Verb::List(_) | Verb::Watch(_) => return None,
            Verb::Create(body) => ("create", body),
            Verb::Replace(body) => ("update", body),
            Verb::Patch(_, body) => ("patch", body),
            Verb::Delete(body) => ("delete", body),
        };
        let metadata = match &request.verb {
            Verb::Delete(options) => &options["preconditions"],
            Verb::Patch(PatchType::Json, _)
            | Verb::Get
            | Verb::List(_)
            | Verb::Watch(_)
            | Verb::Create(_)
            | Verb::Replace(_)
            | Verb::Patch(PatchType::Merge, _) => &body["metadata"],
        };
        let replaced = body
            .as_array()
            .into_iter()
            .flatten()
            .find(|operation| operation["path"] == "/metadata/resourceVersion")
            .map(|operation| &operation["value"]);
        let mut key = request.key();
        if key.name.is_empty() {
            key.name = text(&body["metadata"]["name"]).unwrap_or_default();
        }
        Some(Self {
            process,
            sent,
            key: Some(key),
            verb,
            status: request.subresource == Subresource::Status,
            dry_run: request.options.dry_run,
            version: text(replaced.unwrap_or(&metadata["resourceVersion"])),
            uid: text(&metadata["uid"]),
            body: body.clone(),
            ..Self::default()
        })
    }

    /// What the server has done with it.
    pub(in crate::sim) fn decided(&mut self, code: u16, answer: &Value, changed: bool) {
        self.code = code;
        self.changed = changed;
        self.answered = answer["metadata"]["resourceVersion"]
            .as_str()
            .and_then(|version| version.parse().ok());
    }
}
