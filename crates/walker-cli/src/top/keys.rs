//! What the keys do, as in top and htop.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The line below the tables.
pub(super) const SHORT: &str = "q quit  h help  Enter heat map  < > sort  / filter";

/// The line below a heat map.
pub(super) const BELOW_HEAT_MAP: &str = "Esc back  q quit  h help";

/// All of them.
pub(super) const HELP: &str = "\
  q, F10, Ctrl-C     quit
  h, ?, F1           this help
  Up, Down, k, j     choose a table; PgUp, PgDn, Home, End
  Enter, m           heat map of the chosen table; Esc goes back
  <, >, F6           sort by the column to the left or right
  n s d r t g v      sort by name, size, dead, share, tuples, growth, vacuum
  R, I               reverse the order
  /, F3, F4          list only tables whose names contain a text; Esc ends it
  +, -               look less or more often
  Space              look now
  p, Z               pause, and go on

  DEAD, DEAD%        bytes of dead tuples, and their share of all tuples
  TUPLES, REMOV%     dead tuples, and how many of them a vacuum could remove now
  DIE/MIN            tuples that died in a minute, over the last minutes
  GROW/MIN           dead bytes that came since the last look
  VACUUM             time since the last vacuum

Any key goes back.";

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    Help,
    Back,
    /// So many lines, or pages.
    Lines(isize),
    Pages(isize),
    First,
    Last,
    HeatMap,
    NextColumn(bool),
    SortBy(super::column::Column),
    Reverse,
    Filter,
    Slower(bool),
    Now,
    Pause,
}

/// The wish of a key, where no text is typed.
pub(super) fn wish(key: KeyEvent) -> Option<Wish> {
    use super::column::Column;
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Wish::Quit,
        KeyCode::Char('q') | KeyCode::F(10) => Wish::Quit,
        KeyCode::Char('h' | '?') | KeyCode::F(1) => Wish::Help,
        KeyCode::Esc | KeyCode::Backspace => Wish::Back,
        KeyCode::Up | KeyCode::Char('k') => Wish::Lines(-1),
        KeyCode::Down | KeyCode::Char('j') => Wish::Lines(1),
        KeyCode::PageUp => Wish::Pages(-1),
        KeyCode::PageDown => Wish::Pages(1),
        KeyCode::Home => Wish::First,
        KeyCode::End => Wish::Last,
        KeyCode::Enter | KeyCode::Char('m') => Wish::HeatMap,
        KeyCode::Char('<' | ',') => Wish::NextColumn(false),
        KeyCode::Char('>' | '.') | KeyCode::F(6) => Wish::NextColumn(true),
        KeyCode::Char('n') => Wish::SortBy(Column::Name),
        KeyCode::Char('s') => Wish::SortBy(Column::Size),
        KeyCode::Char('d') => Wish::SortBy(Column::DeadBytes),
        KeyCode::Char('r') => Wish::SortBy(Column::DeadRatio),
        KeyCode::Char('t') => Wish::SortBy(Column::DeadTuples),
        KeyCode::Char('v') => Wish::SortBy(Column::Vacuum),
        KeyCode::Char('g') => Wish::SortBy(Column::Growth),
        KeyCode::Char('R' | 'I') => Wish::Reverse,
        KeyCode::Char('/' | '\\') | KeyCode::F(3 | 4) => Wish::Filter,
        KeyCode::Char('+') => Wish::Slower(true),
        KeyCode::Char('-') => Wish::Slower(false),
        KeyCode::Char(' ') => Wish::Now,
        KeyCode::Char('p' | 'Z') => Wish::Pause,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_fits_on_the_smallest_usual_screen() {
        assert!(HELP.lines().count() <= 24 && HELP.lines().all(|line| line.len() <= 80));
    }
}
