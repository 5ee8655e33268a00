//! Without a router the share of pods is the share of traffic: how many pods each version should have,
//! and how far one pass may go towards it.
//!
//! Not here: with a router (`scale`).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::mutants::{Mutant, mutated};

/// Pods of both versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) canary: i32,
    pub(super) stable: i32,
}

/// A percentage or number of `replicas`; percentages are rounded up or down.
pub(super) fn amount(value: Option<&IntOrString>, replicas: i32, round_up: bool) -> i32 {
    match value {
        Some(IntOrString::Int(number)) => (*number).max(0),
        Some(IntOrString::String(text)) => percent_of(text, replicas, round_up),
        None => percent_of("25%", replicas, round_up),
    }
}

fn percent_of(text: &str, replicas: i32, round_up: bool) -> i32 {
    let percent: i64 = text.trim_end_matches('%').trim().parse().unwrap_or(0);
    let product = i64::from(replicas) * percent.max(0);
    let pods = if round_up {
        product.div_euclid(100) + i64::from(product % 100 != 0)
    } else {
        product / 100
    };
    i32::try_from(pods).unwrap_or(i32::MAX)
}

/// `(maxSurge, maxUnavailable)` in pods. If both round to 0, one pod may be unavailable.
pub(super) fn bounds(
    surge: Option<&IntOrString>,
    unavailable: Option<&IntOrString>,
    replicas: i32,
) -> (i32, i32) {
    let surge = amount(surge, replicas, true);
    let unavailable = amount(unavailable, replicas, false).min(replicas);
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable)
    }
}

/// The pair nearest to `weight / max`, with at most one pod above `replicas` and only if surge is allowed.
///
/// Ties go to more canary pods. Between 0 and `max` no side has 0 pods, unless there is one pod and no surge.
pub(super) fn pair(replicas: i32, weight: i32, max: i32, surge: i32) -> Pair {
    if weight <= 0 || replicas <= 0 {
        return Pair {
            canary: 0,
            stable: replicas.max(0),
        };
    }
    if weight >= max {
        return Pair {
            canary: replicas,
            stable: 0,
        };
    }
    let (n, w, m) = (
        i64::from(replicas),
        i64::from(weight),
        i64::from(max.max(1)),
    );
    let floor = n * w / m;
    let ceil = floor + i64::from(n * w % m != 0);
    let totals: &[i64] = if surge > 0 { &[n, n + 1] } else { &[n] };
    let lonely = n <= 1 && surge == 0;
    // The distance of c/t from w/m over the common denominator t·m; compared as |c·m − w·t| / t by cross-multiplying.
    let mut best: Option<(i64, i64)> = None;
    for &total in totals {
        for canary in [ceil, floor] {
            let stable = total - canary;
            if stable < 0 || (!lonely && n > 0 && (canary == 0 || stable == 0)) {
                continue;
            }
            let distance = |c: i64, t: i64| (c * m - w * t).abs();
            let better = best.is_none_or(|(c, t)| {
                let (mine, theirs) = (distance(canary, total) * t, distance(c, t) * total);
                mine < theirs || (mine == theirs && canary > c)
            });
            if total > 0 && better {
                best = Some((canary, total));
            }
        }
    }
    let (canary, total) = best.unwrap_or((0, n));
    let int = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
    Pair {
        canary: int(canary),
        stable: int(total - canary),
    }
}

/// A version's pods now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pods {
    /// `spec.replicas`.
    pub(super) desired: i32,
    /// Available ones.
    pub(super) available: i32,
}

impl Pods {
    /// Takes away up to `most` pods; the ReplicaSet removes those first that are not available.
    fn shrink(&mut self, most: i32, budget: &mut i32) {
        let idle = (self.desired - self.available).max(0);
        let take = most.min(self.desired).min(idle + (*budget).max(0)).max(0);
        let serving = (take - idle).max(0);
        self.desired -= take;
        self.available -= serving;
        *budget -= serving;
    }
}

/// How far one pass may go from the pods now towards `target`. Returns the new sizes of canary, stable and the leftovers.
pub(super) fn step_towards(
    target: Pair,
    replicas: i32,
    (surge, unavailable): (i32, i32),
    mut canary: Pods,
    mut stable: Pods,
    mut leftovers: Vec<Pods>,
) -> (i32, i32, Vec<i32>) {
    let total: i32 =
        canary.desired + stable.desired + leftovers.iter().map(|pods| pods.desired).sum::<i32>();
    let mut room = (replicas + surge - total).max(0);
    for (pods, want) in [(&mut stable, target.stable), (&mut canary, target.canary)] {
        let grow = (want - pods.desired).clamp(0, room);
        pods.desired += grow;
        room -= grow;
    }
    let available = canary.available
        + stable.available
        + leftovers.iter().map(|pods| pods.available).sum::<i32>();
    let mut budget = available - (replicas - unavailable).max(0);
    if mutated(Mutant::A13NoBudget) {
        budget = available;
    }
    for pods in &mut leftovers {
        pods.shrink(pods.desired, &mut budget);
    }
    // What was given room just now is not idle: it is meant to stay.
    if stable.desired > target.stable {
        stable.shrink(stable.desired - target.stable, &mut budget);
    }
    if canary.desired > target.canary {
        canary.shrink(canary.desired - target.canary, &mut budget);
    }
    (
        canary.desired,
        stable.desired,
        leftovers.into_iter().map(|pods| pods.desired).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_pair_is_taken() {
        for (replicas, surge, weight, canary, stable) in [
            (1, 0, 10, 0, 1),
            (1, 0, 50, 1, 0),
            (3, 1, 33, 1, 2),
            (3, 0, 50, 2, 1),
            (10, 1, 20, 2, 8),
            (5, 1, 0, 0, 5),
            (5, 1, 100, 5, 0),
            (1, 1, 50, 1, 1),
            (0, 1, 50, 0, 0),
            (4, 0, 1, 1, 3),
            (4, 0, 99, 3, 1),
        ] {
            let expected = Pair { canary, stable };
            assert_eq!(
                pair(replicas, weight, 100, surge),
                expected,
                "{replicas} replicas, surge {surge}, {weight} %"
            );
        }
    }

    #[test]
    fn percentages_round_surge_up_and_unavailable_down() {
        let percent = |text: &str| IntOrString::String(text.to_owned());
        for (surge, unavailable, replicas, expected) in [
            (None, None, 5, (2, 1)),
            (None, None, 1, (1, 0)),
            (Some(percent("0%")), Some(percent("25%")), 3, (0, 1)),
            (
                Some(IntOrString::Int(3)),
                Some(IntOrString::Int(0)),
                2,
                (3, 0),
            ),
            (Some(percent("10")), Some(percent("10")), 10, (1, 1)),
        ] {
            assert_eq!(
                bounds(surge.as_ref(), unavailable.as_ref(), replicas),
                expected,
                "{surge:?} {unavailable:?} of {replicas}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_pass_never_leaves_the_bounds(
            replicas in 0..20_i32, weight in 0..=100_i32, surge in 0..5_i32, unavailable in 0..5_i32,
            sizes in prop::collection::vec((0..20_i32, 0..20_i32), 3..5),
        ) {
            let pods: Vec<Pods> = sizes.iter().map(|&(desired, available)| Pods { desired, available: available.min(desired) }).collect();
            let total_before: i32 = pods.iter().map(|pods| pods.desired).sum();
            let available_before: i32 = pods.iter().map(|pods| pods.available).sum();
            let (surge, unavailable) = if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) };
            let target = pair(replicas, weight, 100, surge);
            let (canary, stable, rest) = step_towards(target, replicas, (surge, unavailable), pods[0], pods[1], pods[2..].to_vec());
            let total: i32 = canary + stable + rest.iter().sum::<i32>();
            prop_assert!(total <= total_before.max(replicas + surge));
            let left: i32 = [canary, stable].into_iter().chain(rest).zip(&pods).map(|(after, before)| before.available.min(after)).sum();
            prop_assert!(left >= available_before.min((replicas - unavailable).max(0)), "{left} of {available_before}");
        }
    }
}
