//! What can be asked of the API server.
//!
//! Not here: how it comes over HTTP (the simulator's tests read that), and what follows from it (`server`).

use serde_json::Value;

use super::{resources::Resource, selector::Selector, store::Key};

/// A part of an object that is written by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    /// The object itself.
    None,
    /// Its status.
    Status,
    /// Its size.
    Scale,
}

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
}

/// What to do.
#[derive(Debug)]
pub enum Verb {
    /// Read one.
    Get,
    /// Read all that are selected.
    List(Selector),
    /// Follow changes.
    Watch(Watch),
    /// Create this one.
    Create(Value),
    /// Replace it by this one.
    Replace(Value),
    /// Change it.
    Patch(PatchType, Value),
    /// Delete it, with these options.
    Delete(Value),
}

/// Which changes to follow.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Of which objects.
    pub selector: Selector,
    /// After this version.
    pub from: u64,
    /// For so long.
    pub seconds: u64,
    /// Whether to say from time to time how far it is.
    pub bookmarks: bool,
}

/// A request.
#[derive(Debug)]
pub struct ApiRequest {
    /// The kind.
    pub resource: &'static Resource,
    /// Empty: all namespaces, or a kind that has none.
    pub namespace: String,
    /// Empty for a collection.
    pub name: String,
    /// Which part.
    pub subresource: Subresource,
    /// What to do.
    pub verb: Verb,
    /// Who asks, as in `metadata.managedFields`.
    pub manager: String,
    /// One line for traces.
    pub shown: String,
}

impl ApiRequest {
    /// The object it is about.
    pub fn key(&self) -> Key {
        Key::new(self.resource.plural, &self.namespace, &self.name)
    }

    /// Whether it can change something.
    pub fn mutates(&self) -> bool {
        match self.verb {
            Verb::Get | Verb::List(_) | Verb::Watch(_) => false,
            Verb::Create(_) | Verb::Replace(_) | Verb::Patch(..) | Verb::Delete(_) => true,
        }
    }
}
