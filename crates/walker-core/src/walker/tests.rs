use std::cell::{Cell, RefCell};
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::plugin_state::PluginState;
use crate::test_log::{Notes, Noting, TestLog, at};
use pgwal::{Record, RmgrId};

const AT_ONCE: RetryPolicy = RetryPolicy { first_pause: Duration::ZERO, max_failures: 3 };

fn walker<const N: usize>(log: &TestLog, plugins: [Noting; N]) -> Walker<TestLog> {
    let plugins = plugins.into_iter().map(|plugin| Box::new(plugin) as Box<dyn Plugin>).collect();
    Walker::new(log.clone(), plugins, AT_ONCE)
}

/// As the worker does, until there is nothing left to do at once.
fn settle(walker: &mut Walker<TestLog>) {
    loop {
        walker.attend();
        if !walker.advance().more && walker.next_due() != Some(Duration::ZERO) {
            break;
        }
    }
}

fn events(walker: &mut Walker<TestLog>) -> Vec<String> {
    let events = walker.take_events();
    events.iter().filter(|event| !matches!(event, Event::Begins { .. })).map(ToString::to_string).collect()
}

fn states(walker: &mut Walker<TestLog>) -> Vec<PluginState> {
    walker.take_statuses().into_iter().map(|report| report.state).collect()
}

/// Without what every plugin is told at its start.
fn records(notes: &Notes) -> Vec<String> {
    notes.take().into_iter().filter(|note| !note.contains("startup")).collect()
}

#[test]
fn one_that_is_behind_catches_up_and_then_they_walk_together() {
    let log = TestLog::of([RmgrId::HEAP; 3]);
    let (late, notes) = Noting::new("late");
    let now = Noting { name: "now", notes: notes.clone(), ..Noting::new("now").0 };
    let mut walker = walker(&log, [late.keeping(Resume::At(at(Lsn::new(16)))), now]);
    walker.attend();
    assert_eq!((walker.earliest(), walker.position(), walker.flushed()), (Lsn::new(16), Lsn::new(32), Lsn::new(16)));
    assert_eq!(states(&mut walker), [PluginState::CatchingUp; 2]);
    settle(&mut walker);
    assert_eq!(records(&notes), ["late heap 0/10", "late heap 0/18"]);
    log.append([RmgrId::BTREE, RmgrId::XLOG]);
    settle(&mut walker);
    assert_eq!(states(&mut walker), [PluginState::Running; 2]);
    assert_eq!(walker.cursors.len(), 1);
    let expected =
        ["late other 0/20", "now other 0/20", "late xlog 0/28", "now xlog 0/28", "late flush 0/30", "now flush 0/30"];
    assert_eq!(records(&notes), expected);
    assert_eq!(walker.flushed(), Lsn::new(48));
    assert_eq!(walker.ask("now", b"").unwrap(), b"0/30");
    // What only one was told counts too, and nothing twice.
    let counts: Vec<_> = walker.take_rmgr_counts().iter().collect();
    assert_eq!(counts, [(RmgrId::XLOG, 1, 24), (RmgrId::HEAP, 2, 48), (RmgrId::BTREE, 1, 24)]);
}

#[test]
fn one_that_fails_is_tried_again_where_it_was_and_nobody_waits_for_it() {
    let log = TestLog::of([]);
    let (fails, notes) = Noting::failing("fails", Lsn::new(16), 2);
    let (lasts, others) = Noting::new("lasts");
    let mut walker = walker(&log, [fails, lasts]);
    walker.attend();
    log.append([RmgrId::HEAP, RmgrId::BTREE, RmgrId::HEAP]);
    walker.advance();
    assert_eq!(others.borrow().len(), 4);
    assert!(walker.ask("fails", b"").unwrap_err().to_string().contains("has failed and waits to be tried again"));
    let report = &walker.take_statuses()[0];
    assert_eq!((report.state, report.position, report.counts.failures), (PluginState::Waiting, Lsn::new(16), 1));
    assert!(report.retry_at.is_some() && report.last_failure.as_ref().unwrap().0.contains("at WAL record 0/10"));
    settle(&mut walker);
    assert_eq!(
        records(&notes),
        ["fails heap 0/8", "fails other 0/10", "fails other 0/10", "fails other 0/10", "fails heap 0/18"]
    );
    assert_eq!(
        events(&mut walker),
        [
            "plugin \"fails\" failed at WAL record 0/10 (last good position 0/10): no; it is tried again in 0ns",
            "plugin \"fails\" failed at WAL record 0/10 (last good position 0/10): no; it is tried again in 0ns"
        ]
    );
    assert_eq!(walker.cursors.len(), 1);
    assert_eq!(walker.walking(), ["fails", "lasts"]);
}

#[test]
fn one_that_fails_too_often_is_switched_off_and_holds_nothing_back() {
    let log = TestLog::of([]);
    let (fails, notes) = Noting::failing("fails", Lsn::new(8), 4);
    let (lasts, _) = Noting::new("lasts");
    let mut walker = walker(&log, [fails, lasts]);
    walker.attend();
    log.append([RmgrId::HEAP, RmgrId::XLOG]);
    settle(&mut walker);
    assert_eq!(records(&notes).len(), 3);
    let expected =
        "plugin \"fails\" failed at WAL record 0/8 (last good position 0/8): no; it is switched off after 3 failures";
    assert_eq!(events(&mut walker)[2], expected);
    assert_eq!(states(&mut walker), [PluginState::Off, PluginState::Running]);
    assert_eq!((walker.flushed(), walker.next_due()), (Lsn::new(24), None));
    assert!(walker.ask("fails", b"").unwrap_err().to_string().contains("is switched off"));
    // Another chance.
    walker.set_plugins(&["lasts".into(), "fails".into()], |_| unreachable!("both are there"));
    settle(&mut walker);
    assert_eq!(records(&notes), ["fails heap 0/8", "fails heap 0/8", "fails xlog 0/10", "fails flush 0/18"]);
    assert_eq!(walker.walking(), ["lasts", "fails"]);
}

#[test]
fn one_that_keeps_a_state_goes_on_from_there_and_its_failures_are_forgotten_behind() {
    // It fails twice at each of three places, with a checkpoint between.
    let log = TestLog::of([]);
    let (fails, notes) = Noting::failing("fails", Lsn::new(16), 2);
    let place = Rc::clone(&fails.fails);
    let mut walker = walker(&log, [fails.keeping(Resume::Now)]);
    walker.attend();
    log.append([RmgrId::XLOG, RmgrId::HEAP, RmgrId::XLOG]);
    settle(&mut walker);
    assert_eq!(
        records(&notes),
        [
            "fails xlog 0/8",
            "fails flush 0/10",
            "fails heap 0/10",
            "fails heap 0/10",
            "fails heap 0/10",
            "fails xlog 0/18",
            "fails flush 0/20"
        ]
    );
    for lsn in [32, 48] {
        place.set((Lsn::new(lsn), 2));
        log.append([RmgrId::HEAP, RmgrId::XLOG]);
        settle(&mut walker);
        assert_eq!(states(&mut walker), [PluginState::Running]);
    }
}

#[test]
fn what_was_kept_and_is_not_of_this_log_is_not_used() {
    let log = TestLog::of([RmgrId::HEAP, RmgrId::HEAP]);
    log.held.replace(Some(Held::No("another log".into())));
    let (plugin, notes) = Noting::new("a");
    let mut walker = walker(&log, [plugin.keeping(Resume::At(at(Lsn::new(16))))]);
    settle(&mut walker);
    assert_eq!(records(&notes), ["a gap 0/8", "a heap 0/8", "a heap 0/10"]);
    let expected = "plugin \"a\" cannot use the state that it kept, and begins anew: another log";
    assert_eq!(events(&mut walker), [expected]);
}

#[test]
fn on_a_standby_a_plugin_waits_until_the_log_is_as_long_as_it_was() {
    let log = TestLog::of([RmgrId::HEAP]);
    let (plugin, notes) = Noting::new("a");
    let mut walker = walker(&log, [plugin.keeping(Resume::At(at(Lsn::new(24))))]);
    walker.attend();
    assert_eq!(walker.advance(), Progress::default());
    assert_eq!((states(&mut walker)[0], walker.flushed()), (PluginState::Starting, Lsn::new(8)));
    log.append([RmgrId::HEAP, RmgrId::BTREE]);
    settle(&mut walker);
    assert_eq!(records(&notes), ["a other 0/18"]);
}

#[test]
fn what_cannot_be_read_is_tried_again_and_then_told_as_a_gap_to_those_whom_it_concerns() {
    for gone in [false, true] {
        let log = TestLog::of([RmgrId::HEAP; 4]);
        log.damage.set(Some((Lsn::new(16), gone)));
        let (behind, notes) = Noting::new("behind");
        let (now, others) = Noting::new("now");
        let mut walker = walker(&log, [behind.keeping(Resume::Checkpoint), now]);
        walker.attend();
        for _ in 0..if gone { 0 } else { ATTEMPTS - 1 } {
            walker.advance();
            assert_eq!(*notes.borrow(), ["behind startup 0/0", "behind heap 0/8"]);
        }
        settle(&mut walker);
        assert_eq!(records(&notes), ["behind heap 0/8", "behind gap 0/28"]);
        assert_eq!(records(&others), [""; 0]);
        let expected = "could not read WAL: no (WAL position 0/10); goes on at 0/28, where plugins begin anew: behind";
        assert_eq!(events(&mut walker), [expected]);
        let last_failures: Vec<_> = walker.take_statuses().into_iter().map(|status| status.last_failure).collect();
        assert!(last_failures[0].as_ref().is_some_and(|(text, _)| text == expected) && last_failures[1].is_none());
        log.append([RmgrId::HEAP]);
        settle(&mut walker);
        assert_eq!(
            (records(&notes), records(&others)),
            (vec!["behind heap 0/28".into()], vec!["now heap 0/28".into()])
        );
    }
}

#[test]
fn what_can_be_read_after_all_is_not_a_gap() {
    let log = TestLog::of([]);
    let (plugin, notes) = Noting::new("a");
    let mut walker = walker(&log, [plugin]);
    walker.attend();
    log.append([RmgrId::HEAP; 2]);
    log.damage.set(Some((Lsn::new(16), false)));
    for _ in 0..ATTEMPTS - 1 {
        walker.advance();
        assert!(walker.is_unreadable());
    }
    log.damage.set(None);
    settle(&mut walker);
    assert!(!walker.is_unreadable());
    assert_eq!(records(&notes), ["a heap 0/8", "a heap 0/10"]);
    assert_eq!(events(&mut walker), [""; 0]);
}

#[test]
fn one_that_is_slow_walks_alone_until_it_has_caught_up() {
    let log = TestLog::of([]);
    let (slow, notes) = Noting::new("slow");
    let slow = Noting { takes: Duration::from_millis(1), ..slow };
    let (quick, others) = Noting::new("quick");
    let mut walker = walker(&log, [slow, quick]);
    walker.attend();
    log.append([RmgrId::HEAP; 200]);
    // At most as many slices as it takes to see who is slow; then one is enough for the other.
    while walker.cursors.len() == 1 {
        assert!(walker.advance().more);
    }
    walker.advance();
    assert_eq!(others.borrow().len(), 201);
    let told = notes.borrow().len();
    assert!(told < 150, "{told}");
    assert_eq!(states(&mut walker), [PluginState::CatchingUp, PluginState::Running]);
    settle(&mut walker);
    assert_eq!((notes.borrow().len(), walker.cursors.len()), (201, 1));
    assert_eq!(states(&mut walker), [PluginState::Running; 2]);
    log.append([RmgrId::BTREE]);
    settle(&mut walker);
    assert_eq!((notes.borrow().len(), others.borrow().len()), (202, 202));
}

#[test]
fn others_pass_one_that_walks_alone() {
    let log = TestLog::of([RmgrId::HEAP; 300]);
    let (slow, notes) = Noting::new("slow");
    let slow = Noting { takes: Duration::from_millis(1), ..slow.keeping(Resume::Checkpoint) };
    let (quick, others) = Noting::new("quick");
    let mut walker = walker(&log, [slow, quick.keeping(Resume::Checkpoint)]);
    walker.attend();
    while walker.cursors.len() == 1 {
        walker.advance();
    }
    // Begins behind both.
    let (late, late_notes) = Noting::new("late");
    let names = ["slow", "quick", "late"].map(str::to_owned);
    walker.set_plugins(&names, |_| Box::new(late.clone().keeping(Resume::Checkpoint)));
    walker.attend();
    for _ in 0..3 {
        walker.advance();
    }
    assert_eq!((others.borrow().len(), late_notes.borrow().len()), (301, 301));
    assert!(notes.borrow().len() < 250, "{}", notes.borrow().len());
    settle(&mut walker);
    assert_eq!((notes.borrow().len(), walker.cursors.len()), (301, 1));
}

#[test]
fn plugins_come_and_go_while_it_walks() {
    let log = TestLog::of([]);
    let (a, notes) = Noting::new("a");
    let b = Noting { name: "b", notes: notes.clone(), ..Noting::new("b").0 };
    let c = Noting { name: "c", notes: notes.clone(), ..Noting::new("c").0 };
    let mut walker = walker(&log, [a, b]);
    walker.attend();
    log.append([RmgrId::HEAP]);
    settle(&mut walker);
    walker.set_plugins(&["c".into(), "b".into()], |name| {
        assert_eq!(name, "c");
        Box::new(c.clone())
    });
    log.append([RmgrId::HEAP]);
    settle(&mut walker);
    // The new one begins where the log ended when it started.
    let expected = ["a heap 0/8", "b heap 0/8", "a flush 0/10", "a shutdown", "b heap 0/10"];
    assert_eq!(records(&notes), expected);
    log.append([RmgrId::BTREE]);
    settle(&mut walker);
    assert_eq!(records(&notes), ["c other 0/18", "b other 0/18"]);
    walker.set_plugins(&[], |_| unreachable!("there is none"));
    log.append([RmgrId::HEAP]);
    settle(&mut walker);
    assert_eq!((walker.position(), walker.flushed()), (Lsn::new(40), Lsn::new(40)));
    assert_eq!(events(&mut walker), [""; 0]);
    walker.shutdown();
    assert_eq!(events(&mut walker), [""; 0]);
    assert_eq!(records(&notes), ["c flush 0/20", "c shutdown", "b flush 0/20", "b shutdown"]);
}

#[test]
fn one_that_cannot_start_is_tried_again_and_the_others_walk() {
    let log = TestLog::of([]);
    let (fails, notes) = Noting::failing("fails", Lsn::INVALID, 1);
    let mut walker = walker(&log, [fails]);
    walker.attend();
    assert_eq!(states(&mut walker), [PluginState::Waiting]);
    // Nobody knows yet what it needs.
    assert_eq!(walker.flushed(), Lsn::INVALID);
    settle(&mut walker);
    assert_eq!(*notes.borrow(), ["fails startup 0/0", "fails startup 0/0"]);
    assert_eq!(states(&mut walker), [PluginState::Running]);
    assert_eq!(events(&mut walker), ["plugin \"fails\" could not start: no; it is tried again in 0ns"]);
}

#[test]
fn one_that_ended_the_process_before_is_tried_again_after_a_pause_or_not_at_all() {
    for (times, state) in [(1, PluginState::Running), (3, PluginState::Off)] {
        let log = TestLog::of([]);
        let (ends, _) = Noting::new("ends");
        let mut walker = walker(&log, [ends]);
        walker.blame("ends", times);
        walker.blame("nobody", times);
        settle(&mut walker);
        let event = events(&mut walker).remove(0);
        assert!(event.starts_with("plugin \"ends\" ended the process that called it: see the messages before; it is "));
        let status = walker.take_statuses().remove(0);
        assert_eq!((status.state, status.failures_in_a_row, status.counts.failures), (state, times, 1));
        // What comes behind is not its fault any more.
        log.append([RmgrId::HEAP, RmgrId::XLOG]);
        settle(&mut walker);
        let failures = if state == PluginState::Off { times } else { 0 };
        assert_eq!(walker.take_statuses()[0].failures_in_a_row, failures);
    }
}

#[test]
fn work_that_fails_is_tried_again_after_a_pause() {
    let log = TestLog::of([]);
    let (plugin, _) = Noting::new("works_badly");
    let plugins: Vec<Box<dyn Plugin>> = vec![Box::new(plugin)];
    let policy = RetryPolicy { first_pause: Duration::from_secs(100), max_failures: 1 };
    let mut walker = Walker::new(log.clone(), plugins, policy);
    walker.attend();
    walker.advance();
    for _ in 0..3 {
        assert!(!walker.work());
    }
    assert_eq!(events(&mut walker), ["plugin \"works_badly\" failed: no; it is tried again in 100s"]);
    assert!(walker.next_due().unwrap() > Duration::from_secs(90));
    // That is no reason not to tell it records.
    assert_eq!(states(&mut walker), [PluginState::Running]);
}

/// What a plugin has seen, in memory and on disk.
#[derive(Default)]
struct Remembered {
    seen: Vec<Lsn>,
    kept: Option<(Vec<Lsn>, LogPosition)>,
}

struct Remembering {
    name: &'static str,
    state: Rc<RefCell<Remembered>>,
    /// It fails each time that as many records have passed.
    fails_after: Rc<Cell<u32>>,
    told: u32,
}

impl Plugin for Remembering {
    fn name(&self) -> &str {
        self.name
    }
    fn resume(&mut self) -> Result<Resume, PluginError> {
        let mut state = self.state.borrow_mut();
        state.seen = state.kept.as_ref().map(|(seen, _)| seen.clone()).unwrap_or_default();
        Ok(state.kept.as_ref().map_or(Resume::Checkpoint, |(_, position)| Resume::At(*position)))
    }
    fn gap(&mut self, _next: Lsn) -> Result<(), PluginError> {
        self.state.borrow_mut().seen.clear();
        Ok(())
    }
    fn record(&mut self, record: &Record<'_>) -> Result<(), PluginError> {
        self.told += 1;
        // Half done, as a panic may leave it.
        self.state.borrow_mut().seen.push(record.lsn);
        if self.fails_after.get() > 0 && self.told.is_multiple_of(self.fails_after.get()) {
            return Err("no".into());
        }
        Ok(())
    }
    fn flush(&mut self, position: &LogPosition) -> Result<(), PluginError> {
        let mut state = self.state.borrow_mut();
        state.kept = Some((state.seen.clone(), *position));
        Ok(())
    }
}

proptest! {
    #[test]
    fn each_record_has_its_effect_once(
        steps in prop::collection::vec((0_u8..9, 1_usize..5), 1..60), fails in prop::array::uniform3(0_u32..12),
    ) {
        let log = TestLog::of([]);
        let names = ["a", "b", "c"];
        let states: [Rc<RefCell<Remembered>>; 3] = Default::default();
        let fails = fails.map(|after| Rc::new(Cell::new(after)));
        let make = |name: &str| -> Box<dyn Plugin> {
            let index = names.iter().position(|known| *known == name).unwrap();
            let (state, fails_after) = (Rc::clone(&states[index]), Rc::clone(&fails[index]));
            Box::new(Remembering { name: names[index], state, fails_after, told: 0 })
        };
        let policy = RetryPolicy { first_pause: Duration::ZERO, max_failures: u32::MAX };
        let start = || Walker::new(log.clone(), names.map(make).into(), policy);
        let mut walker = start();
        for (step, count) in steps {
            match step {
                0..3 => log.append(vec![RmgrId::HEAP; count]),
                3 => log.append([RmgrId::XLOG]),
                4 => walker.attend(),
                5 => { walker.advance(); }
                // The process ends, in order and by a crash.
                6 if count < 3 => { walker.shutdown(); walker = start(); }
                6 => walker = start(),
                7 => {
                    // One of them was slow.
                    for cursor in &mut walker.cursors {
                        cursor.slow = true;
                        cursor.walk.runs.iter_mut().take(count).for_each(|run| run.slice_time = SLICE * run.place as u32);
                    }
                    walker.part();
                    walker.join();
                }
                _ => {
                    let named: Vec<String> = names[count % 3..].iter().map(ToString::to_string).collect();
                    walker.set_plugins(&named, make);
                }
            }
        }
        fails.iter().for_each(|after| after.set(0));
        walker.set_plugins(&names.map(str::to_owned), make);
        settle(&mut walker);
        let all: Vec<_> = (8..log.end().get()).step_by(8).map(Lsn::new).collect();
        for state in &states {
            prop_assert_eq!(&state.borrow().seen, &all);
        }
        prop_assert_eq!(walker.cursors.len(), 1);
    }
}
