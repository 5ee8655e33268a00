//! The objects and their history: what etcd and the bookkeeping of the API server are.
//!
//! Not here: which changes are allowed (`server`), and who reacts to them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    managed_fields,
    resources::{self, Resource},
};
use crate::api::names::Conventions;

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Its kind, as in URLs.
    pub plural: &'static str,
    /// Its namespace; empty where it has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The object of this kind, namespace and name.
    pub fn new(plural: &'static str, namespace: &str, name: &str) -> Self {
        Self {
            plural,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The key of an object of this kind.
    pub fn of(plural: &'static str, object: &Value) -> Self {
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
pub enum By {
    /// The controller under test.
    Controller,
    /// Somebody with kubectl.
    Person,
    /// A part of the simulated cluster.
    Cluster,
}

/// Who writes, and as which field manager.
#[derive(Clone, Debug)]
pub struct Author {
    /// Who.
    pub by: By,
    /// The field manager.
    pub manager: String,
}

impl Author {
    /// A part of the cluster.
    pub fn cluster() -> Self {
        Self {
            by: By::Cluster,
            manager: "kube-controller-manager".to_owned(),
        }
    }

    /// Somebody with kubectl.
    pub fn person() -> Self {
        Self {
            by: By::Person,
            manager: "kubectl".to_owned(),
        }
    }
}

/// One change of one object.
#[derive(Clone, Debug)]
pub struct Change {
    /// The resourceVersion that it got.
    pub version: u64,
    /// When.
    pub at: Duration,
    /// By whom.
    pub by: By,
    /// Of which object.
    pub key: Key,
    /// The object before it.
    pub before: Option<Arc<Value>>,
    /// The object after it; of a deleted one what `before` was, at the version of the deletion.
    pub object: Arc<Value>,
    /// Whether the object is gone.
    pub deleted: bool,
}

impl Change {
    /// The object after it, if there is one.
    pub fn after(&self) -> Option<&Value> {
        (!self.deleted).then_some(&self.object)
    }
}

/// The objects, and what has become of them.
#[derive(Debug)]
pub struct Store {
    api: Conventions,
    epoch: Timestamp,
    version: u64,
    /// Watches from before this version are answered with 410.
    compacted: u64,
    objects: Objects,
    history: BTreeMap<&'static str, Vec<Change>>,
}

/// Objects by kind, namespace and name: those of the store, or the same as somebody else has followed them.
#[derive(Clone, Debug, Default)]
pub struct Objects(BTreeMap<Key, Arc<Value>>);

impl Objects {
    /// The object, if it exists.
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.0.get(key).map(Arc::as_ref)
    }

    /// The objects of a kind in the order of their namespaces and names.
    pub fn list(&self, plural: &'static str) -> impl Iterator<Item = (&Key, &Value)> {
        self.0
            .range(Key::new(plural, "", "")..)
            .take_while(move |(key, _)| key.plural == plural)
            .map(|(key, object)| (key, object.as_ref()))
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.0.iter().map(|(key, object)| (key, object.as_ref()))
    }

    /// Follows a change of somebody else's objects.
    pub fn apply(&mut self, change: &Change) {
        if change.deleted {
            self.0.remove(&change.key);
        } else {
            self.0.insert(change.key.clone(), change.object.clone());
        }
    }
}

impl Store {
    /// No objects. `api`: whose group our own kinds are in.
    pub fn new(epoch: Timestamp, api: Conventions) -> Self {
        Self {
            api,
            epoch,
            version: 100,
            compacted: 100,
            objects: Objects::default(),
            history: BTreeMap::new(),
        }
    }

    /// Whose group our own kinds are in.
    pub fn api(&self) -> Conventions {
        self.api
    }

    /// The kind with this name in URLs.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn resource(&self, plural: &str) -> &'static Resource {
        resources::named(self.api, plural)
    }

    /// The newest resourceVersion.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The oldest version from which changes are still known.
    pub fn compacted(&self) -> u64 {
        self.compacted
    }

    /// The same objects without their history, as a server has them whose watches have all ended.
    #[must_use]
    pub fn compacted_copy(&self) -> Self {
        Self {
            api: self.api,
            epoch: self.epoch,
            version: self.version,
            compacted: self.version,
            objects: self.objects.clone(),
            history: BTreeMap::new(),
        }
    }

    /// The time of day at this moment.
    pub fn time(&self, at: Duration) -> Timestamp {
        // A simulation is over long before either of them can overflow.
        let passed = SignedDuration::try_from(at).unwrap_or(SignedDuration::MAX);
        self.epoch.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    /// All objects as they are now.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The object, if it exists.
    pub fn get(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    /// The objects of a kind in the order of their names.
    pub fn list(&self, plural: &'static str) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.list(plural)
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.all()
    }

    /// Changes of a kind after `version`, oldest first.
    pub fn changes_after(&self, plural: &str, version: u64) -> &[Change] {
        let changes = self.history.get(plural).map_or(&[][..], Vec::as_slice);
        let known = changes.partition_point(|change| change.version <= version);
        &changes[known..]
    }

    /// The objects of a kind as they were at a version that is not compacted.
    pub fn objects_at(&self, plural: &'static str, version: u64) -> Objects {
        let now = self.objects.0.range(Key::new(plural, "", "")..);
        let mut then: BTreeMap<Key, Arc<Value>> = now
            .take_while(|(key, _)| key.plural == plural)
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect();
        for change in self.changes_after(plural, version).iter().rev() {
            match &change.before {
                Some(before) => then.insert(change.key.clone(), before.clone()),
                None => then.remove(&change.key),
            };
        }
        Objects(then)
    }

    /// Forgets all changes up to this version: watches and pages from before it are answered with 410.
    pub fn compact(&mut self, version: u64) {
        // The changes themselves stay: a watch that has begun before is still told of them.
        self.compacted = self.compacted.max(version.min(self.version));
    }

    /// How `object` would be stored, without a version. `None` if it is there just so.
    pub fn prepared(
        &self,
        at: Duration,
        author: &Author,
        key: &Key,
        mut object: Value,
    ) -> Option<Value> {
        let resource = self.resource(key.plural);
        let before = self.objects.0.get(key);
        let time = whole_seconds(&self.time(at).to_string());
        let metadata = &mut object["metadata"];
        if let Some(before) = before {
            let generation = metadata["generation"].clone();
            for field in ["uid", "creationTimestamp", "generation", "managedFields"] {
                metadata[field] = before["metadata"][field].clone();
            }
            metadata["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            // The beginning of a deletion is a new generation, too.
            let deleted = metadata["deletionTimestamp"] != before["metadata"]["deletionTimestamp"];
            if deleted && generation.is_i64() {
                metadata["generation"] = generation;
            }
            without_nulls(metadata);
            if object == **before {
                return None;
            }
            if resource.generation && !same_content(resource, &object, before) {
                let generation = before["metadata"]["generation"].as_i64().unwrap_or(0);
                object["metadata"]["generation"] = json!(generation + 1);
            }
        } else {
            metadata["uid"] = json!(format!("00000000-0000-0000-0000-{:012}", self.version));
            metadata["creationTimestamp"] = json!(time);
            if resource.generation {
                metadata["generation"] = json!(1);
            }
        }
        let before = before.map(Arc::as_ref);
        managed_fields::note(&mut object, before, &author.manager, &time);
        Some(object)
    }

    /// Stores `object` under `key`. `None` if it is there just so: then nothing has happened.
    pub fn put(
        &mut self,
        at: Duration,
        author: &Author,
        key: &Key,
        object: Value,
    ) -> Option<Change> {
        let mut object = self.prepared(at, author, key, object)?;
        let before = self.objects.0.get(key).cloned();
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let object = Arc::new(object);
        self.objects.0.insert(key.clone(), object.clone());
        Some(self.record(at, author, key, before, object, false))
    }

    /// Puts an object back as a backup has it, with its uid and times; nobody is told.
    pub fn restore(&mut self, key: Key, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.0.insert(key, Arc::new(object));
    }

    /// Removes the object.
    pub fn remove(&mut self, at: Duration, author: &Author, key: &Key) -> Option<Change> {
        let before = self.objects.0.remove(key)?;
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

/// Whether nothing differs that counts as a new generation: where there is no status subresource, the status counts, too.
fn same_content(resource: &Resource, one: &Value, other: &Value) -> bool {
    let whole = resource.is_ours() && !resource.status;
    one["spec"] == other["spec"] && (!whole || one["status"] == other["status"])
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
