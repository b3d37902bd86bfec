//! The harness for objects in the WAL: what is right passes, and what is wrong in the object `broken_rmgr` is found.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use pgwal::{DataPage, RmgrId};
use tempfile::TempDir;
use walker_testing::wal_object::{CrashReport, CrashTest, StandbyReport, StandbyTest, WalUsage, Workload};
use walker_testing::{Cluster, ClusterBuilder, Installation, plugins, temporary_directory};

/// What `cargo xtask test` has made, or a copy of the installed PostgreSQL with `broken_rmgr` in it: nothing else of ours is
/// needed here.
struct Server {
    installation: Installation,
    _directory: Option<TempDir>,
}

impl Server {
    fn new() -> Result<Self> {
        if let Ok(installation) = Installation::for_tests() {
            return Ok(Self { installation, _directory: None });
        }
        let directory = temporary_directory()?;
        let installation = Installation::find(15)?.private_copy(directory.path())?;
        let (source, include) = (repository("testing/plugins/broken_rmgr/broken_rmgr.c"), repository("include"));
        let compiled = directory.path().join("broken_rmgr.so");
        plugins::compile_c_plugin(&installation, &source, &include, &compiled)?;
        installation.install_library(&compiled, "broken_rmgr")?;
        Ok(Self { installation, _directory: Some(directory) })
    }

    fn builder(&self) -> ClusterBuilder {
        Cluster::builder(&self.installation)
    }

    fn with_fault(&self, fault: &str) -> ClusterBuilder {
        self.builder().setting("shared_preload_libraries", "broken_rmgr").setting("broken_rmgr.fault", fault)
    }
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

const COUNTER_FUNCTIONS: &str = "
    CREATE FUNCTION counter_create(regclass, integer) RETURNS void AS 'broken_rmgr' LANGUAGE C;
    CREATE FUNCTION counter_add(regclass, integer, bigint) RETURNS void AS 'broken_rmgr' LANGUAGE C;
    CREATE FUNCTION counter_value(regclass, integer) RETURNS bigint AS 'broken_rmgr' LANGUAGE C;
    CREATE TABLE c ();
    SELECT counter_create('c', 4)";

/// Adds 1 to one of 256 counters in 4 pages. Each is counted at once, whatever becomes of the transaction.
fn counters() -> Workload {
    Workload::of_rmgr(RmgrId::new(128), "broken rmgr")
        .setup(COUNTER_FUNCTIONS)
        .operation("add", |turn| format!("SELECT counter_add('c', {}, 1)", turn.random.u32(..256)))
}

fn counters_with_sum() -> Workload {
    counters().invariant("each is counted once", |server, history| {
        let sum = "SELECT sum(counter_value('c', n)) FROM generate_series(0, 255) n";
        let sum: usize = server.psql("postgres", sum)?.parse()?;
        let (least, most) = (history.committed().count(), history.attempts().len());
        ensure!((least..=most).contains(&sum), "{sum} is not between {least} and {most}");
        Ok(())
    })
}

fn counters_with_digest() -> Workload {
    const VALUES: &str = "SELECT n, counter_value('c', n) FROM generate_series(0, 255) n ORDER BY n";
    counters_with_sum().digest(VALUES).roll_back_one_in(5)
}

/// That nothing is compared but the records that the standby checks by itself.
fn counters_with_nothing_to_compare() -> Workload {
    counters().invariant("none", |_, _| Ok(()))
}

/// Rows with two keys, ten at a time; `index` is on both keys.
fn rows(workload: Workload, setup: &str) -> Workload {
    const KEYS: &str = "SELECT a, b, count(*) FROM t, generate_series(0, 49) n WHERE a = n GROUP BY 1, 2 ORDER BY 1, 2";
    workload
        .setup("CREATE TABLE t (a int, b int)")
        .setup(setup)
        .operation("insert", |turn| {
            let (a, b) = (turn.random.u32(..50), turn.random.u32(..50));
            format!("INSERT INTO t SELECT {a}, {b} + n FROM generate_series(1, 10) n")
        })
        .operation("insert", |turn| format!("INSERT INTO t SELECT n, {} FROM generate_series(1, 40) n", turn.number % 50))
        .operation("delete", |turn| format!("DELETE FROM t WHERE a = {}", turn.random.u32(..50)))
        .maintenance("vacuum", |_| "VACUUM (TRUNCATE false) t".to_owned())
        .roll_back_one_in(10)
        .expected_error("deadlock detected")
        .same_answer(
            "index and table",
            &format!("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; {KEYS}"),
            &format!("SET enable_bitmapscan = off; SET enable_indexscan = off; SET enable_indexonlyscan = off; {KEYS}"),
        )
        .digest("SET enable_seqscan = off; SELECT a, b, count(*) FROM t WHERE a IN (1, 2, 3, 4, 5) GROUP BY 1, 2 ORDER BY 1, 2")
}

fn error<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    format!("{:#}", outcome.expect_err("the fault was not found"))
}

/// An even number of rounds has crashes of all kinds.
fn require_all_kinds(report: &CrashReport) {
    println!("{report}");
    assert_eq!(report.crashes.len(), 5);
    let replayed = report.replayed();
    assert!(replayed.changed > 100 && replayed.restored > 0, "{report}");
    assert!(report.history.committed().count() > 400, "{report}");
}

fn require_checks(report: &StandbyReport, pages: u32) {
    println!("{report}");
    assert!(report.replayed.checked > 100, "{report}");
    assert!(report.pages_compared >= pages, "{report}");
}

#[test]
fn a_bloom_index_survives_crashes() -> Result<()> {
    let workload = rows(Workload::of_generic_wal(), "CREATE EXTENSION bloom; CREATE INDEX i ON t USING bloom (a, b)");
    require_all_kinds(&CrashTest::new(&workload).rounds(2).run(Server::new()?.builder())?);
    Ok(())
}

#[test]
fn a_bloom_index_is_the_same_on_a_standby() -> Result<()> {
    let workload = rows(Workload::of_generic_wal(), "CREATE EXTENSION bloom; CREATE INDEX i ON t USING bloom (a, b)");
    let report = StandbyTest::new(&workload).compare_pages("i", |_, _| {}).run(Server::new()?.builder())?;
    require_checks(&report, 2);
    Ok(())
}

#[test]
fn a_btree_index_survives_crashes() -> Result<()> {
    let workload = rows(Workload::of_rmgr(RmgrId::BTREE, "Btree"), "CREATE INDEX i ON t (a, b)");
    require_all_kinds(&CrashTest::new(&workload).rounds(2).run(Server::new()?.builder())?);
    Ok(())
}

#[test]
fn a_btree_index_is_the_same_on_a_standby() -> Result<()> {
    let workload = rows(Workload::of_rmgr(RmgrId::BTREE, "Btree"), "CREATE INDEX i ON t (a, b)");
    let server = Server::new()?;
    let report = StandbyTest::new(&workload)
        .compare_pages("i", |page, _| {
            // As btree_mask() does: dead items are marked without a record, and so is that there are any; redo of a split does
            // not note which vacuum was at work.
            page.mask_lsn_and_checksum();
            page.mask_hint_bits();
            page.mask_line_pointer_flags();
            let _ = page.mask_unused_space();
            if let Some([flags, _, cycle @ ..]) = page.special_mut().get_mut(12..16) {
                *flags &= !0x60;
                cycle.fill(0);
            }
        })
        .run(server.builder())?;
    require_checks(&report, 4);
    Ok(())
}

#[test]
fn an_object_with_a_custom_rmgr_survives_crashes() -> Result<()> {
    require_all_kinds(&CrashTest::new(&counters_with_digest()).rounds(2).run(Server::new()?.with_fault("none"))?);
    Ok(())
}

#[test]
fn an_object_with_a_custom_rmgr_is_the_same_on_a_standby() -> Result<()> {
    let workload = counters_with_digest();
    let report = StandbyTest::new(&workload).compare_pages("c", |_, _| {}).run(Server::new()?.with_fault("none"))?;
    require_checks(&report, 4);
    assert_eq!(report.pages_compared, 4);
    Ok(())
}

#[test]
fn a_change_that_redo_forgets_is_found_after_a_crash() -> Result<()> {
    let server = Server::new()?;
    let by_digest = counters().digest("SELECT counter_value('c', n) FROM generate_series(0, 255) n ORDER BY n");
    let found = error(CrashTest::new(&by_digest).rounds(1).run(server.with_fault("redo_forgets")));
    assert!(found.contains("round 1, Quiet crash, seed") && found.contains("the digest is not the same"), "{found}");
    // Without a digest nothing is compared with before, but what was committed is known.
    let found = error(CrashTest::new(&counters_with_sum()).rounds(1).run(server.with_fault("redo_forgets")));
    assert!(found.contains("\"each is counted once\" does not hold"), "{found}");
    Ok(())
}

#[test]
fn a_change_that_redo_forgets_is_found_by_the_standby_itself() -> Result<()> {
    let workload = counters_with_nothing_to_compare();
    let found = error(StandbyTest::new(&workload).run(Server::new()?.with_fault("redo_forgets")));
    assert!(found.contains("inconsistent page found") && found.contains("broken rmgr/ADD"), "{found}");
    Ok(())
}

#[test]
fn a_mask_that_hides_everything_leaves_it_to_the_digest_and_the_files() -> Result<()> {
    let server = Server::new()?;
    let builder = || server.with_fault("redo_forgets").setting("broken_rmgr.mask_hides_all", "on");
    let found = error(StandbyTest::new(&counters_with_digest()).run(builder()));
    assert!(found.contains("the digest is not the same") && found.contains("on the standby"), "{found}");
    let workload = counters_with_nothing_to_compare();
    let found = error(StandbyTest::new(&workload).compare_pages("c", |_, _| {}).run(builder()));
    assert!(found.contains("4 of 4 pages of") && found.contains("the files of c"), "{found}");
    Ok(())
}

#[test]
fn a_page_without_the_position_of_its_last_change_is_found_in_the_files() -> Result<()> {
    let server = Server::new()?;
    // Before it crashes, nothing is wrong but the position, which each mask hides.
    let workload = counters_with_nothing_to_compare();
    let masked = |page: &mut DataPage, _| page.mask_lsn_and_checksum();
    let found =
        error(StandbyTest::new(&workload).compare_pages("c", |_, _| {}).run(server.with_fault("redo_keeps_lsn")));
    assert!(found.contains("different on the standby") || found.contains("inconsistent page found"), "{found}");
    assert!(StandbyTest::new(&workload).compare_pages("c", masked).run(server.with_fault("none")).is_ok());
    Ok(())
}

#[test]
fn changes_without_records_are_found() -> Result<()> {
    let server = Server::new()?;
    let found = error(CrashTest::new(&counters_with_sum()).run(server.with_fault("not_logged")));
    assert!(found.contains("each is counted once"), "{found}");
    let found = error(StandbyTest::new(&counters_with_digest()).run(server.with_fault("not_logged")));
    assert!(found.contains("the digest is not the same") && found.contains("on the standby"), "{found}");
    Ok(())
}

#[test]
fn a_test_that_could_find_nothing_fails() -> Result<()> {
    let server = Server::new()?;
    // Nothing of this workload is of Generic WAL.
    let workload = rows(Workload::of_generic_wal(), "CREATE INDEX i ON t (a, b)");
    let found = error(CrashTest::new(&workload).operations(20).run(server.builder()));
    assert!(found.contains("no record of Generic was replayed"), "{found}");
    let found = error(StandbyTest::new(&workload).operations(20).run(server.builder()));
    assert!(found.contains("no record of Generic was replayed"), "{found}");
    // The name is that of another one, for whose records there is no check.
    let workload = rows(Workload::of_rmgr(RmgrId::BTREE, "Hash"), "CREATE INDEX i ON t (a, b)");
    let found = error(StandbyTest::new(&workload).operations(20).run(server.builder()));
    assert!(found.contains("no page was checked by wal_consistency_checking for Hash"), "{found}");
    Ok(())
}

#[test]
fn errors_of_operations_end_the_test_unless_they_are_expected() -> Result<()> {
    let server = Server::new()?;
    let workload = || counters_with_digest().operation("fail", |_| "SELECT counter_add('c', 1000, 1)".to_owned());
    let found = error(CrashTest::new(&workload()).run(server.with_fault("none")));
    assert!(found.contains("(fail): SELECT counter_add") && found.contains("there is no counter 1000"), "{found}");
    let workload = workload().expected_error("there is no counter");
    let report = CrashTest::new(&workload).rounds(1).operations(50).run(server.with_fault("none"))?;
    assert!(report.history.not_committed().any(|attempt| attempt.operation == "fail"), "{report}");
    Ok(())
}

#[test]
fn the_wal_of_an_operation_is_limited() -> Result<()> {
    const OPERATIONS: u64 = 1_000;
    let installed = Server::new()?;
    let server = installed.with_fault("none").setting("autovacuum", "off").start()?;
    server.psql("postgres", COUNTER_FUNCTIONS)?;
    let add = format!("SELECT counter_add('c', n % 256, 1) FROM generate_series(1, {OPERATIONS}) n");
    server.psql("postgres", "CHECKPOINT")?;
    let usage = WalUsage::measure(&server, "postgres", |session| session.execute(&add).map(drop))?;
    let volume = usage.of_rmgr(RmgrId::new(128)).volume();
    // Header 24, block 20, main data 2 + 12; each of four pages comes once, which adds the header of the image.
    assert_eq!((volume.records, volume.images, volume.bytes), (OPERATIONS, 4, OPERATIONS * 58 + 4 * 5));
    assert!(volume.image_bytes == 4 * 8192, "{volume}");
    assert_eq!(usage.of_relation(server.relation_files("postgres", "c")?).volume(), volume);
    volume.require_at_most(59, OPERATIONS)?;
    let found = error(volume.require_at_most(58, OPERATIONS));
    assert!(
        found.starts_with("58.0 bytes of WAL for each of 1000 operations are more than 58: 1000 records"),
        "{found}"
    );
    let nothing = usage.of_rmgr(RmgrId::GENERIC).volume();
    assert!(nothing.require_at_most(58, OPERATIONS).is_err());
    Ok(())
}
