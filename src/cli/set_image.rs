//! `tidegate set-image`: another image for a container, which starts a new revision.

use clap::Args;
use serde_json::{Value, json};

use super::{
    CliError, cluster::Cluster, declare::declare, request::ATTEMPTS, rollout::Rollout,
    terminal::Terminal,
};

/// Options of `tidegate set-image`.
#[derive(Args, Debug)]
pub(super) struct SetImageOptions {
    /// The Rollout.
    name: String,
    /// Container and image, such as web=shop/web:v2; init containers too.
    #[arg(required = true, value_name = "CONTAINER=IMAGE", value_parser = assignment)]
    images: Vec<Assignment>,
}

/// A container and its new image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Assignment {
    container: String,
    image: String,
}

fn assignment(text: &str) -> Result<Assignment, String> {
    match text.split_once('=') {
        Some((container, image)) if !container.is_empty() && !image.is_empty() => Ok(Assignment {
            container: container.to_owned(),
            image: image.to_owned(),
        }),
        Some(_) | None => Err("write it as CONTAINER=IMAGE, such as web=shop/web:v2".to_owned()),
    }
}

/// Sets the images.
pub(super) async fn run(
    options: &SetImageOptions,
    cluster: &Cluster,
    terminal: &mut Terminal,
) -> Result<(), CliError> {
    let name = &options.name;
    for _ in 0..ATTEMPTS {
        let rollout = cluster.rollout(name).await?;
        let changes = changes(&rollout, &options.images)?;
        if changes.is_empty() {
            return terminal.print(&format!(
                "Rollout {name}: the images are as asked already\n"
            ));
        }
        // A container's index is only right for the version that was read.
        if declare(cluster, &rollout, changes, "set the image of").await? {
            return terminal.print(&format!("Rollout {name}: image updated\n"));
        }
    }
    Err(CliError::Contended {
        name: name.clone(),
        attempts: ATTEMPTS,
    })
}

/// The JSON patch operations for those images that are different now.
fn changes(rollout: &Rollout, images: &[Assignment]) -> Result<Vec<Value>, CliError> {
    let template = rollout.spec.template.as_ref();
    let template = template.ok_or_else(|| CliError::NoTemplate(rollout.name.clone()))?;
    let containers: Vec<(String, &str, Option<&str>)> = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| {
            let items = template
                .0
                .pointer(&format!("/spec/{list}"))
                .and_then(Value::as_array);
            items
                .into_iter()
                .flatten()
                .enumerate()
                .filter_map(move |(index, container)| {
                    let name = container.get("name")?.as_str()?;
                    let image = container.get("image").and_then(Value::as_str);
                    Some((
                        format!("/spec/template/spec/{list}/{index}/image"),
                        name,
                        image,
                    ))
                })
        })
        .collect();
    let mut operations = Vec::new();
    for Assignment { container, image } in images {
        let found = containers.iter().find(|(_, name, _)| name == container);
        let (path, _, current) = found.ok_or_else(|| CliError::NoContainer {
            name: rollout.name.clone(),
            container: container.clone(),
            known: containers
                .iter()
                .map(|(_, name, _)| *name)
                .collect::<Vec<_>>()
                .join(", "),
        })?;
        if *current != Some(image) {
            // `add` also replaces, and works where no image was set.
            operations.push(json!({ "op": "add", "path": path, "value": image }));
        }
    }
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{names::ApiNames, object::CachedObject};

    fn rollout() -> Rollout {
        let object = json!({
            "metadata": { "name": "demo" },
            "spec": {
                "strategy": { "canary": {} },
                "template": { "spec": {
                    "containers": [{ "name": "proxy", "image": "proxy:v1" }, { "name": "web", "image": "web:v1" }],
                    "initContainers": [{ "name": "migrate", "image": "web:v1" }],
                } },
            },
        });
        Rollout::read(&ApiNames::default(), &CachedObject::new(object)).unwrap()
    }

    fn set(images: &[&str]) -> Result<Vec<Value>, CliError> {
        let images: Vec<Assignment> = images
            .iter()
            .map(|text| assignment(text).unwrap())
            .collect();
        changes(&rollout(), &images)
    }

    #[test]
    fn only_the_named_containers_get_another_image() {
        let operations = set(&["web=web:v2", "migrate=web:v2", "proxy=proxy:v1"]).unwrap();
        assert_eq!(
            operations,
            [
                json!({ "op": "add", "path": "/spec/template/spec/containers/1/image", "value": "web:v2" }),
                json!({ "op": "add", "path": "/spec/template/spec/initContainers/0/image", "value": "web:v2" }),
            ]
        );
    }

    #[test]
    fn a_container_that_does_not_exist_is_refused_with_those_that_do() {
        let refused = set(&["wbe=web:v2"]).unwrap_err().to_string();
        assert_eq!(
            refused,
            "Rollout demo has no container wbe; it has proxy, web, migrate"
        );
    }

    #[test]
    fn an_assignment_has_a_container_and_an_image() {
        for text in ["web", "=web:v2", "web="] {
            assert!(assignment(text).is_err(), "{text}");
        }
        assert_eq!(
            assignment("web=registry/web@sha256:a=b").unwrap().image,
            "registry/web@sha256:a=b"
        );
    }
}
