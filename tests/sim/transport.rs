//! The way from a `kube::Client` to the simulated API server: latency, and what a dead process can no longer do.

use axum::body::Body;
use http::{Request, Response, StatusCode};
use kube::Client;

use super::{
    discovery, faults,
    monitors::Asked,
    request::{self, Unfit},
    rights, watch,
    world::Shared,
};
use tidegate::sim::{
    request::{ApiRequest, Verb},
    server,
    store::{Author, By},
};

/// A client of the server.
pub(super) fn client(shared: &Shared) -> Client {
    let shared = shared.clone();
    let process = shared.lock().new_process();
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let shared = shared.clone();
        async move { Ok::<_, tower::BoxError>(serve(&shared, process, request).await) }
    });
    Client::new(service, "default")
}

async fn serve(
    shared: &Shared,
    process: u64,
    request: Request<kube::client::Body>,
) -> Response<Body> {
    let sent = shared.lock().now();
    if let Some((code, body)) = discovery::answer(request.method(), request.uri().path()) {
        travel(shared).await;
        return answer(code, body);
    }
    let request = match request::parse(request).await {
        Ok(request) => request,
        Err(Unfit::Refused(refused)) => return answer(refused.code, refused.body().to_string()),
        Err(Unfit::Unknown(what)) => {
            shared.lock().complain(&what);
            return answer(501, what);
        }
    };
    if let Some(refused) = rights::refusal(&request) {
        if request.user.is_none() {
            shared.lock().complain(&refused.message);
        }
        return answer(refused.code, refused.body().to_string());
    }
    travel(shared).await;
    if let Verb::Watch(watch) = &request.verb {
        return Response::new(watch::begin(shared, &request, watch));
    }
    let mut asked = Asked::of(&request, process, sent);
    let (code, body) = meet(shared, &request, asked.as_mut());
    travel(shared).await;
    if let Some(asked) = &asked {
        shared.lock().answered(asked);
    }
    answer(code, body.to_string())
}

/// Takes the time of one way.
async fn travel(shared: &Shared) {
    let time = shared.lock().between(1, 8);
    tokio::time::sleep(time).await;
}

/// What the server does with the request.
fn meet(
    shared: &Shared,
    request: &ApiRequest,
    asked: Option<&mut Asked>,
) -> (u16, serde_json::Value) {
    let mut world = shared.lock();
    let counts = request.user.is_none() && faults::counts(request);
    if counts {
        faults::before(&mut world, request);
    }
    let author = Author {
        by: match request.user {
            None => By::Controller,
            Some(_) => By::Person,
        },
        manager: request.manager.clone(),
    };
    let before = world.store.version();
    let outcome = server::handle(&mut world.world, &author, request);
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
        faults::after(&mut world);
    }
    (code, body)
}

fn answer(code: u16, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code).expect("a status code");
    response
}
