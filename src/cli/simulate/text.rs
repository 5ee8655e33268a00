//! A simulation as text.

use std::fmt::Write;

use super::chart;
use crate::{
    cli::get::style::{BAD, BOLD, DIM, GOOD, MOVING, WAITING, paint},
    simulate::story::{Analysis, MeasurementStory, MomentKind, Outcome, Sample, Simulation},
};

/// So many values of a metric are shown.
const VALUES: usize = 8;

/// Pods in a sample.
type Count = fn(&Sample) -> i32;

/// A time since the beginning: `4.2s`, `1m05s`, `2h03m`.
pub(super) fn time(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times of a simulation are small and not negative"
    )]
    let whole = seconds.max(0.0).round() as u64;
    match (whole / 3600, whole / 60, whole % 60) {
        (0, 0, 0) if seconds == 0.0 => "0s".to_owned(),
        (0, 0, _) => format!("{seconds:.1}s"),
        (0, minutes, rest) => format!("{minutes}m{rest:02}s"),
        (hours, minutes, _) => format!("{hours}h{:02}m", minutes % 60),
    }
}

/// The whole page.
pub(super) fn page(simulation: &Simulation, width: usize) -> String {
    let parts = [
        head(simulation),
        verdict(simulation, width),
        picture(simulation, width),
        timeline(simulation, width),
        analyses(simulation, width),
        assumptions(simulation, width),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("\n")
}

fn head(simulation: &Simulation) -> String {
    let name = paint(BOLD, &simulation.rollout);
    format!(
        "{name}  {} → {}  {}\n",
        simulation.from,
        simulation.to,
        paint(
            DIM,
            &format!(
                "{}, scenario {}, {} requests/s",
                simulation.strategy,
                simulation.scenario.name(),
                simulation.rps
            )
        )
    )
}

/// What it comes to, in sentences.
pub(super) fn sentences(simulation: &Simulation) -> Vec<(MomentKind, String)> {
    let summary = &simulation.summary;
    let settled = time(summary.settled_at);
    let mut all = Vec::new();
    let is_bad = simulation.scenario.is_bad();
    let first = match summary.outcome {
        Outcome::Completed if is_bad => (
            MomentKind::Bad,
            format!("the bad version gets through: it is the stable one after {settled}"),
        ),
        Outcome::Completed => (
            MomentKind::Good,
            format!("the new version is the stable one after {settled}"),
        ),
        Outcome::RolledBack if is_bad => (
            MomentKind::Good,
            format!("the bad version is caught, and everything is put back after {settled}"),
        ),
        Outcome::RolledBack => (
            MomentKind::Bad,
            format!("it is given up, and everything is put back after {settled}"),
        ),
        Outcome::WaitsForPerson => (
            MomentKind::Person,
            format!("it waits for a person since {settled}: {}", summary.message),
        ),
        Outcome::Unfinished => (
            MomentKind::Bad,
            format!(
                "it does not get any further: {}: {}",
                summary.phase, summary.message
            ),
        ),
    };
    all.push(first);
    if let Some(aborted) = &summary.aborted {
        all.push((
            MomentKind::Step,
            format!("aborted after {}: {}", time(aborted.at), aborted.cause),
        ));
        let errors = if is_bad {
            format!(", {:.0} of them with an error", aborted.errors)
        } else {
            String::new()
        };
        all.push((
            MomentKind::Step,
            format!(
                "by then the new version had answered {:.0} requests of users{errors}",
                aborted.requests_to_new
            ),
        ));
    } else if is_bad && simulation.analyses.is_empty() {
        let why = "nothing in this Rollout looks at how the new version answers: add an analysis";
        all.push((MomentKind::Bad, why.to_owned()));
    } else if is_bad && summary.requests.errors == 0.0 {
        let why =
            "its errors begin when the release is over; a longer pause, or a bake, would see them";
        all.push((MomentKind::Bad, why.to_owned()));
    }
    let requests = &summary.requests;
    let mut counted = format!(
        "{:.0} requests of users: {:.0} to the new version",
        requests.total, requests.to_new
    );
    if requests.errors > 0.0 {
        write!(counted, ", {:.0} errors", requests.errors).ok();
    }
    if requests.lost >= 0.5 {
        write!(counted, ", {:.0} found no pod", requests.lost).ok();
    }
    all.push((MomentKind::Traffic, counted));
    let pods = &summary.pods;
    all.push((
        MomentKind::Pods,
        format!(
            "{} pods declared, at most {} at a time; {:.2} pod-hours more than without a release",
            pods.declared, pods.most, pods.extra_hours
        ),
    ));
    if summary.ended_at > summary.settled_at {
        all.push((
            MomentKind::Step,
            format!("nothing is left to do after {}", time(summary.ended_at)),
        ));
    }
    all
}

fn verdict(simulation: &Simulation, width: usize) -> String {
    let mut text = String::new();
    for (place, (kind, sentence)) in sentences(simulation).into_iter().enumerate() {
        for (at, line) in wrapped(&sentence, width.saturating_sub(4))
            .iter()
            .enumerate()
        {
            let line = match (place, at) {
                (0, 0) => format!("{} {}", mark(kind), paint(style(kind), line)),
                (0, _) => format!("  {}", paint(style(kind), line)),
                (_, 0) => format!("  {line}"),
                (_, _) => format!("    {line}"),
            };
            writeln!(text, "{line}").ok();
        }
    }
    text
}

const fn style(kind: MomentKind) -> anstyle::Style {
    match kind {
        MomentKind::Good => GOOD,
        MomentKind::Bad => BAD,
        MomentKind::Person => WAITING,
        MomentKind::Traffic => MOVING,
        MomentKind::Step | MomentKind::Pods | MomentKind::Analysis => anstyle::Style::new(),
    }
}

fn mark(kind: MomentKind) -> String {
    let mark = match kind {
        MomentKind::Good => "✔",
        MomentKind::Bad => "✖",
        MomentKind::Person => "॥",
        MomentKind::Traffic => "→",
        MomentKind::Step | MomentKind::Pods | MomentKind::Analysis => " ",
    };
    paint(style(kind), mark)
}

fn picture(simulation: &Simulation, width: usize) -> String {
    let mut text = format!("{}\n", paint(BOLD, "Traffic on the new version"));
    let marks = chart::marks(simulation, width);
    let mut lines = chart::traffic(simulation, width);
    let below = lines.split_off(lines.len() - 2);
    for line in lines {
        writeln!(text, "{line}").ok();
    }
    if let Some((base, times)) = below.split_first().map(|(a, b)| (a, b.concat())) {
        writeln!(text, "{base}").ok();
        if !marks.is_empty() {
            writeln!(text, "{:>8}  {marks}", "").ok();
        }
        writeln!(text, "{}", paint(DIM, &times)).ok();
    }
    writeln!(text, "{}", paint(BOLD, "Pods")).ok();
    let most = |count: Count| simulation.samples.iter().map(count).max().unwrap_or(0);
    let new: Count = |sample| sample.new.available;
    let old: Count = |sample| sample.old.available;
    let all = most(new).max(most(old));
    for (label, count) in [("new", new), ("stable", old)] {
        let line = chart::pods(simulation, width, all, count);
        writeln!(text, "{label:>6}{:>3} {line}", most(count)).ok();
    }
    text
}

fn timeline(simulation: &Simulation, width: usize) -> String {
    let mut text = format!("{}\n", paint(BOLD, "Timeline"));
    let mut last = String::new();
    for moment in &simulation.timeline {
        let at = time(moment.at);
        let shown = if at == last { "" } else { &at };
        let lines = wrapped(&moment.text, width.saturating_sub(13));
        for (place, line) in lines.iter().enumerate() {
            let painted = paint(style(moment.kind), line);
            let (shown, mark) = if place == 0 {
                (shown, mark(moment.kind))
            } else {
                ("", " ".to_owned())
            };
            writeln!(text, "{shown:>8}  {mark} {painted}").ok();
        }
        last = at;
    }
    text
}

fn analyses(simulation: &Simulation, width: usize) -> String {
    if simulation.analyses.is_empty() {
        return String::new();
    }
    let mut text = format!("{}\n", paint(BOLD, "Analyses"));
    for Analysis {
        name,
        from,
        to,
        phase,
        message,
        metrics,
    } in &simulation.analyses
    {
        let kind = match phase.as_str() {
            "Successful" => MomentKind::Good,
            "Failed" | "Error" => MomentKind::Bad,
            _ => MomentKind::Person,
        };
        let until = to.map_or_else(String::new, time);
        writeln!(
            text,
            "  {} {name}  {}  {}",
            mark(kind),
            paint(style(kind), phase),
            paint(DIM, &format!("{} – {until}", time(*from))),
        )
        .ok();
        for metric in metrics {
            writeln!(
                text,
                "    {}: {}",
                metric.name,
                values(&metric.measurements)
            )
            .ok();
        }
        if !message.is_empty() {
            for line in wrapped(message, width.saturating_sub(4)) {
                writeln!(text, "    {}", paint(style(kind), &line)).ok();
            }
        }
    }
    text
}

/// How often a metric was measured, and what came out.
pub(super) fn values(measurements: &[MeasurementStory]) -> String {
    let shown: Vec<String> = measurements
        .iter()
        .rev()
        .take(VALUES)
        .rev()
        .map(|one| match (&one.value, one.phase.as_str()) {
            (_, "NoData") => "no data".to_owned(),
            (Some(value), _) => value.clone(),
            (None, phase) => phase.to_lowercase(),
        })
        .collect();
    let first = if measurements.len() > VALUES {
        "… "
    } else {
        ""
    };
    let times = if measurements.len() == 1 {
        "time"
    } else {
        "times"
    };
    format!(
        "measured {} {times}: {first}{}",
        measurements.len(),
        shown.join(" ")
    )
}

fn assumptions(simulation: &Simulation, width: usize) -> String {
    if simulation.assumptions.is_empty() {
        return String::new();
    }
    let mut text = format!("{}\n", paint(BOLD, "Assumed"));
    for assumption in &simulation.assumptions {
        for (place, line) in wrapped(assumption, width.saturating_sub(4))
            .iter()
            .enumerate()
        {
            let bullet = if place == 0 { "-" } else { " " };
            writeln!(text, "  {bullet} {line}").ok();
        }
    }
    text
}

/// Lines of at most so many characters, broken at spaces.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else {
            continue;
        };
        if line.is_empty() {
            word.clone_into(line);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (seconds, expected) in [
            (0.0, "0s"),
            (4.23, "4.2s"),
            (59.2, "59.2s"),
            (65.0, "1m05s"),
            (7384.0, "2h03m"),
        ] {
            assert_eq!(time(seconds), expected);
        }
    }

    #[test]
    fn long_sentences_are_broken_at_spaces() {
        assert_eq!(wrapped("one two three", 8), ["one two", "three"]);
    }
}
