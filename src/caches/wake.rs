//! Which Rollouts look again when an object changes.
//!
//! Wide on purpose: a look that finds nothing to do costs microseconds, a missed one costs a release.

use std::sync::{Arc, OnceLock};

use kube::{
    core::ApiResource,
    runtime::reflector::{ObjectRef, Store},
};
use tokio::sync::mpsc;

use super::Woken;
use crate::api::{
    names::{ApiNames, Kind},
    object::CachedObject,
};

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Who is woken by a change of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The object is a Rollout.
    Itself,
    /// The Rollout that controls it.
    Owner,
    /// Every Rollout in the namespace that has its name somewhere, and its owner.
    Mentioning,
    /// Every Rollout in the namespace that has the name of the Service it belongs to somewhere.
    MentioningService,
}

/// Wakes Rollouts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wakes {
    one: mpsc::UnboundedSender<ObjectRef<CachedObject>>,
    all: mpsc::UnboundedSender<()>,
    resource: ApiResource,
    rollouts: Arc<OnceLock<Store<CachedObject>>>,
}

impl Wakes {
    /// A pair of ends.
    pub fn new(names: &ApiNames) -> (Self, Woken) {
        // Unbounded: what is sent is small, the receiver only queues references and drops what it has already.
        let (one, woken_one) = mpsc::unbounded_channel();
        let (all, woken_all) = mpsc::unbounded_channel();
        let resource = names.resource(Kind::Rollout);
        (
            Self {
                one,
                all,
                resource,
                rollouts: Arc::default(),
            },
            Woken {
                one: woken_one,
                all: woken_all,
            },
        )
    }

    pub(super) fn set_rollouts(&self, rollouts: Store<CachedObject>) {
        // Set once, by `start`; a second set could only bring the same store.
        drop(self.rollouts.set(rollouts));
    }

    pub(super) fn wake_all(&self) {
        self.send(self.all.send(()).is_ok());
    }

    pub(super) fn wake(&self, wake: Wake, object: &CachedObject) {
        match wake {
            Wake::Itself => {
                self.wake_one(object.name(), object.namespace());
                // Two Rollouts that name the same Service have to learn of each other.
                self.wake_sharing(object);
            }
            Wake::Owner => self.wake_owner(object),
            Wake::Mentioning => {
                self.wake_owner(object);
                self.wake_mentioning(object.namespace(), object.name());
            }
            Wake::MentioningService => {
                let labels = kube::Resource::meta(object).labels.as_ref();
                if let Some(service) = labels.and_then(|labels| labels.get(SERVICE_NAME)) {
                    self.wake_mentioning(object.namespace(), service);
                }
            }
        }
    }

    fn wake_sharing(&self, rollout: &CachedObject) {
        let Some(rollouts) = self.rollouts.get() else {
            return;
        };
        let value = rollout.value();
        for field in ["stableService", "canaryService"] {
            let Some(service) = value
                .pointer("/spec/strategy/canary")
                .and_then(|canary| canary.get(field)?.as_str())
            else {
                continue;
            };
            for other in rollouts.state_filter(|other| {
                other.namespace() == rollout.namespace() && other.mentions(service)
            }) {
                if other.uid() != rollout.uid() {
                    self.wake_one(other.name(), other.namespace());
                }
            }
        }
    }

    fn wake_owner(&self, object: &CachedObject) {
        let Some(owner) = object
            .controller()
            .filter(|owner| owner.kind == Kind::Rollout.name())
        else {
            return;
        };
        self.wake_one(&owner.name, object.namespace());
    }

    /// An empty namespace is that of a cluster-scoped object: any Rollout may mention it.
    fn wake_mentioning(&self, namespace: &str, name: &str) {
        let Some(rollouts) = self.rollouts.get() else {
            return;
        };
        let mentioning = rollouts.state_filter(|rollout| {
            (namespace.is_empty() || rollout.namespace() == namespace) && rollout.mentions(name)
        });
        for rollout in mentioning {
            self.wake_one(rollout.name(), rollout.namespace());
        }
    }

    fn wake_one(&self, name: &str, namespace: &str) {
        let reference = ObjectRef::new_with(name, self.resource.clone()).within(namespace);
        self.send(self.one.send(reference).is_ok());
    }

    fn send(&self, sent: bool) {
        if !sent {
            tracing::debug!("a change came after the controller had ended");
        }
    }
}
