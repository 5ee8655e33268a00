//! Kubernetes Events, written beside the reconciles and never in their way.
//!
//! What deserves an Event is decided elsewhere. Events are for people, and lossy by their nature: nothing may be read
//! from them.

use std::{collections::HashMap, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_util::sync::CancellationToken;

use super::{
    client::{ApiError, with_deadline},
    instruments::Instruments,
};

/// How many notes may wait. A full controller restart with thousands of Rollouts has few edges; what is beyond this is a
/// storm, and a person reads none of it.
const QUEUE: usize = 1_024;
/// How long one Event may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long the last Events may take in all at shutdown.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The API server refuses longer notes.
const NOTE_BYTES: usize = 1_024;
/// The API server refuses longer reasons and actions.
const WORD_BYTES: usize = 128;

/// How many different texts are remembered for counting repetitions.
const TEXTS: usize = 512;

/// Something a person should know about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The object it is about.
    pub regarding: ObjectReference,
    /// A second object that has to do with it.
    pub related: Option<ObjectReference>,
    /// Normal, or Warning for what needs attention.
    pub severity: EventType,
    /// Why, in one CamelCase word.
    pub reason: String,
    /// What was done, in one CamelCase word.
    pub action: String,
    /// For people; cut after 1,024 bytes.
    pub note: String,
}

impl Note {
    /// What was told about an object: the reason says what was done, too.
    pub fn about(regarding: ObjectReference, warning: bool, reason: &str, note: &str) -> Self {
        let severity = if warning {
            EventType::Warning
        } else {
            EventType::Normal
        };
        Self {
            regarding,
            related: None,
            severity,
            reason: reason.to_owned(),
            action: reason.to_owned(),
            note: note.to_owned(),
        }
    }
}

/// Where notes are handed in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventSink {
    queue: mpsc::Sender<Note>,
    instruments: Instruments,
}

impl EventSink {
    /// Hands the note in and returns at once. When too many wait it is dropped, and counted.
    pub fn publish(&self, note: Note) {
        match self.queue.try_send(note) {
            Ok(()) => {}
            Err(TrySendError::Full(note) | TrySendError::Closed(note)) => {
                self.instruments.event("dropped");
                tracing::debug!(reason = note.reason, note = note.note, "event dropped");
            }
        }
    }
}

/// Writes what is handed in to the API server.
pub struct EventPublisher {
    queue: mpsc::Receiver<Note>,
    recorders: Recorders,
    instruments: Instruments,
}

/// A recorder per text. kube's recorder counts an Event of the same reason as a repetition without looking at the text,
/// so that "weight 40" would be shown as a second "weight 20".
struct Recorders {
    client: Client,
    reporter: Reporter,
    by_text: HashMap<String, Recorder>,
}

impl Recorders {
    fn of(&mut self, text: &str) -> Recorder {
        if let Some(recorder) = self.by_text.get(text) {
            return recorder.clone();
        }
        if self.by_text.len() >= TEXTS {
            // Costs no more than that the next repetitions are Events of their own.
            self.by_text.clear();
        }
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        self.by_text.insert(text.to_owned(), recorder.clone());
        recorder
    }
}

impl EventPublisher {
    /// A publisher and its sink. `controller` and `instance` say in each Event who reports: a name as in
    /// `tidegate.dev/controller`, and the pod.
    pub fn new(
        client: Client,
        controller: &str,
        instance: &str,
        instruments: Instruments,
    ) -> (EventSink, Self) {
        let reporter = Reporter {
            controller: controller.to_owned(),
            instance: Some(instance.to_owned()),
        };
        let (sender, queue) = mpsc::channel(QUEUE);
        let recorders = Recorders {
            client,
            reporter,
            by_text: HashMap::new(),
        };
        (
            EventSink {
                queue: sender,
                instruments: instruments.clone(),
            },
            Self {
                queue,
                recorders,
                instruments,
            },
        )
    }

    /// Publishes until `shutdown`, or until every sink is gone; what waits then is still sent if that is quick.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let note = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                note = self.queue.recv() => note,
            };
            match note {
                Some(note) => self.send(note).await,
                None => return,
            }
        }
        self.queue.close();
        let last_words = async {
            while let Some(note) = self.queue.recv().await {
                self.send(note).await;
            }
        };
        if tokio::time::timeout(LAST_WORDS, last_words).await.is_err() {
            tracing::debug!("events left unsent at shutdown");
        }
    }

    async fn send(&mut self, note: Note) {
        let Note {
            regarding,
            related,
            severity,
            reason,
            action,
            note,
        } = note;
        let note = cut(note, NOTE_BYTES);
        let recorder = self.recorders.of(&note);
        let event = Event {
            type_: severity,
            reason: cut(reason, WORD_BYTES),
            note: Some(note),
            action: cut(action, WORD_BYTES),
            secondary: related,
        };
        match with_deadline(DEADLINE, recorder.publish(&event, &regarding)).await {
            Ok(()) => self.instruments.event("published"),
            Err(error) => self.failed(&regarding, &event, &error),
        }
    }

    fn failed(&self, regarding: &ObjectReference, event: &Event, error: &ApiError) {
        self.instruments.event("failed");
        tracing::warn!(
            namespace = regarding.namespace,
            name = regarding.name,
            reason = event.reason,
            note = event.note,
            "event not published: {error}"
        );
    }
}

/// The beginning of `text`, at most `bytes` long.
fn cut(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        let end = text.floor_char_boundary(bytes - '…'.len_utf8());
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
