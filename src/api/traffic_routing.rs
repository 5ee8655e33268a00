//! Who splits the traffic, as declared.
//!
//! Not here: what is written to a router's objects (`traffic`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    gateway_api::{GatewayApiRouting, Plugins},
    pod_template::FreeForm,
};

/// The routers of a canary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficRouting {
    /// Routes that the controller may create, first one wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub managed_routes: Vec<ManagedRoute>,
    /// The whole of the traffic; weights are 0 to this. Defaults to 100, and is never less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100))]
    pub max_traffic_weight: Option<i32>,
    /// An Ingress with the canary annotations of ingress-nginx (also understood by Traefik).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nginx: Option<NginxRouting>,
    /// Istio VirtualServices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub istio: Option<FreeForm>,
    /// AWS Load Balancer Controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alb: Option<FreeForm>,
    /// SMI TrafficSplit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smi: Option<FreeForm>,
    /// Ambassador Mappings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ambassador: Option<FreeForm>,
    /// A TraefikService.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traefik: Option<FreeForm>,
    /// An ApisixRoute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apisix: Option<FreeForm>,
    /// AWS App Mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_mesh: Option<FreeForm>,
    /// Gateway API routes.
    #[serde(
        default,
        rename = "gatewayAPI",
        skip_serializing_if = "Option::is_none"
    )]
    pub gateway_api: Option<GatewayApiRouting>,
    /// Routers by plugin name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugins: Option<Plugins>,
}

/// A route that the controller may create.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ManagedRoute {
    /// Its name in the router's object.
    pub name: String,
}

/// Ingresses with ingress-nginx' canary annotations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NginxRouting {
    /// Prefix of the annotations. Defaults to `nginx.ingress.kubernetes.io`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotation_prefix: Option<String>,
    /// The Ingress that routes to the stable Service. It is never changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_ingress: Option<String>,
    /// Several of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub stable_ingresses: Vec<String>,
    /// More annotations of the canary Ingress, without the prefix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub additional_ingress_annotations: BTreeMap<String, String>,
    /// More annotations of the canary Ingress, as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub canary_ingress_annotations: BTreeMap<String, String>,
}

impl NginxRouting {
    /// The annotation prefix with its default.
    pub fn prefix(&self) -> &str {
        self.annotation_prefix
            .as_deref()
            .unwrap_or("nginx.ingress.kubernetes.io")
    }

    /// The names of all stable Ingresses.
    pub fn ingresses(&self) -> Vec<&str> {
        self.stable_ingress
            .iter()
            .chain(&self.stable_ingresses)
            .map(String::as_str)
            .collect()
    }
}
