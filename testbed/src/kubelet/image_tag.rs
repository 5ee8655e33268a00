//! What a pod does, read from its image tag and environment. Pure; see `workload` for the doing.
//!
//! `demo:v2-err20-lat50-slow5` is version `v2`, 20 % of answers are 500, 50 ms per answer, ready after 5 s.

use std::collections::BTreeMap;
use std::time::Duration;

/// The behaviour of one container.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// First word of the tag, or `VERSION`.
    pub version: String,
    /// Share of answers that are 500, 0 to 1 (`errN` or `ERR`, in percent).
    pub error_share: f64,
    /// Errors begin only this long after the start (`errafterN`, in seconds; all answers unless `errN` says less).
    pub errors_after: Duration,
    /// Time taken for each answer (`latN` or `LAT`, in milliseconds).
    pub latency: Duration,
    /// `/ready` answers 503 for this long (`slowN` or `SLOW`, in seconds). `None` is for ever (`unready`).
    pub ready_after: Option<Duration>,
    /// How the container starts.
    pub start: Start,
    /// How long the program serves on after SIGTERM (`DRAIN`, in seconds; 0 closes the listener at once).
    pub drain: Duration,
    /// The port to listen on (`PORT`), if it is not the container's first port.
    pub port: Option<u16>,
}

/// How a container starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It runs and listens.
    Listens,
    /// It exits soon after every start (`crash`).
    Crashes,
    /// Its image cannot be pulled (`pull`).
    PullFails,
}

/// A tag or an environment variable that the stand-in does not understand.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotUnderstood {
    /// A word of the tag is not in the grammar.
    #[error(
        "image tag word {0:?} is unknown: use errN, errafterN, latN, slowN, unready, crash or pull after the version"
    )]
    Word(String),
    /// An environment variable is not a number in range.
    #[error("environment variable {name} is {value:?}: it must be {expected}")]
    Variable {
        /// The variable's name.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
}

impl Behaviour {
    /// Reads an image reference and the plain environment variables; the environment wins.
    pub fn read(image: &str, env: &BTreeMap<String, String>) -> Result<Self, NotUnderstood> {
        let mut words = tag(image).split('-');
        let mut behaviour = Self {
            version: words.next().unwrap_or_default().to_owned(),
            error_share: 0.0,
            errors_after: Duration::ZERO,
            latency: Duration::ZERO,
            ready_after: Some(Duration::ZERO),
            start: Start::Listens,
            drain: Duration::ZERO,
            port: None,
        };
        let mut share = None;
        for word in words {
            let unknown = || NotUnderstood::Word(word.to_owned());
            let digits = word
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(word.len());
            let (name, number) = word.split_at(digits);
            let amount = || number.parse::<f64>().map_err(|_| unknown());
            match (name, number) {
                ("err", _) => share = Some(percent(amount()?).ok_or_else(unknown)?),
                ("errafter", _) => {
                    behaviour.errors_after = seconds(amount()?).ok_or_else(unknown)?;
                }
                ("lat", _) => behaviour.latency = seconds(amount()? / 1e3).ok_or_else(unknown)?,
                ("slow", _) => {
                    behaviour.ready_after = Some(seconds(amount()?).ok_or_else(unknown)?);
                }
                ("unready", "") => behaviour.ready_after = None,
                ("crash", "") => behaviour.start = Start::Crashes,
                ("pull", "") => behaviour.start = Start::PullFails,
                _ => return Err(unknown()),
            }
        }

        if let Some(version) = env.get("VERSION") {
            behaviour.version.clone_from(version);
        }
        if let Some(given) = variable(env, "ERR", "a percentage from 0 to 100", percent)? {
            share = Some(given);
        }
        if let Some(given) = variable(env, "LAT", "milliseconds", |ms| seconds(ms / 1e3))? {
            behaviour.latency = given;
        }
        if let Some(given) = variable(env, "SLOW", "seconds", seconds)? {
            behaviour.ready_after = Some(given);
        }
        if let Some(given) = variable(env, "DRAIN", "seconds", seconds)? {
            behaviour.drain = given;
        }
        behaviour.port = variable(env, "PORT", "a port from 1 to 65535", port)?;
        let all_after = if behaviour.errors_after.is_zero() {
            0.0
        } else {
            1.0
        };
        behaviour.error_share = share.unwrap_or(all_after);
        Ok(behaviour)
    }

    /// The share of answers that are errors at this age of the container, 0 to 1.
    pub fn error_share_at(&self, age: Duration) -> f64 {
        if age < self.errors_after {
            0.0
        } else {
            self.error_share
        }
    }

    /// Whether `/ready` answers 200 at this age of the container.
    pub fn is_ready_at(&self, age: Duration) -> bool {
        self.ready_after.is_some_and(|after| age >= after)
    }
}

/// The tag of an image reference, `latest` when it has none.
fn tag(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').map_or("latest", |(_, tag)| tag)
}

fn percent(value: f64) -> Option<f64> {
    (0.0..=100.0).contains(&value).then_some(value / 100.0)
}

fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range and the fraction are checked first"
)]
fn port(value: f64) -> Option<u16> {
    ((1.0..=65_535.0).contains(&value) && value.fract() == 0.0).then_some(value as u16)
}

fn variable<T>(
    env: &BTreeMap<String, String>,
    name: &'static str,
    expected: &'static str,
    read: impl Fn(f64) -> Option<T>,
) -> Result<Option<T>, NotUnderstood> {
    let Some(value) = env.get(name) else {
        return Ok(None);
    };
    match value.parse().ok().and_then(read) {
        Some(read) => Ok(Some(read)),
        None => Err(NotUnderstood::Variable {
            name,
            value: value.clone(),
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(version: &str) -> Behaviour {
        Behaviour {
            version: version.to_owned(),
            error_share: 0.0,
            errors_after: Duration::ZERO,
            latency: Duration::ZERO,
            ready_after: Some(Duration::ZERO),
            start: Start::Listens,
            drain: Duration::ZERO,
            port: None,
        }
    }

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn the_tag_says_what_the_pod_does() {
        let s = Duration::from_secs;
        for (image, expected) in [
            ("demo", plain("latest")),
            ("demo:v2", plain("v2")),
            ("registry:5000/team/demo:1.2.3", plain("1.2.3")),
            ("registry:5000/team/demo", plain("latest")),
            ("demo:v2@sha256:abc", plain("v2")),
            (
                "demo:v2-err20",
                Behaviour {
                    error_share: 0.2,
                    ..plain("v2")
                },
            ),
            (
                "demo:v2-err0.5",
                Behaviour {
                    error_share: 0.005,
                    ..plain("v2")
                },
            ),
            (
                "demo:v2-errafter7",
                Behaviour {
                    error_share: 1.0,
                    errors_after: s(7),
                    ..plain("v2")
                },
            ),
            (
                "demo:v2-errafter7-err20",
                Behaviour {
                    error_share: 0.2,
                    errors_after: s(7),
                    ..plain("v2")
                },
            ),
            (
                "demo:v2-err20-errafter7",
                Behaviour {
                    error_share: 0.2,
                    errors_after: s(7),
                    ..plain("v2")
                },
            ),
            (
                "demo:v2-lat50",
                Behaviour {
                    latency: Duration::from_millis(50),
                    ..plain("v2")
                },
            ),
            (
                "demo:v2-slow5",
                Behaviour {
                    ready_after: Some(s(5)),
                    ..plain("v2")
                },
            ),
            (
                "demo:v2-unready",
                Behaviour {
                    ready_after: None,
                    ..plain("v2")
                },
            ),
            (
                "demo:v2-crash",
                Behaviour {
                    start: Start::Crashes,
                    ..plain("v2")
                },
            ),
            (
                "demo:v2-pull",
                Behaviour {
                    start: Start::PullFails,
                    ..plain("v2")
                },
            ),
        ] {
            assert_eq!(Behaviour::read(image, &env(&[])), Ok(expected), "{image}");
        }
    }

    #[test]
    fn the_environment_wins_over_the_tag() {
        let given = env(&[
            ("VERSION", "v9"),
            ("ERR", "50"),
            ("LAT", "20"),
            ("SLOW", "0.5"),
            ("DRAIN", "3"),
            ("PORT", "9000"),
            ("OTHER", "is the application's own"),
        ]);
        assert_eq!(
            Behaviour::read("demo:v2-err20-lat50-slow5", &given),
            Ok(Behaviour {
                error_share: 0.5,
                latency: Duration::from_millis(20),
                ready_after: Some(Duration::from_millis(500)),
                drain: Duration::from_secs(3),
                port: Some(9000),
                ..plain("v9")
            })
        );
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (image, word) in [
            ("demo:v2-errr20", "errr20"),
            ("demo:v2-err", "err"),
            ("demo:v2-err120", "err120"),
            ("demo:v2-crash3", "crash3"),
            ("demo:v2-alpine", "alpine"),
        ] {
            assert_eq!(
                Behaviour::read(image, &env(&[])),
                Err(NotUnderstood::Word(word.to_owned())),
                "{image}"
            );
        }
        for (name, value) in [
            ("ERR", "101"),
            ("LAT", "-1"),
            ("SLOW", "soon"),
            ("DRAIN", ""),
            ("PORT", "70000"),
        ] {
            let error = Behaviour::read("demo:v2", &env(&[(name, value)])).expect_err(name);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn errors_begin_at_the_given_age() {
        let behaviour = Behaviour::read("demo:v2-errafter7", &env(&[])).expect("a valid tag");
        assert_eq!(
            [6, 7].map(|age| behaviour.error_share_at(Duration::from_secs(age)) > 0.0),
            [false, true]
        );
    }

    #[test]
    fn readiness_follows_the_age() {
        for (image, at_four, at_five) in [
            ("demo:v2", true, true),
            ("demo:v2-slow5", false, true),
            ("demo:v2-unready", false, false),
        ] {
            let behaviour = Behaviour::read(image, &env(&[])).expect("a valid tag");
            assert_eq!(
                [4, 5].map(|age| behaviour.is_ready_at(Duration::from_secs(age))),
                [at_four, at_five],
                "{image}"
            );
        }
    }
}
