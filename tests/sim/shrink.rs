//! The shortest list that still does what the whole list does, by trying: delta debugging.

/// Takes away as much of `items` as `still` allows, in at most `budget` trials. Order is kept.
pub(super) fn shrink<T: Clone>(
    items: &[T],
    budget: &mut usize,
    mut still: impl FnMut(&[T]) -> bool,
) -> Vec<T> {
    let mut left = items.to_vec();
    let mut size = left.len();
    while size > 0 && !left.is_empty() {
        let mut at = 0;
        let mut less = false;
        while at < left.len() {
            if *budget == 0 {
                return left;
            }
            *budget -= 1;
            let mut fewer = left.clone();
            fewer.drain(at..(at + size).min(left.len()));
            if still(&fewer) {
                left = fewer;
                less = true;
            } else {
                at += size;
            }
        }
        if size == 1 && !less {
            break;
        }
        size = (size / 2).max(1);
    }
    left
}

/// The least number in `least..=most` with which `still` holds, if it holds from some number on. At most `budget` trials.
pub(super) fn least(
    least: u64,
    most: u64,
    budget: &mut usize,
    mut still: impl FnMut(u64) -> bool,
) -> u64 {
    let (mut low, mut high) = (least, most);
    while low < high && *budget > 0 {
        *budget -= 1;
        let middle = low + (high - low) / 2;
        if still(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_left_in_its_order() {
        let all: Vec<u32> = (0..40).collect();
        let mut budget = 500;
        let left = shrink(&all, &mut budget, |some| {
            [3, 17, 38].iter().all(|needed| some.contains(needed))
        });
        assert_eq!(left, [3, 17, 38]);
    }

    #[test]
    fn nothing_is_left_of_what_needs_nothing() {
        let left = shrink(&[1, 2, 3], &mut 50, |_| true);
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn the_budget_is_kept_and_what_is_left_still_does_it() {
        let all: Vec<u32> = (0..100).collect();
        let (mut budget, mut trials) = (7, 0);
        let left = shrink(&all, &mut budget, |some| {
            trials += 1;
            some.contains(&99)
        });
        assert_eq!((trials, left.contains(&99)), (7, true));
    }

    #[test]
    fn the_least_number_is_found() {
        assert_eq!(least(0, 1_000, &mut 20, |number| number >= 619), 619);
    }
}
