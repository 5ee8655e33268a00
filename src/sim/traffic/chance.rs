//! How many of so many requests meet a fate that each meets with the same probability.

/// Above so many, a normal distribution is close enough.
const EXACT: u64 = 48;

/// A draw from the binomial distribution of `count` trials with this probability.
pub(super) fn binomial(random: &mut fastrand::Rng, count: u64, probability: f64) -> u64 {
    if probability <= 0.0 || count == 0 {
        return 0;
    }
    if probability >= 1.0 {
        return count;
    }
    if count <= EXACT {
        let hits = (0..count).filter(|_| random.f64() < probability).count();
        return u64::try_from(hits).unwrap_or(count);
    }
    let trials = whole(count);
    let (mean, spread) = (
        trials * probability,
        (trials * probability * (1.0 - probability)).sqrt(),
    );
    // The sum of twelve uniform draws has a variance of one.
    let normal: f64 = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
    number((mean + spread * normal).round().clamp(0.0, trials))
}

/// A count as a float. Counts of requests are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(in crate::sim) fn whole(count: u64) -> f64 {
    count as f64
}

/// A float that is no less than 0 as a count, rounded down.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate, and it is not negative"
)]
pub(in crate::sim) fn number(value: f64) -> u64 {
    value.max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_around_their_mean_and_within_their_range() {
        let mut random = fastrand::Rng::with_seed(1);
        for (count, probability) in [(10, 0.3), (40, 0.05), (1_000, 0.2), (100, 0.001), (7, 1.0)] {
            let draws: Vec<u64> = (0..2_000)
                .map(|_| binomial(&mut random, count, probability))
                .collect();
            assert!(draws.iter().all(|draw| *draw <= count));
            let mean = whole(draws.iter().sum()) / 2_000.0;
            let expected = whole(count) * probability;
            assert!(
                (mean - expected).abs() < 0.1 + expected * 0.05,
                "{count} times {probability}: {mean}"
            );
        }
    }
}
