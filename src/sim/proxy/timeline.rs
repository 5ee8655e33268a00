//! What held when.

use std::time::Duration;

/// Values with the time since which each held; the last one holds now.
#[derive(Clone, Debug)]
pub(super) struct Timeline<T>(Vec<(Duration, T)>);

impl<T> Default for Timeline<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> Timeline<T> {
    /// From `at` on it is this value. What did not hold any more at `since` is forgotten.
    pub(super) fn set(&mut self, at: Duration, value: T, since: Duration) {
        if self.0.last().is_none_or(|(_, last)| *last != value) {
            let first = self.first(since);
            self.0.drain(..first);
            self.0.push((at, value));
        }
    }

    /// What held at some moment from `since` on, and since when.
    pub(super) fn recent(&self, since: Duration) -> impl Iterator<Item = (Duration, &T)> {
        let recent = self.0.get(self.first(since)..).unwrap_or_default();
        recent.iter().map(|(at, value)| (*at, value))
    }

    /// What held then.
    pub(super) fn at(&self, time: Duration) -> Option<&T> {
        let (at, value) = self.0.get(self.first(time))?;
        (*at <= time).then_some(value)
    }

    /// When another value came after that time.
    pub(super) fn change_after(&self, time: Duration) -> Option<Duration> {
        let next = self.0.partition_point(|(at, _)| *at <= time);
        self.0.get(next).map(|(at, _)| *at)
    }

    /// The place of what held then.
    fn first(&self, time: Duration) -> usize {
        self.0
            .partition_point(|(at, _)| *at <= time)
            .saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_known_as_far_as_it_is_asked_for() {
        let seconds = Duration::from_secs;
        let mut line = Timeline::default();
        for (at, value) in [(1, 'a'), (3, 'b'), (4, 'b'), (7, 'c')] {
            line.set(seconds(at), value, Duration::ZERO);
        }
        let at = |time| line.at(seconds(time)).copied();
        assert_eq!(
            [at(0), at(1), at(6), at(9)],
            [None, Some('a'), Some('b'), Some('c')]
        );
        let recent = line.recent(seconds(4)).map(|(_, value)| *value);
        assert_eq!(recent.collect::<String>(), "bc");
        assert_eq!(
            [1, 3, 7].map(|time| line.change_after(seconds(time))),
            [Some(seconds(3)), Some(seconds(7)), None]
        );
        line.set(seconds(9), 'd', seconds(8));
        let left = line.recent(Duration::ZERO).map(|(_, value)| *value);
        assert_eq!(left.collect::<String>(), "cd");
    }
}
