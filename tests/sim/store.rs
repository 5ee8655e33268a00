//! The objects and their history: what etcd and the bookkeeping of the API server are.
//!
//! Not here: which changes are allowed (`server`), and who reacts to them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{managed_fields, resources};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) plural: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Key {
    pub(super) fn new(plural: &'static str, namespace: &str, name: &str) -> Self {
        Self {
            plural,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub(super) fn of(plural: &'static str, object: &Value) -> Self {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        Self::new(plural, text("namespace"), text("name"))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.plural, self.name)
    }
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The controller under test.
    Controller,
    /// Somebody with kubectl.
    Person,
    /// A part of the simulated cluster.
    Cluster,
}

/// Who writes, and as which field manager.
#[derive(Clone, Debug)]
pub(super) struct Author {
    pub(super) by: By,
    pub(super) manager: String,
}

impl Author {
    pub(super) fn cluster() -> Self {
        Self {
            by: By::Cluster,
            manager: "kube-controller-manager".to_owned(),
        }
    }

    pub(super) fn person() -> Self {
        Self {
            by: By::Person,
            manager: "kubectl".to_owned(),
        }
    }
}

/// One change of one object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) at: Duration,
    pub(super) by: By,
    pub(super) key: Key,
    pub(super) before: Option<Arc<Value>>,
    /// The object after it; of a deleted one what `before` was, at the version of the deletion.
    pub(super) object: Arc<Value>,
    pub(super) deleted: bool,
}

impl Change {
    pub(super) fn after(&self) -> Option<&Value> {
        (!self.deleted).then_some(&self.object)
    }
}

#[derive(Debug)]
pub(super) struct Store {
    epoch: Timestamp,
    version: u64,
    /// Watches from before this version are answered with 410.
    compacted: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: BTreeMap<&'static str, Vec<Change>>,
}

impl Store {
    pub(super) fn new(epoch: Timestamp) -> Self {
        Self {
            epoch,
            version: 100,
            compacted: 0,
            objects: BTreeMap::new(),
            history: BTreeMap::new(),
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn compacted(&self) -> u64 {
        self.compacted
    }

    /// The same objects without their history, as a server has them whose watches have all ended.
    pub(super) fn compacted_copy(&self) -> Self {
        Self {
            epoch: self.epoch,
            version: self.version,
            compacted: self.version,
            objects: self.objects.clone(),
            history: BTreeMap::new(),
        }
    }

    pub(super) fn time(&self, at: Duration) -> Timestamp {
        self.epoch + SignedDuration::try_from(at).expect("a simulated time")
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key).map(Arc::as_ref)
    }

    /// The objects of a kind in the order of their names.
    pub(super) fn list(&self, plural: &str) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects
            .iter()
            .filter(move |(key, _)| key.plural == plural)
            .map(|(key, object)| (key, object.as_ref()))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects
            .iter()
            .map(|(key, object)| (key, object.as_ref()))
    }

    /// Changes of a kind after `version`, oldest first.
    pub(super) fn changes_after(&self, plural: &str, version: u64) -> &[Change] {
        let changes = self.history.get(plural).map_or(&[][..], Vec::as_slice);
        let known = changes.partition_point(|change| change.version <= version);
        &changes[known..]
    }

    /// Stores `object` under `key`. `None` if it is there just so: then nothing has happened.
    pub(super) fn put(
        &mut self,
        at: Duration,
        author: &Author,
        key: &Key,
        mut object: Value,
    ) -> Option<Change> {
        let resource = resources::named(key.plural);
        let before = self.objects.get(key).cloned();
        let time = self.time(at).to_string();
        let metadata = &mut object["metadata"];
        match &before {
            Some(before) => {
                for field in ["uid", "creationTimestamp", "generation", "managedFields"] {
                    metadata[field] = before["metadata"][field].clone();
                }
                metadata["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
                without_nulls(metadata);
                if object == **before {
                    return None;
                }
                if resource.generation && object["spec"] != before["spec"] {
                    let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
                    object["metadata"]["generation"] = json!(generation + 1);
                }
            }
            None => {
                metadata["uid"] = json!(format!("00000000-0000-0000-0000-{:012}", self.version));
                metadata["creationTimestamp"] = json!(whole_seconds(&time));
                if resource.generation {
                    metadata["generation"] = json!(1);
                }
            }
        }
        managed_fields::note(
            &mut object,
            before.as_deref(),
            &author.manager,
            &whole_seconds(&time),
        );
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        self.objects.insert(key.clone(), object.clone());
        Some(self.record(at, author, key, before, object, false))
    }

    /// Removes the object.
    pub(super) fn remove(&mut self, at: Duration, author: &Author, key: &Key) -> Option<Change> {
        let before = self.objects.remove(key)?;
        self.version += 1;
        let mut object = before.as_ref().clone();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        Some(self.record(at, author, key, Some(before), Arc::new(object), true))
    }

    fn record(
        &mut self,
        at: Duration,
        author: &Author,
        key: &Key,
        before: Option<Arc<Value>>,
        object: Arc<Value>,
        deleted: bool,
    ) -> Change {
        let change = Change {
            version: self.version,
            at,
            by: author.by,
            key: key.clone(),
            before,
            object,
            deleted,
        };
        self.history
            .entry(key.plural)
            .or_default()
            .push(change.clone());
        change
    }
}

fn without_nulls(metadata: &mut Value) {
    if let Some(fields) = metadata.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
}

/// The API's times have no fractions.
fn whole_seconds(time: &str) -> String {
    time.split_once('.')
        .map_or_else(|| time.to_owned(), |(whole, _)| format!("{whole}Z"))
}
