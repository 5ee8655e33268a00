//! How it goes, as a picture for a terminal and as a line for a log. Pure.

use std::time::Duration;

use super::{rollout::Seen, screen::Paint};
use crate::load::Summary;

/// Width of the bar that shows the weight, characters.
const BAR: usize = 25;

/// One moment of a release.
#[derive(Debug)]
pub(super) struct Moment<'a> {
    /// Since the release began.
    pub(super) elapsed: Duration,
    pub(super) seen: &'a Seen,
    /// Requests of the last second.
    pub(super) now: &'a Summary,
    /// Requests since the release began.
    pub(super) all: &'a Summary,
}

impl Moment<'_> {
    /// Several lines, for a terminal.
    pub(super) fn picture(&self, paint: Paint) -> Vec<String> {
        let seen = self.seen;
        let phase = match seen.phase.as_str() {
            "Healthy" => paint.green("Healthy"),
            "Degraded" => paint.red("Degraded"),
            other => paint.yellow(other),
        };
        let lost = format!("{} of {} requests", self.all.lost, self.all.requests);
        let lost = if self.all.lost == 0 {
            paint.green(&lost)
        } else {
            paint.red(&lost)
        };
        let mut lines = vec![
            String::new(),
            format!("  phase   {phase}  {}", self.why()),
            format!("  step    {}", self.step()),
            format!("  weight  {} {} %", bar(seen.weight), seen.weight),
            format!(
                "  pods    {} of {} available, {} of the declared version",
                seen.pods.available, seen.pods.all, seen.pods.new
            ),
        ];
        for (version, count) in &self.now.by_version {
            let share = self.now.share(version) * 100.0;
            let errors = format!("{} errors/s", count.errors);
            let errors = if count.errors == 0 {
                paint.dim(&errors)
            } else {
                paint.red(&errors)
            };
            lines.push(format!(
                "  {version:<7} {:>4} requests/s  {share:>3.0} %  {errors}",
                count.requests
            ));
        }
        lines.push(format!(
            "  lost    {lost}, {:.0} s",
            self.elapsed.as_secs_f64()
        ));
        lines
    }

    /// One line, for a log.
    pub(super) fn line(&self) -> String {
        let share = |version: &String| {
            let percent = self.now.share(version) * 100.0;
            format!("{version} {percent:.0} %")
        };
        let shares: Vec<String> = self.now.by_version.keys().map(share).collect();
        let seconds = self.elapsed.as_secs_f64();
        format!(
            "  {seconds:>5.1} s  {:<11} {}, weight {} %, answered by {}, lost {}: {}",
            self.seen.phase,
            self.step(),
            self.seen.weight,
            if shares.is_empty() {
                "nobody".to_owned()
            } else {
                shares.join(" and ")
            },
            self.all.lost,
            self.why()
        )
    }

    /// What makes a new line in a log.
    pub(super) fn edge(&self) -> (&str, usize, i64) {
        (&self.seen.phase, self.seen.step, self.seen.weight)
    }

    fn step(&self) -> String {
        let (step, steps) = (self.seen.step, &self.seen.steps);
        match steps.get(step) {
            Some(name) => format!("{}/{} {name}", step + 1, steps.len()),
            None if steps.is_empty() => "all or nothing".to_owned(),
            None => format!("all {} done", steps.len()),
        }
    }

    /// What it waits for, or says.
    fn why(&self) -> &str {
        let seen = self.seen;
        [&seen.waiting_for, &seen.message, &seen.next]
            .into_iter()
            .find(|text| !text.is_empty())
            .map_or("", String::as_str)
    }
}

fn bar(percent: i64) -> String {
    let percent = usize::try_from(percent.clamp(0, 100)).unwrap_or(0);
    let full = percent * BAR / 100;
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::VersionCount;

    fn seen() -> Seen {
        Seen {
            phase: "Progressing".to_owned(),
            waiting_for: "AnalysisRun demo-def-2-3 to end".to_owned(),
            step: 1,
            steps: vec!["setWeight 20".to_owned(), "analysis error-share".to_owned()],
            weight: 20,
            ..Seen::default()
        }
    }

    fn summary(counts: &[(&str, u64, u64)]) -> Summary {
        let counts = counts.iter().map(|&(version, requests, errors)| {
            (version.to_owned(), VersionCount { requests, errors })
        });
        Summary {
            requests: 3000,
            lost: 2,
            by_version: counts.collect(),
            ..Summary::default()
        }
    }

    #[test]
    fn the_picture_shows_phase_step_weight_versions_and_losses() {
        let (seen, counts) = (seen(), summary(&[("v1", 120, 0), ("v2", 30, 6)]));
        let moment = Moment {
            elapsed: Duration::from_secs(9),
            seen: &seen,
            now: &counts,
            all: &counts,
        };
        assert_eq!(
            moment.picture(Paint::PLAIN),
            [
                "",
                "  phase   Progressing  AnalysisRun demo-def-2-3 to end",
                "  step    2/2 analysis error-share",
                "  weight  █████░░░░░░░░░░░░░░░░░░░░ 20 %",
                "  pods    0 of 0 available, 0 of the declared version",
                "  v1       120 requests/s   80 %  0 errors/s",
                "  v2        30 requests/s   20 %  6 errors/s",
                "  lost    2 of 3000 requests, 9 s",
            ]
        );
    }

    #[test]
    fn a_log_gets_one_line() {
        let (seen, counts) = (seen(), summary(&[("v1", 120, 0), ("v2", 30, 6)]));
        let moment = Moment {
            elapsed: Duration::from_millis(9_420),
            seen: &seen,
            now: &counts,
            all: &counts,
        };
        assert_eq!(
            moment.line(),
            "    9.4 s  Progressing 2/2 analysis error-share, weight 20 %, answered by v1 80 % and v2 20 %, lost 2: \
             AnalysisRun demo-def-2-3 to end"
        );
    }

    #[test]
    fn before_the_first_answer_nobody_answers() {
        let (seen, none) = (Seen::default(), Summary::default());
        let moment = Moment {
            elapsed: Duration::ZERO,
            seen: &seen,
            now: &none,
            all: &none,
        };
        assert!(
            moment.line().contains("answered by nobody"),
            "{}",
            moment.line()
        );
    }
}
