//! A JSON patch on a route, which fails with a conflict when the route has changed since it was looked at.

use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation, jsonptr::PointerBuf,
};
use serde_json::{Value, json};

/// A patch under construction.
#[derive(Clone, Debug)]
pub(in crate::traffic) struct RoutePatch {
    resource_version: String,
    operations: Vec<PatchOperation>,
}

impl RoutePatch {
    /// A patch of the route at this version.
    pub(in crate::traffic) fn at(resource_version: &str) -> Self {
        Self {
            resource_version: resource_version.to_owned(),
            operations: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Sets a member of an object, or takes it away.
    pub(super) fn set(&mut self, path: &[&str], value: Option<Value>) {
        let path = PointerBuf::from_tokens(path.iter().copied());
        self.operations.push(match value {
            Some(value) => PatchOperation::Add(AddOperation { path, value }),
            None => PatchOperation::Remove(RemoveOperation { path }),
        });
    }

    /// Sets a label or an annotation (`field` of the metadata), or takes it away and leaves no empty map behind.
    pub(super) fn set_metadata(
        &mut self,
        object: &Value,
        field: &str,
        key: &str,
        value: Option<&str>,
    ) {
        let map = object.pointer(&format!("/metadata/{field}"));
        let map = map.and_then(Value::as_object);
        let there = map.and_then(|map| map.get(key));
        match value {
            Some(value) if there.and_then(Value::as_str) == Some(value) => {}
            Some(value) if map.is_some() => {
                self.set(&["metadata", field, key], Some(value.into()));
            }
            Some(value) => self.set(&["metadata", field], Some(json!({ key: value }))),
            None if there.is_none() => {}
            None if map.is_some_and(|map| map.len() == 1) => self.set(&["metadata", field], None),
            None => self.set(&["metadata", field, key], None),
        }
    }

    /// The patch. A stale version answers 409, where a failed `test` would answer a 422 that looks like any other.
    pub(in crate::traffic) fn finish(self) -> Patch {
        let version = PatchOperation::Replace(ReplaceOperation {
            path: PointerBuf::from_tokens(["metadata", "resourceVersion"]),
            value: self.resource_version.into(),
        });
        Patch([vec![version], self.operations].concat())
    }
}
