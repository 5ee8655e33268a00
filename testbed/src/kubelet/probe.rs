//! Readiness probes: reading the spec and counting results (pure), and asking the pod. Liveness and start-up
//! probes are not run.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::{ContainerPort, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A readiness probe as the kubelet understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadinessProbe {
    check: Check,
    initial_delay: Duration,
    period: Duration,
    timeout: Duration,
    thresholds: Thresholds,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Check {
    Http { port: u16, path: String },
    Tcp { port: u16 },
}

/// How many results in a row change the readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Thresholds {
    failure: u32,
    success: u32,
}

/// The results so far. A pod begins not ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Streak {
    ready: bool,
    against: u32,
}

impl Streak {
    /// Counts one result; returns the new readiness if this result changed it.
    fn note(&mut self, success: bool, thresholds: Thresholds) -> Option<bool> {
        if success == self.ready {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if success {
            thresholds.success
        } else {
            thresholds.failure
        };
        if self.against < needed {
            return None;
        }
        *self = Self {
            ready: success,
            against: 0,
        };
        Some(success)
    }
}

impl ReadinessProbe {
    /// Reads a probe with the API's defaults; the error says what the stand-in cannot do.
    pub fn read(probe: &Probe, ports: &[ContainerPort]) -> Result<Self, String> {
        let check = if let Some(get) = &probe.http_get {
            if get.scheme.as_deref().is_some_and(|scheme| scheme != "HTTP") {
                return Err(
                    "readinessProbe.httpGet.scheme: the stand-in probes by HTTP only".to_owned(),
                );
            }
            let path = get.path.clone().unwrap_or_else(|| "/".to_owned());
            Check::Http {
                port: port_number(&get.port, ports)?,
                path,
            }
        } else if let Some(tcp) = &probe.tcp_socket {
            Check::Tcp {
                port: port_number(&tcp.port, ports)?,
            }
        } else {
            return Err(
                "readinessProbe: the stand-in probes by httpGet and tcpSocket only".to_owned(),
            );
        };
        let seconds = |value: Option<i32>, default: u64| {
            Duration::from_secs(
                value
                    .and_then(|value| u64::try_from(value).ok())
                    .unwrap_or(default),
            )
        };
        let times = |value: Option<i32>, default: u32| {
            value
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or(default)
        };
        Ok(Self {
            check,
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            thresholds: Thresholds {
                failure: times(probe.failure_threshold, 3),
                success: times(probe.success_threshold, 1),
            },
        })
    }

    /// Probes for ever; calls `changed` with every new readiness.
    pub async fn run(&self, client: &ProbeClient, ip: IpAddr, mut changed: impl FnMut(bool)) {
        sleep(self.initial_delay).await;
        let mut streak = Streak::default();
        loop {
            let result = timeout(self.timeout, self.check(client, ip))
                .await
                .unwrap_or(false);
            if let Some(ready) = streak.note(result, self.thresholds) {
                changed(ready);
            }
            sleep(self.period).await;
        }
    }

    async fn check(&self, client: &ProbeClient, ip: IpAddr) -> bool {
        match &self.check {
            Check::Http { port, path } => client.get(SocketAddr::new(ip, *port), path).await,
            Check::Tcp { port } => TcpStream::connect((ip, *port)).await.is_ok(),
        }
    }
}

fn port_number(port: &IntOrString, ports: &[ContainerPort]) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            ports
                .iter()
                .find(|port| port.name.as_deref() == Some(name))
                .ok_or_else(|| {
                    format!("readinessProbe port {name:?}: the container has no port of that name")
                })?
                .container_port
        }
    };
    u16::try_from(number)
        .map_err(|_| format!("readinessProbe port {number}: it must be from 1 to 65535"))
}

/// The client of all probes on a node: a new connection for each, as the kubelet does.
#[derive(Debug, Clone)]
pub struct ProbeClient(Client<HttpConnector, Empty<Bytes>>);

impl Default for ProbeClient {
    fn default() -> Self {
        Self(
            Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build_http(),
        )
    }
}

impl ProbeClient {
    async fn get(&self, address: SocketAddr, path: &str) -> bool {
        let Ok(uri) = format!("http://{address}{path}").parse() else {
            return false;
        };
        match self.0.get(uri).await {
            Ok(response) => (200..400).contains(&response.status().as_u16()),
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::HTTPGetAction;

    use super::*;

    fn http(port: IntOrString) -> Probe {
        Probe {
            http_get: Some(HTTPGetAction {
                path: Some("/ready".to_owned()),
                port,
                ..HTTPGetAction::default()
            }),
            ..Probe::default()
        }
    }

    fn named_port() -> Vec<ContainerPort> {
        vec![ContainerPort {
            name: Some("http".to_owned()),
            container_port: 8080,
            ..ContainerPort::default()
        }]
    }

    #[test]
    fn the_defaults_are_those_of_the_api() {
        assert_eq!(
            ReadinessProbe::read(&http(IntOrString::String("http".to_owned())), &named_port()),
            Ok(ReadinessProbe {
                check: Check::Http {
                    port: 8080,
                    path: "/ready".to_owned()
                },
                initial_delay: Duration::ZERO,
                period: Duration::from_secs(10),
                timeout: Duration::from_secs(1),
                thresholds: Thresholds {
                    failure: 3,
                    success: 1
                },
            })
        );
    }

    #[test]
    fn a_probe_that_cannot_be_run_says_why() {
        for (probe, reason) in [
            (http(IntOrString::String("web".to_owned())), "\"web\""),
            (http(IntOrString::Int(70_000)), "70000"),
            (Probe::default(), "httpGet and tcpSocket"),
        ] {
            let error = ReadinessProbe::read(&probe, &named_port()).expect_err(reason);
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn thresholds_decide_when_readiness_changes() {
        let (t, f) = (true, false);
        for (failure, success, results, changes) in [
            (
                3,
                1,
                vec![f, t, f, f, t, f, f, f, t],
                vec![(1, t), (7, f), (8, t)],
            ),
            (1, 2, vec![t, f, t, t, f], vec![(3, t), (4, f)]),
            (1, 1, vec![f, f, f], vec![]),
        ] {
            let mut streak = Streak::default();
            let seen: Vec<_> = results
                .iter()
                .enumerate()
                .filter_map(|(at, result)| {
                    Some((at, streak.note(*result, Thresholds { failure, success })?))
                })
                .collect();
            assert_eq!(
                seen, changes,
                "failureThreshold {failure}, successThreshold {success}"
            );
        }
    }
}
