//! The way from a `kube::Client` to the simulated API server: latency, what goes wrong on it, and what a dead process can no longer do.
//!
//! Not here: which fault strikes (`faults`), and what the server does (`tidegate::sim::server`).

use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use kube::Client;
use serde_json::{Value, json};
use tidegate::sim::{
    request::{ApiRequest, Verb},
    server,
    store::{Author, By},
};
use tokio::sync::oneshot;
use tower::BoxError;

use super::{
    discovery,
    faults::{self, deaths, plan::Moment, plan::What},
    monitors::Asked,
    process::Process,
    request::{self, Unfit},
    rights, watch,
    world::Shared,
};

/// A client of the server that nothing happens to.
pub(super) fn client(shared: &Shared) -> Client {
    client_of(shared, &Process::new(shared, 0))
}

/// A client of the server, in a process.
pub(super) fn client_of(shared: &Shared, process: &Process) -> Client {
    let (shared, process) = (shared.clone(), process.clone());
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let (shared, process) = (shared.clone(), process.clone());
        async move { serve(&shared, &process, request).await }
    });
    Client::new(service, "default")
}

async fn serve(
    shared: &Shared,
    process: &Process,
    request: Request<kube::client::Body>,
) -> Result<Response<Body>, BoxError> {
    if process.is_dead() {
        return std::future::pending().await;
    }
    let (at, api) = {
        let mut run = shared.lock();
        run.requests += 1;
        (run.now(), run.store.api())
    };
    if let Some((code, body)) = discovery::answer(api, request.method(), request.uri().path()) {
        travel(shared).await;
        return Ok(written(code, body));
    }
    let request = match request::parse(api, request).await {
        Ok(request) => request,
        Err(Unfit::Refused(refused)) => return Ok(answer(refused.code, &refused.body())),
        Err(Unfit::Unknown(what)) => {
            shared.lock().complain(&what);
            return Ok(answer(501, &json!(what)));
        }
    };
    if let Some(refused) = rights::refusal(api, &request) {
        if request.user.is_none() {
            shared.lock().complain(&refused.message);
        }
        return Ok(answer(refused.code, &refused.body()));
    }
    let struck = faults::meet(shared, process.node, &request);
    let request = Sent { request, at };
    let answered = match (struck, frozen(shared, process)) {
        (Some(what), _) => suffer(shared, process, request, what).await,
        // What is on its way arrives when everything does, even if nobody waits for it any more.
        (None, Some(left)) => late(shared, process, request, left).await,
        (None, None) => {
            travel(shared).await;
            Ok(reach(shared, process, &request))
        }
    };
    while let Some(left) = frozen(shared, process) {
        tokio::time::sleep(left).await;
    }
    travel(shared).await;
    if process.is_dead() {
        return std::future::pending().await;
    }
    let (response, asked) = answered?;
    if let Some(asked) = &asked {
        shared.lock().answered(asked);
    }
    Ok(response)
}

/// A request, and when it was sent.
struct Sent {
    request: ApiRequest,
    at: Duration,
}

/// An answer, and what the monitors are told of it.
type Answer = (Response<Body>, Option<Asked>);

fn frozen(shared: &Shared, process: &Process) -> Option<Duration> {
    let run = shared.lock();
    let now = run.now();
    run.faults.frozen(process.node, now).map(|end| end - now)
}

/// So many milliseconds, but not longer than anything may go wrong.
fn within(shared: &Shared, millis: u64) -> Duration {
    let run = shared.lock();
    let left = run.faults.until().saturating_sub(run.now());
    Duration::from_millis(millis).min(left)
}

/// Has the request meet what struck it.
async fn suffer(
    shared: &Shared,
    process: &Process,
    sent: Sent,
    what: What,
) -> Result<Answer, BoxError> {
    travel(shared).await;
    match what {
        What::Crash(moment) => {
            if moment == Moment::After {
                drop(reach(shared, process, &sent));
            }
            process.die();
            faults::die(shared, process.node, moment);
            std::future::pending().await
        }
        What::Break(moment) => {
            if moment == Moment::After {
                drop(reach(shared, process, &sent));
            }
            Err("the connection was reset".into())
        }
        What::Duplicate { after } => {
            let answered = reach(shared, process, &sent);
            if sent.request.mutates() {
                let after = within(shared, after);
                let shared = shared.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    // Nobody has sent it a second time: the monitors are not asked.
                    drop(meet(&shared, &sent, None));
                });
            }
            Ok(answered)
        }
        What::Delay { by } => late(shared, process, sent, within(shared, by)).await,
        What::Refuse {
            code,
            moment,
            retry_after,
        } => {
            if moment == Moment::After {
                drop(reach(shared, process, &sent));
            }
            Ok((refuse(code, retry_after), None))
        }
        What::Hold { .. }
        | What::Cut { .. }
        | What::Lag { .. }
        | What::Compact
        | What::Step { .. }
        | What::Freeze { .. }
        | What::Second { .. } => Ok(reach(shared, process, &sent)),
    }
}

/// The request arrives after so long, whether or not anybody waits for its answer then.
async fn late(
    shared: &Shared,
    process: &Process,
    sent: Sent,
    by: Duration,
) -> Result<Answer, BoxError> {
    let (sender, receiver) = oneshot::channel();
    let (shared, process) = (shared.clone(), process.clone());
    tokio::spawn(async move {
        tokio::time::sleep(by).await;
        // An error: nobody waits.
        drop(sender.send(reach(&shared, &process, &sent)));
    });
    receiver.await.map_err(BoxError::from)
}

/// The request arrives.
fn reach(shared: &Shared, process: &Process, sent: &Sent) -> Answer {
    let request = &sent.request;
    if let Verb::Watch(watch) = &request.verb {
        let body = watch::begin(shared, process.node, request, watch);
        return (Response::new(body), None);
    }
    let mut asked = Asked::of(request, process.number, sent.at);
    let (code, body) = meet(shared, sent, asked.as_mut());
    (answer(code, &body), asked)
}

fn refuse(code: u16, retry_after: Option<u64>) -> Response<Body> {
    let (reason, message) = faults::refusal(code);
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    let mut response = answer(code, &status);
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// Takes the time of one way.
async fn travel(shared: &Shared) {
    let time = shared.lock().between(1, 8);
    tokio::time::sleep(time).await;
}

/// What the server does with the request.
fn meet(shared: &Shared, sent: &Sent, asked: Option<&mut Asked>) -> (u16, Value) {
    let request = &sent.request;
    let mut world = shared.lock();
    let counts = request.user.is_none() && deaths::counts(request);
    if counts {
        deaths::before(&mut world, request);
    }
    let author = Author {
        by: match request.user {
            None => By::Controller,
            Some(_) => By::Person,
        },
        manager: request.manager.clone(),
    };
    let before = world.store.version();
    world.follows(Some(sent.at));
    let outcome = server::handle(&mut world.world, &author, request);
    world.follows(None);
    let (code, body) = outcome.unwrap_or_else(|refused| (refused.code, refused.body()));
    if let Some(asked) = asked {
        asked.decided(code, &body, world.store.version() != before);
        world.asked(asked);
    }
    // Events carry the machine's time: the trace has only that there was one.
    if request.resource.plural == "events" {
        world.note("event");
    } else if request.mutates() {
        world.note(format_args!("{} -> {code}", request.shown));
        if request.user.is_none() && !matches!(code, 200 | 201 | 404 | 409) {
            world.complain(format_args!(
                "{} was refused with {code}: {}",
                request.shown, body["message"]
            ));
        }
    } else {
        world.note(&request.shown);
    }
    if counts {
        deaths::after(&mut world);
    }
    (code, body)
}

fn answer(code: u16, body: &Value) -> Response<Body> {
    written(code, body.to_string())
}

fn written(code: u16, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code).expect("a status code");
    response
}
