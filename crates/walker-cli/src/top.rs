//! `walker top`: what the worker does and where garbage grows, on a screen that is renewed.

mod collector;
mod column;
mod draw;
mod keys;
mod state;

use std::io::{IsTerminal as _, stdin, stdout};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use postgres::Client;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::flag;

use crate::arguments::{Format, TopArguments};
use crate::connection;
use crate::observation::Observation;
use crate::output::Output;
use crate::terminal;
use collector::{Answer, Request};
use draw::Look;
use keys::Wish;
use state::{Sorting, State, View};

pub(crate) use column::Column;

/// The screen looks for keys and answers so often.
const TICK: Duration = Duration::from_millis(50);
/// Rates of plain output are those over this time.
const RATE_TIME: Duration = Duration::from_secs(1);

/// `walker top`.
pub(crate) fn run(arguments: &TopArguments) -> Result<()> {
    let client = connection::connect(&arguments.connection)?;
    let is_screen = stdout().is_terminal() && stdin().is_terminal();
    if arguments.once || !is_screen || arguments.format == Format::Json {
        return show_once(client, arguments);
    }
    show_screen(client, arguments)
}

fn new_state(arguments: &TopArguments) -> State {
    let sorting = Sorting { column: arguments.sort, is_reversed: arguments.reverse };
    State::new(Duration::from_secs(arguments.interval.into()), sorting)
}

/// Two looks, and what the second one and the difference say.
fn show_once(mut client: Client, arguments: &TopArguments) -> Result<()> {
    let mut state = new_state(arguments);
    state.observe(Observation::take(&mut client)?);
    thread::sleep(RATE_TIME);
    state.observe(Observation::take(&mut client)?);
    let mut output = Output::lock();
    match arguments.format {
        Format::Json => output.write_json(&Looked::of(&state))?,
        Format::Text => output.write(&plain(&mut state, arguments))?,
    }
    Ok(output.finish()?)
}

/// For programs.
#[derive(Debug, Serialize)]
struct Looked<'s> {
    #[serde(flatten)]
    observation: Option<&'s Observation>,
    /// WAL written in a second, in bytes.
    wal_bytes_per_second: Option<f64>,
}

impl<'s> Looked<'s> {
    fn of(state: &'s State) -> Self {
        Self { observation: state.observation.as_ref(), wal_bytes_per_second: state.change.wal }
    }
}

/// The picture as text, with the first tables of the list.
fn plain(state: &mut State, arguments: &TopArguments) -> String {
    let terminal = terminal::detect(arguments.terminal);
    let look = Look { unicode: terminal.unicode, colour: heatmap::Colour::None, is_interactive: false };
    let tables = state.tables().len().min(arguments.limit);
    let Some(observation) = &state.observation else { return String::new() };
    let height = draw::height(observation, &state.change, look, tables);
    draw::lines(state, look, terminal.width, height).into_iter().map(|line| line + "\n").collect()
}

fn show_screen(client: Client, arguments: &TopArguments) -> Result<()> {
    let terminal = terminal::detect(arguments.terminal);
    let look = Look { unicode: terminal.unicode, colour: terminal.colour, is_interactive: true };
    let mut state = new_state(arguments);
    let (requests, wanted) = channel();
    let (said, answers) = channel();
    let (connection, interval) = (arguments.connection.clone(), Some(state.interval));
    // It ends when it finds that nobody listens; while it waits for the server the process ends without it.
    thread::spawn(move || collector::run(client, &connection, interval, &wanted, &said));
    let mut screen = ratatui::try_init().context("could not take the terminal")?;
    let outcome = converse(&mut screen, &mut state, look, &requests, &answers);
    ratatui::try_restore().context("could not give the terminal back")?;
    outcome
}

/// Draws, and does what keys and answers ask for, until the user has seen enough.
fn converse(
    screen: &mut ratatui::DefaultTerminal,
    state: &mut State,
    look: Look,
    requests: &Sender<Request>,
    answers: &Receiver<Answer>,
) -> Result<()> {
    // The terminal is given back also where somebody ends the command.
    let is_ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGHUP] {
        flag::register(signal, Arc::clone(&is_ended)).context("could not set up a handler for signals")?;
    }
    let mut is_changed = true;
    loop {
        for answer in answers.try_iter() {
            take(state, answer);
            is_changed = true;
        }
        if is_changed {
            screen.draw(|frame| draw::draw(state, look, frame.area(), frame.buffer_mut())).context("could not draw")?;
        }
        if is_ended.load(Ordering::Relaxed) {
            return Ok(());
        }
        is_changed = event::poll(TICK).context("could not read the keyboard")?;
        if !is_changed {
            continue;
        }
        let Event::Key(key) = event::read().context("could not read the keyboard")? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        let height = screen.size().map_or(0, |size| size.height);
        if press(state, key, height, requests).is_break() {
            return Ok(());
        }
    }
}

/// Puts into the state what the server has said.
fn take(state: &mut State, answer: Answer) {
    match answer {
        Answer::Observation(observation) => state.observe(*observation),
        Answer::Trouble(trouble) => state.trouble = Some(trouble),
        Answer::HeatMap { table, map: told } => {
            if let View::HeatMap { table: wanted, map } = &mut state.view
                && *wanted == table
            {
                *map = Some(told);
            }
        }
    }
}

/// Does what a key wants; it may be to quit.
fn press(state: &mut State, key: KeyEvent, height: u16, requests: &Sender<Request>) -> ControlFlow<()> {
    // Where the server cannot be asked any more, the state says so.
    let ask = |request: Request| drop(requests.send(request));
    let wish = keys::wish(key);
    match (&state.view, wish) {
        (_, Some(Wish::Quit)) if key.code != KeyCode::Char('q') => return ControlFlow::Break(()),
        (View::Filter, _) => {
            type_filter(state, key);
            return ControlFlow::Continue(());
        }
        (_, Some(Wish::Quit)) => return ControlFlow::Break(()),
        (View::Help, _) => {
            state.view = View::Tables;
            return ControlFlow::Continue(());
        }
        _ => {}
    }
    let page = isize::try_from(height / 2).unwrap_or(1).max(1);
    match wish {
        Some(Wish::Help) => state.view = View::Help,
        Some(Wish::Back) => {
            if matches!(state.view, View::HeatMap { .. }) {
                ask(Request::HeatMapOf(None));
            } else {
                state.filter.clear();
            }
            state.view = View::Tables;
        }
        Some(Wish::Lines(lines)) => state.move_by(lines),
        Some(Wish::Pages(pages)) => state.move_by(pages.saturating_mul(page)),
        Some(Wish::First) => state.move_by(isize::MIN),
        Some(Wish::Last) => state.move_by(isize::MAX),
        Some(Wish::HeatMap) => {
            if let Some(table) = state.chosen() {
                state.view = View::HeatMap { table: table.clone(), map: None };
                ask(Request::HeatMapOf(Some(table)));
            }
        }
        Some(Wish::NextColumn(forward)) => state.sorting.column = state.sorting.column.neighbour(forward),
        Some(Wish::SortBy(column)) => state.sorting.column = column,
        Some(Wish::Reverse) => state.sorting.is_reversed = !state.sorting.is_reversed,
        Some(Wish::Filter) => state.view = View::Filter,
        Some(Wish::Slower(slower)) => {
            state.change_interval(slower);
            ask(Request::Every((!state.is_paused).then_some(state.interval)));
        }
        Some(Wish::Now) => ask(Request::Now),
        Some(Wish::Pause) => {
            state.is_paused = !state.is_paused;
            ask(Request::Every((!state.is_paused).then_some(state.interval)));
        }
        Some(Wish::Quit) | None => {}
    }
    ControlFlow::Continue(())
}

/// A key while the filter is typed.
fn type_filter(state: &mut State, key: KeyEvent) {
    match key.code {
        KeyCode::Enter => state.view = View::Tables,
        KeyCode::Esc => {
            state.filter.clear();
            state.view = View::Tables;
        }
        KeyCode::Backspace => {
            state.filter.pop();
        }
        KeyCode::Char(character) => state.filter.push(character),
        _ => {}
    }
}
