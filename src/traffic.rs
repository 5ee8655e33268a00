//! Routers: what to write for a split of traffic, and what is live.
//!
//! Adding a router is one file with `observe` and `render`, and its row in `Router`.
//! Not here: which split is right and when (`rollout::decide::traffic`).

pub mod ingress_nginx;
pub mod restore;

use crate::{
    api::canary::CanaryStrategy,
    rollout::{decision::Action, snapshot::Snapshot},
};

/// The routers that a canary can use.
#[derive(Clone, Copy, Debug)]
pub enum Router<'a> {
    /// An Ingress with the canary annotations of ingress-nginx.
    IngressNginx(ingress_nginx::IngressNginx<'a>),
}

/// How traffic is to be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Weight of the new version, 0 to `max`.
    pub canary: i32,
    /// The whole of the traffic.
    pub max: i32,
}

/// What a router's objects say now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The least weight of the canary over all objects; 0 where there is none.
    pub lowest: i32,
    /// The greatest.
    pub highest: i32,
    /// Objects that the spec names and that do not exist, as `Ingress demo`.
    pub missing: Vec<String>,
    /// Names of the objects that send traffic to the canary now, as `ingress/demo-canary`.
    pub routes: Vec<String>,
    /// The field manager that last wrote to a weight, if it is not us.
    pub written_by: Option<String>,
}

impl<'a> Router<'a> {
    /// The router of a canary, if it has one.
    pub fn of(strategy: &'a CanaryStrategy) -> Option<Self> {
        let nginx = strategy.traffic_routing.as_ref()?.nginx.as_ref()?;
        Some(Self::IngressNginx(ingress_nginx::IngressNginx {
            routing: nginx,
            stable_service: strategy.stable_service.as_deref()?,
            canary_service: strategy.canary_service.as_deref()?,
        }))
    }

    /// Reads back what is live.
    pub fn observe(&self, snapshot: &Snapshot) -> Observed {
        match self {
            Self::IngressNginx(router) => router.observe(snapshot),
        }
    }

    /// The writes that bring the objects to `split`; none when they are there. Errors say what the user has to change.
    pub fn render(&self, snapshot: &Snapshot, split: Split) -> Result<Vec<Action>, String> {
        match self {
            Self::IngressNginx(router) => router.render(snapshot, split),
        }
    }
}
