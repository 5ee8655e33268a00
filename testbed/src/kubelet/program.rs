//! Which program a pod runs, from its spec. Pure; `pod` runs it.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::image_tag::{Behaviour, Start};
use super::job::Script;
use super::probe::ReadinessProbe;

/// The port of a container that declares none.
const DEFAULT_PORT: u16 = 8080;

/// The program of a pod's first container; further containers share its fate and run nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Program {
    /// It serves HTTP until it is deleted.
    Server {
        /// How it answers.
        behaviour: Behaviour,
        /// Where it listens.
        port: u16,
        /// How it is found ready; without a probe it is ready at once.
        probe: Option<ReadinessProbe>,
    },
    /// It ends by itself.
    Script(Script),
    /// Its image cannot be pulled.
    NoImage,
    /// The stand-in cannot run it, and why.
    Refused(String),
}

impl Program {
    /// Reads the first container.
    pub fn of(spec: &PodSpec) -> Self {
        let Some(container) = spec.containers.first() else {
            return Self::Refused("spec.containers is empty".to_owned());
        };
        Self::read(container).unwrap_or_else(|refusal| {
            Self::Refused(format!(
                "container {:?} cannot run in the kubelet stand-in: {refusal}",
                container.name
            ))
        })
    }

    fn read(container: &Container) -> Result<Self, String> {
        let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
        if let Some(script) = Script::read(&words(&container.command), &words(&container.args)) {
            return Ok(Self::Script(script?));
        }
        let env: BTreeMap<String, String> = container
            .env
            .iter()
            .flatten()
            .filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)))
            .collect();
        let image = container.image.as_deref().unwrap_or_default();
        let behaviour = Behaviour::read(image, &env).map_err(|error| error.to_string())?;
        match behaviour.start {
            Start::Crashes => {
                return Ok(Self::Script(Script {
                    sleep: Duration::from_secs(1),
                    exit_code: 1,
                }));
            }
            Start::PullFails => return Ok(Self::NoImage),
            Start::Listens => {}
        }
        let ports = container.ports.as_deref().unwrap_or_default();
        let port = match (behaviour.port, ports.first()) {
            (Some(port), _) => port,
            (None, Some(port)) => u16::try_from(port.container_port)
                .map_err(|_| format!("containerPort {}", port.container_port))?,
            (None, None) => DEFAULT_PORT,
        };
        let probe = match &container.readiness_probe {
            Some(probe) => Some(ReadinessProbe::read(probe, ports)?),
            None => None,
        };
        Ok(Self::Server {
            behaviour,
            port,
            probe,
        })
    }
}

/// How long the first container's `preStop` hook sleeps before SIGTERM.
pub fn pre_stop(spec: &PodSpec) -> Duration {
    let sleep = spec
        .containers
        .first()
        .and_then(|container| {
            container
                .lifecycle
                .as_ref()?
                .pre_stop
                .as_ref()?
                .sleep
                .as_ref()
        })
        .and_then(|sleep| u64::try_from(sleep.seconds).ok());
    Duration::from_secs(sleep.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(container: Value) -> PodSpec {
        let mut named = json!({"name": "app", "image": "demo:v1"});
        let (Some(named), Value::Object(container)) = (named.as_object_mut(), container) else {
            unreachable!("both are objects")
        };
        named.extend(container);
        serde_json::from_value(json!({"containers": [named]})).expect("a pod spec")
    }

    fn port(container: Value) -> Option<u16> {
        match Program::of(&spec(container)) {
            Program::Server { port, .. } => Some(port),
            Program::Script(_) | Program::NoImage | Program::Refused(_) => None,
        }
    }

    #[test]
    fn a_server_listens_on_its_first_port_unless_told_otherwise() {
        let ports = json!([{"containerPort": 9000}, {"containerPort": 9001}]);
        for (container, expected) in [
            (json!({}), 8080),
            (json!({"ports": ports}), 9000),
            (
                json!({"ports": ports, "env": [{"name": "PORT", "value": "7000"}]}),
                7000,
            ),
        ] {
            assert_eq!(port(container.clone()), Some(expected), "{container}");
        }
    }

    #[test]
    fn a_shell_command_is_a_script_whatever_the_image() {
        let script =
            json!({"image": "busybox:1.36-musl", "command": ["sh", "-c", "sleep 2; exit 1"]});
        let expected = Script {
            sleep: Duration::from_secs(2),
            exit_code: 1,
        };
        assert_eq!(Program::of(&spec(script)), Program::Script(expected));
    }

    #[test]
    fn a_crashing_image_ends_by_itself() {
        let expected = Script {
            sleep: Duration::from_secs(1),
            exit_code: 1,
        };
        assert_eq!(
            Program::of(&spec(json!({"image": "demo:v1-crash"}))),
            Program::Script(expected)
        );
        assert_eq!(
            Program::of(&spec(json!({"image": "demo:v1-pull"}))),
            Program::NoImage
        );
    }

    #[test]
    fn what_cannot_run_is_refused_with_the_reason() {
        for (container, reason) in [
            (json!({"image": "demo:v1-alpine"}), "alpine"),
            (json!({"command": ["sh", "-c", "curl x"]}), "curl x"),
            (
                json!({"readinessProbe": {"exec": {"command": ["true"]}}}),
                "httpGet and tcpSocket",
            ),
        ] {
            match Program::of(&spec(container)) {
                Program::Refused(message) => assert!(message.contains(reason), "{message}"),
                runs @ (Program::Server { .. } | Program::Script(_) | Program::NoImage) => {
                    panic!("{reason}: {runs:?}")
                }
            }
        }
    }

    #[test]
    fn the_pre_stop_hook_sleeps() {
        let hook = json!({"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}});
        assert_eq!(
            [hook, json!({})].map(|container| pre_stop(&spec(container)).as_secs()),
            [5, 0]
        );
    }
}
