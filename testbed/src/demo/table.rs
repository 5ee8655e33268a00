//! The tables at the end. Pure.

use std::fmt::Display;

use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use super::report::{Played, Report};

/// All releases, and the steps of those that had any.
pub(super) fn render(report: &Report) -> String {
    let mut releases = table(&[
        "Release",
        "Outcome",
        "Seconds",
        "Requests",
        "by version",
        "App errors",
        "Lost",
    ]);
    let mut steps = table(&["Release", "Weight", "Observed share", "Requests"]);
    for played in &report.releases {
        releases.add_row(vec![
            Cell::new(played.name),
            Cell::new(played.outcome),
            number(format!("{:.1}", played.seconds)),
            number(played.requests),
            Cell::new(by_version(played)),
            number(played.errors_by_app),
            number(played.lost),
        ]);
        for step in &played.steps {
            steps.add_row(vec![
                Cell::new(played.name),
                number(format!("{} %", step.weight)),
                number(format!("{:.2} %", step.observed_share)),
                number(step.requests),
            ]);
        }
    }
    format!(
        "\n{releases}\n\n{steps}\n\nLost requests: {}\n",
        report.lost_total
    )
}

fn table(headers: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(headers);
    table
}

fn number(value: impl Display) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

fn by_version(played: &Played) -> String {
    let counts: Vec<String> = played
        .by_version
        .iter()
        .map(|(version, count)| format!("{version} {count}"))
        .collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        demo::{releases::APPLICATIONS, report::Step, rollout::Outcome},
        load::{Summary, VersionCount},
    };

    #[test]
    fn the_share_stands_beside_its_weight() {
        let counts = [("v1", 4400), ("v2", 4606)].map(|(version, requests)| {
            let count = VersionCount {
                requests,
                errors: 0,
            };
            (version.to_owned(), count)
        });
        let all = Summary {
            requests: 9006,
            by_version: counts.into_iter().collect(),
            ..Summary::default()
        };
        let step = |weight, observed_share| Step {
            weight,
            observed_share,
            requests: 1500,
        };
        let steps = vec![step(5, 5.02), step(25, 24.97)];
        let mut report = Report::default();
        report.add(Played::of(
            &APPLICATIONS[0].releases[1],
            "canary",
            Outcome::Completed,
            Duration::from_millis(61_240),
            all,
            steps,
        ));
        let shown = render(&report);
        let rows: Vec<Vec<&str>> = shown
            .lines()
            .filter(|line| line.contains("good-canary"))
            .map(|line| {
                let cells = line.split(['│', '┆']);
                cells
                    .map(str::trim)
                    .filter(|cell| !cell.is_empty())
                    .collect()
            })
            .collect();
        assert_eq!(
            rows,
            [
                vec![
                    "good-canary",
                    "completed",
                    "61.2",
                    "9006",
                    "v1 4400, v2 4606",
                    "0",
                    "0"
                ],
                vec!["good-canary", "5 %", "5.02 %", "1500"],
                vec!["good-canary", "25 %", "24.97 %", "1500"],
            ]
        );
        assert!(shown.ends_with("Lost requests: 0\n"), "{shown}");
    }
}
