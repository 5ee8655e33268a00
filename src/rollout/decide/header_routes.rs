//! Header routes: which requests go to the new version by their headers now. They are live only while its pods can answer,
//! and come back when these do.
//!
//! Not here: how they are written (`crate::traffic`).

use super::{
    pass::{Mode, Pass},
    scale, services, steps,
};
use crate::{
    api::steps::{CanaryStep, SetHeaderRoute},
    rollout::decision::Outcome,
    traffic::{HeaderRoutes, Routers, header_routes::in_effect},
};

/// How the status calls rules by header or cookie that are declared for all times.
const DECLARED: &str = "additionalIngressAnnotations";

/// What is to be live in this pass.
pub(super) struct Wanted<'a> {
    pub(super) routes: HeaderRoutes<'a>,
    /// Whether rules that are declared for all times may be live.
    pub(super) declared_rules: bool,
    /// Whether these rules send to a version that is not the stable one.
    declared_send: bool,
}

impl Wanted<'_> {
    /// What the status is told is written.
    pub(super) fn names(&self, pass: &Pass<'_>) -> Vec<String> {
        let weights = pass.status.canary.weights.as_ref();
        let mut names: Vec<String> = match &self.routes {
            HeaderRoutes::Exactly(routes) => {
                routes.iter().map(|route| route.name.clone()).collect()
            }
            HeaderRoutes::Keep => weights
                .map(|weights| weights.header_routes.clone())
                .unwrap_or_default(),
        };
        names.retain(|name| name != DECLARED);
        names.extend(self.declared_send.then(|| DECLARED.to_owned()));
        names
    }

    /// Whether nothing goes to the new version by a header.
    pub(super) fn sends_nothing(&self) -> bool {
        self.routes == HeaderRoutes::Exactly(Vec::new()) && !self.declared_send
    }

    /// Whether that is what is live.
    pub(super) fn are_live(&self, pass: &Pass<'_>) -> bool {
        match &self.routes {
            HeaderRoutes::Keep => true,
            HeaderRoutes::Exactly(wanted) => {
                let router = pass.router.as_ref();
                let live =
                    router.is_none_or(|router| router.header_routes_are(pass.snapshot, wanted));
                live && (pass.observed.by_header || self.sends_nothing())
            }
        }
    }
}

/// The header routes of the step at `index`.
fn at<'a>(pass: &Pass<'a>, index: usize) -> Vec<&'a SetHeaderRoute> {
    let routing = pass.strategy.traffic_routing();
    routing.map_or(Vec::new(), |routing| {
        in_effect(routing, pass.strategy.steps(), index)
    })
}

/// What is live, whatever that is.
pub(super) fn live<'a>(pass: &Pass<'a>) -> HeaderRoutes<'a> {
    if pass.observed.by_header {
        HeaderRoutes::Keep
    } else {
        HeaderRoutes::Exactly(Vec::new())
    }
}

/// Pods that the new version has at least in the current step: one where a header route sends to it.
pub(super) fn least_pods(pass: &Pass<'_>) -> i32 {
    if pass.mode() != Mode::Stepping || pass.router.is_none() {
        return 0;
    }
    let (steps, index) = (pass.strategy.steps(), pass.step_index());
    let begins = steps
        .get(index)
        .is_some_and(|step: &CanaryStep| step.set_header_route.is_some());
    // While nothing may move forward, a step does not begin.
    let routes = match index.checked_sub(1) {
        Some(before) if pass.frozen() && begins => at(pass, before),
        None if pass.frozen() && begins => Vec::new(),
        Some(_) | None => at(pass, index),
    };
    i32::from(!routes.is_empty()).min(pass.replicas())
}

/// What is to be live now.
pub(super) fn now<'a>(pass: &Pass<'a>) -> Wanted<'a> {
    let behind = services::behind_canary(pass);
    let declares = pass.router.as_ref().is_some_and(Routers::declare_rules);
    let at_stable = behind
        .as_ref()
        .is_none_or(|behind| *behind == pass.status.stable_rs);
    let answers = answers(pass, behind.as_ref());
    let stays = !services::falls_back(pass);
    let declared_rules = at_stable || stays || (answers && scale::declared_pods(pass) > 0);
    Wanted {
        routes: routes(pass, answers),
        declared_rules,
        declared_send: declares && declared_rules && !at_stable,
    }
}

/// Whether the canary Service leads to a new version that is wanted and has a pod to answer.
fn answers(pass: &Pass<'_>, behind: Option<&String>) -> bool {
    match pass.mode() {
        Mode::Stable | Mode::Aborted => false,
        Mode::Stepping | Mode::Full => {
            behind == Some(&pass.revisions.new_hash)
                && services::canary_serves(pass, 1)
                && pass.revisions.new.is_some_and(|new| new.available > 0)
        }
    }
}

fn routes<'a>(pass: &Pass<'a>, answers: bool) -> HeaderRoutes<'a> {
    if !answers {
        // Where the stable version cannot answer either, nothing is won.
        return if services::falls_back(pass) {
            HeaderRoutes::Exactly(Vec::new())
        } else {
            live(pass)
        };
    }
    if pass.mode() == Mode::Full {
        // Until it has all traffic, those that it has by header keep it.
        return live(pass);
    }
    let want = scale::pods_for(pass, steps::goal_weight(pass)).max(1);
    let available = pass.revisions.new.map_or(0, |new| new.available);
    let ready = available >= want
        && services::canary_serves(pass, want)
        && services::canary_settles_at(pass).is_none();
    let routes = at(pass, pass.step_index());
    let weights = pass.status.canary.weights.as_ref();
    let written = weights.is_some_and(|weights| {
        routes
            .iter()
            .map(|route| &route.name)
            .eq(&weights.header_routes)
    });
    // What was live and somebody took out comes back at once.
    let confirmed = written || pass.observed.unconfirmed.is_none();
    if ready && confirmed && !pass.frozen() && pass.is_recorded() {
        HeaderRoutes::Exactly(routes)
    } else {
        live(pass)
    }
}

/// Whether the header routes of the step at `index` are live.
pub(super) fn reached(pass: &Pass<'_>, index: usize) -> Outcome {
    let Some(router) = &pass.router else {
        return Outcome::Done;
    };
    let wanted = at(pass, index);
    if pass.replicas() == 0 || router.header_routes_are(pass.snapshot, &wanted) {
        return Outcome::Done;
    }
    if wanted.is_empty() {
        return Outcome::wait("the router to have no header route");
    }
    match services::canary_outcome(pass, 1) {
        Outcome::Done => {}
        other @ (Outcome::Wait(_) | Outcome::Fail(_)) => return other,
    }
    let names: Vec<&str> = wanted.iter().map(|route| &*route.name).collect();
    Outcome::wait(format!(
        "the router to have the header routes {}",
        names.join(", ")
    ))
}
