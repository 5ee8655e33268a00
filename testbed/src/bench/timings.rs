//! Reads the one timing that is among the figures from the output of `cargo bench`. Pure.

use anyhow::{Context, Result};

/// The row of a decision, and that of what stands beside it.
const DECIDE: &str = "decide_a_ten_step_canary";
const PARSE: &str = "parse_the_same_rollout";

/// What a decision costs.
#[derive(Debug, PartialEq)]
pub(super) struct Decisions {
    /// Median time of one, nanoseconds.
    nanoseconds: f64,
    /// Of that, how much reading the same Rollout from its JSON takes.
    reading: f64,
}

/// Finds the medians in a table of divan.
pub(super) fn decisions(table: &str) -> Result<Decisions> {
    let of = |name: &str| median(table, name).with_context(|| format!("no timing of {name}"));
    Ok(Decisions {
        nanoseconds: of(DECIDE)?,
        reading: of(PARSE)?,
    })
}

/// Columns: name and fastest, slowest, median, mean, samples, iterations.
fn median(table: &str, name: &str) -> Option<f64> {
    let row = table
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == name))?;
    let mut words = row.split('│').nth(2)?.split_whitespace();
    let number: f64 = words.next()?.parse().ok()?;
    let nanoseconds = match words.next()? {
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    Some(number * nanoseconds)
}

impl Decisions {
    /// Decisions per second on one core.
    pub(super) fn per_second(&self) -> f64 {
        1e9 / self.nanoseconds
    }

    /// Beside what.
    pub(super) fn details(&self) -> String {
        format!(
            "One decision takes {:.1} µs, {:.2} times as long as reading the same Rollout from its JSON ({:.1} µs).",
            self.nanoseconds / 1e3,
            self.nanoseconds / self.reading,
            self.reading / 1e3
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
decide                         fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ decide_a_ten_step_canary    14.66 µs      │ 58.17 µs      │ 8 µs          │ 15.3 µs       │ 100     │ 100
╰─ parse_the_same_rollout      6.611 µs      │ 12.51 µs      │ 800 ns        │ 6.9 µs        │ 100     │ 100
";

    #[test]
    fn the_median_of_each_row_is_read() {
        let decisions = decisions(TABLE).unwrap();
        assert_eq!(
            decisions,
            Decisions {
                nanoseconds: 8000.0,
                reading: 800.0
            }
        );
        assert!((decisions.per_second() - 125_000.0).abs() < 1e-6);
    }

    #[test]
    fn a_table_without_the_row_is_an_error() {
        let error = decisions("decide  fastest │ slowest │ median").unwrap_err();
        assert_eq!(error.to_string(), "no timing of decide_a_ten_step_canary");
    }
}
