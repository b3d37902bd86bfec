//! The cells of the heat map: what each place of the grid stands for.

use crate::Map;
use crate::grid::Grid;

/// How much is known of the blocks of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knowledge {
    Nothing,
    Part,
    All,
}

/// One cell; the counts are those of its worst range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) first_range: usize,
    pub(crate) blocks: u64,
    pub(crate) tuples: u64,
    pub(crate) dead_tuples: u64,
    pub(crate) knowledge: Knowledge,
}

pub(crate) fn cells(map: &Map, grid: &Grid) -> Vec<Cell> {
    let of_chunk = |(index, ranges): (usize, &[crate::Range])| {
        let worst = ranges.iter().max_by_key(|range| range.dead_tuples).copied().unwrap_or_default();
        let knowledge = if ranges.iter().all(crate::Range::is_unknown) {
            Knowledge::Nothing
        } else if ranges.iter().all(crate::Range::is_fully_known) {
            Knowledge::All
        } else {
            Knowledge::Part
        };
        Cell {
            first_range: index * grid.ranges_per_cell,
            blocks: ranges.iter().map(|range| u64::from(range.blocks)).sum(),
            tuples: worst.tuples,
            dead_tuples: worst.dead_tuples,
            knowledge,
        }
    };
    map.ranges.chunks(grid.ranges_per_cell).enumerate().map(of_chunk).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(ranges_per_cell: usize) -> Grid {
        Grid { columns: 4, rows: 9, cell_width: 1, cell_height: 1, ranges_per_cell }
    }

    #[test]
    fn the_blocks_of_all_cells_are_the_blocks_of_the_table() {
        let map = crate::samples::map(100);
        for ranges_per_cell in [1, 3, 7, 100, 101] {
            let cells = cells(&map, &grid(ranges_per_cell));
            assert_eq!(cells.iter().map(|cell| cell.blocks).sum::<u64>(), map.total_blocks());
            assert_eq!(cells.len(), 100_usize.div_ceil(ranges_per_cell));
        }
    }

    #[test]
    fn a_cell_shows_its_worst_range_and_is_unknown_only_as_a_whole() {
        let map = crate::samples::map(100);
        let worst = map.ranges[..29].iter().map(|range| range.dead_tuples).max().unwrap();
        let of_29 = cells(&map, &grid(29));
        assert_eq!((of_29[0].dead_tuples, of_29[0].knowledge), (worst, Knowledge::Part));
        let of_1 = cells(&map, &grid(1));
        assert_eq!([12, 13, 14].map(|i| of_1[i].knowledge), [Knowledge::All, Knowledge::Nothing, Knowledge::Part]);
    }
}
