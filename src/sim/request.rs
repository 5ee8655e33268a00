//! What can be asked of the API server.
//!
//! Not here: how it comes over HTTP (the simulator's tests read that), and what follows from it (`server`).

use serde_json::Value;

use super::{
    resources::Resource,
    selector::{Fields, Selector},
    server::Options,
    store::Key,
};

/// A part of an object that is written by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subresource {
    /// The object itself.
    None,
    /// Its status.
    Status,
    /// Its size.
    Scale,
    /// The wish that a pod goes.
    Eviction,
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
    List(List),
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

impl Verb {
    /// As rules of roles have it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List(_) => "list",
            Self::Watch(_) => "watch",
            Self::Create(_) => "create",
            Self::Replace(_) => "update",
            Self::Patch(..) => "patch",
            Self::Delete(_) => "delete",
        }
    }
}

/// Which objects to read, and how many.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// By their labels.
    pub selector: Selector,
    /// By their names.
    pub fields: Fields,
    /// At most so many.
    pub limit: Option<usize>,
    /// After those of an earlier page, at its moment.
    pub after: Option<String>,
}

impl List {
    /// Whether it selects nothing.
    pub fn is_whole(&self) -> bool {
        self.selector == Selector::default() && self.fields == Fields::default()
    }

    /// Whether it selects an object.
    pub fn selects(&self, key: &Key, object: &Value) -> bool {
        self.fields.matches(key) && self.selector.matches(object)
    }
}

/// Which changes to follow.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Of which objects.
    pub selector: Selector,
    /// Of objects with which names.
    pub fields: Fields,
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
    /// How it is to be taken.
    pub options: Options,
    /// Somebody in whose name it is asked, who is not who asks.
    pub user: Option<String>,
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
