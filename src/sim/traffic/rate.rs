//! How many requests come in over time.

use std::{f64::consts::TAU, time::Duration};

/// Requests per second over time, since the beginning of the world.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rate {
    /// Nobody comes.
    #[default]
    None,
    /// Always as many, per second.
    Constant(f64),
    /// As over a day: least at the beginning, most after half of the period.
    Wave {
        /// The mean, per second.
        mean: f64,
        /// How far it goes up and down, as a share of the mean: 0 to 1.
        swing: f64,
        /// How long a day is.
        period: Duration,
    },
    /// Few, and for a while many, again and again.
    Bursts {
        /// Between bursts, per second.
        quiet: f64,
        /// In a burst, per second.
        burst: f64,
        /// From the beginning of one burst to the next.
        every: Duration,
        /// How long a burst is; at most `every`.
        lasting: Duration,
    },
}

impl Rate {
    /// Requests per second at this time.
    pub fn at(&self, time: Duration) -> f64 {
        match *self {
            Self::None => 0.0,
            Self::Constant(rate) => rate,
            Self::Wave {
                mean,
                swing,
                period,
            } => mean * (1.0 - swing * (TAU * turns(time, period)).cos()),
            Self::Bursts {
                quiet,
                burst,
                every,
                lasting,
            } => {
                if turns(time, every).fract() < turns(lasting, every) {
                    burst
                } else {
                    quiet
                }
            }
        }
    }

    /// Requests that come in between the two times.
    pub fn between(&self, from: Duration, to: Duration) -> f64 {
        self.until(to) - self.until(from)
    }

    /// Requests that have come in until this time.
    fn until(&self, time: Duration) -> f64 {
        let seconds = time.as_secs_f64();
        match *self {
            Self::None => 0.0,
            Self::Constant(rate) => rate * seconds,
            Self::Wave {
                mean,
                swing,
                period,
            } => {
                let turn = TAU / period.as_secs_f64().max(1e-3);
                mean * (seconds - swing * (turn * seconds).sin() / turn)
            }
            Self::Bursts {
                quiet,
                burst,
                every,
                lasting,
            } => {
                let (turns, part) = {
                    let turns = turns(time, every);
                    (turns.floor(), turns.fract() * every.as_secs_f64())
                };
                let lasting = lasting.min(every).as_secs_f64();
                let bursting = turns * lasting + part.min(lasting);
                quiet * (seconds - bursting) + burst * bursting
            }
        }
    }
}

fn turns(time: Duration, period: Duration) -> f64 {
    time.as_secs_f64() / period.as_secs_f64().max(1e-3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_is_the_sum_of_the_rate() {
        let seconds = Duration::from_secs;
        let wave = Rate::Wave {
            mean: 10.0,
            swing: 0.5,
            period: seconds(100),
        };
        let bursts = Rate::Bursts {
            quiet: 1.0,
            burst: 11.0,
            every: seconds(60),
            lasting: seconds(6),
        };
        for (rate, from, to, expected) in [
            (Rate::None, 0, 100, 0.0),
            (Rate::Constant(2.5), 4, 8, 10.0),
            (wave, 0, 100, 1000.0),
            (wave, 25, 75, 500.0 + 500.0 / std::f64::consts::PI),
            (bursts, 0, 60, 120.0),
            (bursts, 3, 63, 120.0),
            (bursts, 10, 50, 40.0),
        ] {
            let came = rate.between(seconds(from), seconds(to));
            assert!((came - expected).abs() < 1e-6, "{rate:?}: {came}");
            let step = Duration::from_millis(10);
            let (mut sum, mut at) = (0.0, seconds(from));
            while at < seconds(to) {
                sum += rate.at(at) * 0.01;
                at += step;
            }
            assert!((came - sum).abs() < 1.0, "{rate:?}: {came} is not {sum}");
        }
    }
}
