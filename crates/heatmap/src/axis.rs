//! Ticks at 1, 2, 5 and their tenfolds.

/// Ticks from 0 up to the first one that is not below the largest value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ticks {
    pub(crate) values: Vec<u64>,
}

impl Ticks {
    /// About `wanted` steps, never more; one step from 0 to 1 when there is nothing to show.
    pub(crate) fn covering(largest: u64, wanted: u32) -> Ticks {
        let largest = largest.max(1);
        let step = stride(largest.div_ceil(u64::from(wanted.max(1))));
        let steps = largest.div_ceil(step);
        Ticks { values: (0..=steps).map(|i| i.saturating_mul(step)).collect() }
    }

    /// The end of the axis.
    pub(crate) fn end(&self) -> u64 {
        self.values.last().copied().unwrap_or(1)
    }

    /// Where a value lies between 0 and the end of the axis, from 0 to 1.
    pub(crate) fn fraction(&self, value: u64) -> f64 {
        (value as f64 / self.end() as f64).min(1.0)
    }
}

/// The smallest of 1, 2, 5, 10, 20, 50... that is not below `least`.
pub(crate) fn stride(least: u64) -> u64 {
    let mut power: u64 = 1;
    loop {
        for factor in [1, 2, 5] {
            match power.checked_mul(factor) {
                Some(step) if step >= least => return step,
                Some(_) => {}
                None => return u64::MAX,
            }
        }
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => return u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_one_two_five() {
        let strides: Vec<u64> = [0, 1, 2, 3, 6, 11, 21, 51, 4_999, 5_001].into_iter().map(stride).collect();
        assert_eq!(strides, [1, 1, 2, 5, 10, 20, 50, 100, 5_000, 10_000]);
        assert_eq!(stride(u64::MAX), u64::MAX);
    }

    #[test]
    fn ticks_cover_the_largest_value_with_whole_steps() {
        for largest in [0, 1, 2, 3, 7, 10, 99, 100, 101, 717, 12_345, 9_999_999, u64::MAX / 3, u64::MAX] {
            for wanted in 1..10 {
                let ticks = Ticks::covering(largest, wanted);
                assert!(ticks.end() >= largest, "{largest} {wanted}");
                assert!(ticks.values.len() >= 2 && ticks.values.len() <= wanted as usize + 1, "{largest} {wanted}");
                assert!(ticks.values.is_sorted_by(|a, b| a < b), "{largest} {wanted}");
            }
        }
        assert_eq!(Ticks::covering(717, 5).values, [0, 200, 400, 600, 800]);
        assert_eq!(Ticks::covering(0, 5).values, [0, 1]);
    }
}
