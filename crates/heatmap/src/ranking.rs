//! The ranges from the one with the most dead tuples down, and how much the first ones hold together.

use crate::Map;

/// The known ranges, the worst first; unknown ones have no number and are left out.
#[derive(Clone, Debug)]
pub(crate) struct Ranking {
    /// Index of each range in the map, by dead tuples descending, among equals by block.
    pub(crate) order: Vec<usize>,
    /// Dead tuples of these ranges.
    pub(crate) dead: Vec<u64>,
    /// Dead tuples of the first `i` of them, from none to all.
    sums: Vec<u128>,
    pub(crate) unknown: usize,
}

impl Ranking {
    pub(crate) fn of(map: &Map) -> Ranking {
        let mut order: Vec<usize> = (0..map.ranges.len()).filter(|i| !map.ranges[*i].is_unknown()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(map.ranges[*i].dead_tuples));
        let dead: Vec<u64> = order.iter().map(|i| map.ranges[*i].dead_tuples).collect();
        let mut sums = vec![0];
        let mut sum = 0;
        for number in &dead {
            sum += u128::from(*number);
            sums.push(sum);
        }
        Ranking { unknown: map.ranges.len() - order.len(), order, dead, sums }
    }

    pub(crate) fn len(&self) -> usize {
        self.dead.len()
    }

    pub(crate) fn has_dead(&self) -> bool {
        self.total() > 0
    }

    fn total(&self) -> u128 {
        self.sums.last().copied().unwrap_or(0)
    }

    /// Share of all dead tuples in the first `count` ranges, between whole ranges on a straight line.
    pub(crate) fn share_of_first(&self, count: f64) -> f64 {
        if !self.has_dead() {
            return 0.0;
        }
        let whole = (count.max(0.0) as usize).min(self.len());
        let share = |i: usize| self.sums[i.min(self.len())] as f64 / self.total() as f64;
        let part = (count - whole as f64).clamp(0.0, 1.0);
        share(whole) + part * (share(whole + 1) - share(whole))
    }

    /// How many of the worst ranges it takes to hold `per_cent` of all dead tuples.
    pub(crate) fn ranges_for(&self, per_cent: u128) -> usize {
        let enough = |sum: &u128| sum * 100 < self.total() * per_cent;
        self.sums.partition_point(enough).min(self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Range;

    #[test]
    fn the_curve_rises_from_0_to_100_per_cent() {
        for count in [1, 7, 300] {
            let mut map = crate::samples::map(count);
            map.ranges[0].dead_tuples = 5;
            let ranking = Ranking::of(&map);
            let shares: Vec<f64> = (0..=2 * ranking.len()).map(|i| ranking.share_of_first(i as f64 / 2.0)).collect();
            assert!(shares.is_sorted());
            assert_eq!((shares[0], shares[shares.len() - 1]), (0.0, 1.0));
            assert_eq!(ranking.share_of_first(1e9), 1.0);
        }
    }

    #[test]
    fn eighty_per_cent_is_reached_by_the_fewest_ranges() {
        let ranges =
            [10, 0, 60, 20, 10].map(|dead_tuples| Range { blocks: 1, known_blocks: 1, tuples: 99, dead_tuples });
        let ranking = Ranking::of(&Map { ranges: ranges.to_vec(), ..Map::default() });
        assert_eq!(ranking.order, [2, 3, 0, 4, 1]);
        assert_eq!([0, 50, 80, 81, 100].map(|share| ranking.ranges_for(share)), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn huge_numbers_do_not_overflow() {
        let range = Range { blocks: 1, known_blocks: 1, tuples: u64::MAX, dead_tuples: u64::MAX };
        let ranking = Ranking::of(&Map { ranges: vec![range; 10], ..Map::default() });
        assert_eq!(ranking.ranges_for(80), 8);
        assert_eq!(ranking.share_of_first(10.0), 1.0);
    }

    #[test]
    fn unknown_ranges_are_counted_apart() {
        let ranking = Ranking::of(&crate::samples::map(29));
        assert_eq!((ranking.len(), ranking.unknown), (28, 1));
    }
}
