//! The way from a `kube::Client` to the simulated API server: latency, and what a dead process can no longer do.

use std::{future::pending, sync::Arc};

use axum::body::Body;
use http::{Request, Response, StatusCode};
use kube::Client;

use super::{
    faults::Fate,
    request::{self, ApiRequest, Verb},
    server,
    store::{Author, By},
    watch,
    world::Shared,
};

/// One process of the controller, as the server knows it. What holds it is alive.
#[derive(Debug)]
pub(super) struct Process {
    incarnation: u32,
}

/// A client for a new process of the controller.
pub(super) fn client(shared: &Shared) -> (Client, Arc<Process>) {
    let incarnation = {
        let mut world = shared.lock();
        world.faults.incarnation += 1;
        world.faults.incarnation
    };
    let process = Arc::new(Process { incarnation });
    let (shared, of_service) = (shared.clone(), process.clone());
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let (shared, process) = (shared.clone(), of_service.clone());
        async move { Ok::<_, tower::BoxError>(serve(&shared, &process, request).await) }
    });
    (Client::new(service, "default"), process)
}

async fn serve(
    shared: &Shared,
    process: &Process,
    request: Request<kube::client::Body>,
) -> Response<Body> {
    let request = match request::parse(request).await {
        Ok(request) => request,
        Err(what) => {
            shared.lock().complain(&what);
            return answer(501, what);
        }
    };
    travel(shared, process).await;
    if let Verb::Watch(watch) = &request.verb {
        return Response::new(watch::begin(shared, &request, watch));
    }
    let Some((code, body)) = meet(shared, &request) else {
        return pending().await;
    };
    travel(shared, process).await;
    answer(code, body.to_string())
}

/// Takes the time of one way; a dead process never arrives.
async fn travel(shared: &Shared, process: &Process) {
    let time = shared.lock().between(1, 8);
    tokio::time::sleep(time).await;
    let dead = shared.lock().faults.incarnation != process.incarnation;
    if dead {
        pending::<()>().await;
    }
}

/// What the server does with the request; `None` if the controller never hears of it.
fn meet(shared: &Shared, request: &ApiRequest) -> Option<(u16, serde_json::Value)> {
    let mut world = shared.lock();
    let fate = world.faults.meet(request);
    let author = Author {
        by: By::Controller,
        manager: request.manager.clone(),
    };
    let die = |world: &mut super::world::World, how: &str| {
        world.note(format_args!("## dies {how} {}", request.shown));
        // From here on nothing of this process counts any more.
        world.faults.incarnation += 1;
        shared.signals.crash.notify_one();
    };
    if fate == Fate::Lost {
        die(&mut world, "before");
        return None;
    }
    let outcome = server::handle(&mut world, &author, request);
    let (code, body) = outcome.unwrap_or_else(|refused| (refused.code, refused.body()));
    // Events carry the machine's time: the trace has only that there was one.
    if request.resource.plural == "events" {
        world.note("event");
    } else if request.mutates() {
        world.note(format_args!("{} -> {code}", request.shown));
        if !matches!(code, 200 | 201 | 404 | 409) {
            world.complain(format_args!(
                "{} was refused with {code}: {}",
                request.shown, body["message"]
            ));
        }
    } else {
        world.note(&request.shown);
    }
    if fate == Fate::Unanswered {
        die(&mut world, "after");
        return None;
    }
    Some((code, body))
}

fn answer(code: u16, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code).expect("a status code");
    response
}
