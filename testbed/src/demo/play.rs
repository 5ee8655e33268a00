//! Plays releases one after the other, and watches each until it has ended and nothing moves any more.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    cluster::Cluster,
    releases::{Application, Release},
    report::{Played, Step, WeightChange, spans},
    rollout::Outcome,
    screen::Screen,
    view::Moment,
    watch::RolloutWatch,
};
use crate::load::{Load, LoadOptions};

/// Between two pictures.
const REDRAW: Duration = Duration::from_millis(250);
/// A log gets a line at least this often.
const LINE: Duration = Duration::from_secs(10);
/// The rates shown are those of this time.
const RECENT: Duration = Duration::from_secs(1);
/// Pods that are not needed any more must be gone by then.
const TIDY: Duration = Duration::from_mins(1);

/// Requests per second to a version that does not serve yet. They are there to be judged, and are not counted.
const PREVIEW_RATE: u32 = 20;

/// One release, as it went. Counted when all requests have ended.
struct Course {
    release: &'static Release,
    outcome: Outcome,
    begun: Instant,
    took: Duration,
    ended: Instant,
    problems: Vec<String>,
}

/// All releases of one application, as they went.
pub(super) struct Courses {
    application: &'static Application,
    all: Vec<Course>,
    changes: Vec<WeightChange>,
    load: Load,
}

impl Courses {
    /// Whether each ended as it must.
    pub(super) fn as_expected(&self) -> bool {
        self.all
            .iter()
            .all(|course| course.problems.is_empty() && course.outcome == course.release.expected)
    }

    /// What was measured, once all requests have ended.
    pub(super) fn counted(self) -> Vec<Played> {
        let Self {
            application,
            all,
            changes,
            load,
        } = self;
        // Each counts until the next one begins: no request falls between two.
        let next: Vec<Instant> = all.iter().skip(1).map(|next| next.begun).collect();
        let counted = all.into_iter().enumerate().map(|(index, course)| {
            let release = course.release;
            let ended = next.get(index).copied().unwrap_or(course.ended);
            let all = load.between(course.begun, ended);
            let steps = spans(&changes, course.begun, ended)
                .into_iter()
                .map(|span| Step::of(span, &load.between(span.from, span.until), release.version))
                .collect();
            let strategy = application.strategy;
            let mut played = Played::of(release, strategy, course.outcome, course.took, all, steps);
            played.problems.extend(course.problems);
            played
        });
        counted.collect()
    }
}

/// The player of one application's releases.
pub(super) struct Player<'a> {
    cluster: &'a Cluster<'a>,
    screen: &'a mut Screen,
    application: &'static Application,
    options: LoadOptions,
    watch: RolloutWatch,
    load: Option<Load>,
    preview: Option<Load>,
}

impl<'a> Player<'a> {
    pub(super) fn new(
        cluster: &'a Cluster<'a>,
        screen: &'a mut Screen,
        application: &'static Application,
        options: LoadOptions,
    ) -> Self {
        let watch = RolloutWatch::start(cluster.rollouts(application), application.rollout);
        Self {
            cluster,
            screen,
            application,
            options,
            watch,
            load: None,
            preview: None,
        }
    }

    /// Plays all releases; one that does not end as expected is the last. No more requests are sent afterwards.
    pub(super) async fn play_all(mut self) -> Result<Courses> {
        let releases = self.application.releases;
        let mut courses = Vec::new();
        for (index, release) in releases.iter().enumerate() {
            let paint = self.screen.paint();
            let title = format!("{}: {}", release.name, release.about);
            self.screen.say(&format!(
                "\n{} {}",
                paint.dim(&format!("{}/{}", index + 1, releases.len())),
                paint.bold(&title)
            ))?;
            let course = self.play(release, index == 0).await?;
            let as_expected = course.problems.is_empty() && course.outcome == release.expected;
            courses.push(course);
            if !as_expected {
                break;
            }
        }
        let Some(load) = self.load else {
            bail!("the application never answered through the proxy");
        };
        load.end();
        Ok(Courses {
            application: self.application,
            all: courses,
            changes: self.watch.observed().changes,
            load,
        })
    }

    async fn play(&mut self, release: &'static Release, first: bool) -> Result<Course> {
        let begun = Instant::now();
        let (cluster, application) = (self.cluster, self.application);
        let generation = if first {
            cluster.apply_example(application, self.screen).await?
        } else {
            let image = release.image;
            cluster.set_image(application, image, self.screen).await?
        };
        let deadline = begun + release.deadline;
        let outcome = self.follow(release, generation, begun, deadline).await?;
        let took = begun.elapsed();
        let seen = self.watch.observed().seen;
        let paint = self.screen.paint();
        let told = if outcome == release.expected {
            paint.green(&outcome.to_string())
        } else {
            paint.red(&outcome.to_string())
        };
        let cause = if seen.aborted {
            seen.abort_cause
        } else {
            String::new()
        };
        let took_shown = format!("after {:.1} s", took.as_secs_f64());
        self.screen
            .say(&format!("  {told} {took_shown} {}", paint.dim(&cause)))?;
        let problems = if outcome == release.expected {
            self.tidy(release, begun).await?
        } else {
            Vec::new()
        };
        Ok(Course {
            release,
            outcome,
            begun,
            took,
            ended: Instant::now(),
            problems,
        })
    }

    /// Watches until the release has ended, or the deadline. A release that nobody can reach has not ended.
    async fn follow(
        &mut self,
        release: &Release,
        generation: i64,
        begun: Instant,
        deadline: Instant,
    ) -> Result<Outcome> {
        let mut frames = Frames::new(begun);
        loop {
            if self.load.is_none() && answers(&self.options, release.version).await? {
                self.load = Some(Load::start(self.options.clone())?);
                self.preview = self
                    .application
                    .preview
                    .map(preview(&self.options))
                    .transpose()?;
            }
            let seen = self.watch.observed().seen;
            if self.load.is_some()
                && let Some(outcome) = seen.outcome(generation)
            {
                return Ok(outcome);
            }
            if Instant::now() > deadline {
                return Ok(Outcome::TimedOut);
            }
            // What is older than the change belongs to the release before.
            if seen.observed_generation >= generation {
                frames.draw(self.screen, &self.watch, self.load.as_ref())?;
            }
            frames.next(&mut self.watch).await?;
        }
    }

    /// Watches until the pods of other versions are gone and only the expected version answers.
    async fn tidy(&mut self, release: &Release, begun: Instant) -> Result<Vec<String>> {
        let mut frames = Frames::new(begun);
        let deadline = Instant::now() + TIDY;
        let mut problems = Vec::new();
        loop {
            let stable = self.watch.observed().seen.stable;
            let leftovers = self
                .cluster
                .leftover_pods(self.application, &stable)
                .await?;
            if leftovers.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                let names = leftovers.join(", ");
                problems.push(format!("{}: pods are left: {names}", release.name));
                break;
            }
            frames.draw(self.screen, &self.watch, self.load.as_ref())?;
            frames.next(&mut self.watch).await?;
        }
        let from = Instant::now();
        let until = from + RECENT;
        while Instant::now() < until + REDRAW {
            frames.draw(self.screen, &self.watch, self.load.as_ref())?;
            frames.next(&mut self.watch).await?;
        }
        let Some(load) = &self.load else {
            return Ok(problems);
        };
        if load.is_finished() {
            bail!("the load has ended before the releases had");
        }
        let answered = load.between(from, until).by_version;
        let versions: Vec<&str> = answered.keys().map(String::as_str).collect();
        if versions != [release.serves_afterwards] {
            problems.push(format!(
                "{}: afterwards {} must answer every request, but {} did",
                release.name,
                release.serves_afterwards,
                versions.join(", ")
            ));
        }
        Ok(problems)
    }
}

/// The load of a preview's host.
fn preview(options: &LoadOptions) -> impl FnOnce(&str) -> Result<Load> {
    let mut options = options.clone();
    move |host| {
        host.clone_into(&mut options.host);
        options.rate = PREVIEW_RATE;
        Ok(Load::start(options)?)
    }
}

/// Whether the version answers through the proxy. Sends one request.
async fn answers(options: &LoadOptions, version: &str) -> Result<bool> {
    let mut one = options.clone();
    one.max_requests = 1;
    one.connections = 1;
    let load = Load::start(one)?;
    while !load.is_finished() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(load.stop().await.by_version.contains_key(version))
}

/// Shows how it goes from now on, until it is dropped.
pub(super) async fn watch_on(
    cluster: &Cluster<'_>,
    screen: &mut Screen,
    application: &Application,
    load: &Load,
) -> Result<()> {
    let mut watch = RolloutWatch::start(cluster.rollouts(application), application.rollout);
    // The first news is the state that is there.
    watch.changed().await?;
    let mut frames = Frames::new(Instant::now());
    loop {
        frames.draw(screen, &watch, Some(load))?;
        frames.next(&mut watch).await?;
    }
}

/// What is drawn when.
struct Frames {
    begun: Instant,
    tick: tokio::time::Interval,
    /// The last line of a log: what it was about and when.
    line: Option<((String, usize, i64), Instant)>,
}

impl Frames {
    fn new(begun: Instant) -> Self {
        let mut tick = interval(REDRAW);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            begun,
            tick,
            line: None,
        }
    }

    /// Waits for the next picture's time, or for news.
    async fn next(&mut self, watch: &mut RolloutWatch) -> Result<()> {
        tokio::select! {
            changed = watch.changed() => changed,
            _ = self.tick.tick() => Ok(()),
        }
    }

    fn draw(
        &mut self,
        screen: &mut Screen,
        watch: &RolloutWatch,
        load: Option<&Load>,
    ) -> Result<()> {
        let now = Instant::now();
        let count = |from, until| {
            load.map(|load| load.between(from, until))
                .unwrap_or_default()
        };
        let seen = watch.observed().seen;
        let moment = Moment {
            elapsed: now - self.begun,
            seen: &seen,
            now: &count(now - RECENT, now),
            all: &count(self.begun, now),
        };
        if screen.is_live() {
            return screen.show(&moment.picture(screen.paint()));
        }
        let (phase, step, weight) = moment.edge();
        let edge = (phase.to_owned(), step, weight);
        let due = self
            .line
            .as_ref()
            .is_none_or(|(last, at)| *last != edge || now - *at >= LINE);
        if due {
            screen.say(&moment.line())?;
            self.line = Some((edge, now));
        }
        Ok(())
    }
}
