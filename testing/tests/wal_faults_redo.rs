//! Panics and ERRORs at every step of the redo of a custom resource manager's records, and in all that else is done with them.

mod wal_fault;

use std::fs;

use anyhow::Result;
use wal_fault::{
    DATABASE, KINDS, TABLES, TIMEOUT, assert_nothing_left, builder, counters, fail_to_start, failure, set_fault, start,
};
use walker_testing::{Cluster, LogMark, Mode};

/// The first blocks' counters, as they are in the file.
fn counters_on_disk(cluster: &Cluster, path: &str) -> Result<String> {
    let file = fs::read(cluster.data_directory().join(path))?;
    let counter = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let text = |page: &[u8]| format!("{}/{}", counter(&page[24..]), counter(&page[8192 - 16 - 8..]));
    Ok(file.chunks_exact(8192).map(text).collect::<Vec<_>>().join(" "))
}

#[test]
fn a_server_whose_redo_fails_says_which_record_it_was_and_starts_when_the_cause_is_gone() -> Result<()> {
    let mut cluster = start()?;
    // The delta of the second record is what is replayed: the first one brings the images.
    cluster.psql(
        DATABASE,
        "CHECKPOINT; SELECT wal_faults_add('pages', '{0,1}', 1), wal_faults_add('pages', '{0,1}', 1)",
    )?;
    // Another page than the one that is in the log's images: what was there before does not matter.
    cluster.psql(DATABASE, "SELECT wal_faults_add('pages', '{2}', 7), wal_faults_remake('pages', 2, 4)")?;
    let path = cluster.psql(DATABASE, "SELECT pg_relation_filepath('pages')")?;
    cluster.flush_wal()?;
    cluster.crash()?;
    let on_disk = counters_on_disk(&cluster, &path)?;
    assert_eq!(on_disk, "0/0 0/0 0/0");
    let failed = |text: &str| format!("PANIC:  redo of resource manager \"wal_faults\" failed: {text}");
    for (step, kind, text) in [
        ("begin", "panic", "panicked: a panic was asked for"),
        ("begin", "error", KINDS[1].1),
        ("holding", "raise", KINDS[2].1),
        ("holding", "panic", "panicked: a panic was asked for"),
        ("holding", "twice", "block 0 of the record was asked for twice"),
        ("half changed", "panic", "panicked: a panic was asked for"),
        ("half changed", "error", KINDS[1].1),
        ("half changed", "result", "an error was asked for"),
        ("half changed", "swallowed", "a page was left half changed"),
        ("changed", "header", "corrupted page pointers"),
        ("applied", "result", "an error was asked for"),
        ("applied", "forget", "a block was left locked"),
    ] {
        set_fault(&cluster, step, kind)?;
        let log = fail_to_start(&mut cluster)?;
        assert!(log.contains(&failed(text)), "{step}, {kind}: {log}");
        let (_, context) = log.split_once("CONTEXT:  WAL redo at ").unwrap_or_default();
        assert!(
            context.lines().next().is_some_and(|line| line.contains(" for wal_faults/ADD: blocks 2, main data 0;")),
            "{log}"
        );
        assert!(log.contains("was terminated by signal 6"), "{log}");
        assert_eq!(counters_on_disk(&cluster, &path)?, on_disk, "{step}, {kind}");
    }
    set_fault(&cluster, "", "")?;
    cluster.start()?;
    assert_eq!(counters(&mut cluster.session(DATABASE)?, "pages")?, "2/2 2/2 4/4");
    assert!(!cluster.log()?.contains("TRAP"));
    Ok(())
}

#[test]
fn a_failing_start_or_end_of_redo_is_told() -> Result<()> {
    let mut cluster = start()?;
    cluster.psql(DATABASE, "CHECKPOINT; SELECT wal_faults_add('pages', '{0}', 3)")?;
    cluster.flush_wal()?;
    cluster.crash()?;
    for step in ["startup", "cleanup"] {
        for (kind, text) in KINDS {
            set_fault(&cluster, step, kind)?;
            let log = fail_to_start(&mut cluster)?;
            assert!(log.contains(&format!("FATAL:  {text}")), "{step}, {kind}: {log}");
        }
    }
    set_fault(&cluster, "", "")?;
    cluster.start()?;
    assert_eq!(counters(&mut cluster.session(DATABASE)?, "pages")?, "3/3 0/0 0/0");
    Ok(())
}

#[test]
fn a_failing_description_is_text() -> Result<()> {
    let mut cluster = start()?;
    let start = cluster.flush_wal()?;
    cluster.psql(DATABASE, "CREATE EXTENSION pg_walinspect; SELECT wal_faults_add('pages', '{0}', 3)")?;
    let end = cluster.flush_wal()?;
    let describe = |step: &str, kind: &str| -> Result<String> {
        set_fault(&cluster, step, kind)?;
        cluster.reload()?;
        let query = format!(
            "SELECT record_type, description FROM pg_get_wal_records_info('{start}', '{end}')
             WHERE resource_manager = 'wal_faults'"
        );
        cluster.psql(DATABASE, &query)
    };
    let right = "blocks 1, main data 0";
    assert!(describe("", "")?.starts_with(&format!("ADD|{right}")));
    assert!(describe("describe", "panic")?.starts_with("ADD|(description panicked: a panic was asked for)"));
    assert!(describe("describe", "error")?.starts_with(&format!("ADD|(description {})", KINDS[1].1)));
    for (kind, _) in KINDS {
        assert!(describe("identify", kind)?.starts_with(&format!("(identify panicked)|{right}")));
    }
    // In the context of an error of redo.
    cluster.crash()?;
    cluster.configure([("wal_faults.step", "both"), ("wal_faults.kind", "panic")])?;
    let log = fail_to_start(&mut cluster)?;
    assert!(log.contains("PANIC:  redo of resource manager \"wal_faults\" failed: panicked"), "{log}");
    assert!(log.contains("for wal_faults/ADD: (description panicked: a panic was asked for)"), "{log}");
    Ok(())
}

#[test]
fn a_mask_is_used_by_a_standby_and_ends_it_when_it_fails() -> Result<()> {
    let primary = builder()?.setting("wal_consistency_checking", "wal_faults, generic").start()?;
    primary.psql(DATABASE, TABLES)?;
    let mut standby = primary.base_backup(builder()?.setting("hot_standby", "on"))?;
    standby.follow(&primary)?;
    standby.start()?;
    let changes = "SELECT wal_faults_add('pages', '{0,1}', 1), wal_faults_generic('pages', '{1,2}', 1),
        wal_faults_remake('pages', 2, 9)";
    primary.psql(DATABASE, changes)?;
    let replayed = "pg_last_wal_replay_lsn()";
    standby.wait_for_lsn(replayed, primary.flush_wal()?, TIMEOUT)?;
    assert_eq!(counters(&mut standby.session(DATABASE)?, "pages")?, "1/1 2/2 9/9");
    // Nothing can be written there.
    let mut session = standby.session(DATABASE)?;
    for sql in [
        "SELECT wal_faults_add('pages', '{0}', 1)",
        "SELECT wal_faults_generic('pages', '{0}', 1)",
        "SELECT wal_faults_message('text')",
    ] {
        let failed = failure(&mut session, sql)?;
        assert!(failed.contains("cannot make new WAL entries during recovery"), "{failed}");
        assert_eq!(session.execute("SELECT wal_faults_counts()")?, "0 0");
    }
    set_fault(&standby, "mask", "panic")?;
    standby.reload()?;
    let mark = standby.log_mark()?;
    primary.psql(DATABASE, changes)?;
    primary.flush_wal()?;
    standby.wait_for_log_since(mark, "FATAL:  a panic was asked for", TIMEOUT)?;
    standby.wait_for_log_since(mark, "for wal_faults/ADD: blocks 2", TIMEOUT)?;
    Ok(())
}

#[test]
fn a_failing_decoding_is_an_error_of_who_decodes() -> Result<()> {
    let cluster = start()?;
    let mut session = cluster.session(DATABASE)?;
    session.execute("SELECT 1 FROM pg_create_logical_replication_slot('slot', 'test_decoding')")?;
    session.execute("SELECT wal_faults_message('told')")?;
    for (kind, text) in KINDS.into_iter().chain([("result", "an error was asked for")]) {
        set_fault(&cluster, "decode", kind)?;
        cluster.reload()?;
        let failed = failure(&mut session, "SELECT data FROM pg_logical_slot_get_changes('slot', NULL, NULL)")?;
        assert!(failed.contains(text), "{kind}: {failed}");
        if kind == "result" {
            assert!(failed.contains("cannot decode a record of resource manager \"wal_faults\""), "{failed}");
        }
    }
    set_fault(&cluster, "", "")?;
    cluster.reload()?;
    let told = session.execute("SELECT data FROM pg_logical_slot_get_changes('slot', NULL, NULL)")?;
    assert!(told.contains("prefix: wal_faults, sz: 4 content:told"), "{told}");
    assert_nothing_left(&cluster)
}

#[test]
fn registration_has_its_time_and_its_names() -> Result<()> {
    let mut cluster = builder()?.setting("shared_preload_libraries", "").start()?;
    let mut session = cluster.session(DATABASE)?;
    for sql in ["LOAD 'wal_faults'", "CREATE EXTENSION wal_faults"] {
        let failed = failure(&mut session, sql);
        let text = "failed to register custom resource manager \"wal_faults\" with ID 250";
        match failed {
            Ok(failed) => assert!(failed.contains(text), "{failed}"),
            // The extension can be made: its library is loaded by the first call.
            Err(_) => {
                let failed = failure(&mut session, "SELECT wal_faults_counts()")?;
                assert!(failed.contains(text), "{failed}");
            }
        }
    }
    cluster.stop(Mode::Fast)?;
    cluster.configure([("shared_preload_libraries", "wal_faults")])?;
    for (also, text, detail) in [
        (
            "same id",
            "failed to register custom resource manager \"wal_faults_of_another_name\" with ID 250",
            "Custom resource manager \"wal_faults\" already registered with the same ID",
        ),
        (
            "same name",
            "failed to register custom resource manager \"WAL_Faults\" with ID 252",
            "Existing resource manager with ID 250 has the same name",
        ),
    ] {
        cluster.configure([("wal_faults.register", also)])?;
        let log = fail_to_start(&mut cluster)?;
        assert!(log.contains(text) && log.contains(detail), "{log}");
    }
    cluster.configure([("wal_faults.register", "")])?;
    cluster.start()?;
    assert!(
        cluster
            .log_since(LogMark::BEGINNING)?
            .contains("registered custom resource manager \"wal_faults\" with ID 250")
    );
    Ok(())
}
