use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use kube::client::Body;
use serde_json::Value;

use super::*;

/// An API server that keeps the Events it is sent, each answered after `delay`.
fn server(delay: Duration) -> (Client, Arc<Mutex<Vec<Value>>>) {
    let events: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&events);
    let service = tower::service_fn(move |request: Request<Body>| {
        let kept = Arc::clone(&kept);
        async move {
            tokio::time::sleep(delay).await;
            let body = request.into_body().collect_bytes().await.expect("a body");
            kept.lock()
                .expect("unpoisoned")
                .push(serde_json::from_slice(&body).expect("JSON"));
            Ok::<_, Infallible>(Response::new(Body::from(body.to_vec())))
        }
    });
    (Client::new(service, "demo"), events)
}

fn note(text: &str) -> Note {
    let regarding = ObjectReference {
        kind: Some("Rollout".to_owned()),
        namespace: Some("demo".to_owned()),
        name: Some("app".to_owned()),
        ..ObjectReference::default()
    };
    Note {
        regarding,
        related: None,
        severity: EventType::Warning,
        reason: "RolloutAborted".to_owned(),
        action: "Abort".to_owned(),
        note: text.to_owned(),
    }
}

fn count(instruments: &Instruments, outcome: &str) -> usize {
    let prefix = format!("tidegate_events_total{{outcome=\"{outcome}\"}} ");
    let text = instruments.text().expect("text");
    text.lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .map_or(0, |count| count.parse().expect("a number"))
}

#[tokio::test(start_paused = true)]
async fn an_event_says_what_happened_and_who_says_so() {
    let (client, events) = server(Duration::ZERO);
    let (sink, publisher) = EventPublisher::new(
        client,
        "tidegate.dev/controller",
        "pod-1",
        Instruments::new(),
    );
    sink.publish(note("error rate 20 %"));
    drop(sink);
    publisher.run(CancellationToken::new()).await;
    let events = events.lock().expect("unpoisoned");
    let fields = [
        "type",
        "reason",
        "action",
        "note",
        "reportingController",
        "reportingInstance",
    ];
    let said = fields.map(|field| events[0][field].as_str().unwrap_or_default());
    assert_eq!(
        said,
        [
            "Warning",
            "RolloutAborted",
            "Abort",
            "error rate 20 %",
            "tidegate.dev/controller",
            "pod-1"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_same_text_again_is_counted_and_another_text_is_another_event() {
    let (client, events) = server(Duration::ZERO);
    let (sink, publisher) = EventPublisher::new(
        client,
        "tidegate.dev/controller",
        "pod-1",
        Instruments::new(),
    );
    for text in ["weight 20", "weight 40", "weight 40"] {
        sink.publish(note(text));
    }
    drop(sink);
    publisher.run(CancellationToken::new()).await;
    let events = events.lock().expect("unpoisoned");
    let sent: Vec<_> = events
        .iter()
        .map(|event| (event["note"].as_str(), event["series"]["count"].as_i64()))
        .collect();
    assert_eq!(
        sent,
        [
            (Some("weight 20"), None),
            (Some("weight 40"), None),
            (Some("weight 40"), Some(2))
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_storm_is_dropped_and_counted_and_delays_nobody() {
    let (client, _events) = server(Duration::from_hours(1));
    let instruments = Instruments::new();
    let (sink, publisher) = EventPublisher::new(
        client,
        "tidegate.dev/controller",
        "pod-1",
        instruments.clone(),
    );
    for _ in 0..QUEUE + 10 {
        sink.publish(note("again"));
    }
    drop(publisher);
    assert_eq!(count(&instruments, "dropped"), 10);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_holds_the_next_event_up_only_for_the_deadline() {
    let (client, _events) = server(Duration::from_hours(1));
    let instruments = Instruments::new();
    let (sink, publisher) = EventPublisher::new(
        client,
        "tidegate.dev/controller",
        "pod-1",
        instruments.clone(),
    );
    sink.publish(note("one"));
    sink.publish(note("two"));
    drop(sink);
    let began = tokio::time::Instant::now();
    publisher.run(CancellationToken::new()).await;
    assert_eq!(
        (count(&instruments, "failed"), began.elapsed()),
        (2, 2 * DEADLINE)
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_events_are_sent_at_shutdown_if_that_is_quick() {
    for (delay, expected) in [
        (Duration::from_millis(10), 3),
        (Duration::from_millis(900), 2),
    ] {
        let (client, events) = server(delay);
        let (sink, publisher) = EventPublisher::new(
            client,
            "tidegate.dev/controller",
            "pod-1",
            Instruments::new(),
        );
        for text in ["one", "two", "three"] {
            sink.publish(note(text));
        }
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        publisher.run(shutdown).await;
        let sent = events.lock().expect("unpoisoned").len();
        assert_eq!(sent, expected, "{delay:?} each");
    }
}

#[test]
fn long_notes_are_cut_between_characters() {
    let table = [
        ("short", 128, "short"),
        ("abcdefgh", 8, "abcdefgh"),
        ("abcdefghi", 8, "abcde…"),
        ("ööööö", 8, "öö…"),
    ];
    for (text, bytes, expected) in table {
        assert_eq!(cut(text.to_owned(), bytes), expected, "{text}");
    }
}
