//! Panics and ERRORs at every step of a change of pages: by a custom resource manager and by Generic WAL.

mod wal_fault;

use anyhow::Result;
use wal_fault::{CANCEL, DATABASE, KINDS, TIMEOUT, assert_nothing_left, assert_unharmed, counters, failure, start};
use walker_testing::Session;

/// How many records of ours, or of Generic WAL, are in the log since that position.
fn records_since(session: &mut Session, start: &str) -> Result<String> {
    // To know the end, something has to be flushed.
    session.execute("SELECT pg_logical_emit_message(true, '', '')")?;
    session.execute(&format!(
        "SELECT count(*) FROM pg_get_wal_records_info('{start}', pg_current_wal_flush_lsn())
         WHERE resource_manager IN ('wal_faults', 'Generic')"
    ))
}

fn position(session: &mut Session) -> Result<String> {
    session.execute("SELECT pg_logical_emit_message(true, '', '')")?;
    session.execute("SELECT pg_current_wal_insert_lsn()")
}

#[test]
fn what_fails_before_the_critical_section_changes_nothing_and_leaves_nothing() -> Result<()> {
    let cluster = start()?;
    let (mut session, mut other) = (cluster.session(DATABASE)?, cluster.session(DATABASE)?);
    session.execute("CREATE EXTENSION pg_walinspect; CREATE TEMPORARY TABLE temporary ()")?;
    session.execute("SELECT wal_faults_make('temporary', 3)")?;
    for table in ["pages", "unlogged", "temporary"] {
        let before = counters(&mut session, table)?;
        let beginning = position(&mut session)?;
        for (function, steps) in [
            ("add", &["opened", "pinned", "locked", "built"][..]),
            ("generic", &["opened", "pinned", "locked", "started", "registered", "half changed", "changed"][..]),
        ] {
            for step in steps {
                let cancel = ["opened", "pinned"].contains(step).then_some(CANCEL);
                for (kind, text) in KINDS.into_iter().chain(cancel) {
                    let sql = format!("SELECT wal_faults_{function}('{table}', '{{0,1}}', 5, '{step}', '{kind}')");
                    let failed = failure(&mut session, &sql)?;
                    assert!(failed.contains(text), "{sql}: {failed}");
                    assert_unharmed(&mut session, &mut other, table)?;
                }
            }
        }
        assert_eq!(counters(&mut session, table)?, before);
        assert_eq!(records_since(&mut session, &beginning)?, "0");
        // The same session can still do it.
        session.execute(&format!("SELECT wal_faults_add('{table}', '{{0,1}}', 5)"))?;
        session.execute(&format!("SELECT wal_faults_generic('{table}', '{{1,2}}', 5)"))?;
        assert_eq!(counters(&mut session, table)?, "5/5 10/10 5/5");
        assert_eq!(records_since(&mut session, &beginning)?, if table == "pages" { "2" } else { "0" });
    }
    assert_nothing_left(&cluster)
}

#[test]
fn who_is_cancelled_while_a_buffer_is_locked_hears_of_it_when_it_is_not() -> Result<()> {
    let cluster = start()?;
    let (mut session, mut other) = (cluster.session(DATABASE)?, cluster.session(DATABASE)?);
    let mut sum = 0;
    for (function, steps) in [
        ("add", &["locked", "built", "changing", "half changed", "changed", "committed", "unlocked"][..]),
        ("generic", &["locked", "started", "registered", "half changed", "changed", "finished"][..]),
    ] {
        for step in steps {
            let sql = format!("SELECT wal_faults_{function}('pages', '{{0}}', 1, '{step}', 'cancel')");
            let failed = failure(&mut session, &sql)?;
            assert!(failed.contains(CANCEL.1), "{sql}: {failed}");
            sum += 1;
            assert_eq!(counters(&mut session, "pages")?, format!("{sum}/{sum} 0/0 0/0"), "{sql}");
            assert_unharmed(&mut session, &mut other, "pages")?;
        }
    }
    assert_nothing_left(&cluster)
}

#[test]
fn what_fails_in_the_critical_section_ends_the_server_which_then_recovers() -> Result<()> {
    let cluster = start()?;
    cluster
        .psql(DATABASE, "CHECKPOINT; SELECT wal_faults_add('pages', '{0,1}', 1); SELECT wal_faults_message('flush')")?;
    let faults = KINDS.into_iter().map(|(kind, text)| ("half changed", kind, text)).chain([
        ("changing", "panic", KINDS[0].1),
        ("between", "error", KINDS[1].1),
        ("changed", "raise", KINDS[2].1),
        ("changed", "header", "block 0 of the record was left invalid: corrupted page pointers"),
    ]);
    for (step, kind, text) in faults {
        let mark = cluster.log_mark()?;
        let mut session = cluster.session(DATABASE)?;
        let sql = format!("SELECT wal_faults_add('pages', '{{0,1}}', 5, '{step}', '{kind}')");
        failure(&mut session, &sql)?;
        let line = cluster.wait_for_log_since(mark, "PANIC:  ", TIMEOUT)?;
        assert!(line.contains(text), "{step}, {kind}: {line}");
        cluster.wait_for_log_since(mark, "was terminated by signal 6", TIMEOUT)?;
        cluster.wait_for_log_since(mark, "database system is ready to accept connections", TIMEOUT)?;
        cluster.wait_until_accepting(TIMEOUT)?;
        let mut session = cluster.session(DATABASE)?;
        assert_eq!(counters(&mut session, "pages")?, "1/1 1/1 0/0", "{step}, {kind}");
    }
    cluster.psql(DATABASE, "SELECT wal_faults_add('pages', '{0,1}', 1)")?;
    assert!(!cluster.log()?.contains("TRAP"));
    Ok(())
}

#[test]
fn what_fails_after_the_record_was_written_takes_nothing_back() -> Result<()> {
    let mut cluster = start()?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    let (mut session, mut other) = (cluster.session(DATABASE)?, cluster.session(DATABASE)?);
    let mut sum = 0;
    for (function, step) in
        [("add", "committed"), ("add", "unlocked"), ("generic", "finished"), ("generic", "unlocked")]
    {
        for (kind, text) in KINDS {
            let sql = format!("SELECT wal_faults_{function}('pages', '{{0,2}}', 1, '{step}', '{kind}')");
            let failed = failure(&mut session, &sql)?;
            assert!(failed.contains(text), "{sql}: {failed}");
            assert_unharmed(&mut session, &mut other, "pages")?;
            sum += 1;
        }
    }
    let after = format!("{sum}/{sum} 0/0 {sum}/{sum}");
    assert_eq!(counters(&mut session, "pages")?, after);
    assert_nothing_left(&cluster)?;
    cluster.flush_wal()?;
    cluster.crash()?;
    cluster.start()?;
    assert_eq!(counters(&mut cluster.session(DATABASE)?, "pages")?, after);
    Ok(())
}

#[test]
fn what_is_caught_leaves_no_lock_and_no_count() -> Result<()> {
    let cluster = start()?;
    let (mut session, mut other) = (cluster.session(DATABASE)?, cluster.session(DATABASE)?);
    session.execute("CREATE TEMPORARY TABLE temporary (); SELECT wal_faults_make('temporary', 3)")?;
    for table in ["pages", "temporary"] {
        for how in ["catch", "subtransaction"] {
            for step in ["pinned", "locked", "built", "committed"] {
                for (kind, text) in KINDS {
                    let sql = format!("SELECT wal_faults_swallow('{table}', 1, '{step}', '{kind}', '{how}')");
                    let answer = session.execute(&sql)?;
                    assert!(answer.contains(text) && answer.ends_with("; free; 0 0"), "{sql}: {answer}");
                    assert_unharmed(&mut session, &mut other, table)?;
                }
            }
        }
        // Something else fails, and is caught, while two buffers are locked.
        for (kind, text) in KINDS {
            let sql = format!("SELECT wal_faults_swallow_while_locked('{table}', '{{0,1}}', '{kind}', 'catch')");
            let answer = session.execute(&sql)?;
            assert!(answer.contains(text) && answer.ends_with("; true; 0 0"), "{sql}: {answer}");
            assert_unharmed(&mut session, &mut other, table)?;
        }
    }
    assert_nothing_left(&cluster)
}

#[test]
fn no_lock_outlives_the_abort_of_a_subtransaction() -> Result<()> {
    let cluster = start()?;
    let (mut session, mut other) = (cluster.session(DATABASE)?, cluster.session(DATABASE)?);
    let with_sql =
        |divisor: u32| format!("SELECT wal_faults_swallow_while_locked('pages', '{{0,1}}', '{divisor}', 'sql')");
    // One that is not aborted does no harm.
    assert_eq!(session.execute(&with_sql(1))?, "no error; true; 0 0");
    assert_unharmed(&mut session, &mut other, "pages")?;
    let failed = failure(&mut session, &with_sql(0))?;
    let text = "FATAL:  a subtransaction was aborted while a buffer was locked, which released the lock";
    assert!(failed.contains(text), "{failed}");
    let mut session = cluster.session(DATABASE)?;
    assert_unharmed(&mut session, &mut other, "pages")?;
    // A lock from within a subtransaction is gone with it.
    let answer = session.execute("SELECT wal_faults_outlive_subtransaction('pages', 1)")?;
    assert!(
        answer.contains("is locked no more: a subtransaction was aborted") && answer.ends_with("; 0 0"),
        "{answer}"
    );
    assert_unharmed(&mut session, &mut other, "pages")?;
    assert!(!cluster.log()?.contains("TRAP"));
    Ok(())
}

#[test]
fn limits_are_told_before_anything_is_changed() -> Result<()> {
    let mut cluster = start()?;
    let mut session = cluster.session(DATABASE)?;
    session.execute("SELECT wal_faults_make('pages', 31); CHECKPOINT")?;
    let mut first = 0;
    for (case, expected) in [
        ("34 blocks", "a record has at most 33 blocks, not 34"),
        ("33 blocks", "written"),
        ("nothing at all", "a record needs a block or data"),
        ("block data of 65535 bytes", "written"),
        ("block data of 65536 bytes", "data of block 0 has 65536 bytes, of at most 65535"),
        ("100 pieces of block data", "written"),
        ("30 MB", "written"),
        ("1020 MB", "the record would have up to"),
        ("logged and unlogged", "blocks of logged and of unlogged relations cannot be changed by one record"),
        (
            "not registered",
            "resource manager \"wal_faults_unregistered\" with ID 251 is not registered: its library must be in \
             shared_preload_libraries",
        ),
    ] {
        let answer = session.execute(&format!("SELECT wal_faults_limit('pages', 'unlogged', '{case}')"))?;
        assert!(answer.starts_with(expected), "{case}: {answer}");
        first += u32::from(expected == "written");
        let second = u32::from(case != "34 blocks");
        let now = counters(&mut session, "pages")?;
        assert!(now.starts_with(&format!("{first}/{first} {second}/{second} ")), "{case}: {now}");
    }
    let failed = failure(&mut session, "SELECT wal_faults_limit('pages', 'unlogged', 'locked twice')")?;
    assert!(failed.contains("is locked by this process already"), "{failed}");
    let answer = session.execute("SELECT wal_faults_limit('unlogged', 'pages', 'block data of 65535 bytes')")?;
    assert_eq!(answer, "not logged");
    for (sql, text) in [
        ("SELECT wal_faults_read('pages', 0, 4294967295)", "block 4294967295 cannot be"),
        ("SELECT wal_faults_read('pages', 4, 0)", "fork 4 cannot be"),
        ("SELECT wal_faults_read('pages', 0, 1000)", "could not read block"),
        ("SELECT wal_faults_generic('pages', '{0,1,2,3,4}', 1)", "a Generic WAL record changes at most 4 pages"),
        ("SELECT wal_faults_generic('pages', '{0}', 1, 'changed', 'header')", "block 0: corrupted page pointers"),
    ] {
        let failed = failure(&mut session, sql)?;
        assert!(failed.contains(text), "{sql}: {failed}");
    }
    let of_two = "block 0 is not one of the relation for which the Generic WAL record was started";
    assert_eq!(session.execute("SELECT wal_faults_generic_of_two('pages', 'unlogged', 0)")?, of_two);
    assert_eq!(session.execute("SELECT wal_faults_generic('pages', '{0,1}', 1, 'changed', 'drop')")?, "");
    assert_eq!(session.execute("SELECT wal_faults_counts()")?, "0 0");
    assert_nothing_left(&cluster)?;
    let before = counters(&mut session, "pages")?;
    cluster.flush_wal()?;
    cluster.crash()?;
    cluster.start()?;
    assert_eq!(counters(&mut cluster.session(DATABASE)?, "pages")?, before);
    Ok(())
}
