//! Traffic and pods over time, drawn with characters.

use crate::simulate::story::{Moment, MomentKind, Sample, Simulation};

const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Rows of the traffic chart.
const ROWS: usize = 5;
/// Columns of what stands left of the picture.
const MARGIN: usize = 10;

/// What holds from the time of a column to that of the next: the greatest value in it.
fn columns(simulation: &Simulation, count: usize, value: impl Fn(&Sample) -> f64) -> Vec<f64> {
    let end = end(simulation);
    let samples = &simulation.samples;
    let time = |column: usize| end * number(column) / number(count);
    (0..count)
        .map(|column| {
            let (from, to) = (time(column), time(column + 1));
            samples
                .iter()
                .enumerate()
                .filter(|(place, sample)| {
                    let until = samples.get(place + 1).map_or(f64::INFINITY, |next| next.at);
                    sample.at < to && until > from
                })
                .map(|(_, sample)| value(sample))
                .fold(0.0, f64::max)
        })
        .collect()
}

/// When the picture ends: a little after the last change.
fn end(simulation: &Simulation) -> f64 {
    (simulation.summary.ended_at * 1.03).max(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "columns of a terminal are few")]
const fn number(count: usize) -> f64 {
    count as f64
}

/// Eighths of a row, of `rows` in all, that a part of the whole fills.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of the rows of a terminal"
)]
fn eighths(part: f64, rows: usize) -> usize {
    let exact = (part.clamp(0.0, 1.0) * number(rows) * 8.0).round() as usize;
    // What is there is seen.
    if part > 0.0 { exact.max(1) } else { 0 }
}

/// The traffic of the new version, one line per row, and what happened when.
pub(super) fn traffic(simulation: &Simulation, width: usize) -> Vec<String> {
    let count = width.saturating_sub(MARGIN);
    let parts = columns(simulation, count, |sample| sample.share);
    let mut lines: Vec<String> = (0..ROWS)
        .rev()
        .map(|row| {
            let label = match row {
                row if row + 1 == ROWS => "100 %",
                0 => "0 %",
                _ => "",
            };
            let bars = parts.iter().map(|part| {
                let filled = eighths(*part, ROWS).saturating_sub(row * 8).min(8);
                EIGHTHS[filled]
            });
            let line: String = bars.collect();
            format!("{label:>8} ┤{}", line.trim_end())
        })
        .collect();
    lines.push(format!("{:>8} └{}", "", "─".repeat(count)));
    lines.push(axis(simulation, count));
    lines
}

/// Times below the picture.
fn axis(simulation: &Simulation, count: usize) -> String {
    const TICKS: usize = 5;
    let mut line = vec![' '; MARGIN + count + 8];
    for tick in 0..TICKS {
        let column = count * tick / TICKS;
        let label = super::text::time(end(simulation) * number(tick) / number(TICKS));
        for (place, letter) in label.chars().enumerate() {
            line[MARGIN + column + place] = letter;
        }
    }
    let line: String = line.into_iter().collect();
    line.trim_end().to_owned()
}

/// Pods of one version in one line, in parts of `most`.
pub(super) fn pods(
    simulation: &Simulation,
    width: usize,
    most: i32,
    count: impl Fn(&Sample) -> i32,
) -> String {
    let parts = columns(simulation, width.saturating_sub(MARGIN), |sample| {
        f64::from(count(sample)) / f64::from(most.max(1))
    });
    let line: String = parts
        .iter()
        .map(|part| EIGHTHS[eighths(*part, 1)])
        .collect();
    line.trim_end().to_owned()
}

/// Marks for what ends or stops a release.
pub(super) fn marks(simulation: &Simulation, width: usize) -> String {
    let count = width.saturating_sub(MARGIN);
    let mut line = vec![' '; count];
    for Moment { at, kind, .. } in &simulation.timeline {
        let mark = match kind {
            MomentKind::Good => '✔',
            MomentKind::Bad => '✖',
            MomentKind::Person if *at > 0.0 => '॥',
            MomentKind::Person
            | MomentKind::Step
            | MomentKind::Traffic
            | MomentKind::Pods
            | MomentKind::Analysis => continue,
        };
        let share = at / end(simulation);
        // A part of one row is a number of columns.
        let column = (eighths(share, count) / 8).min(count.saturating_sub(1));
        line[column] = mark;
    }
    let line: String = line.into_iter().collect();
    line.trim_end().to_owned()
}
