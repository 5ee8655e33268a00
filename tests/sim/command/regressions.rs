//! Plans that found something once: `tests/sim/regressions.txt`, one plan to a line below what it found.

use crate::sim::random::Draw;

const FOUND: &str = include_str!("../regressions.txt");

/// All of them.
pub(super) fn all() -> Vec<Draw> {
    let lines = FOUND.lines().enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            serde_json::from_str(line)
                .unwrap_or_else(|why| panic!("regressions.txt, line {}: {why}", number + 1))
        })
        .collect()
}
