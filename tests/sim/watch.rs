//! Watches: the changes of a kind after a version, in order, a little late, until the time is up.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::world::Shared;
use tidegate::sim::{
    request::{ApiRequest, Watch},
    server::Refused,
    store::Change,
};

/// How often a quiet watch says how far it is.
const BOOKMARK: Duration = Duration::from_secs(60);

struct Following {
    shared: Shared,
    plural: &'static str,
    api_version: String,
    kind: &'static str,
    namespace: String,
    watch: Watch,
    seen: u64,
    lag: Duration,
    end: Instant,
    next_bookmark: Instant,
    over: bool,
}

/// The answer to a watch: a line of JSON per event.
pub(super) fn begin(shared: &Shared, request: &ApiRequest, watch: &Watch) -> Body {
    let lag = Duration::from_millis(shared.lock().random.u64(1..=25));
    let now = Instant::now();
    let following = Following {
        shared: shared.clone(),
        plural: request.resource.plural,
        api_version: request.resource.api_version(),
        kind: request.resource.kind,
        namespace: request.namespace.clone(),
        watch: watch.clone(),
        seen: watch.from,
        lag,
        end: now + Duration::from_secs(watch.seconds),
        next_bookmark: now + BOOKMARK,
        over: false,
    };
    Body::from_stream(stream::unfold(following, |mut following| async move {
        let line = following.next().await?;
        Some((
            Ok::<_, std::convert::Infallible>(Bytes::from(format!("{line}\n"))),
            following,
        ))
    }))
}

impl Following {
    async fn next(&mut self) -> Option<Value> {
        let mut committed = self.shared.signals.committed.subscribe();
        loop {
            if self.over {
                return None;
            }
            let due = match self.look() {
                Look::Event(event) => return Some(event),
                Look::Later(due) => due,
                Look::Nothing => self.end,
            };
            let wake = due.min(self.end).min(self.next_bookmark);
            tokio::select! {
                biased;
                changed = committed.changed() => changed.ok()?,
                () = tokio::time::sleep_until(wake) => {}
            }
            let now = Instant::now();
            if now >= self.end {
                return None;
            }
            if now >= self.next_bookmark {
                self.next_bookmark = now + BOOKMARK;
                if self.watch.bookmarks {
                    return Some(self.bookmark());
                }
            }
        }
    }

    /// The first event that is there by now.
    fn look(&mut self) -> Look {
        let world = self.shared.lock();
        if self.seen < world.store.compacted() {
            self.over = true;
            let oldest = world.store.compacted();
            let message = format!("too old resource version: {} ({oldest})", self.seen);
            let refused = Refused::new(410, "Expired", message);
            return Look::Event(json!({"type": "ERROR", "object": refused.body()}));
        }
        let now = world.now();
        for change in world.store.changes_after(self.plural, self.seen) {
            let there = change.at + self.lag;
            if there > now {
                return Look::Later(Instant::now() + (there - now));
            }
            self.seen = change.version;
            if (self.namespace.is_empty() || change.key.namespace == self.namespace)
                && self.watch.fields.matches(&change.key)
                && let Some(type_) = self.event_type(change)
            {
                let mut object = change.object.as_ref().clone();
                // One that leaves the selector is told as it was when it was last in it.
                if type_ == "DELETED"
                    && let Some(before) = &change.before
                {
                    object = before.as_ref().clone();
                    object["metadata"]["resourceVersion"] = json!(change.version.to_string());
                }
                return Look::Event(json!({"type": type_, "object": object}));
            }
        }
        Look::Nothing
    }

    /// An object that enters or leaves the selector is added or deleted, for this watch.
    fn event_type(&self, change: &Change) -> Option<&'static str> {
        let selects = |object: &Value| self.watch.selector.matches(object);
        let before = change.before.as_deref().is_some_and(selects);
        let after = change.after().is_some_and(selects);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some("ADDED"),
            (true, true) => Some("MODIFIED"),
            (true, false) => Some("DELETED"),
        }
    }

    fn bookmark(&self) -> Value {
        json!({"type": "BOOKMARK", "object": {
            "apiVersion": self.api_version, "kind": self.kind,
            "metadata": {"resourceVersion": self.seen.to_string(), "creationTimestamp": null},
        }})
    }
}

enum Look {
    Event(Value),
    Later(Instant),
    Nothing,
}
