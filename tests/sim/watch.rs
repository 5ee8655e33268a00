//! Watches: the changes of a kind after a version, in order, a little late, until the time is up.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    faults::{Watching, plan::Cut},
    world::Shared,
};
use tidegate::sim::{
    request::{ApiRequest, Watch},
    server::Refused,
    store::Change,
};

/// How often a quiet watch says how far it is.
const BOOKMARK: Duration = Duration::from_secs(60);

struct Following {
    shared: Shared,
    process: u32,
    /// How often watches of the kind had been cut when this one began.
    cuts: u32,
    plural: &'static str,
    api_version: String,
    kind: &'static str,
    namespace: String,
    watch: Watch,
    seen: u64,
    lag: Duration,
    end: Instant,
    next_bookmark: Instant,
    /// It begins where the server has no history any more.
    expired: bool,
    over: bool,
    /// It ended in the middle of a line.
    torn: bool,
}

/// The answer to a watch: a line of JSON per event.
pub(super) fn begin(shared: &Shared, process: u32, request: &ApiRequest, watch: &Watch) -> Body {
    let mut run = shared.lock();
    let lag = Duration::from_millis(run.random.u64(1..=25));
    let cuts = run.faults.cuts(request.resource.plural);
    let expired = watch.from < run.store.compacted();
    drop(run);
    let now = Instant::now();
    let following = Following {
        shared: shared.clone(),
        process,
        cuts,
        expired,
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
        torn: false,
    };
    Body::from_stream(stream::unfold(following, |mut following| async move {
        let line = match following.next().await? {
            Line::Event(event) => Ok(Bytes::from(format!("{event}\n"))),
            Line::Torn => Ok(Bytes::from_static(br#"{"type":"MODIFIED","object":{"ki"#)),
            Line::Broken => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        };
        Some((line, following))
    }))
}

impl Following {
    async fn next(&mut self) -> Option<Line> {
        let mut committed = self.shared.signals.committed.subscribe();
        loop {
            if self.over {
                return std::mem::take(&mut self.torn).then_some(Line::Broken);
            }
            let due = match self.look() {
                Look::Event(event) => return Some(Line::Event(event)),
                Look::Torn => return Some(Line::Torn),
                Look::Over => return None,
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
                    return Some(Line::Event(self.bookmark()));
                }
            }
        }
    }

    /// The first event that is there by now.
    fn look(&mut self) -> Look {
        let world = self.shared.lock();
        let now = world.now();
        let in_ = |left: Duration| Instant::now() + left;
        let late = match world
            .faults
            .watching(self.plural, self.process, self.cuts, now)
        {
            Watching::Held(until) => return Look::Later(in_(until - now)),
            Watching::Late(late) => late,
            Watching::Cut(how) => {
                self.over = true;
                match how {
                    Cut::Clean => return Look::Over,
                    Cut::MidLine => {
                        self.torn = true;
                        return Look::Torn;
                    }
                    Cut::Gone => self.expired = true,
                }
                Duration::ZERO
            }
        };
        if self.expired {
            self.over = true;
            let oldest = world.store.compacted();
            let message = format!("too old resource version: {} ({oldest})", self.seen);
            let refused = Refused::new(410, "Expired", message);
            return Look::Event(json!({"type": "ERROR", "object": refused.body()}));
        }
        for change in world.store.changes_after(self.plural, self.seen) {
            let there = change.at + self.lag + late;
            if there > now {
                return Look::Later(in_(there - now));
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

enum Line {
    Event(Value),
    /// A part of an event.
    Torn,
    /// The end of the connection.
    Broken,
}

enum Look {
    Event(Value),
    Torn,
    Over,
    Later(Instant),
    Nothing,
}
