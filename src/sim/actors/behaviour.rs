//! What the containers of an image do, read from its tag: `web:v2-err20-lat50-slow5` answers 20 % with an error, takes 50 ms
//! for each, and is ready after 5 s. Words that are none of these are part of the version, as in `nginx:1.27-alpine`.
//!
//! Not here: when each of it happens to a pod (`kubelet`).

use std::time::Duration;

/// The longest that a word may ask for.
const LONGEST: f64 = 86_400.0;

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// The share of its answers that are errors, 0 to 1 (`errN`, in percent; all of them with `errafterN` alone).
    pub error_share: f64,
    /// How long after its start errors begin (`errafterN`, in seconds).
    pub errors_after: Duration,
    /// How long it takes for an answer (`latN`, in milliseconds).
    pub latency: Duration,
    /// How long it is not ready after its start (`slowN`, in seconds). `None` is for ever (`unready`).
    pub ready_after: Option<Duration>,
    /// Whether it gets its image, and how long it runs.
    pub run: Run,
    /// Its readiness comes and goes: ready for about so long each time (`flapN`, in seconds).
    pub flaps: Option<Duration>,
    /// How long its pod is there after it has ended (`lingerN`, in seconds).
    pub lingers: Duration,
    /// As the container of a Job: how it ends (`fail`), and after how long (`runN`, in seconds).
    pub job: (JobEnd, Duration),
}

/// Whether a container gets its image, and how long it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// It runs until it is told to end.
    Endless,
    /// It exits so long after every start (`crash`: at once; `crashafterN`, in seconds).
    CrashesAfter(Duration),
    /// Its image cannot be pulled (`pull`).
    NoImage,
}

/// How a Job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// Its container exits with 0.
    Succeeds,
    /// It does not.
    Fails,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            error_share: 0.0,
            errors_after: Duration::ZERO,
            latency: Duration::from_millis(20),
            ready_after: Some(Duration::ZERO),
            run: Run::Endless,
            flaps: None,
            lingers: Duration::from_millis(300),
            job: (JobEnd::Succeeds, Duration::from_secs(2)),
        }
    }
}

impl Behaviour {
    /// What the tag of the image says. Anything else about it is ordinary.
    pub fn of_image(image: &str) -> Self {
        let mut behaviour = Self::default();
        let mut share = None;
        for word in tag(image).split('-').skip(1) {
            let digits = word
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(word.len());
            let (name, number) = word.split_at(digits);
            match (name, amount(number)) {
                ("err", Some(percent)) if percent <= 100.0 => share = Some(percent / 100.0),
                ("errafter", Some(seconds)) => {
                    behaviour.errors_after = Duration::from_secs_f64(seconds);
                    share = share.or(Some(1.0));
                }
                ("lat", Some(millis)) => {
                    behaviour.latency = Duration::from_secs_f64(millis / 1e3);
                }
                ("slow", Some(seconds)) => {
                    behaviour.ready_after = Some(Duration::from_secs_f64(seconds));
                }
                ("flap", Some(seconds)) => {
                    behaviour.flaps = Some(Duration::from_secs_f64(seconds.max(1.0)));
                }
                ("linger", Some(seconds)) => behaviour.lingers = Duration::from_secs_f64(seconds),
                ("run", Some(seconds)) => behaviour.job.1 = Duration::from_secs_f64(seconds),
                ("crashafter", Some(seconds)) => {
                    behaviour.run = Run::CrashesAfter(Duration::from_secs_f64(seconds));
                }
                ("crash", None) if number.is_empty() => {
                    behaviour.run = Run::CrashesAfter(Duration::ZERO);
                }
                ("pull", None) if number.is_empty() => behaviour.run = Run::NoImage,
                ("unready", None) if number.is_empty() => behaviour.ready_after = None,
                ("fail", None) if number.is_empty() => behaviour.job.0 = JobEnd::Fails,
                (_, _) => {}
            }
        }
        behaviour.error_share = share.unwrap_or(0.0);
        behaviour
    }

    /// The share of answers that are errors so long after the start, 0 to 1.
    pub fn error_share_at(&self, age: Duration) -> f64 {
        if age < self.errors_after {
            0.0
        } else {
            self.error_share
        }
    }
}

fn amount(number: &str) -> Option<f64> {
    let amount: f64 = number.parse().ok()?;
    (0.0..=LONGEST).contains(&amount).then_some(amount)
}

/// What stands after the last colon, if that is not the port of a registry.
fn tag(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    match image.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        Some(_) | None => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_says_what_an_image_does() {
        let seconds = Duration::from_secs;
        let ordinary = Behaviour::default;
        for (image, expected) in [
            ("web", ordinary()),
            ("web:2", ordinary()),
            ("nginx:1.27-alpine3", ordinary()),
            ("registry.example:5000/err20-crash", ordinary()),
            ("web:v1-err200", ordinary()),
            ("web:v1-slow", ordinary()),
            // The first word is the version, whatever it looks like.
            ("web:crash", ordinary()),
            (
                "web:v2-err20-lat50-slow5",
                Behaviour {
                    error_share: 0.2,
                    latency: Duration::from_millis(50),
                    ready_after: Some(seconds(5)),
                    ..ordinary()
                },
            ),
            (
                "web:v2-errafter7",
                Behaviour {
                    error_share: 1.0,
                    errors_after: seconds(7),
                    ..ordinary()
                },
            ),
            (
                "web:v2-err5-errafter7@sha256:0011",
                Behaviour {
                    error_share: 0.05,
                    errors_after: seconds(7),
                    ..ordinary()
                },
            ),
            (
                "web:v2-unready",
                Behaviour {
                    ready_after: None,
                    ..ordinary()
                },
            ),
            (
                "web:v2-crash",
                Behaviour {
                    run: Run::CrashesAfter(Duration::ZERO),
                    ..ordinary()
                },
            ),
            (
                "web:v2-crashafter30-flap10",
                Behaviour {
                    run: Run::CrashesAfter(seconds(30)),
                    flaps: Some(seconds(10)),
                    ..ordinary()
                },
            ),
            (
                "web:v2-pull-linger3",
                Behaviour {
                    run: Run::NoImage,
                    lingers: seconds(3),
                    ..ordinary()
                },
            ),
            (
                "check:v1-fail-run9",
                Behaviour {
                    job: (JobEnd::Fails, seconds(9)),
                    ..ordinary()
                },
            ),
        ] {
            assert_eq!(Behaviour::of_image(image), expected, "{image}");
        }
    }

    #[test]
    fn errors_begin_when_they_are_said_to() {
        let late = Behaviour::of_image("web:v1-errafter7-err20");
        let errors = [6, 7, 8].map(|age| late.error_share_at(Duration::from_secs(age)) > 0.1);
        assert_eq!(errors, [false, true, true]);
    }
}
