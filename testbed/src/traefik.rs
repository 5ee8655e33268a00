//! Traefik: the proxy that the load goes through.

use anyhow::{Context, Result};
use k8s_openapi::api::networking::v1::{IngressClass, IngressClassSpec};
use kube::{Api, Client, api::PostParams};

use crate::{
    control_plane::{Layout, option},
    probe,
    process::Process,
    servers::{Binaries, Program},
};

/// The class of the Ingresses the proxy serves.
pub const INGRESS_CLASS: &str = "nginx";
const INGRESS_CONTROLLER: &str = "k8s.io/ingress-nginx";

/// Which route kinds the proxy reads besides Ingresses. It keeps asking for CRDs that are not installed yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteKinds {
    /// Gateway API: GatewayClass, Gateway, HTTPRoute.
    pub gateway_api: bool,
    /// Traefik's own kinds: IngressRoute, TraefikService.
    pub traefik: bool,
}

/// Starts Traefik and waits until it answers. Each change of an object goes live at once (no throttling).
pub async fn start(layout: &Layout, binaries: &Binaries, kinds: RouteKinds) -> Result<Process> {
    let program = Program::Traefik;
    let kubeconfig = layout.kubeconfig();
    let environment = [("KUBECONFIG", kubeconfig.as_os_str())];
    let arguments = arguments(layout.ports().proxy_web, layout.ports().proxy_admin, kinds);
    let mut process = Process::start(
        program.name(),
        binaries.path(program)?,
        arguments,
        &environment,
        &layout.logs(),
    )?;
    let url = format!("http://127.0.0.1:{}/ping", layout.ports().proxy_admin);
    process.ready(|| probe::get(&url)).await?;
    Ok(process)
}

fn arguments(web: u16, admin: u16, kinds: RouteKinds) -> Vec<String> {
    let mut arguments = vec![
        option("global.checknewversion", false),
        option("global.sendanonymoususage", false),
        option("entrypoints.web.address", format!(":{web}")),
        option("entrypoints.traefik.address", format!("127.0.0.1:{admin}")),
        option("api.insecure", true),
        option("api.dashboard", false),
        option("ping", true),
        option("metrics.prometheus", true),
        option("log.level", "INFO"),
        option("providers.providersthrottleduration", "0s"),
        option("providers.kubernetesingressnginx", true),
        option("providers.kubernetesingressnginx.httpentrypoint", "web"),
    ];
    if kinds.gateway_api {
        arguments.push(option("providers.kubernetesgateway", true));
        arguments.push(option(
            "providers.kubernetesgateway.statusaddress.ip",
            "10.244.0.1",
        ));
    }
    if kinds.traefik {
        arguments.push(option("providers.kubernetescrd", true));
    }
    arguments
}

/// Creates the IngressClass the proxy serves, unless it is there.
pub async fn create_ingress_class(client: Client) -> Result<()> {
    let spec = IngressClassSpec {
        controller: Some(INGRESS_CONTROLLER.to_owned()),
        ..IngressClassSpec::default()
    };
    let mut class = IngressClass {
        spec: Some(spec),
        ..IngressClass::default()
    };
    class.metadata.name = Some(INGRESS_CLASS.to_owned());
    match Api::<IngressClass>::all(client)
        .create(&PostParams::default(), &class)
        .await
    {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        created => created
            .map(|_| ())
            .with_context(|| format!("cannot create IngressClass {INGRESS_CLASS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_route_kinds_asked_for_are_read() {
        let providers = |kinds| {
            let arguments = arguments(8000, 9000, kinds);
            let name = |argument: &String| argument.strip_prefix("--providers.").map(str::to_owned);
            let on = arguments
                .iter()
                .filter_map(name)
                .filter_map(|p| p.strip_suffix("=true").map(str::to_owned));
            on.collect::<Vec<_>>()
        };
        let all = RouteKinds {
            gateway_api: true,
            traefik: true,
        };
        assert_eq!(providers(RouteKinds::default()), ["kubernetesingressnginx"]);
        assert_eq!(
            providers(all),
            [
                "kubernetesingressnginx",
                "kubernetesgateway",
                "kubernetescrd"
            ]
        );
    }
}
