//! Routers: what to write for a split of traffic, what is live, and how objects come to rest.
//!
//! Adding a router is one file with `observe`, `render` and `rest`, and its rows in `Router`.
//! Not here: which split is right and when (`rollout::decide::traffic`).

pub mod gateway_api;
pub mod header_routes;
pub mod ingress_nginx;
pub mod restore;

use crate::{
    api::{canary::CanaryStrategy, steps::SetHeaderRoute},
    rollout::{decision::Action, snapshot::Snapshot},
};

/// A router that a canary can use.
#[derive(Clone, Copy, Debug)]
enum Router<'a> {
    /// An Ingress with the canary annotations of ingress-nginx.
    IngressNginx(ingress_nginx::IngressNginx<'a>),
    /// Routes of the Gateway API.
    GatewayApi(gateway_api::GatewayApi<'a>),
}

/// All routers of a canary: each gets the same split.
#[derive(Clone, Debug)]
pub struct Routers<'a>(Vec<Router<'a>>);

/// How traffic is to be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Weight of the new version, 0 to `max`.
    pub canary: i32,
    /// The whole of the traffic.
    pub max: i32,
}

/// What the routers' objects are to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired<'a> {
    /// How traffic is to be split.
    pub split: Split,
    /// Which requests go to the canary Service by their headers, whatever the split.
    pub header_routes: HeaderRoutes<'a>,
    /// Whether rules by header or cookie may be live that the user declared for all times (`additionalIngressAnnotations`).
    pub declared_rules: bool,
}

/// Header routes to be live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderRoutes<'a> {
    /// Those that are.
    Keep,
    /// These and no others, the first one first.
    Exactly(Vec<&'a SetHeaderRoute>),
}

impl Desired<'_> {
    /// A split, without any header route.
    pub const fn split(split: Split) -> Self {
        Self {
            split,
            header_routes: HeaderRoutes::Exactly(Vec::new()),
            declared_rules: true,
        }
    }
}

/// What the routers' objects say now. Weights are in parts of `max`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The least weight of the canary over all objects; 0 where there is none.
    pub lowest: i32,
    /// The greatest.
    pub highest: i32,
    /// The greatest weight that users declared for times of rest, in objects that are at rest. It is harmless as long as
    /// the canary Service leads to the stable version, and has to be taken to 0 before it leads elsewhere.
    pub resting: i32,
    /// Requests go to the canary Service by their headers or cookies, whatever the weight.
    pub by_header: bool,
    /// Objects that the spec names and that do not exist, as `Ingress demo`.
    pub missing: Vec<String>,
    /// Names of the objects that send traffic to the canary now, as `ingress/demo-canary`.
    pub routes: Vec<String>,
    /// The field manager that last wrote to a weight, if it is not us.
    pub written_by: Option<String>,
    /// What is waited for until the weights in the objects are known to be live, in routers that tell.
    pub unconfirmed: Option<String>,
    /// What has to change before traffic may move forward, in routers that tell.
    pub refused: Option<String>,
    /// Whether any of the routers tells when a weight is live.
    pub confirms: bool,
}

impl Observed {
    /// One object's weights between `lowest` and `highest`, the way that objects of one router are put together.
    fn weights(&mut self, first: bool, lowest: i32, highest: i32) {
        self.lowest = if first {
            lowest
        } else {
            self.lowest.min(lowest)
        };
        self.highest = self.highest.max(highest);
    }

    fn and(self, other: Self) -> Self {
        Self {
            lowest: self.lowest.min(other.lowest),
            highest: self.highest.max(other.highest),
            resting: self.resting.max(other.resting),
            by_header: self.by_header || other.by_header,
            missing: [self.missing, other.missing].concat(),
            routes: [self.routes, other.routes].concat(),
            written_by: self.written_by.or(other.written_by),
            unconfirmed: self.unconfirmed.or(other.unconfirmed),
            refused: self.refused.or(other.refused),
            confirms: self.confirms || other.confirms,
        }
    }
}

impl<'a> Routers<'a> {
    /// The routers of a canary, if it has any.
    pub fn of(strategy: &'a CanaryStrategy) -> Option<Self> {
        let routing = strategy.traffic_routing.as_ref()?;
        let stable_service = strategy.stable_service.as_deref()?;
        let canary_service = strategy.canary_service.as_deref()?;
        let nginx = routing.nginx.as_ref().map(|routing| {
            Router::IngressNginx(ingress_nginx::IngressNginx {
                routing,
                stable_service,
                canary_service,
            })
        });
        let gateway_api =
            (!routing.routes().is_empty()).then_some(Router::GatewayApi(gateway_api::GatewayApi {
                routing,
                steps: &strategy.steps,
                stable_service,
                canary_service,
            }));
        let routers: Vec<_> = nginx.into_iter().chain(gateway_api).collect();
        (!routers.is_empty()).then_some(Self(routers))
    }

    /// Reads back what is live, in parts of `max`. `rest_is_harmless`: the canary Service leads to the stable version, so
    /// that what users declared for times of rest sends nothing anywhere else.
    pub fn observe(&self, snapshot: &Snapshot, max: i32, rest_is_harmless: bool) -> Observed {
        let all = self.0.iter().map(|router| match router {
            Router::IngressNginx(router) => router.observe(snapshot, rest_is_harmless),
            Router::GatewayApi(router) => router.observe(snapshot, max, rest_is_harmless),
        });
        all.reduce(Observed::and).unwrap_or_default()
    }

    /// Whether these header routes, and no others of ours, are live in all objects.
    pub fn header_routes_are(&self, snapshot: &Snapshot, wanted: &[&SetHeaderRoute]) -> bool {
        self.0.iter().all(|router| match router {
            Router::IngressNginx(router) => router.header_routes_are(snapshot, wanted),
            Router::GatewayApi(router) => router.header_routes_are(snapshot, wanted),
        })
    }

    /// Whether the user declared rules by header or cookie for all times.
    pub fn declare_rules(&self) -> bool {
        self.0.iter().any(|router| match router {
            Router::IngressNginx(router) => router.declares_rules(),
            Router::GatewayApi(_) => false,
        })
    }

    /// The writes that bring the objects to what is desired; none when they are there. Errors say what the user has to change.
    pub fn render(
        &self,
        snapshot: &Snapshot,
        desired: &Desired<'_>,
    ) -> Result<Vec<Action>, String> {
        let all = self.0.iter().map(|router| match router {
            Router::IngressNginx(router) => router.render(snapshot, desired),
            Router::GatewayApi(router) => router.render(snapshot, desired),
        });
        Ok(all.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// The writes that bring the objects back to what the user declared, once nothing of that can send to a canary.
    pub fn rest(&self, snapshot: &Snapshot, max: i32) -> Result<Vec<Action>, String> {
        let nothing = Desired::split(Split { canary: 0, max });
        let all = self.0.iter().map(|router| match router {
            // The canary Ingress is ours and stays, without weight.
            Router::IngressNginx(router) => router.render(snapshot, &nothing),
            Router::GatewayApi(router) => Ok(router.rest(snapshot)),
        });
        Ok(all.collect::<Result<Vec<_>, _>>()?.concat())
    }
}
