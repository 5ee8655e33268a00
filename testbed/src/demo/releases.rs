//! The applications of the demo, the releases it plays with each, and how each must end. Pure.

use std::time::Duration;

use super::rollout::Outcome;

/// A folder of `examples/`, and what is played with it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Application {
    /// The folder's name.
    pub(super) example: &'static str,
    /// What the report calls its kind of release.
    pub(super) strategy: &'static str,
    /// The namespace it is applied to.
    pub(super) namespace: &'static str,
    /// Its Rollout.
    pub(super) rollout: &'static str,
    /// The host that its users ask for.
    pub(super) host: &'static str,
    /// The host at which a new version can be looked at before it serves.
    pub(super) preview: Option<&'static str>,
    /// The first is the image in the example's manifest.
    pub(super) releases: &'static [Release],
}

/// One change of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Release {
    /// Its name in the report.
    pub(super) name: &'static str,
    /// What it shows, for a person.
    pub(super) about: &'static str,
    /// The image to deploy; its tag tells the stand-in how to behave.
    pub(super) image: &'static str,
    /// The `X-Version` of the image.
    pub(super) version: &'static str,
    /// How it must end.
    pub(super) expected: Outcome,
    /// The version that must answer all requests afterwards.
    pub(super) serves_afterwards: &'static str,
    /// By when it must have ended.
    pub(super) deadline: Duration,
}

/// In this order.
pub(super) const APPLICATIONS: [Application; 3] = [CANARY, ROUTED, BLUE_GREEN];

const CANARY: Application = Application {
    example: "canary",
    strategy: "canary",
    namespace: "demo",
    rollout: "demo",
    host: "demo.example.com",
    preview: None,
    releases: &[
        Release {
            name: "first-deploy",
            about: "the first version comes up",
            image: "demo:v1",
            version: "v1",
            expected: Outcome::Completed,
            serves_afterwards: "v1",
            deadline: Duration::from_mins(1),
        },
        Release {
            name: "good-canary",
            about: "a good version takes over step by step",
            image: "demo:v2",
            version: "v2",
            expected: Outcome::Completed,
            serves_afterwards: "v2",
            deadline: Duration::from_secs(150),
        },
        Release {
            name: "bad-canary",
            about: "a version with 20 % errors is put back by itself",
            image: "demo:v3-err20",
            version: "v3",
            expected: Outcome::RolledBack,
            serves_afterwards: "v2",
            deadline: Duration::from_secs(90),
        },
        Release {
            name: "unready-canary",
            about: "a version whose pods never become ready is given up",
            image: "demo:v4-unready",
            version: "v4",
            expected: Outcome::DeadlineExceeded,
            serves_afterwards: "v2",
            deadline: Duration::from_secs(90),
        },
    ],
};

const ROUTED: Application = Application {
    example: "gateway-api",
    strategy: "canary",
    namespace: "demo-gateway-api",
    rollout: "web",
    host: "web.example.com",
    preview: None,
    releases: &[
        Release {
            name: "route-first-deploy",
            about: "the same behind an HTTPRoute of the Gateway API",
            image: "demo:v1",
            version: "v1",
            expected: Outcome::Completed,
            serves_afterwards: "v1",
            deadline: Duration::from_mins(1),
        },
        Release {
            name: "route-canary",
            about: "a good version takes over by the weights of the route",
            image: "demo:v2",
            version: "v2",
            expected: Outcome::Completed,
            serves_afterwards: "v2",
            deadline: Duration::from_secs(90),
        },
    ],
};

const BLUE_GREEN: Application = Application {
    example: "blue-green",
    strategy: "blueGreen",
    namespace: "demo-blue-green",
    rollout: "shop",
    host: "shop.example.com",
    preview: Some("preview.shop.example.com"),
    releases: &[
        Release {
            name: "blue-green-first-deploy",
            about: "the first version comes up",
            image: "demo:v1",
            version: "v1",
            expected: Outcome::Completed,
            serves_afterwards: "v1",
            deadline: Duration::from_mins(1),
        },
        Release {
            name: "blue-green-switch",
            about: "a good version is tried at the preview Service, and takes over in one switch",
            image: "demo:v2",
            version: "v2",
            expected: Outcome::Completed,
            serves_afterwards: "v2",
            deadline: Duration::from_secs(90),
        },
        Release {
            name: "blue-green-switch-back",
            about: "a version that goes bad after the switch is switched back by itself",
            image: "demo:v3-errafter15",
            version: "v3",
            expected: Outcome::RolledBack,
            serves_afterwards: "v2",
            deadline: Duration::from_secs(90),
        },
    ],
};

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs};

    use super::*;
    use crate::{installation::project_file, kubelet::image_tag::Behaviour};

    fn releases() -> impl Iterator<Item = Release> {
        APPLICATIONS
            .into_iter()
            .flat_map(|application| application.releases.iter().copied())
    }

    #[test]
    fn each_image_answers_with_the_version_that_is_counted() {
        for release in releases() {
            let behaviour = Behaviour::read(release.image, &BTreeMap::new()).unwrap();
            assert_eq!(behaviour.version, release.version, "{}", release.name);
        }
    }

    #[test]
    fn the_first_image_is_that_of_the_example() {
        for application in APPLICATIONS {
            let path = format!("examples/{}/rollout.yaml", application.example);
            let manifest = fs::read_to_string(project_file(&path)).unwrap();
            let find = |key: &str| {
                let mut lines = manifest.lines();
                lines.find_map(|line| line.trim().strip_prefix(key))
            };
            assert_eq!(find("image: "), Some(application.releases[0].image));
            assert_eq!(find("name: "), Some(application.rollout));
        }
    }

    #[test]
    fn only_a_completed_release_serves_afterwards() {
        for release in releases() {
            let serves = release.serves_afterwards == release.version;
            assert_eq!(
                serves,
                release.expected == Outcome::Completed,
                "{}",
                release.name
            );
        }
    }

    #[test]
    fn names_and_namespaces_are_not_used_twice() {
        let mut names: Vec<&str> = releases().map(|release| release.name).collect();
        names.extend(APPLICATIONS.map(|application| application.namespace));
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
