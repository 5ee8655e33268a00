//! The objects of one kind: a store of kube's, and indexes over it, so that a look at one Rollout costs as much as it has
//! objects, not as much as the cluster has.
//!
//! Not here: what is kept of an object (`super::prune`), and who is woken by a change (`super::wake`).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use kube::{
    core::ApiResource,
    runtime::{
        reflector::{ObjectRef, Store, store::Writer},
        watcher::Event,
    },
};

use super::SERVICE_NAME;
use crate::api::object::CachedObject;

type Named = BTreeMap<String, Arc<CachedObject>>;

/// The objects of one kind. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Cache {
    store: Store<CachedObject>,
    index: Arc<RwLock<Index>>,
}

#[derive(Debug, Default)]
struct Index {
    by_namespace: HashMap<String, Named>,
    /// By the uid of the controlling owner.
    by_owner: HashMap<String, BTreeSet<(String, String)>>,
    /// By namespace and the value of the label that this cache is asked for.
    by_label: HashMap<(String, String), BTreeSet<String>>,
    label: Option<&'static str>,
    bytes: usize,
}

impl Index {
    fn label_of(&self, object: &CachedObject) -> Option<(String, String)> {
        let value = object.label(self.label?)?;
        Some((object.namespace().to_owned(), value.to_owned()))
    }

    fn put(&mut self, object: Arc<CachedObject>) {
        self.remove(object.namespace(), object.name());
        let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
        self.bytes += object.size();
        if let Some(owner) = object.controller() {
            let owned = self.by_owner.entry(owner.uid.clone()).or_default();
            owned.insert((namespace.clone(), name.clone()));
        }
        if let Some(label) = self.label_of(&object) {
            self.by_label.entry(label).or_default().insert(name.clone());
        }
        let named = self.by_namespace.entry(namespace).or_default();
        named.insert(name, object);
    }

    fn remove(&mut self, namespace: &str, name: &str) {
        let Some(named) = self.by_namespace.get_mut(namespace) else {
            return;
        };
        let Some(object) = named.remove(name) else {
            return;
        };
        if named.is_empty() {
            self.by_namespace.remove(namespace);
        }
        self.bytes = self.bytes.saturating_sub(object.size());
        if let Some(owner) = object.controller()
            && let Some(owned) = self.by_owner.get_mut(&owner.uid)
        {
            owned.remove(&(namespace.to_owned(), name.to_owned()));
            if owned.is_empty() {
                self.by_owner.remove(&owner.uid);
            }
        }
        if let Some(label) = self.label_of(&object)
            && let Some(labelled) = self.by_label.get_mut(&label)
        {
            labelled.remove(name);
            if labelled.is_empty() {
                self.by_label.remove(&label);
            }
        }
    }

    fn get(&self, namespace: &str, name: &str) -> Option<&Arc<CachedObject>> {
        self.by_namespace.get(namespace)?.get(name)
    }
}

impl Cache {
    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object of that name; the namespace is empty for a kind that has none.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<CachedObject>> {
        self.read().get(namespace, name).cloned()
    }

    /// Objects in one namespace that fulfil `wanted`, by name.
    pub fn select(
        &self,
        namespace: &str,
        wanted: impl Fn(&CachedObject) -> bool,
    ) -> Vec<Arc<CachedObject>> {
        let index = self.read();
        let named = index.by_namespace.get(namespace);
        let objects = named.into_iter().flat_map(BTreeMap::values);
        objects.filter(|object| wanted(object)).cloned().collect()
    }

    /// The same, in any namespace if it is empty; then in no particular order.
    pub fn within(
        &self,
        namespace: &str,
        wanted: impl Fn(&CachedObject) -> bool,
    ) -> Vec<Arc<CachedObject>> {
        if !namespace.is_empty() {
            return self.select(namespace, wanted);
        }
        let index = self.read();
        let objects = index.by_namespace.values().flat_map(BTreeMap::values);
        objects.filter(|object| wanted(object)).cloned().collect()
    }

    /// All objects, in no particular order.
    pub fn all(&self) -> Vec<Arc<CachedObject>> {
        self.within("", |_| true)
    }

    /// Whether any object fulfils `wanted`.
    pub fn has(&self, wanted: impl Fn(&CachedObject) -> bool) -> bool {
        let index = self.read();
        let mut objects = index.by_namespace.values().flat_map(BTreeMap::values);
        objects.any(|object| wanted(object))
    }

    /// Objects that are controlled by the one with this uid, by name.
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<CachedObject>> {
        let index = self.read();
        let owned = index.by_owner.get(uid).into_iter().flatten();
        owned
            .filter_map(|(namespace, name)| index.get(namespace, name).cloned())
            .collect()
    }

    /// Objects in the namespace whose label, the one that this cache is indexed by, has this value; by name.
    pub fn labelled(&self, namespace: &str, value: &str) -> Vec<Arc<CachedObject>> {
        let index = self.read();
        let key = (namespace.to_owned(), value.to_owned());
        let labelled = index.by_label.get(&key).into_iter().flatten();
        labelled
            .filter_map(|name| index.get(namespace, name).cloned())
            .collect()
    }

    /// How many objects there are, and how many bytes their JSON has.
    pub fn size(&self) -> (usize, usize) {
        let index = self.read();
        let objects = index.by_namespace.values().map(BTreeMap::len).sum();
        (objects, index.bytes)
    }

    /// The same objects for kube's `Controller`.
    pub const fn store(&self) -> &Store<CachedObject> {
        &self.store
    }
}

/// The label by whose value objects of a kind are looked for, if there is one.
fn label_of_index(resource: &ApiResource) -> Option<&'static str> {
    (resource.plural == "endpointslices").then_some(SERVICE_NAME)
}

/// The end of a [`Cache`] that is told of changes.
pub(super) struct Filler {
    writer: Writer<CachedObject>,
    resource: ApiResource,
    cache: Cache,
}

impl Filler {
    /// An empty cache of a kind.
    pub(super) fn new(resource: ApiResource) -> Self {
        let writer = Writer::new(resource.clone());
        let index = Index {
            label: label_of_index(&resource),
            ..Index::default()
        };
        let cache = Cache {
            store: writer.as_reader(),
            index: Arc::new(RwLock::new(index)),
        };
        Self {
            writer,
            resource,
            cache,
        }
    }

    pub(super) fn kind(&self) -> &str {
        &self.resource.kind
    }

    pub(super) fn cache(&self) -> Cache {
        self.cache.clone()
    }

    /// Takes in what a watch tells.
    pub(super) fn apply(&mut self, event: &Event<CachedObject>) {
        self.writer.apply_watcher_event(event);
        let store = &self.cache.store;
        let mut index = self
            .cache
            .index
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Apply(object) => {
                let reference = ObjectRef::from_obj_with(object, self.resource.clone());
                if let Some(object) = store.get(&reference) {
                    index.put(object);
                }
            }
            Event::Delete(object) => index.remove(object.namespace(), object.name()),
            Event::Init | Event::InitApply(_) => {}
            // The store has exchanged everything it had for the new list.
            Event::InitDone => {
                *index = Index {
                    label: index.label,
                    ..Index::default()
                };
                for object in store.state() {
                    index.put(object);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn slice(namespace: &str, name: &str, service: &str, owner: &str) -> CachedObject {
        let owners = json!([{"apiVersion": "v1", "kind": "Service", "name": service, "uid": owner, "controller": true}]);
        CachedObject::new(json!({"metadata": {
            "namespace": namespace, "name": name, "ownerReferences": owners,
            "labels": {"kubernetes.io/service-name": service},
        }}))
    }

    fn filled(events: Vec<Event<CachedObject>>) -> Cache {
        let mut filler = Filler::new(super::super::endpoint_slices());
        for event in events {
            filler.apply(&event);
        }
        filler.cache()
    }

    fn found(cache: &Cache) -> Value {
        let names = |objects: Vec<Arc<CachedObject>>| -> Vec<String> {
            objects
                .iter()
                .map(|object| object.name().to_owned())
                .collect()
        };
        json!({
            "get": cache.get("shop", "a").is_some(),
            "namespace": names(cache.select("shop", |_| true)),
            "owner": names(cache.owned_by("u1")),
            "label": names(cache.labelled("shop", "web")),
            "objects": cache.size().0,
        })
    }

    #[test]
    fn objects_are_found_by_namespace_owner_and_label_as_they_come_and_go() {
        let events = || {
            vec![
                Event::Apply(slice("shop", "b", "web", "u1")),
                Event::Apply(slice("shop", "a", "web", "u1")),
                Event::Apply(slice("other", "a", "web", "u2")),
            ]
        };
        let after = |more: Vec<Event<CachedObject>>| {
            found(&filled(events().into_iter().chain(more).collect()))
        };
        let all = json!({"get": true, "namespace": ["a", "b"], "owner": ["a", "b"], "label": ["a", "b"], "objects": 3});
        let without_a =
            json!({"get": false, "namespace": ["b"], "owner": ["b"], "label": ["b"], "objects": 2});
        let moved = json!({"get": true, "namespace": ["a", "b"], "owner": ["b"], "label": ["b"], "objects": 3});
        let listed =
            json!({"get": false, "namespace": ["c"], "owner": ["c"], "label": ["c"], "objects": 1});
        assert_eq!(
            [
                after(vec![]),
                after(vec![Event::Delete(slice("shop", "a", "web", "u1"))]),
                after(vec![Event::Apply(slice("shop", "a", "api", "u3"))]),
                after(vec![
                    Event::Init,
                    Event::InitApply(slice("shop", "c", "web", "u1")),
                    Event::InitDone
                ]),
            ],
            [all, without_a, moved, listed]
        );
    }
}
