//! A cluster as small as can be: pods take time to start, EndpointSlices follow a second later, AnalysisRuns end with
//! the verdict that was set, and weights are live once written. Time goes from one event to the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{routes, rules};
use crate::{
    api::{
        analysis::{AnalysisPhase, AnalysisTemplateSpec},
        canary::PodTemplateMetadata,
        ephemeral_metadata::EphemeralMetadata,
        gateway_api::RouteKind,
        names::ApiNames,
        request::{Request, Verb},
        rollout::RolloutSpec,
        rollout_status::{Phase, RolloutStatus},
        template_hash,
    },
    rollout::{
        decide::{decide, pod_template_hash, wants_pods},
        decision::{Action, Decision, Next, Note},
        snapshot::{
            AnalysisRunView, EndpointView, EvictionRefusal, IngressView, PodView, Refusal,
            ReplicaSetView, RolloutView, RouteView, ServiceView, Snapshot, StepExperimentView,
            TemplateKey, Workload, WorkloadView,
        },
    },
};

pub(super) const UID: &str = "uid-demo";
const START: i64 = 1_800_000_000;
/// More passes than this without a pause are a loop.
const MOST_PASSES: usize = 40;

#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    created: Timestamp,
    ready_at: Timestamp,
    /// As `metadata` of the pod.
    pub(super) metadata: Value,
}

#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) view: ReplicaSetView,
    pub(super) version: String,
    pub(super) pods: Vec<Pod>,
    /// As it was created, without our label.
    pub(super) template: Value,
    /// As it is now.
    pub(super) shown: Value,
}

/// What the controllers of Gateways do about a new generation of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gateways {
    /// They accept it at once.
    Answer,
    /// Nothing.
    Silent,
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) spec: Value,
    parsed: Result<RolloutSpec, String>,
    pub(super) generation: i64,
    pub(super) status: RolloutStatus,
    pub(super) request: Option<Result<Request, String>>,
    pub(super) annotations: Value,
    pub(super) sets: Vec<Set>,
    /// What `spec.workloadRef` names.
    pub(super) workload: Workload,
    /// What the server adds to every pod template that it shows.
    pub(super) defaults: Value,
    pub(super) services: BTreeMap<String, ServiceView>,
    slices_due: BTreeMap<String, Timestamp>,
    pub(super) ingresses: BTreeMap<String, IngressView>,
    pub(super) routes: BTreeMap<(RouteKind, String), RouteView>,
    pub(super) gateways: Gateways,
    pub(super) templates: BTreeMap<TemplateKey, Result<AnalysisTemplateSpec, String>>,
    pub(super) runs: Vec<AnalysisRunView>,
    pub(super) experiments: Vec<StepExperimentView>,
    pod_templates: BTreeMap<String, Value>,
    /// The pod templates of all ReplicaSets as they were declared.
    declared: BTreeMap<String, Value>,
    pub(super) refusal: Option<Refusal>,
    pub(super) watched_since: Option<Timestamp>,
    pub(super) eviction_refused: Option<EvictionRefusal>,
    /// A PodDisruptionBudget allows none.
    pub(super) no_evictions: bool,
    pub(super) foreign: Vec<String>,
    /// Names of AnalysisRuns of others.
    pub(super) foreign_runs: Vec<String>,
    pub(super) deleting: bool,
    /// Versions whose pods never become ready.
    broken: BTreeSet<String>,
    /// What an AnalysisRun whose name contains the key ends with; others are successful. `None` never ends.
    verdicts: Vec<(String, Option<AnalysisPhase>)>,
    start_up: i64,
    /// Services whose selector fits pods of one version only.
    fits: BTreeMap<String, String>,
    /// Pods that the nodes have room for.
    room: usize,
    counter: u64,
    /// Writes so far, and the one before which the controller crashes.
    pub(super) writes: usize,
    crash_at: Option<usize>,
    /// When something could last send to a version.
    pub(super) routed: BTreeMap<String, Timestamp>,
    /// The stable Service was pinned once, and nobody but us has disturbed anything since.
    pub(super) watched: bool,
    /// Somebody asked for a promotion or patched the status: verdicts may be missing.
    pub(super) by_person: bool,
    /// When the last decision asked to be looked at again.
    next: Next,
    pub(super) notes: Vec<Note>,
    pub(super) actions: Vec<Action>,
    pub(super) log: Vec<String>,
}

pub(super) fn world() -> World {
    let mut world = World {
        now: Timestamp::from_second(START).unwrap(),
        spec: json!({
            "replicas": 4,
            "selector": {"matchLabels": {"app": "demo"}},
            "template": template("v1"),
            "strategy": {"canary": {}},
        }),
        parsed: Err("not read yet".to_owned()),
        generation: 1,
        status: RolloutStatus::default(),
        request: None,
        annotations: json!({}),
        sets: Vec::new(),
        workload: Workload::NotNamed,
        defaults: json!({}),
        services: BTreeMap::new(),
        slices_due: BTreeMap::new(),
        ingresses: BTreeMap::new(),
        routes: BTreeMap::new(),
        gateways: Gateways::Answer,
        templates: BTreeMap::new(),
        runs: Vec::new(),
        experiments: Vec::new(),
        pod_templates: BTreeMap::new(),
        declared: BTreeMap::new(),
        refusal: None,
        watched_since: None,
        eviction_refused: None,
        no_evictions: false,
        foreign: Vec::new(),
        foreign_runs: Vec::new(),
        deleting: false,
        broken: BTreeSet::new(),
        verdicts: Vec::new(),
        start_up: 3,
        fits: BTreeMap::new(),
        room: usize::MAX,
        counter: 0,
        writes: 0,
        crash_at: None,
        routed: BTreeMap::new(),
        watched: false,
        by_person: false,
        next: Next::OnChange,
        notes: Vec::new(),
        actions: Vec::new(),
        log: Vec::new(),
    };
    for name in ["errors", "latency"] {
        let key = TemplateKey {
            name: name.to_owned(),
            cluster_scope: false,
        };
        let spec = json!({"metrics": [{
            "name": name, "successCondition": "result[0] < 1",
            "provider": {"prometheus": {"address": "http://prometheus", "query": "q"}},
        }]});
        world
            .templates
            .insert(key, Ok(serde_json::from_value(spec).unwrap()));
    }
    world.read_spec();
    world
}

pub(super) fn template(version: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "demo"}},
        "spec": {"containers": [{"name": "main", "image": format!("demo:{version}")}]},
    })
}

fn metadata_of(template: &Value) -> PodTemplateMetadata {
    serde_json::from_value(template["metadata"].clone()).unwrap()
}

fn own_template(set: &Value) -> Value {
    let mut template = set["spec"]["template"].clone();
    let labels = template.pointer_mut("/metadata/labels").unwrap();
    labels
        .as_object_mut()
        .unwrap()
        .remove(&names().pod_template_hash);
    template
}

fn version_of(template: &Value) -> String {
    let image = template
        .pointer("/spec/containers/0/image")
        .and_then(Value::as_str);
    image
        .unwrap_or("none")
        .trim_start_matches("demo:")
        .to_owned()
}

/// A request as a person's client writes it.
pub(super) fn request(id: &str, verb: Verb) -> Request {
    Request {
        id: id.to_owned(),
        verb,
        revision: None,
        step: None,
        by: Some("ann".to_owned()),
    }
}

// The declared part.
impl World {
    pub(super) fn replicas(mut self, replicas: i32) -> Self {
        self.set("/replicas", json!(replicas));
        self
    }

    pub(super) fn steps(mut self, steps: Value) -> Self {
        self.canary("steps", steps);
        self
    }

    /// With a router, and the Services and the Ingress that it needs.
    pub(super) fn nginx(mut self) -> Self {
        self = self.services();
        self.canary(
            "trafficRouting",
            json!({"nginx": {"stableIngress": "demo"}}),
        );
        let path = |service: &str| json!({"path": "/", "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}});
        let ingress = IngressView {
            name: "demo".to_owned(),
            resource_version: "1".to_owned(),
            object: json!({
                "metadata": {"name": "demo"},
                "spec": {"ingressClassName": "nginx", "rules": [
                    {"host": "demo.local", "http": {"paths": [path("demo-stable"), path("other")]}},
                ]},
            }),
            ..IngressView::default()
        };
        self.ingresses.insert("demo".to_owned(), ingress);
        self
    }

    pub(super) fn services(mut self) -> Self {
        for (field, name) in [
            ("stableService", "demo-stable"),
            ("canaryService", "demo-canary"),
        ] {
            self.canary(field, json!(name));
            let service = ServiceView {
                name: name.to_owned(),
                resource_version: "1".to_owned(),
                selector: BTreeMap::from([("app".to_owned(), "demo".to_owned())]),
                type_: "ClusterIP".to_owned(),
                ..ServiceView::default()
            };
            self.services.insert(name.to_owned(), service);
        }
        self
    }

    pub(super) fn with(mut self, field: &str, value: Value) -> Self {
        self.canary(field, value);
        self
    }

    pub(super) fn with_spec(mut self, field: &str, value: Value) -> Self {
        self.set(&format!("/{field}"), value);
        self
    }

    pub(super) fn canary(&mut self, field: &str, value: Value) {
        self.spec["strategy"]["canary"][field] = value;
        self.read_spec();
    }

    pub(super) fn set(&mut self, pointer: &str, value: Value) {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = self.spec.pointer_mut(parent).unwrap();
        if parent.get(key) == Some(&value) {
            return;
        }
        parent[key] = value;
        self.read_spec();
        self.generation += 1;
        // A refusal is remembered for one generation.
        self.refusal = None;
    }

    pub(super) fn read_spec(&mut self) {
        let spec = testbed::heard("Rollout", self.spec.clone());
        self.parsed = serde_json::from_value(spec).map_err(|error| error.to_string());
    }

    pub(super) fn declare(&mut self, version: &str) {
        self.set("/template", template(version));
    }

    /// Nodes with room for so many pods.
    pub(super) fn room(mut self, pods: usize) -> Self {
        self.room = pods;
        self
    }

    /// Pods of this version never become ready.
    pub(super) fn broken(mut self, version: &str) -> Self {
        self.broken.insert(version.to_owned());
        self
    }

    pub(super) fn verdict(mut self, run: &str, phase: Option<AnalysisPhase>) -> Self {
        self.verdicts.insert(0, (run.to_owned(), phase));
        self
    }

    /// `v1` is out, and everything has settled.
    pub(super) fn deployed(mut self) -> Self {
        self.play();
        assert_eq!(self.status.phase, Some(Phase::Healthy), "{self}");
        self.watched = !self.services.is_empty() && self.desired() > 0;
        self
    }

    /// `v2` was declared and has come as far as it comes by itself.
    pub(super) fn updated(mut self) -> Self {
        self.declare("v2");
        self.play();
        self
    }
}

// What people and machines do.
impl World {
    pub(super) fn ask(&mut self, id: &str, verb: Verb) {
        self.by_person |= matches!(verb, Verb::Promote | Verb::PromoteFull);
        self.request = Some(Ok(request(id, verb)));
    }

    /// Makes so many pods of a version unready, for so many seconds.
    pub(super) fn lose_pods(&mut self, version: &str, count: usize, seconds: i64) {
        self.watched = false;
        let back = self.now + SignedDuration::from_secs(seconds);
        let now = self.now;
        for set in self.sets.iter_mut().filter(|set| set.version == version) {
            let ready = set.pods.iter_mut().filter(|pod| pod.ready_at <= now);
            for pod in ready.take(count) {
                pod.ready_at = back;
            }
        }
        self.settle();
        // What is seen of pods and of EndpointSlices at one moment may differ; here both are seen.
        self.follow_slices(true);
    }

    /// A forced server-side apply takes the pin out of a Service.
    pub(super) fn take_pin_out(&mut self, service: &str, by: &str) {
        let key = &names().pod_template_hash;
        let service = self.services.get_mut(service).unwrap();
        service.selector.remove(key);
        service.selector_written_by = Some(by.to_owned());
        service.resource_version = format!("{}'", service.resource_version);
        self.settle();
    }

    /// Somebody gives a Service a label that only pods of `version` have.
    pub(super) fn only_selects(&mut self, service: &str, version: &str) {
        self.fits.insert(service.to_owned(), version.to_owned());
        self.settle();
        self.follow_slices(true);
    }

    pub(super) fn overwrite_weight(&mut self, weight: i32, by: &str) {
        let ingress = self.ingresses.get_mut("demo-demo-canary").unwrap();
        ingress.object["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"] =
            json!(weight.to_string());
        ingress.annotations_written_by = Some(by.to_owned());
        ingress.resource_version = format!("{}'", ingress.resource_version);
        self.settle();
    }

    /// The controller crashes right before this write, counted from now; once.
    pub(super) fn crash_before_write(&mut self, number: usize) {
        self.crash_at = Some(self.writes + number);
    }
}

// What can be seen.
impl World {
    #[expect(
        clippy::unused_self,
        reason = "the other questions about a world take it, too"
    )]
    pub(super) fn hash(&self, version: &str) -> String {
        static HASHES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
            let hash = |version: &str| {
                let spec = RolloutSpec {
                    template: Some(serde_json::from_value(template(version)).unwrap()),
                    ..RolloutSpec::default()
                };
                pod_template_hash(&spec, &RolloutStatus::default())
            };
            ["v1", "v2", "v3", "v4"]
                .into_iter()
                .map(|version| (version.to_owned(), hash(version)))
                .collect()
        });
        HASHES[version].clone()
    }

    /// The version with this hash.
    pub(super) fn version(&self, hash: &str) -> String {
        let known = self
            .sets
            .iter()
            .find(|set| set.view.pod_template_hash == hash);
        known.map_or_else(|| hash.to_owned(), |set| set.version.clone())
    }

    pub(super) fn set_of(&self, version: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.version == version)
    }

    /// Desired pods of a version.
    pub(super) fn size(&self, version: &str) -> i32 {
        self.set_of(version).map_or(0, |set| set.view.replicas)
    }

    pub(super) fn weight(&self) -> i32 {
        weight_of(self.ingresses.get("demo-demo-canary")).max(routes::live(&self.snapshot()))
    }

    /// The version that a Service leads to.
    pub(super) fn behind(&self, service: &str) -> String {
        let pin = self.services[service]
            .selector
            .get(&names().pod_template_hash);
        pin.map_or_else(|| "all".to_owned(), |hash| self.version(hash))
    }

    pub(super) fn desired(&self) -> i32 {
        self.parsed.as_ref().unwrap().desired_replicas()
    }

    /// The last told time of a condition.
    pub(super) fn condition(&self, type_: &str) -> Option<(String, String, String)> {
        let condition = self
            .status
            .conditions
            .iter()
            .find(|condition| condition.type_ == type_)?;
        Some((
            format!("{:?}", condition.status),
            condition.reason.clone(),
            condition.message.clone(),
        ))
    }

    pub(super) fn reasons(&self) -> Vec<&'static str> {
        self.notes.iter().map(|note| note.reason).collect()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.snapshot_at(self.now)
    }

    fn snapshot_at(&self, now: Timestamp) -> Snapshot {
        let mut snapshot = Snapshot {
            now,
            watched_since: self.watched_since,
            names: names().clone(),
            workload: self.workload.clone(),
            rollout: RolloutView {
                name: "demo".to_owned(),
                namespace: "default".to_owned(),
                uid: UID.to_owned(),
                generation: self.generation,
                spec: self.parsed.clone(),
                object: json!({"metadata": {"name": "demo", "annotations": self.annotations}, "spec": self.spec}),
                status: self.status.clone(),
                request: self.request.clone(),
                deleting: self.deleting,
            },
            replica_sets: self.sets.iter().map(|set| set.view.clone()).collect(),
            foreign_replica_sets: self.foreign.clone(),
            services: self.services.clone(),
            ingresses: self.ingresses.clone(),
            routes: self.routes.clone(),
            unserved: BTreeSet::new(),
            templates: self.templates.clone(),
            foreign_analysis_runs: self.foreign_runs.clone(),
            foreign_experiments: Vec::new(),
            experiments: self.experiments.clone(),
            pod_templates: self.pod_templates.clone(),
            analysis_runs: self.runs.clone(),
            pods: None,
            eviction_refused: self.eviction_refused.clone(),
            refusal: self.refusal.clone(),
            compared: None,
        };
        if wants_pods(&snapshot) {
            snapshot.attach_pods(self.pods());
        }
        snapshot
    }

    fn pods(&self) -> Vec<PodView> {
        let of = |set: &Set| {
            let uid = set.view.uid.clone();
            set.pods
                .clone()
                .into_iter()
                .map(move |pod| (uid.clone(), pod))
        };
        let all = self.sets.iter().flat_map(of);
        all.map(|(replica_set_uid, pod)| PodView {
            uid: format!("uid-{}", pod.name),
            name: pod.name,
            replica_set_uid,
            created: pod.created,
            ready: pod.ready_at <= self.now,
            terminating: false,
        })
        .collect()
    }

    pub(super) fn decide(&self) -> Decision {
        decide(&self.snapshot())
    }

    /// What is to be equal however a release came to its end.
    pub(super) fn outcome(&self) -> String {
        let sets: BTreeMap<_, _> = self
            .sets
            .iter()
            .map(|set| (&set.version, (set.view.replicas, set.view.revision)))
            .collect();
        let services: BTreeMap<_, _> = self
            .services
            .keys()
            .map(|name| (name, self.behind(name)))
            .collect();
        let runs: BTreeMap<_, _> = self.runs.iter().map(|run| (&run.name, run.phase)).collect();
        let status = &self.status;
        format!(
            "sets {sets:?}\nservices {services:?}\nweight {}\nruns {runs:?}\nphase {:?} {} at {:?}, stable {}, new {}, abort {}, revision {:?}, waiting for {:?}",
            self.weight(),
            status.phase,
            status.message,
            status.current_step_index,
            self.version(&status.stable_rs),
            self.version(&status.current_pod_hash),
            status.abort,
            status.revision,
            status.waiting_for,
        )
    }
}

impl std::fmt::Display for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}", self.log.join("\n"), self.outcome())
    }
}

pub(super) fn names() -> &'static ApiNames {
    static NAMES: LazyLock<ApiNames> = LazyLock::new(ApiNames::default);
    &NAMES
}

pub(super) fn weight_of(ingress: Option<&IngressView>) -> i32 {
    let weight = ingress.and_then(|ingress| {
        ingress
            .object
            .pointer("/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight")
    });
    weight
        .and_then(Value::as_str)
        .map_or(0, |weight| weight.parse().unwrap())
}

// The machinery.
impl World {
    fn fresh(&mut self) -> String {
        self.counter += 1;
        self.counter.to_string()
    }

    /// Everything that happens at once: ReplicaSets make and remove pods, pods become ready, slices that are due follow.
    pub(super) fn settle(&mut self) {
        for index in 0..self.sets.len() {
            let never = Timestamp::MAX;
            let (start_up, now) = (self.start_up, self.now);
            while self.sets[index].pods.len()
                < usize::try_from(self.sets[index].view.replicas).unwrap()
                && self.sets.iter().map(|set| set.pods.len()).sum::<usize>() < self.room
            {
                let id = self.fresh();
                let set = &mut self.sets[index];
                let ready_at = if self.broken.contains(&set.version) {
                    never
                } else {
                    now + SignedDuration::from_secs(start_up)
                };
                let name = format!("{}-{id:0>5}", set.view.name);
                set.pods.push(Pod {
                    name,
                    created: now,
                    ready_at,
                    metadata: set.shown["metadata"].clone(),
                });
            }
            let set = &mut self.sets[index];
            // Those go first that are not ready; among them the newest.
            set.pods
                .sort_by_key(|pod| (pod.ready_at.max(now), pod.name.clone()));
            set.pods
                .truncate(usize::try_from(set.view.replicas).unwrap());
            let count = |number: usize| i32::try_from(number).unwrap();
            let ready = count(set.pods.iter().filter(|pod| pod.ready_at <= now).count());
            let before = set.view.clone();
            set.view.current = count(set.pods.len());
            set.view.ready = ready;
            set.view.available = ready;
            if before != set.view {
                let version = self.fresh();
                self.sets[index].view.resource_version = version;
            }
        }
        self.follow_slices(false);
        self.note_routes();
        rules::nobody_is_turned_away(self);
    }

    fn follow_slices(&mut self, at_once: bool) {
        for name in self.services.keys().cloned().collect::<Vec<_>>() {
            let wanted = self.endpoints(&self.services[&name]);
            if self.services[&name].endpoints == wanted {
                self.slices_due.remove(&name);
                continue;
            }
            let due = *self
                .slices_due
                .entry(name.clone())
                .or_insert(self.now + SignedDuration::from_secs(1));
            if at_once || due <= self.now {
                self.slices_due.remove(&name);
                self.services.get_mut(&name).unwrap().endpoints = wanted;
            }
        }
    }

    fn endpoints(&self, service: &ServiceView) -> Vec<EndpointView> {
        let pin = service.selector.get(&names().pod_template_hash);
        let mut endpoints: Vec<EndpointView> = self
            .sets
            .iter()
            .filter(|set| pin.is_none_or(|pin| *pin == set.view.pod_template_hash))
            .filter(|set| {
                let only = self.fits.get(&service.name);
                only.is_none_or(|only| *only == set.version)
            })
            .flat_map(|set| &set.pods)
            .map(|pod| EndpointView {
                pod: pod.name.clone(),
                ready: pod.ready_at <= self.now,
                terminating: false,
            })
            .collect();
        endpoints.sort_by(|a, b| a.pod.cmp(&b.pod));
        endpoints
    }

    fn note_routes(&mut self) {
        for set in &self.sets {
            let hash = &set.view.pod_template_hash;
            let routed = self.services.values().any(|service| {
                let pin = service.selector.get(&names().pod_template_hash);
                pin.is_none_or(|pin| pin == hash) || service.ready_endpoints_of(&set.view.name) > 0
            });
            if routed && !set.pods.is_empty() {
                self.routed.insert(hash.clone(), self.now);
            }
        }
    }

    /// Ready endpoints of a Service whose pods are really there and ready.
    pub(super) fn answering(&self, service: &str) -> usize {
        let pods: BTreeSet<&str> = self
            .sets
            .iter()
            .flat_map(|set| &set.pods)
            .filter(|pod| pod.ready_at <= self.now)
            .map(|pod| pod.name.as_str())
            .collect();
        self.services[service]
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.ready && pods.contains(endpoint.pod.as_str()))
            .count()
    }

    fn next_event(&self) -> Option<Timestamp> {
        let pods = self
            .sets
            .iter()
            .flat_map(|set| &set.pods)
            .map(|pod| pod.ready_at)
            .filter(|at| *at > self.now && *at < Timestamp::MAX);
        let runs = self
            .runs
            .iter()
            .filter(|run| !run.phase.is_terminal())
            .filter(|run| run.terminate || self.verdict_of(&run.name).is_some())
            .map(|run| run.created.unwrap() + SignedDuration::from_secs(10));
        pods.chain(runs)
            .chain(self.slices_due.values().copied())
            .map(|at| at.max(self.now))
            .min()
    }

    fn verdict_of(&self, run: &str) -> Option<AnalysisPhase> {
        self.verdicts
            .iter()
            .find(|(key, _)| run.contains(key))
            .map_or(Some(AnalysisPhase::Successful), |(_, verdict)| *verdict)
    }

    fn end_runs(&mut self) {
        for index in 0..self.runs.len() {
            let run = &self.runs[index];
            let due = run.created.unwrap() + SignedDuration::from_secs(10) <= self.now;
            let phase = match self.verdict_of(&run.name) {
                _ if run.phase.is_terminal() => continue,
                _ if run.terminate => AnalysisPhase::Successful,
                Some(phase) if due => phase,
                Some(_) | None if run.phase == AnalysisPhase::Pending => AnalysisPhase::Running,
                Some(_) | None => continue,
            };
            let version = self.fresh();
            let run = &mut self.runs[index];
            run.phase = phase;
            run.message = format!("metric errors is {phase:?}");
            run.resource_version = version;
            if phase.is_terminal() {
                run.completed = Some(self.now);
            }
        }
    }

    /// One reconcile. Says whether anything was written.
    pub(super) fn reconcile(&mut self) -> bool {
        let snapshot = self.snapshot();
        let decision = decide(&snapshot);
        rules::check(self, &snapshot, &decision);
        self.next = decision.next;
        let before = self.writes;
        for action in &decision.actions {
            if self.crashes() {
                return true;
            }
            self.writes += 1;
            let shown = self.shown(action);
            self.log.push(format!("{:>4} {shown}", self.seconds()));
            self.act(action);
            self.actions.push(action.clone());
        }
        if decision.status != snapshot.rollout.status {
            if self.crashes() {
                return true;
            }
            self.writes += 1;
            self.status = decision.status.clone();
        }
        for note in &decision.notes {
            self.log.push(format!(
                "{:>4}   {}: {}",
                self.seconds(),
                note.reason,
                note.message
            ));
        }
        self.notes.extend(decision.notes);
        self.settle();
        self.writes > before
    }

    fn crashes(&mut self) -> bool {
        let now = self.crash_at == Some(self.writes + 1);
        if now {
            self.crash_at = None;
            self.log.push(format!("{:>4} crash", self.seconds()));
            self.settle();
        }
        now
    }

    pub(super) fn seconds(&self) -> i64 {
        self.now.as_second() - START
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of action")]
    fn act(&mut self, action: &Action) {
        let version = self.fresh();
        match action {
            Action::CreateReplicaSet { name, object } => self.create_set(name, object, version),
            Action::PatchReplicaSet {
                target,
                replicas,
                annotations,
                template,
            } => {
                let key = &names().revision;
                let set = self
                    .sets
                    .iter_mut()
                    .find(|set| set.view.name == target.name);
                let set = set.unwrap();
                let view = &mut set.view;
                assert_eq!(
                    view.resource_version, target.resource_version,
                    "stale write"
                );
                view.resource_version = version;
                view.replicas = replicas.unwrap_or(view.replicas);
                for (_, value) in annotations.iter().filter(|(name, _)| name == key) {
                    view.revision = value.as_ref().unwrap().parse().unwrap();
                }
                for (name, value) in annotations {
                    if *name == names().compared_workload {
                        view.compared_workload.clone_from(value);
                    }
                    if *name == names().anti_affinity {
                        view.anti_affinity.clone_from(value);
                    }
                    if *name == names().ephemeral_metadata {
                        let state = value.as_deref().and_then(EphemeralMetadata::read);
                        view.ephemeral = state;
                    }
                }
                if !template.is_null() {
                    json_patch::merge(&mut set.shown, template);
                }
                set.view.template_metadata = metadata_of(&set.shown);
                let mut shown = set.template.clone();
                json_patch::merge(&mut shown, &self.defaults);
                set.view.stored_hash = template_hash::pod_template_hash(&shown, 0);
            }
            Action::AdoptReplicaSet { target, owner: _ } => {
                let mut sets = self.sets.iter_mut();
                let set = sets.find(|set| set.view.name == target.name).unwrap();
                set.view.resource_version = version;
                set.view.orphaned = false;
            }
            Action::RecogniseReplicaSet { hash, .. } => {
                panic!("{hash}: versions are told by their hash here")
            }
            Action::DeleteReplicaSet { target } => {
                self.sets.retain(|set| set.view.name != target.name);
            }
            Action::PinService {
                target,
                pod_template_hash,
                role,
                rollout,
            } => {
                let service = self.services.get_mut(&target.name).unwrap();
                assert_eq!(
                    service.resource_version, target.resource_version,
                    "stale write"
                );
                service.resource_version = version;
                service
                    .selector
                    .insert(names().pod_template_hash.clone(), pod_template_hash.clone());
                service.role = Some(*role);
                service.managed_by = Some(rollout.clone());
                service.selector_written_by = None;
            }
            Action::CreateIngress { name, object } => {
                let view = IngressView {
                    name: name.clone(),
                    resource_version: version,
                    controller_uid: Some(UID.to_owned()),
                    annotations_written_by: None,
                    object: object.clone(),
                };
                assert!(self.ingresses.insert(name.clone(), view).is_none());
            }
            Action::PatchIngress { target, patch } => {
                let ingress = self.ingresses.get_mut(&target.name).unwrap();
                assert_eq!(
                    ingress.resource_version, target.resource_version,
                    "stale write"
                );
                ingress.resource_version = version;
                ingress.annotations_written_by = None;
                json_patch::merge(&mut ingress.object, patch);
            }
            Action::PatchRoute {
                kind,
                target,
                patch,
            } => {
                let key = (*kind, target.name.clone());
                let route = self.routes.get_mut(&key).unwrap();
                assert_eq!(
                    route.resource_version, target.resource_version,
                    "stale write"
                );
                let spec = route.object["spec"].clone();
                json_patch::patch(&mut route.object, patch).unwrap();
                route.resource_version.clone_from(&version);
                route.object["metadata"]["resourceVersion"] = json!(version);
                route.rules_written_by = None;
                if route.object["spec"] != spec {
                    let generation = route.object["metadata"]["generation"].as_i64().unwrap();
                    route.object["metadata"]["generation"] = json!(generation + 1);
                    if self.gateways == Gateways::Answer {
                        routes::accept(&mut route.object);
                    }
                }
            }
            Action::DeleteIngress { target } => {
                self.ingresses.remove(&target.name);
            }
            Action::CreateExperiment { name, object } => {
                self.create_experiment(name, object, version);
            }
            Action::TerminateExperiment { target } => {
                let mut all = self.experiments.iter_mut();
                let one = all.find(|one| one.name == target.name).unwrap();
                assert_eq!(one.resource_version, target.resource_version, "stale write");
                one.terminate = true;
                one.resource_version = version;
            }
            Action::DeleteExperiment { target } => {
                self.experiments.retain(|one| one.name != target.name);
            }
            Action::ReadPodTemplate { name } => {
                let template = self.declared[name].clone();
                self.pod_templates.insert(name.clone(), template);
            }
            Action::CreateService { .. } | Action::DeleteService { .. } => {
                panic!("a Rollout makes no Services: {action:?}")
            }
            Action::CreateAnalysisRun { name, object } => self.create_run(name, object, version),
            Action::TerminateAnalysisRun { target } => {
                let run = self
                    .runs
                    .iter_mut()
                    .find(|run| run.name == target.name)
                    .unwrap();
                run.terminate = true;
                run.resource_version = version;
            }
            Action::DeleteAnalysisRun { target } => {
                self.runs.retain(|run| run.name != target.name);
            }
            Action::PatchPods {
                target, metadata, ..
            } => {
                let mut sets = self.sets.iter_mut();
                let set = sets.find(|set| set.view.name == target.name).unwrap();
                for pod in &mut set.pods {
                    json_patch::merge(&mut pod.metadata, metadata);
                }
            }
            Action::EvictPod { target } if self.no_evictions => {
                self.eviction_refused = Some(EvictionRefusal {
                    at: self.now,
                    message: format!("evict {}: the budget", target.name),
                });
            }
            Action::EvictPod { target } => {
                for set in &mut self.sets {
                    set.pods.retain(|pod| pod.name != target.name);
                }
            }
            Action::ScaleWorkload {
                target,
                from,
                at_rest,
                rollout,
            } => {
                let workload = self.found_workload();
                assert_eq!(workload.resource_version, target.resource_version);
                assert_eq!(workload.replicas, *from);
                workload.resource_version = version;
                workload.generation += 1;
                workload.replicas = at_rest.scaled_to;
                workload.at_rest = Some(*at_rest);
                workload.managed_by = Some(rollout.clone());
            }
            Action::RestoreWorkload { target, replicas } => {
                let workload = self.found_workload();
                assert_eq!(workload.resource_version, target.resource_version);
                workload.resource_version = version;
                workload.replicas = replicas.unwrap_or(workload.replicas);
                workload.at_rest = None;
                workload.managed_by = None;
            }
        }
    }

    fn create_set(&mut self, name: &str, object: &Value, resource_version: String) {
        assert!(
            self.sets.iter().all(|set| set.view.name != *name),
            "{name} is taken"
        );
        let names = names();
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap()
                .to_owned()
        };
        let key = |key: &str| key.replace('/', "~1");
        let annotation = |name: &str| {
            let value = object.pointer(&format!("/metadata/annotations/{}", key(name)));
            Some(value?.as_str().unwrap().to_owned())
        };
        let view = ReplicaSetView {
            name: name.to_owned(),
            uid: format!("uid-{resource_version}"),
            resource_version,
            pod_template_hash: text(&format!(
                "/metadata/labels/{}",
                key(&names.pod_template_hash)
            )),
            revision: text(&format!("/metadata/annotations/{}", key(&names.revision)))
                .parse()
                .unwrap(),
            replicas: i32::try_from(object["spec"]["replicas"].as_i64().unwrap()).unwrap(),
            anti_affinity: annotation(&names.anti_affinity),
            ephemeral: annotation(&names.ephemeral_metadata)
                .and_then(|text| EphemeralMetadata::read(&text)),
            template_metadata: metadata_of(&object["spec"]["template"]),
            settled: true,
            stored_hash: template_hash::pod_template_hash(&self.shown_template(object), 0),
            ..ReplicaSetView::default()
        };
        let declared = object["metadata"]["annotations"][&names.pod_template].as_str();
        let declared = serde_json::from_str(declared.unwrap()).unwrap();
        self.declared.insert(name.to_owned(), declared);
        self.sets.push(Set {
            template: own_template(object),
            shown: object["spec"]["template"].clone(),
            view,
            version: version_of(&object["spec"]["template"]),
            pods: Vec::new(),
        });
    }

    fn shown_template(&self, set: &Value) -> Value {
        let mut shown = own_template(set);
        json_patch::merge(&mut shown, &self.defaults);
        shown
    }

    /// The workload that `spec.workloadRef` names, which exists.
    pub(super) fn found_workload(&mut self) -> &mut WorkloadView {
        match &mut self.workload {
            Workload::Found(workload) => workload,
            other @ (Workload::NotNamed | Workload::NotRead | Workload::Missing) => {
                panic!("{other:?}")
            }
        }
    }

    fn create_experiment(&mut self, name: &str, object: &Value, resource_version: String) {
        let is_free = self.experiments.iter().all(|one| one.name != *name);
        assert!(is_free, "{name} is taken");
        self.pod_templates.clear();
        let label = object["metadata"]["labels"][&names().pod_template_hash].as_str();
        self.experiments.push(StepExperimentView {
            name: name.to_owned(),
            uid: format!("uid-{resource_version}"),
            resource_version,
            pod_template_hash: label.unwrap().to_owned(),
            phase: AnalysisPhase::Running,
            message: String::new(),
            terminate: false,
            created: Some(self.now),
            deleting: false,
        });
    }

    fn create_run(&mut self, name: &str, object: &Value, resource_version: String) {
        assert!(
            self.runs.iter().all(|run| run.name != *name),
            "{name} is taken"
        );
        let label = object["metadata"]["labels"][&names().pod_template_hash].as_str();
        self.runs.push(AnalysisRunView {
            name: name.to_owned(),
            uid: format!("uid-{resource_version}"),
            resource_version,
            pod_template_hash: label.unwrap().to_owned(),
            phase: AnalysisPhase::Pending,
            message: String::new(),
            terminate: false,
            created: Some(self.now),
            completed: None,
            deleting: false,
        });
    }

    /// Reconciles until nothing more is written now. Returns when something will happen next.
    pub(super) fn reconcile_all(&mut self) -> Option<Timestamp> {
        self.settle();
        for _ in 0..MOST_PASSES {
            self.end_runs();
            if self.reconcile() {
                continue;
            }
            let due = match self.next {
                Next::OnChange => None,
                Next::At(at) => {
                    assert!(at > self.now, "a timer in the past: {at}\n{self}");
                    Some(at)
                }
            };
            self.expect_quiet_until(due);
            return due.into_iter().chain(self.next_event()).min();
        }
        panic!("no end at {}:\n{self}", self.seconds());
    }

    /// Before the next look that was asked for, there must be nothing to do: else a timer is missing.
    fn expect_quiet_until(&self, due: Option<Timestamp>) {
        let far = self.now + SignedDuration::from_hours(100);
        let before = due.unwrap_or(far) - SignedDuration::from_millis(1);
        if before <= self.now {
            return;
        }
        let later = decide(&self.snapshot_at(before));
        assert_eq!(
            later.status, self.status,
            "something comes due at a time nobody looks: {before}\n{self}"
        );
        assert!(
            later.notes.is_empty() && later.actions.is_empty(),
            "{later:?}\n{self}"
        );
    }

    /// Plays until nothing happens any more by itself.
    pub(super) fn play(&mut self) {
        self.play_until(|_| false);
        rules::settled(self);
    }

    /// Plays until `end` holds after a reconcile, or nothing happens any more.
    pub(super) fn play_until(&mut self, end: impl Fn(&Self) -> bool) {
        for _ in 0..2_000 {
            let next = self.reconcile_all();
            if end(self) {
                return;
            }
            let Some(next) = next else { return };
            self.now = next;
            self.settle();
        }
        panic!("no end by {}:\n{self}", self.seconds());
    }

    /// Plays for so many seconds.
    pub(super) fn play_for(&mut self, seconds: i64) {
        let end = self.now + SignedDuration::from_secs(seconds);
        loop {
            let next = self.reconcile_all();
            match next {
                Some(next) if next <= end => self.now = next,
                Some(_) | None => break,
            }
            self.settle();
        }
        self.now = end;
        self.reconcile_all();
    }
}

impl World {
    /// So many pods of a version become ready after all.
    pub(super) fn heal(&mut self, version: &str, count: usize, at: Timestamp) {
        let set = self
            .sets
            .iter_mut()
            .find(|set| set.version == version)
            .unwrap();
        let never = set
            .pods
            .iter_mut()
            .filter(|pod| pod.ready_at == Timestamp::MAX);
        for pod in never.take(count) {
            pod.ready_at = at;
        }
        self.broken.remove(version);
    }
}
