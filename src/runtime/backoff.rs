//! How long an object that failed is left alone: exponential per object, forgotten on success.
//!
//! No clock and no randomness: the caller waits, and brings the jitter.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The delay after the first failure.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// The longest delay.
pub const LONGEST: Duration = Duration::from_mins(1);
/// How many failing objects are remembered; beyond it the one whose last failure is the oldest starts afresh.
const CAPACITY: usize = 16_384;
/// The share of a delay that jitter may add. The undisturbed delay stays so far below [`LONGEST`] that even the
/// longest delays are spread out.
const SPREAD: f64 = 0.25;

/// Remembers failures in a row per object of type `K`.
#[derive(Debug)]
pub struct Backoff<K> {
    shortest: Duration,
    longest: Duration,
    capacity: usize,
    failing: Mutex<Failing<K>>,
}

#[derive(Debug)]
struct Failing<K> {
    by_object: HashMap<K, Failures>,
    by_age: BTreeMap<u64, K>,
    last_age: u64,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    in_a_row: u32,
    age: u64,
}

impl<K: Clone + Eq + Hash> Default for Backoff<K> {
    fn default() -> Self {
        Self::new(SHORTEST, LONGEST)
    }
}

impl<K: Clone + Eq + Hash> Backoff<K> {
    /// Delays from `shortest`, doubling up to `longest`.
    pub fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest: longest.max(shortest),
            capacity: CAPACITY,
            failing: Mutex::new(Failing {
                by_object: HashMap::new(),
                by_age: BTreeMap::new(),
                last_age: 0,
            }),
        }
    }

    /// Counts a failure of `object` and says how long to wait before the next try.
    /// `jitter` from 0 to 1 spreads objects that fail together; it adds up to a quarter.
    pub fn failed(&self, object: &K, jitter: f64) -> Duration {
        let in_a_row = {
            let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
            let in_a_row = failing.count(object);
            if failing.by_object.len() > self.capacity {
                failing.forget_oldest();
            }
            in_a_row
        };
        self.delay(in_a_row, jitter)
    }

    /// Forgets the failures of `object`: it succeeded, or it is gone.
    pub fn reset(&self, object: &K) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failures) = failing.by_object.remove(object) {
            failing.by_age.remove(&failures.age);
        }
    }

    fn delay(&self, in_a_row: u32, jitter: f64) -> Duration {
        let jitter = if jitter.is_finite() {
            jitter.clamp(0.0, 1.0)
        } else {
            0.0
        };
        // 2^31 times any delay is beyond every sensible `longest`; `saturating_mul` covers the rest.
        let doubled = self
            .shortest
            .saturating_mul(1 << in_a_row.saturating_sub(1).min(31));
        let undisturbed = doubled
            .min(self.longest.div_f64(1.0 + SPREAD))
            .max(self.shortest);
        undisturbed.mul_f64(1.0 + SPREAD * jitter).min(self.longest)
    }
}

impl<K: Clone + Eq + Hash> Failing<K> {
    fn count(&mut self, object: &K) -> u32 {
        self.last_age += 1;
        let age = self.last_age;
        let failures = self
            .by_object
            .entry(object.clone())
            .or_insert(Failures { in_a_row: 0, age });
        self.by_age.remove(&failures.age);
        failures.age = age;
        failures.in_a_row = failures.in_a_row.saturating_add(1);
        self.by_age.insert(age, object.clone());
        failures.in_a_row
    }

    fn forget_oldest(&mut self) {
        if let Some((_, object)) = self.by_age.pop_first() {
            self.by_object.remove(&object);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(jitter: f64, failures: usize) -> Vec<u128> {
        let backoff = Backoff::default();
        (0..failures)
            .map(|_| backoff.failed(&"demo/app", jitter).as_millis())
            .collect()
    }

    #[test]
    fn doubles_from_the_shortest_to_the_longest() {
        let table: [(f64, [u128; 8]); 4] = [
            (
                0.0,
                [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 48_000, 48_000],
            ),
            (
                1.0,
                [1_250, 2_500, 5_000, 10_000, 20_000, 40_000, 60_000, 60_000],
            ),
            (
                7.0,
                [1_250, 2_500, 5_000, 10_000, 20_000, 40_000, 60_000, 60_000],
            ),
            (
                f64::NAN,
                [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 48_000, 48_000],
            ),
        ];
        for (jitter, expected) in table {
            assert_eq!(delays(jitter, 8), expected, "jitter {jitter}");
        }
    }

    #[test]
    fn stays_within_its_bounds_however_often_an_object_fails() {
        let last = *delays(0.5, 10_000).last().expect("a delay");
        assert_eq!(last, 54_000);
    }

    #[test]
    fn success_starts_afresh_for_that_object_only() {
        let backoff = Backoff::default();
        for object in ["a", "b", "a", "b"] {
            backoff.failed(&object, 0.0);
        }
        backoff.reset(&"a");
        assert_eq!(
            (backoff.failed(&"a", 0.0), backoff.failed(&"b", 0.0)),
            (Duration::from_secs(1), Duration::from_secs(4))
        );
    }

    #[test]
    fn forgets_the_object_that_failed_longest_ago_when_full() {
        let backoff = Backoff {
            capacity: 2,
            ..Backoff::default()
        };
        for object in ["a", "b", "a", "c"] {
            backoff.failed(&object, 0.0);
        }
        let second = Duration::from_secs;
        assert_eq!(
            (backoff.failed(&"a", 0.0), backoff.failed(&"b", 0.0)),
            (second(4), second(1))
        );
    }
}
