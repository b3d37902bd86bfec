//! What the screen shows: the last look at the server, and what the user has chosen.

use std::time::Duration;

use heatmap::Map;

use super::column::{self, Column};
use crate::observation::{Change, Observation, Table};

/// Between two looks at the server.
const INTERVALS: [u64; 8] = [1, 2, 5, 10, 30, 60, 300, 600];

/// Everything that is drawn.
#[derive(Debug)]
pub(super) struct State {
    /// None before the first look.
    pub(super) observation: Option<Observation>,
    pub(super) change: Change,
    pub(super) view: View,
    pub(super) sorting: Sorting,
    /// Only tables whose names contain this are listed.
    pub(super) filter: String,
    /// The OID of the chosen table.
    pub(super) selected: Option<u32>,
    /// Tables above the first one that fits on the screen.
    pub(super) offset: usize,
    pub(super) interval: Duration,
    pub(super) is_paused: bool,
    /// What went wrong last, until the next look that works.
    pub(super) trouble: Option<String>,
}

/// How the tables are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sorting {
    pub(super) column: Column,
    pub(super) is_reversed: bool,
}

/// What takes the screen.
#[derive(Debug)]
pub(super) enum View {
    Tables,
    /// The name of tables to be listed is being typed.
    Filter,
    /// The heat map of the table of this name; none before the server has told it.
    HeatMap {
        table: String,
        map: Option<Map>,
    },
    Help,
}

impl State {
    pub(super) fn new(interval: Duration, sorting: Sorting) -> Self {
        Self {
            observation: None,
            change: Change::default(),
            view: View::Tables,
            sorting,
            filter: String::new(),
            selected: None,
            offset: 0,
            interval,
            is_paused: false,
            trouble: None,
        }
    }

    /// Takes a new look over.
    pub(super) fn observe(&mut self, observation: Observation) {
        if let Some(before) = &self.observation {
            self.change = Change::between(before, &observation);
        }
        self.observation = Some(observation);
        self.trouble = None;
    }

    /// The tables that are listed, in their order.
    pub(super) fn tables(&self) -> Vec<&Table> {
        let filter = self.filter.to_lowercase();
        let all = self.observation.as_ref().map_or(&[][..], |observation| observation.tables.rows());
        let mut tables: Vec<_> =
            all.iter().filter(|table| column::name(table).to_lowercase().contains(&filter)).collect();
        tables.sort_by(|a, b| self.sorting.column.compare(a, b, &self.change));
        if self.sorting.is_reversed {
            tables.reverse();
        }
        tables
    }

    /// The place of the chosen table in the list; the first one if none is chosen, or it is not there any more.
    pub(super) fn place(&self) -> usize {
        self.place_among(&self.tables())
    }

    /// The same, where the list is at hand.
    pub(super) fn place_among(&self, tables: &[&Table]) -> usize {
        tables.iter().position(|table| Some(table.id) == self.selected).unwrap_or_default()
    }

    /// Chooses the table that is so many lines below, or above.
    pub(super) fn move_by(&mut self, lines: isize) {
        let tables = self.tables();
        let place = self.place_among(&tables).saturating_add_signed(lines);
        let chosen = tables.get(place.min(tables.len().saturating_sub(1))).map(|table| table.id);
        self.selected = chosen;
    }

    /// The name of the chosen table.
    pub(super) fn chosen(&self) -> Option<String> {
        let tables = self.tables();
        tables.get(self.place_among(&tables)).map(|table| table.name.clone())
    }

    /// Has the list scroll so that the chosen table is among the `lines` that fit.
    pub(super) fn scroll(&mut self, lines: usize) {
        let place = self.place();
        let last = place.saturating_sub(lines.saturating_sub(1));
        self.offset = self.offset.clamp(last, place.max(last));
    }

    /// Looks more or less often.
    pub(super) fn change_interval(&mut self, slower: bool) {
        let now = self.interval.as_secs();
        let next = if slower {
            INTERVALS.into_iter().find(|seconds| *seconds > now)
        } else {
            INTERVALS.into_iter().rfind(|seconds| *seconds < now)
        };
        if let Some(seconds) = next {
            self.interval = Duration::from_secs(seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::samples::observation;

    fn state() -> State {
        State::new(Duration::from_secs(2), Sorting { column: Column::DeadBytes, is_reversed: false })
    }

    fn names(state: &State) -> Vec<&str> {
        state.tables().into_iter().map(|table| table.name.as_str()).collect()
    }

    #[test]
    fn the_list_is_sorted_and_filtered() {
        let mut state = state();
        state.observe(observation(0, &[("public.a", 1), ("public.b", 3), ("sales.c", 2)]));
        assert_eq!(names(&state), ["public.b", "sales.c", "public.a"]);
        state.sorting.is_reversed = true;
        assert_eq!(names(&state), ["public.a", "sales.c", "public.b"]);
        state.filter = "PUBLIC".into();
        assert_eq!(names(&state), ["public.a", "public.b"]);
    }

    #[test]
    fn the_chosen_table_stays_chosen_where_its_place_changes() {
        let mut state = state();
        state.observe(observation(0, &[("a", 3), ("b", 2), ("c", 1)]));
        state.move_by(1);
        assert_eq!(state.chosen().unwrap(), "b");
        state.observe(observation(2, &[("a", 3), ("b", 9), ("c", 1)]));
        assert_eq!((state.place(), state.chosen().unwrap().as_str()), (0, "b"));
        state.move_by(100);
        assert_eq!(state.chosen().unwrap(), "c");
        state.move_by(-1);
        assert_eq!(state.chosen().unwrap(), "a");
    }

    #[test]
    fn rates_are_those_between_two_looks() {
        let mut state = state();
        state.observe(observation(0, &[("a", 10)]));
        state.observe(observation(2, &[("a", 30)]));
        assert_eq!(state.change.wal, Some(1_048_576.0));
        let rates: Vec<_> =
            state.change.resource_managers.iter().map(|rate| (rate.name.as_str(), rate.bytes)).collect();
        assert_eq!(rates, [("Heap", 100_000.0), ("Btree", 30_000.0)]);
        assert_eq!(state.change.dead_bytes[&1], 1000.0);
    }

    #[test]
    fn the_list_scrolls_no_further_than_it_must() {
        let mut state = state();
        let tables: Vec<_> = (0..10)
            .map(|number| (["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"][number], 10 - number as i64))
            .collect();
        state.observe(observation(0, &tables));
        state.move_by(5);
        state.scroll(4);
        assert_eq!(state.offset, 2);
        state.move_by(-2);
        state.scroll(4);
        assert_eq!(state.offset, 2);
        state.move_by(-3);
        state.scroll(4);
        assert_eq!(state.offset, 0);
    }

    #[test]
    fn intervals_have_ends() {
        let mut state = state();
        state.change_interval(false);
        state.change_interval(false);
        assert_eq!(state.interval.as_secs(), 1);
        for _ in 0..20 {
            state.change_interval(true);
        }
        assert_eq!(state.interval.as_secs(), 600);
    }
}
