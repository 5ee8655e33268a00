//! The releases the demo plays, and how each must end. Pure.

use std::time::Duration;

use super::rollout::Outcome;

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

/// In this order. The first is the image in the example's manifest.
pub(super) const RELEASES: [Release; 4] = [
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
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kubelet::image_tag::Behaviour;

    #[test]
    fn each_image_answers_with_the_version_that_is_counted() {
        for release in RELEASES {
            let behaviour = Behaviour::read(release.image, &BTreeMap::new()).unwrap();
            assert_eq!(behaviour.version, release.version, "{}", release.name);
        }
    }

    #[test]
    fn the_first_image_is_that_of_the_example() {
        let manifest = include_str!("../../../examples/canary/rollout.yaml");
        let image = manifest
            .lines()
            .find_map(|line| line.trim().strip_prefix("image: "));
        assert_eq!(image, Some(RELEASES[0].image));
    }

    #[test]
    fn only_a_completed_release_serves_afterwards() {
        for release in RELEASES {
            let serves = release.serves_afterwards == release.version;
            assert_eq!(
                serves,
                release.expected == Outcome::Completed,
                "{}",
                release.name
            );
        }
    }
}
