//! The picture of the state: the same for the screen and for plain output.

use heatmap::number::{binary, percent, short, size};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Clear, Paragraph, Row, Table, Widget as _};

use super::column::Column;
use super::keys;
use super::state::{State, View};
use crate::observation::{Change, Holder, Horizon, Observation, Plugin};

/// Resource managers that are named; there is a line for the rest.
const MOST_RESOURCE_MANAGERS: usize = 5;
/// Plugins that are shown.
const MOST_PLUGINS: usize = 4;
/// A name gets so much room before a column is left out.
const LEAST_NAME: u16 = 18;
/// So much of a bar is all of the WAL.
const BAR: usize = 20;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// How the terminal shows things.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) unicode: bool,
    pub(super) colour: heatmap::Colour,
    /// Whether a table can be chosen, and keys are told.
    pub(super) is_interactive: bool,
}

/// Draws everything.
pub(super) fn draw(state: &mut State, look: Look, area: Rect, buffer: &mut Buffer) {
    let Some(observation) = &state.observation else {
        let text = state.trouble.as_deref().unwrap_or("asking the server ...");
        return Paragraph::new(text).render(area, buffer);
    };
    let above = match &state.view {
        View::HeatMap { .. } => vec![title_line(observation, &state.change)],
        View::Tables | View::Filter | View::Help => above_tables(observation, &state.change, look),
    };
    let height = u16::try_from(above.len()).unwrap_or(u16::MAX);
    let below = u16::from(look.is_interactive);
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(height), Constraint::Min(0), Constraint::Length(below)]).areas(area);
    Paragraph::new(Text::from(above)).render(top, buffer);
    match &state.view {
        View::HeatMap { map: Some(map), .. } => heat_map(map, look, middle, buffer),
        View::HeatMap { table, map: None } => {
            Paragraph::new(format!("asking the server for {table} ...")).render(middle, buffer);
        }
        View::Tables | View::Filter | View::Help => match observation.tables.missing() {
            Some(missing) => Paragraph::new(faint(format!("tables: {missing}"))).render(middle, buffer),
            None => tables(state, look, middle, buffer),
        },
    }
    status_line(state).render(bottom, buffer);
    if matches!(state.view, View::Help) {
        help(area, buffer);
    }
}

/// The picture as lines of text, without the spaces at their ends.
pub(super) fn lines(state: &mut State, look: Look, width: u16, height: u16) -> Vec<String> {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw(state, look, area, &mut buffer);
    let line = |y: u16| (0..width).filter_map(|x| Some(buffer.cell((x, y))?.symbol())).collect::<String>();
    (0..height).map(|y| line(y).trim_end().to_owned()).collect()
}

/// How many lines it takes to show all of it with so many tables.
pub(super) fn height(observation: &Observation, change: &Change, look: Look, tables: usize) -> u16 {
    let lines = above_tables(observation, change, look).len() + 1 + tables.max(1);
    u16::try_from(lines).unwrap_or(u16::MAX)
}

fn title_line(observation: &Observation, change: &Change) -> Line<'static> {
    let server = &observation.server;
    let wal =
        change.wal.map(|wal| format!("  {} {}/s", if server.in_recovery { "replay" } else { "WAL" }, binary(wal)));
    let standby = if server.in_recovery { "  standby" } else { "" };
    let version = server.version.split(' ').next().unwrap_or_default();
    let time = server.time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string();
    Line::from(vec![
        Span::styled("walker top", BOLD),
        Span::raw(format!("  {}", server.database)),
        Span::raw(format!("  PostgreSQL {version}{standby}  {}{}  {time}", server.lsn, wal.unwrap_or_default())),
    ])
}

/// Server, plugins, resource managers, and who holds back removal.
fn above_tables(observation: &Observation, change: &Change, look: Look) -> Vec<Line<'static>> {
    let mut lines = vec![title_line(observation, change)];
    match observation.plugins.missing() {
        Some(missing) => lines.push(faint(format!("plugins: {missing}"))),
        None => plugins(observation.plugins.rows(), &mut lines),
    }
    if change.seconds > 0.0 && observation.plugins.missing().is_none() {
        lines.extend(resource_managers(change, look));
    }
    match observation.holders.missing() {
        Some(_) => {}
        None => lines.push(held_back(observation.holders.rows())),
    }
    lines
}

fn faint(text: String) -> Line<'static> {
    Line::styled(text, FAINT)
}

fn plugins(plugins: &[Plugin], lines: &mut Vec<Line<'static>>) {
    if plugins.is_empty() {
        lines.push(faint("plugins: none are named in walker.plugins".to_owned()));
        return;
    }
    let heading = format!(
        "{:16} {:12} {:>8} {:>10} {:>9} {:>8}  {}",
        "PLUGIN", "STATE", "LAG", "BEHIND", "RECORDS/S", "FAILURES", "WAL KEPT"
    );
    lines.push(Line::styled(heading, BOLD));
    for plugin in plugins.iter().take(MOST_PLUGINS) {
        let lag = plugin.lag_seconds.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
        let behind = plugin.lag_bytes.map(|bytes| size(bytes.unsigned_abs())).unwrap_or_default();
        let rate = plugin.records_per_second.map(|rate| short(rate.round() as u64)).unwrap_or_default();
        let kept = match plugin.wal_kept {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let text = format!(
            "{:16} {:12} {lag:>8} {behind:>10} {rate:>9} {:>8}  {kept}",
            shortened(&plugin.name, 16),
            plugin.state,
            plugin.failures
        );
        let is_well = ["running", "catching up", "starting"].contains(&plugin.state.as_str());
        lines.push(if is_well { Line::raw(text) } else { Line::styled(text, BOLD) });
        if let Some(error) = plugin.last_error.as_ref().filter(|_| !is_well) {
            lines.push(faint(format!("  {}", error.lines().next().unwrap_or_default())));
        }
    }
    if plugins.len() > MOST_PLUGINS {
        lines.push(faint(format!("and {} more", plugins.len() - MOST_PLUGINS)));
    }
}

/// What the worker has read in a second, by resource manager.
fn resource_managers(change: &Change, look: Look) -> Vec<Line<'static>> {
    let all = change.read();
    let heading = format!("{:16} {:>12} {:>10} {:>6}", "WAL READ", "BYTES/S", "RECORDS/S", "SHARE");
    let mut lines = vec![Line::styled(heading, BOLD)];
    let row = |name: &str, bytes: f64, records: f64| {
        let filled = ((bytes / all * BAR as f64).round() as usize).min(BAR);
        let bar = (if look.unicode { "█" } else { "#" }).repeat(filled);
        let (bytes, share) = (binary(bytes), percent(bytes, all));
        Line::raw(format!(
            "{:16} {bytes:>12} {:>10} {share:>6}  {bar}",
            shortened(name, 16),
            short(records.round() as u64)
        ))
    };
    let (shown, others) = change.resource_managers.split_at(change.resource_managers.len().min(MOST_RESOURCE_MANAGERS));
    lines.extend(shown.iter().map(|rate| row(&rate.name, rate.bytes, rate.records)));
    if !others.is_empty() {
        let sum = |of: fn(&crate::observation::Rate) -> f64| others.iter().map(of).sum::<f64>();
        lines.push(row("others", sum(|rate| rate.bytes), sum(|rate| rate.records)));
    }
    if shown.is_empty() {
        lines.push(faint("nothing".to_owned()));
    }
    lines
}

/// Who holds back the removal of dead tuples of ordinary tables.
fn held_back(holders: &[Holder]) -> Line<'static> {
    match holders.iter().find(|holder| holder.horizon == Horizon::Data) {
        Some(holder) if holder.xmin_age > 0 => Line::from(vec![
            Span::styled("removal held back by ", BOLD),
            Span::raw(format!(
                "{}, for {} transactions",
                holder.name,
                short(u64::from(holder.xmin_age.unsigned_abs()))
            )),
        ]),
        _ => faint("nobody holds back the removal of dead tuples".to_owned()),
    }
}

/// The list of tables.
fn tables(state: &mut State, look: Look, area: Rect, buffer: &mut Buffer) {
    state.scroll(usize::from(area.height.saturating_sub(1)));
    let columns = columns(area.width);
    let others: u16 = columns.iter().skip(1).map(|column| column.width() + 1).sum();
    let name_width = usize::from(area.width.saturating_sub(others));
    let arrow = match (look.unicode, state.sorting.is_reversed) {
        (true, false) => "▼",
        (true, true) => "▲",
        (false, false) => "v",
        (false, true) => "^",
    };
    let heading = columns.iter().map(|column| {
        let mark = if *column == state.sorting.column { arrow } else { "" };
        cell(*column, format!("{}{mark}", column.heading()))
    });
    let listed = state.tables();
    let place = state.place_among(&listed);
    let rows = listed.iter().enumerate().skip(state.offset).take(usize::from(area.height)).map(|(index, table)| {
        let cells = columns.iter().map(|column| match column {
            Column::Name => cell(*column, shortened(&column.text(table, &state.change), name_width)),
            _ => cell(*column, column.text(table, &state.change)),
        });
        let is_chosen = look.is_interactive && index == place;
        Row::new(cells).style(if is_chosen { CHOSEN } else { Style::new() })
    });
    let widths = columns.iter().map(|column| match column {
        Column::Name => Constraint::Min(0),
        other => Constraint::Length(other.width()),
    });
    Table::new(rows, widths).header(Row::new(heading).style(BOLD)).column_spacing(1).render(area, buffer);
    if listed.is_empty() && area.height > 1 {
        let text = if state.filter.is_empty() {
            "no tables: owners are told of theirs, members of pg_monitor of all".to_owned()
        } else {
            format!("no table's name contains \"{}\"", state.filter)
        };
        Paragraph::new(faint(text)).render(Rect { y: area.y + 1, height: 1, ..area }, buffer);
    }
}

/// Names to the left, numbers to the right.
fn cell(column: Column, text: String) -> Cell<'static> {
    match column {
        Column::Name => Cell::new(text),
        _ => Cell::new(Line::raw(text).right_aligned()),
    }
}

/// Those that fit beside names.
fn columns(width: u16) -> Vec<Column> {
    let mut left = width.saturating_sub(LEAST_NAME);
    let mut columns = vec![Column::Name];
    for column in Column::ALL.into_iter().skip(1) {
        let Some(rest) = left.checked_sub(column.width() + 1) else { break };
        left = rest;
        columns.push(column);
    }
    columns
}

fn heat_map(map: &heatmap::Map, look: Look, area: Rect, buffer: &mut Buffer) {
    use ansi_to_tui::IntoText as _;
    let terminal =
        heatmap::Terminal { width: area.width, height: area.height / 2, colour: look.colour, unicode: look.unicode };
    let text = map.to_terminal(&terminal);
    let text = text.into_text().unwrap_or_else(|_| Text::raw(text));
    Paragraph::new(text).render(area, buffer);
}

/// What the keys do, or what is wrong.
fn status_line(state: &State) -> Line<'static> {
    if let Some(trouble) = &state.trouble {
        return Line::styled(trouble.lines().next().unwrap_or_default().to_owned(), BOLD);
    }
    if matches!(state.view, View::Filter) {
        return Line::from(vec![
            Span::styled("tables whose names contain: ", BOLD),
            Span::raw(format!("{}_", state.filter)),
        ]);
    }
    let keys = if matches!(state.view, View::HeatMap { .. }) { keys::BELOW_HEAT_MAP } else { keys::SHORT };
    let pause = if state.is_paused { "  paused" } else { "" };
    let filter = if state.filter.is_empty() { String::new() } else { format!("  filter \"{}\"", state.filter) };
    faint(format!("{keys}  every {} s{pause}{filter}", state.interval.as_secs()))
}

fn help(area: Rect, buffer: &mut Buffer) {
    let lines: Vec<Line<'_>> = keys::HELP.lines().map(Line::raw).collect();
    let wanted = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let area = Rect { height: wanted.min(area.height), ..area };
    Clear.render(area, buffer);
    Paragraph::new(lines).render(area, buffer);
}

/// A name that takes no more columns than there are.
fn shortened(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        text.to_owned()
    } else {
        text.chars().take(columns.saturating_sub(1)).chain(['~']).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::state::{Sorting, State};
    use super::*;
    use crate::observation::samples::observation;

    const LOOK: Look = Look { unicode: false, colour: heatmap::Colour::None, is_interactive: true };

    fn state() -> State {
        let mut state = State::new(Duration::from_secs(2), Sorting { column: Column::DeadBytes, is_reversed: false });
        state.observe(observation(0, &[("public.orders", 1000), ("public.lines", 70)]));
        state.observe(observation(2, &[("public.orders", 3000), ("public.lines", 70)]));
        state
    }

    #[test]
    fn all_of_it_fits_on_80_columns() {
        let lines = lines(&mut state(), LOOK, 80, 14);
        let expected = [
            "PLUGIN           STATE             LAG     BEHIND RECORDS/S FAILURES  WAL KEPT",
            "garbagemap       running         0.0 s        0 B     1,234        0  yes",
            "WAL READ              BYTES/S  RECORDS/S  SHARE",
            "Heap                 97.7 KiB      2,000   77 %  ###############",
            "Btree                29.3 KiB        600   23 %  #####",
            "removal held back by backend 4711 (idle in transaction), for 12.3k transactions",
            "TABLE                  SIZE     DEADv  DEAD% TUPLES REMOV% DIE/MIN GROW/MIN",
            "public.orders        10 MiB   293 KiB   10 %  3,000   50 %      12 +5.72 MiB",
            "public.lines         10 MiB  6.84 KiB   10 %     70   50 %      12",
        ];
        assert!(lines[0].starts_with("walker top  shop  PostgreSQL 15.4  0/1200000  WAL 1 MiB/s  "), "{lines:#?}");
        for (line, expected) in lines[1..].iter().zip(expected) {
            assert_eq!(line.split_whitespace().collect::<Vec<_>>(), expected.split_whitespace().collect::<Vec<_>>());
            assert!(line.len() <= 80);
        }
        assert!(lines[13].contains("q quit"), "{lines:#?}");
    }

    #[test]
    fn narrow_and_low_screens_show_what_fits() {
        for (width, height) in [(1, 1), (20, 5), (40, 10), (79, 24), (200, 60)] {
            let mut state = state();
            for view in [View::Tables, View::Filter, View::Help, View::HeatMap { table: "t".into(), map: None }] {
                state.view = view;
                assert_eq!(lines(&mut state, LOOK, width, height).len(), usize::from(height));
            }
        }
        assert_eq!(columns(40), [Column::Name, Column::Size, Column::DeadBytes]);
    }

    #[test]
    fn the_heat_map_of_a_table_takes_the_screen() {
        let ranges = vec![heatmap::Range { blocks: 1, known_blocks: 1, tuples: 10, dead_tuples: 4 }; 300];
        let map = heatmap::Map {
            table: "public.orders".into(),
            lsn: "0/1".into(),
            blocks_per_range: 1,
            ranges,
            inexact: None,
        };
        let mut state = state();
        state.view = View::HeatMap { table: "public.orders".into(), map: Some(map) };
        for colour in [heatmap::Colour::None, heatmap::Colour::TrueColour] {
            let lines = lines(&mut state, Look { colour, unicode: true, ..LOOK }, 80, 40);
            assert!(lines.iter().any(|line| line.contains("public.orders")), "{lines:#?}");
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut state = state();
        if let Some(observation) = &mut state.observation {
            observation.tables =
                crate::observation::Part::Missing { missing: "run CREATE EXTENSION garbagemap".into() };
            observation.plugins = crate::observation::Part::Missing { missing: "permission denied".into() };
        }
        let text = lines(&mut state, LOOK, 80, 10).join("\n");
        assert!(
            text.contains("plugins: permission denied\n") && text.contains("tables: run CREATE EXTENSION garbagemap\n"),
            "{text}"
        );
    }
}
