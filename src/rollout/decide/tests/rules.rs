//! What must hold for every decision, whatever happens. The letters are those of the list of invariants:
//! T for traffic, D for decisions, C for control, L for liveness.

use super::{
    header_routes, routes,
    world::{World, names, weight_of},
};
use crate::{
    api::{
        analysis::AnalysisPhase,
        conditions::{self, ConditionType},
        rollout_status::{Phase, RolloutStatus},
        strategy::Declared,
    },
    rollout::{
        decision::{Action, Decision},
        snapshot::{IngressView, ReplicaSetView, Snapshot},
    },
};

struct Look<'a> {
    world: &'a World,
    snapshot: &'a Snapshot,
    decision: &'a Decision,
    old: &'a RolloutStatus,
    new: &'a RolloutStatus,
    replicas: i32,
    max: i32,
    live: i32,
    routed: bool,
    switched: bool,
    dynamic: bool,
    strategy: Declared<'a>,
}

/// Holds a decision against the rules.
pub(super) fn check(world: &World, snapshot: &Snapshot, decision: &Decision) {
    let Ok(spec) = &snapshot.rollout.spec else {
        return;
    };
    let Some(strategy) = spec.strategy.declared() else {
        return;
    };
    let look = Look {
        world,
        snapshot,
        decision,
        old: &snapshot.rollout.status,
        new: &decision.status,
        replicas: spec.desired_replicas(),
        strategy,
        max: strategy.max_weight(),
        live: weight_of(snapshot.ingresses.get("demo-demo-canary")).max(routes::live(snapshot)),
        routed: strategy.traffic_routing().is_some(),
        switched: strategy.canary().is_none(),
        dynamic: strategy
            .canary()
            .is_some_and(|canary| canary.dynamic_stable_scale),
    };
    look.one_write_per_object();
    look.weights();
    look.header_routes();
    look.sizes();
    look.pins();
    look.promotion();
    look.verdicts();
    look.steps();
    look.told();
}

impl Look<'_> {
    fn must(&self, holds: bool, rule: &str) {
        assert!(
            holds,
            "{rule}\nat {}: {:?}\nlive weight {}\n{:#?}\n{}",
            self.world.seconds(),
            self.world.all_shown(self.decision),
            self.live,
            self.decision.status,
            self.world
        );
    }

    fn set(&self, hash: &str) -> Option<&ReplicaSetView> {
        self.snapshot
            .replica_sets
            .iter()
            .find(|set| set.pod_template_hash == hash)
    }

    fn available(&self, hash: &str) -> i32 {
        self.set(hash).map_or(0, |set| set.available)
    }

    fn share(&self, weight: i32) -> i32 {
        let product = self.replicas * weight;
        product / self.max + i32::from(product % self.max != 0)
    }

    /// Pods that a version has to have for a weight: its share, or what the last `setCanaryScale` says.
    fn pods_for(&self, hash: &str, weight: i32) -> i32 {
        let index = usize::try_from(self.new.current_step_index.unwrap_or(0)).unwrap();
        let begun = self.strategy.steps().get(..=index).unwrap_or_default();
        let scale = begun
            .iter()
            .rev()
            .find_map(|step| step.set_canary_scale.as_ref())
            .filter(|_| self.under_way() && !self.new.promote_full)
            .filter(|_| hash == self.new.current_pod_hash);
        match scale {
            Some(scale) if self.replicas > 0 && scale.replicas.is_some() => {
                scale.replicas.unwrap_or(0)
            }
            Some(scale) => self.share(scale.weight.unwrap_or(weight)),
            None => self.share(weight),
        }
    }

    /// Pods that are enough where there should be `want`.
    fn enough(&self, want: i32) -> i32 {
        let canary = self.strategy.canary();
        let Some(threshold) = canary.and_then(|it| it.replica_progress_threshold.as_ref()) else {
            return want;
        };
        let enough = if threshold.type_ == "Pods" {
            threshold.value
        } else {
            (want * threshold.value + 99) / 100
        };
        enough.clamp(want.min(1), want)
    }

    /// The weight that the available pods of stable carry.
    fn carried_by_stable(&self) -> i32 {
        let stable = &self.new.stable_rs;
        let Some(set) = self.set(stable) else {
            return 0;
        };
        let serving = self.snapshot.services["demo-stable"]
            .ready_endpoints_of(&set.name)
            .min(set.available);
        self.max * serving.min(self.replicas) / self.replicas.max(1)
    }

    fn pin(&self, service: &str) -> Option<&String> {
        let service = self.snapshot.services.get(service)?;
        service.selector.get(&names().pod_template_hash)
    }

    /// The weight after this decision's writes.
    fn written(&self) -> Option<i32> {
        self.decision
            .actions
            .iter()
            .find_map(|action| match action {
                Action::CreateIngress { object, .. }
                | Action::PatchIngress { patch: object, .. } => {
                    let view = IngressView {
                        object: object.clone(),
                        ..IngressView::default()
                    };
                    object
                        .pointer("/metadata/annotations/nginx.ingress.kubernetes.io~1canary-weight")
                        .map(|_| weight_of(Some(&view)))
                }
                Action::PatchRoute { target, patch, .. } => {
                    Some(routes::written(self.snapshot, &target.name, patch))
                }
                Action::CreateReplicaSet { .. }
                | Action::PatchReplicaSet { .. }
                | Action::DeleteReplicaSet { .. }
                | Action::AdoptReplicaSet { .. }
                | Action::RecogniseReplicaSet { .. }
                | Action::PinService { .. }
                | Action::DeleteIngress { .. }
                | Action::CreateService { .. }
                | Action::DeleteService { .. }
                | Action::CreateExperiment { .. }
                | Action::TerminateExperiment { .. }
                | Action::DeleteExperiment { .. }
                | Action::ReadPodTemplate { .. }
                | Action::CreateAnalysisRun { .. }
                | Action::TerminateAnalysisRun { .. }
                | Action::DeleteAnalysisRun { .. }
                | Action::PatchPods { .. }
                | Action::EvictPod { .. }
                | Action::ScaleWorkload { .. }
                | Action::RestoreWorkload { .. } => None,
            })
    }

    fn aborted(&self) -> bool {
        self.new.abort && self.new.current_pod_hash != self.new.stable_rs
    }

    fn under_way(&self) -> bool {
        !self.new.abort && self.new.current_pod_hash != self.new.stable_rs
    }

    fn held(&self) -> bool {
        [ConditionType::ReferenceMissing, ConditionType::InvalidSpec]
            .into_iter()
            .any(|type_| conditions::holds(&self.new.conditions, type_))
    }

    fn answers(&self) -> bool {
        let service = self.snapshot.services.get("demo-stable");
        service.is_some_and(|service| service.endpoints.iter().any(|endpoint| endpoint.ready))
    }

    fn one_write_per_object(&self) {
        let mut seen = std::collections::BTreeSet::new();
        for action in &self.decision.actions {
            let (kind, name) =
                match action {
                    Action::CreateReplicaSet { name, .. }
                    | Action::RecogniseReplicaSet { hash: name, .. } => ("rs", name),
                    Action::PatchReplicaSet { target, .. }
                    | Action::AdoptReplicaSet { target, .. }
                    | Action::DeleteReplicaSet { target } => ("rs", &target.name),
                    Action::PinService { target, .. } | Action::DeleteService { target } => {
                        ("svc", &target.name)
                    }
                    Action::CreateIngress { name, .. } => ("ing", name),
                    Action::PatchIngress { target, .. } | Action::DeleteIngress { target } => {
                        ("ing", &target.name)
                    }
                    Action::PatchRoute { target, .. } => ("route", &target.name),
                    Action::CreateAnalysisRun { name, .. } => ("ar", name),
                    Action::TerminateAnalysisRun { target }
                    | Action::DeleteAnalysisRun { target } => ("ar", &target.name),
                    Action::PatchPods { target, .. } => ("pods", &target.name),
                    Action::EvictPod { target } => ("pod", &target.name),
                    Action::ScaleWorkload { target, .. }
                    | Action::RestoreWorkload { target, .. } => ("workload", &target.name),
                    Action::CreateService { name, .. } => ("svc", name),
                    Action::CreateExperiment { name, .. } => ("exp", name),
                    Action::TerminateExperiment { target }
                    | Action::DeleteExperiment { target } => ("exp", &target.name),
                    Action::ReadPodTemplate { name } => ("read", name),
                };
            self.must(
                seen.insert((kind, name.clone())),
                "C2: one write per object and pass",
            );
        }
    }

    fn weights(&self) {
        let weight = self.written().unwrap_or(self.live);
        self.must(
            (0..=self.max).contains(&weight),
            "T6: a weight within bounds",
        );
        if weight > self.live {
            let new = &self.new.current_pod_hash;
            self.must(self.under_way(), "T11: only an update raises the weight");
            self.must(
                !self.held(),
                "T16: no weight goes up while something is missing",
            );
            let pinned = self.pin("demo-canary") == Some(new);
            self.must(
                pinned,
                "T1: weight only to a Service that leads to the new version",
            );
            let serving = self.snapshot.services["demo-canary"]
                .ready_endpoints_of(&self.set(new).unwrap().name)
                .min(self.available(new));
            self.must(
                serving >= self.enough(self.pods_for(new, weight)),
                "T2, T4: weight only where pods serve it",
            );
            self.must(serving > 0, "T1, T20: weight only to a version with pods");
            let steps = self.strategy.steps();
            let index = usize::try_from(self.new.current_step_index.unwrap()).unwrap();
            let cap = if self.new.promote_full || index >= steps.len() {
                self.max
            } else {
                let before = steps[..=index].iter().rev();
                before
                    .into_iter()
                    .find_map(|step| step.set_weight)
                    .unwrap_or(0)
            };
            self.must(weight <= cap, "T10: no more than the step's weight");
        }
        if self.aborted() && self.answers() && self.routed && self.stable_exists() {
            let stays = if self.dynamic && self.replicas > 0 {
                (self.max - self.carried_by_stable()).min(self.live)
            } else {
                0
            };
            self.must(
                weight <= stays,
                "T12, L1: an abort takes all weight away that stable can carry",
            );
        }
        if weight > 0 && self.routed && self.answers() && self.under_way() {
            let behind = self.pin("demo-canary");
            let there = behind.is_none_or(|hash| self.available(hash) > 0);
            self.must(there, "T2: no weight stays on a version without pods");
        }
    }

    fn header_routes(&self) {
        let live = header_routes::picks(self.snapshot);
        let picks = header_routes::will_pick(self.snapshot, self.decision);
        let behind = self.pin("demo-canary");
        let version = behind.map_or("", String::as_str);
        if picks && !live {
            self.must(self.under_way(), "T11: only an update sets a header route");
            self.must(
                !self.held(),
                "T16: no header route is set while something is missing",
            );
            let set = self.set(version).unwrap();
            let serving = self.snapshot.services["demo-canary"].ready_endpoints_of(&set.name);
            self.must(
                serving.min(set.available) > 0,
                "T1: a header route only to a version with pods",
            );
        }
        if picks && self.aborted() && self.answers() && self.stable_exists() {
            self.must(false, "T13: an abort takes all header routes away at once");
        }
        if picks && self.answers() && self.under_way() {
            self.must(
                self.available(version) > 0,
                "T2: no header route stays on a version without pods",
            );
        }
        for action in &self.decision.actions {
            match action {
                Action::PinService { target, .. } if target.name == "demo-canary" => {
                    self.must(
                        !live || behind.is_none() || self.switched,
                        "T8: header routes go before the canary Service is re-pointed",
                    );
                }
                Action::PatchReplicaSet {
                    target,
                    replicas: Some(0),
                    ..
                } if live && self.replicas > 0 => {
                    let set = self.set(version);
                    self.must(
                        set.is_none_or(|set| set.name != target.name),
                        "T5: the last pods go after the header routes",
                    );
                }
                Action::PinService { .. }
                | Action::PatchReplicaSet { .. }
                | Action::CreateReplicaSet { .. }
                | Action::AdoptReplicaSet { .. }
                | Action::RecogniseReplicaSet { .. }
                | Action::PatchPods { .. }
                | Action::EvictPod { .. }
                | Action::ScaleWorkload { .. }
                | Action::RestoreWorkload { .. }
                | Action::CreateService { .. }
                | Action::DeleteService { .. }
                | Action::CreateExperiment { .. }
                | Action::TerminateExperiment { .. }
                | Action::DeleteExperiment { .. }
                | Action::ReadPodTemplate { .. }
                | Action::DeleteReplicaSet { .. }
                | Action::PatchRoute { .. }
                | Action::CreateIngress { .. }
                | Action::PatchIngress { .. }
                | Action::DeleteIngress { .. }
                | Action::CreateAnalysisRun { .. }
                | Action::TerminateAnalysisRun { .. }
                | Action::DeleteAnalysisRun { .. } => {}
            }
        }
    }

    fn stable_exists(&self) -> bool {
        self.snapshot.ingresses.contains_key("demo") || !self.snapshot.routes.is_empty()
    }

    fn sizes(&self) {
        for action in &self.decision.actions {
            let (name, to) = match action {
                Action::PatchReplicaSet {
                    target,
                    replicas: Some(to),
                    ..
                } => (&target.name, *to),
                Action::DeleteReplicaSet { target } => (&target.name, 0),
                Action::CreateReplicaSet { .. }
                | Action::PatchReplicaSet { .. }
                | Action::AdoptReplicaSet { .. }
                | Action::RecogniseReplicaSet { .. }
                | Action::PatchRoute { .. }
                | Action::PinService { .. }
                | Action::CreateIngress { .. }
                | Action::PatchIngress { .. }
                | Action::DeleteIngress { .. }
                | Action::CreateService { .. }
                | Action::DeleteService { .. }
                | Action::CreateExperiment { .. }
                | Action::TerminateExperiment { .. }
                | Action::DeleteExperiment { .. }
                | Action::ReadPodTemplate { .. }
                | Action::CreateAnalysisRun { .. }
                | Action::TerminateAnalysisRun { .. }
                | Action::DeleteAnalysisRun { .. }
                | Action::PatchPods { .. }
                | Action::EvictPod { .. }
                | Action::ScaleWorkload { .. }
                | Action::RestoreWorkload { .. } => continue,
            };
            let set = self
                .snapshot
                .replica_sets
                .iter()
                .find(|set| set.name == *name)
                .unwrap();
            let hash = &set.pod_template_hash;
            let stable = *hash == self.new.stable_rs;
            let one_more = i32::from(self.new.restart_surge.as_ref() == Some(hash));
            if stable && self.routed && self.dynamic && self.under_way() {
                let need = self.share(self.max - self.live).max(self.replicas.min(1));
                self.must(
                    to >= need || to >= set.replicas,
                    "T3: stable has what its weight needs, and at least one pod",
                );
            } else if stable && self.routed {
                self.must(
                    to == self.replicas + one_more,
                    "T3: stable has its full size",
                );
            }
            self.must(
                !stable || to > 0 || self.replicas == 0 || !self.promoted_or_idle(),
                "T14: the stable version is never taken to 0",
            );
            if to >= set.replicas {
                continue;
            }
            if let Some(live) = self.new.blue_green.live_size
                && stable
                && self.under_way()
            {
                self.must(
                    to >= live.replicas || self.replicas == 0,
                    "T15: what serves is not made smaller before the switch",
                );
            }
            self.must(
                stable || !self.held(),
                "T16: nothing is taken away while something is missing",
            );
            let behind = self.pin("demo-canary").is_none_or(|pin| pin == hash);
            if self.routed && behind && self.live > 0 && self.replicas > 0 {
                let need = self.pods_for(hash, self.live);
                self.must(to >= need, "T4: pods go after the weight");
            }
            if to == 0 && self.replicas > 0 && set.available > 0 {
                let since = self.world.routed.get(hash);
                let quiet = since
                    .is_none_or(|since| self.snapshot.now.duration_since(*since).as_secs() >= 5);
                self.must(quiet, "T5: proxies get time to forget a version");
            }
        }
    }

    fn promoted_or_idle(&self) -> bool {
        self.routed || self.switched || self.new.current_pod_hash == self.new.stable_rs
    }

    fn pins(&self) {
        for action in &self.decision.actions {
            let Action::PinService {
                target,
                pod_template_hash: to,
                ..
            } = action
            else {
                continue;
            };
            let at = self.pin(&target.name);
            let known = [&self.new.stable_rs, &self.new.current_pod_hash];
            // One that somebody has let loose comes back to whose weight it has.
            let before = self.old.canary.weights.as_ref();
            let comes_back = at.is_none()
                && before.is_some_and(|weights| weights.canary.pod_template_hash == *to);
            self.must(
                known.contains(&to) || comes_back,
                "T7: a Service leads to a version of the status",
            );
            if at == Some(to) {
                continue;
            }
            let preview = self.switched && target.name == "demo-canary";
            self.must(
                self.available(to) > 0
                    || preview
                    || (self.replicas == 0 && self.managed(&target.name)),
                "T1: a Service leads to a version with pods",
            );
            if self.switched && target.name == "demo-stable" && to != &self.new.stable_rs {
                self.goes_live(to);
                continue;
            }
            if self.switched && self.aborted() {
                continue;
            }
            if target.name == "demo-canary" && self.routed && at.is_some() {
                self.must(
                    self.live == 0,
                    "T8: weight goes before the canary Service is re-pointed",
                );
            }
            if target.name == "demo-stable" && (at.is_some() || !self.managed("demo-stable")) {
                self.must(
                    self.available(to) >= self.enough(self.replicas),
                    "T2: the stable Service moves at full availability",
                );
            }
        }
    }

    fn managed(&self, service: &str) -> bool {
        self.snapshot.services[service].managed_by.is_some()
    }

    fn promotion(&self) {
        let (old, new) = (&self.old.stable_rs, &self.new.stable_rs);
        if old.is_empty() || old == new {
            return;
        }
        self.must(
            *new == self.new.current_pod_hash,
            "T14: only the declared version becomes stable",
        );
        let corrected = self
            .snapshot
            .replica_sets
            .iter()
            .all(|set| set.available == 0);
        if corrected {
            return;
        }
        self.must(
            !self.new.abort && !self.old.abort,
            "D10: an abort beats a promotion",
        );
        self.must(
            self.available(new) >= self.enough(self.replicas),
            "T2: a version is promoted at full availability",
        );
        if self.routed && self.replicas > 0 {
            self.must(
                self.live == self.max,
                "T4: a version is promoted when it has all traffic",
            );
        }
        if self.switched && self.replicas > 0 {
            self.must(
                self.pin("demo-stable") == Some(new),
                "T15: a version is promoted when it has all traffic",
            );
        }
        if self.world.by_person || self.old.promote_full {
            return;
        }
        let mut asked: Vec<String> = (self.strategy.steps().iter().enumerate())
            .filter(|(_, step)| step.analysis.is_some())
            .map(|(index, _)| index.to_string())
            .collect();
        if let Declared::BlueGreen(blue_green) = self.strategy {
            let pre = blue_green.pre_promotion_analysis.as_ref();
            let post = blue_green.post_promotion_analysis.as_ref();
            asked.extend(pre.map(|_| "pre".to_owned()));
            asked.extend(post.map(|_| "post".to_owned()));
        }
        if self.strategy.bake().is_some() {
            let begun = self.old.bake.started_at;
            self.must(begun.is_some(), "a version is promoted after its bake");
        }
        for analysis in asked {
            self.must(
                self.proven(new, &analysis),
                "D1, D2: every analysis was successful",
            );
        }
    }

    fn proven(&self, version: &str, analysis: &str) -> bool {
        let prefix = format!("demo-{version}-{}-{analysis}", self.new.revision.unwrap());
        self.snapshot.analysis_runs.iter().any(|run| {
            let rest = run.name.strip_prefix(&prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                && run.phase == AnalysisPhase::Successful
                && !run.terminate
        })
    }

    /// The active Service goes over to a new version, or back to it.
    fn goes_live(&self, to: &str) {
        self.must(!self.aborted(), "T15: nothing given up goes live");
        let back = self.old.blue_green.active_selector.as_deref() == Some(to);
        self.must(
            self.available(to) >= self.replicas || (back && self.available(to) > 0),
            "T15: a version goes live with all its pods",
        );
        let Declared::BlueGreen(blue_green) = self.strategy else {
            return;
        };
        if blue_green.pre_promotion_analysis.is_some()
            && !self.world.by_person
            && !self.new.promote_full
        {
            self.must(
                self.proven(to, "pre"),
                "T15: a version goes live with a good verdict",
            );
        }
    }

    fn verdicts(&self) {
        if self.new.promote_full || !self.under_way() {
            return;
        }
        let attempt = self.new.attempt;
        let suffix = if attempt == 0 {
            String::new()
        } else {
            format!(".{attempt}")
        };
        let bad = self.snapshot.analysis_runs.iter().any(|run| {
            let prefix = format!(
                "demo-{}-{}",
                self.new.current_pod_hash,
                self.new.revision.unwrap()
            );
            let of_attempt = match run.name.rsplit_once('.') {
                Some((_, end)) => format!(".{end}") == suffix,
                None => suffix.is_empty(),
            };
            run.name.starts_with(&prefix)
                && of_attempt
                && matches!(run.phase, AnalysisPhase::Failed | AnalysisPhase::Error)
        });
        self.must(!bad, "D3, D4: bad news abort at once");
    }

    fn steps(&self) {
        let (old, new) = (self.old, self.new);
        let same = old.current_pod_hash == new.current_pod_hash
            && old.current_step_hash == new.current_step_hash
            && old.attempt == new.attempt
            && old.aborted_at == new.aborted_at;
        if same {
            self.must(
                old.current_step_index <= new.current_step_index,
                "C4: steps are not taken back",
            );
        }
        let another =
            !old.current_pod_hash.is_empty() && old.current_pod_hash != new.current_pod_hash;
        if another && self.under_way() {
            let evidence = new.canary.current_step_analysis_run_status.is_none()
                && new.canary.current_background_analysis_run_status.is_none();
            self.must(evidence, "D5: a new version starts without evidence");
        }
        self.must(
            new.observed_generation <= Some(self.snapshot.rollout.generation),
            "C3",
        );
    }

    fn told(&self) {
        let status = self.new;
        let has = |type_| conditions::find(&status.conditions, type_).is_some();
        let (reconciling, stalled) = (has(ConditionType::Reconciling), has(ConditionType::Stalled));
        self.must(!(reconciling && stalled), "kstatus: never both");
        let phase = status.phase.unwrap();
        self.must(
            (phase == Phase::Healthy) != (reconciling || stalled),
            "kstatus: neither at rest only",
        );
        self.must(
            phase == Phase::Healthy || status.waiting_for.is_some(),
            "what is waited for is told",
        );
        if phase == Phase::Healthy {
            self.must(
                self.live == 0,
                "C13: healthy means that stable has all traffic",
            );
            self.must(
                !header_routes::picks(self.snapshot),
                "C13: healthy means that no header leads elsewhere",
            );
            self.must(
                self.available(&status.stable_rs) >= self.enough(self.replicas),
                "C13: healthy means available",
            );
        }
        let reasons: Vec<&str> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
        let mut unique = reasons.clone();
        unique.sort_unstable();
        unique.dedup();
        self.must(unique.len() == reasons.len(), "each condition once");
    }
}

/// What proxies see: somebody answers wherever requests are sent.
pub(super) fn nobody_is_turned_away(world: &World) {
    if !world.watched || world.desired() == 0 {
        return;
    }
    let weight = world.weight();
    if weight < 100 {
        assert!(
            world.answering("demo-stable") > 0,
            "T21: nobody answers for stable\n{world}"
        );
    }
    if weight > 0 || header_routes::picks(&world.snapshot()) {
        assert!(
            world.answering("demo-canary") > 0,
            "T21: nobody answers for the canary\n{world}"
        );
    }
}

/// Where nothing happens any more, a person can see why.
pub(super) fn settled(world: &World) {
    let status = &world.status;
    match status.phase.unwrap() {
        Phase::Healthy => {}
        Phase::Paused | Phase::Degraded => {
            assert!(
                !status.message.is_empty() && status.waiting_for.is_some(),
                "L2\n{world}"
            );
        }
        Phase::Progressing => {
            let told = [
                ConditionType::ReferenceMissing,
                ConditionType::ReplicaFailure,
            ]
            .into_iter()
            .any(|type_| conditions::holds(&status.conditions, type_));
            let named = status
                .waiting_for
                .as_ref()
                .is_some_and(|wait| wait.contains("name") || wait.contains("AnalysisRun"));
            assert!(
                told || named,
                "L2: in the end, nothing just progresses\n{world}"
            );
        }
    }
}
