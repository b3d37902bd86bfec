//! The grid of the heat map: how many columns, how many ranges in a cell, how large a cell is.

/// The room a grid may take, in units of its medium: pixels, or characters and (half) lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Width and height below which a cell cannot be seen.
    pub(crate) smallest: (u32, u32),
    /// Width and height above which a cell only wastes room.
    pub(crate) largest: (u32, u32),
    /// Width of a cell divided by its height, in units, at which it looks square.
    pub(crate) square: f64,
    /// Whether cells higher than one unit must have an even height, since two units make a line of text.
    pub(crate) even_height: bool,
}

/// Cells row by row; the last row may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) cell_width: u32,
    pub(crate) cell_height: u32,
    pub(crate) ranges_per_cell: usize,
}

impl Grid {
    /// The grid that fills the width best with nearly square cells and a nearly full last row.
    pub(crate) fn choose(ranges: usize, area: Area) -> Option<Grid> {
        let most_columns = (area.width / area.smallest.0).max(1);
        let most_rows = (area.height / area.smallest.1).max(1);
        let ranges_per_cell = ranges.div_ceil(most_columns as usize * most_rows as usize).max(1);
        let cells = u32::try_from(ranges.div_ceil(ranges_per_cell)).unwrap_or(u32::MAX);
        (1..=most_columns.min(cells))
            .filter(|columns| cells.div_ceil(*columns) <= most_rows)
            .map(|columns| Grid::with_columns(columns, cells, ranges_per_cell, area))
            .map(|grid| (grid, grid.beauty(cells, area)))
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .map(|(grid, _)| grid)
    }

    fn with_columns(columns: u32, cells: u32, ranges_per_cell: usize, area: Area) -> Grid {
        let rows = cells.div_ceil(columns);
        let cell_width = (area.width / columns).clamp(1, area.largest.0);
        let mut cell_height = (area.height / rows).clamp(1, area.largest.1);
        if area.even_height && cell_height > 1 {
            cell_height -= cell_height % 2;
        }
        Grid { columns, rows, cell_width, cell_height, ranges_per_cell }
    }

    fn beauty(&self, cells: u32, area: Area) -> f64 {
        let width_used = f64::from(self.columns * self.cell_width) / f64::from(area.width.max(1));
        let height_used = f64::from(self.rows * self.cell_height) / f64::from(area.height.max(1));
        let stretched = (f64::from(self.cell_width) / f64::from(self.cell_height) / area.square).ln().abs();
        let missing = f64::from(self.columns * self.rows - cells) / f64::from(self.columns * self.rows);
        // Rows that start at round block numbers are easier to count along.
        let round = self.columns <= 12 || self.columns.is_multiple_of(10) || self.columns.is_power_of_two();
        width_used + 0.2 * height_used - 0.25 * stretched - 0.5 * missing + if round { 0.06 } else { 0.0 }
    }

    /// Column and row of a cell.
    pub(crate) fn place(&self, cell: usize) -> (u32, u32) {
        let columns = self.columns as usize;
        ((cell % columns) as u32, (cell / columns) as u32)
    }

    pub(crate) fn ranges_per_row(&self) -> usize {
        self.ranges_per_cell * self.columns as usize
    }

    pub(crate) fn width(&self) -> u32 {
        self.columns * self.cell_width
    }

    pub(crate) fn height(&self) -> u32 {
        self.rows * self.cell_height
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PIXELS: Area =
        Area { width: 1000, height: 320, smallest: (4, 4), largest: (150, 64), square: 1.0, even_height: false };

    #[test]
    fn no_range_has_no_grid() {
        assert_eq!(Grid::choose(0, PIXELS), None);
    }

    #[test]
    fn every_range_lands_in_exactly_one_cell_inside_the_area() {
        let lines = Area { width: 61, height: 26, smallest: (1, 1), largest: (12, 4), square: 1.0, even_height: true };
        let narrow = Area { width: 3, height: 1, smallest: (1, 1), largest: (9, 2), square: 2.0, even_height: false };
        for area in [PIXELS, lines, narrow] {
            for ranges in [1, 2, 3, 7, 8, 11, 299, 300, 1_013, 5_000, 20_001, 400_000, 33_554_432] {
                let grid = Grid::choose(ranges, area).unwrap();
                assert!(grid.width() <= area.width && grid.height() <= area.height, "{ranges} {grid:?}");
                let cells = ranges.div_ceil(grid.ranges_per_cell);
                assert!(cells * grid.ranges_per_cell >= ranges);
                let places: BTreeSet<_> = (0..cells).map(|cell| grid.place(cell)).collect();
                assert_eq!(places.len(), cells, "two cells at one place");
                assert!(places.iter().all(|(column, row)| *column < grid.columns && *row < grid.rows));
                assert!(places.iter().any(|(_, row)| row + 1 == grid.rows), "a row without cells: {ranges} {grid:?}");
            }
        }
    }

    #[test]
    fn a_small_table_is_one_row_and_a_large_one_nearly_square_cells() {
        assert_eq!(Grid::choose(7, PIXELS).unwrap().rows, 1);
        for ranges in [300, 777, 5_000, 12_345] {
            let grid = Grid::choose(ranges, PIXELS).unwrap();
            let aspect = f64::from(grid.cell_width) / f64::from(grid.cell_height);
            assert!((0.6..=1.7).contains(&aspect), "{ranges}: {grid:?}");
            assert!(grid.width() > 850, "{ranges}: {grid:?}");
            assert_eq!(grid.ranges_per_cell, 1);
        }
        assert!(Grid::choose(400_000, PIXELS).unwrap().ranges_per_cell > 1);
    }
}
