//! How a cluster behaves, where scenarios differ: what its pods, its proxies, its metric server and its users are like.
//!
//! Not here: what happens at a certain time, which whoever plays a scenario puts on the agenda (`actors::Due`).

use std::{collections::BTreeMap, time::Duration};

use super::{actors::behaviour::Behaviour, metrics::Metrics, traffic::Load};
use crate::api::names::Conventions;

/// How a cluster behaves. [`Nature::default`] is a quiet one, without traffic.
#[derive(Clone, Debug)]
pub struct Nature {
    /// Whose API group our own kinds are in. It is the same from beginning to end.
    pub api: Conventions,
    /// How long a pod goes on serving after it was told to end.
    pub grace: Duration,
    /// How long it may take until a controller brings back traffic that it has to, an election included.
    pub bring_back: Duration,
    /// Where requests come in.
    pub entry: Entry,
    /// What images do whose tags do not say it ([`Behaviour::of_image`]).
    pub images: BTreeMap<String, Behaviour>,
    /// How long a pod takes until its container runs.
    pub start: Span,
    /// How many nodes there are; at least 1.
    pub nodes: u32,
    /// How long a ready pod stays so: then it loses its readiness for up to 5 s. `None` is for ever.
    pub flaps: Option<Span>,
    /// How long a container runs until it crashes. `None` is for ever.
    pub crashes: Option<Span>,
    /// How many pods a namespace may have, those included that are ending.
    pub quota: Option<usize>,
    /// How late a proxy may be.
    pub proxy_lag: Duration,
    /// How late EndpointSlices are.
    pub endpoints_lag: Span,
    /// The controller of the Gateways.
    pub gateway: Gateway,
    /// What users do.
    pub load: Load,
    /// How many requests per second a pod can answer: an autoscaler aims at a share of it.
    pub capacity: f64,
    /// The metric server.
    pub metrics: Metrics,
}

impl Default for Nature {
    fn default() -> Self {
        Self {
            api: Conventions::Tidegate,
            grace: Duration::ZERO,
            bring_back: Duration::from_secs(3),
            entry: Entry::Service("web".to_owned()),
            images: BTreeMap::new(),
            start: Span::millis(500, 2_500),
            nodes: 3,
            flaps: None,
            crashes: None,
            quota: None,
            proxy_lag: Duration::from_secs(1),
            endpoints_lag: Span::millis(50, 400),
            gateway: Gateway::default(),
            load: Load::default(),
            capacity: 10.0,
            metrics: Metrics::default(),
        }
    }
}

impl Nature {
    /// What the containers of this image do.
    pub fn behaviour(&self, image: &str) -> Behaviour {
        self.images
            .get(image)
            .cloned()
            .unwrap_or_else(|| Behaviour::of_image(image))
    }
}

/// Where requests come in.
#[derive(Clone, Debug)]
pub enum Entry {
    /// The Ingress of this name.
    Ingress(String),
    /// The Service of this name.
    Service(String),
    /// The HTTPRoute of this name.
    HttpRoute(String),
}

impl Entry {
    /// Whether something leads requests by weights, or else a Service to all pods alike.
    pub fn is_routed(&self) -> bool {
        match self {
            Self::Ingress(_) | Self::HttpRoute(_) => true,
            Self::Service(_) => false,
        }
    }
}

/// A time that is not known exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The least that it may be.
    pub least: Duration,
    /// The most.
    pub most: Duration,
}

impl Span {
    /// Between so many milliseconds and so many.
    pub const fn millis(least: u64, most: u64) -> Self {
        Self {
            least: Duration::from_millis(least),
            most: Duration::from_millis(most),
        }
    }

    /// One of these times.
    pub fn draw(self, random: &mut fastrand::Rng) -> Duration {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let least = millis(self.least);
        Duration::from_millis(random.u64(least..=millis(self.most).max(least)))
    }
}

/// How the controller of the Gateways behaves.
#[derive(Clone, Copy, Debug)]
pub struct Gateway {
    /// How late it says what it makes of a route.
    pub lag: Span,
    /// What it says.
    pub mood: Mood,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            lag: Span::millis(20, 600),
            mood: Mood::Accepts,
        }
    }
}

/// What the controller of the Gateways says about routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Every route is right.
    Accepts,
    /// Nothing, and the proxies follow all the same.
    Silent,
    /// No route is right, and the proxies keep what they had.
    Refuses,
}
