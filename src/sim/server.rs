//! What the API server does with a request: which changes it allows, and how it answers.
//!
//! A model, held against a real server by `tests/conformance`. Not here: watches (whoever has the connection follows the store),
//! latency and faults, and strategic merge patches, which nobody here may write.

mod create;
mod decode;
mod delete;
mod judge;
mod list;
mod meta;
mod refused;
mod rights;
mod update;

use std::sync::Arc;

use serde_json::Value;

use super::{
    request::{ApiRequest, Subresource, Verb},
    store::Author,
    world::World,
};

pub use create::create;
pub use delete::delete;
pub(in crate::sim) use delete::{FOREGROUND, ORPHAN, mark};
pub use refused::Refused;
pub use rights::{Rights, RightsError};
pub use update::update;

/// What a request says beside what it wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Answer as if, and store nothing.
    pub dry_run: bool,
    /// Refuse unknown fields; else they are dropped.
    pub strict: bool,
}

/// Carries out everything but a watch.
pub fn handle(
    world: &mut World,
    author: &Author,
    request: &ApiRequest,
) -> Result<(u16, Value), Refused> {
    let (key, resource) = (request.key(), request.resource);
    let target = update::Target {
        resource,
        key: &key,
        subresource: request.subresource,
        options: request.options,
    };
    match &request.verb {
        Verb::Get => list::get(world, resource, &key, request.subresource).map(|it| (200, it)),
        Verb::List(list) => list::list(world, request, list).map(|list| (200, list)),
        Verb::Create(object) if request.subresource == Subresource::Eviction => {
            delete::evict(world, author, &key, object, request.options).map(|status| (201, status))
        }
        Verb::Create(object) => {
            let namespace = &request.namespace;
            create::with(
                world,
                author,
                resource,
                namespace,
                object.clone(),
                request.options,
            )
            .map(|object| (201, object))
        }
        Verb::Replace(object) => {
            update::replace(world, author, target, object.clone()).map(|object| (200, object))
        }
        Verb::Patch(type_, patch) => {
            update::patch(world, author, target, *type_, patch).map(|object| (200, object))
        }
        Verb::Delete(options) => {
            delete::with(world, author, resource, &key, options).map(|answer| (200, answer))
        }
        // A stream is not an answer.
        Verb::Watch(_) => Err(Refused::new(
            405,
            "MethodNotAllowed",
            "a watch is no request with one answer",
        )),
    }
}

/// An object as an answer.
fn told(object: Option<Arc<Value>>, or: Value) -> Value {
    object.map_or(or, |stored| stored.as_ref().clone())
}
