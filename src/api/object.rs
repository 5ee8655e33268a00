//! Objects as caches hold them: a slim metadata and the raw JSON, parsed anew by each reconcile.
//!
//! Not here: which fields are kept per kind (`caches` prunes).

use std::{borrow::Cow, fmt, sync::Arc};

use k8s_openapi::{
    api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::core::{ApiResource, Resource};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::names::{ApiNames, Kind};

/// An object of any kind: metadata that indexes need, and its JSON text.
#[derive(Clone)]
pub struct CachedObject {
    meta: ObjectMeta,
    text: Arc<str>,
}

/// A cached object that is not what its kind says.
#[derive(Debug, thiserror::Error)]
#[error("{namespace}/{name} cannot be read as {kind}: {source}")]
pub struct ParseError {
    /// What it was to be read as.
    pub kind: &'static str,
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Where and why the JSON does not fit.
    pub source: serde_json::Error,
}

impl CachedObject {
    /// Keeps `value` as it is.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "used up: what is kept is its text"
    )]
    pub fn new(value: Value) -> Self {
        let text = |pointer: &str| {
            value
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let meta = ObjectMeta {
            name: text("/metadata/name"),
            namespace: text("/metadata/namespace"),
            uid: text("/metadata/uid"),
            resource_version: text("/metadata/resourceVersion"),
            generation: value
                .pointer("/metadata/generation")
                .and_then(Value::as_i64),
            labels: value
                .pointer("/metadata/labels")
                .and_then(|labels| serde_json::from_value(labels.clone()).ok()),
            owner_references: value
                .pointer("/metadata/ownerReferences")
                .and_then(|owners| {
                    serde_json::from_value::<Vec<OwnerReference>>(owners.clone()).ok()
                }),
            ..ObjectMeta::default()
        };
        Self {
            meta,
            text: value.to_string().into(),
        }
    }

    /// The same object after `prune` has taken out what nobody reads.
    #[must_use]
    pub fn pruned(&self, prune: impl FnOnce(&mut Value)) -> Self {
        let mut value = self.value();
        prune(&mut value);
        Self::new(value)
    }

    /// Whether the text `"word"` occurs anywhere in the object: a cheap, wide test for references by name.
    pub fn mentions(&self, word: &str) -> bool {
        self.text.contains(&format!("\"{word}\""))
    }

    /// The object's name; empty only for an object the API server never stored.
    pub fn name(&self) -> &str {
        self.meta.name.as_deref().unwrap_or_default()
    }

    /// The object's namespace; empty for cluster-scoped kinds.
    pub fn namespace(&self) -> &str {
        self.meta.namespace.as_deref().unwrap_or_default()
    }

    /// The object's uid.
    pub fn uid(&self) -> &str {
        self.meta.uid.as_deref().unwrap_or_default()
    }

    /// The version of the object that is cached.
    pub fn resource_version(&self) -> &str {
        self.meta.resource_version.as_deref().unwrap_or_default()
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.meta.labels.as_ref()?.get(key).map(String::as_str)
    }

    /// The controlling owner, if there is one.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.meta
            .owner_references
            .as_ref()?
            .iter()
            .find(|owner| owner.controller == Some(true))
    }

    /// How Events name it.
    pub fn reference(&self, names: &ApiNames, kind: Kind) -> ObjectReference {
        ObjectReference {
            api_version: Some(names.api_version()),
            kind: Some(kind.name().to_owned()),
            name: Some(self.name().to_owned()),
            namespace: Some(self.namespace().to_owned()),
            uid: Some(self.uid().to_owned()),
            ..ObjectReference::default()
        }
    }

    /// Reads the JSON as `T`.
    pub fn parse<T: DeserializeOwned>(&self, kind: &'static str) -> Result<T, ParseError> {
        serde_json::from_str(&self.text).map_err(|source| ParseError {
            kind,
            namespace: self.namespace().to_owned(),
            name: self.name().to_owned(),
            source,
        })
    }

    /// The object as a JSON value.
    pub fn value(&self) -> Value {
        // The text was printed from a value, so it always reads back.
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Bytes of JSON held.
    pub fn size(&self) -> usize {
        self.text.len()
    }
}

impl fmt::Debug for CachedObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}@{}",
            self.namespace(),
            self.name(),
            self.resource_version()
        )
    }
}

impl<'de> Deserialize<'de> for CachedObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::new)
    }
}

impl Resource for CachedObject {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }
    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }
    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }
    fn api_version(dt: &ApiResource) -> Cow<'_, str> {
        dt.api_version.as_str().into()
    }
    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }
    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}
