//! PostgreSQL's example of a custom resource manager, in Rust: what its own test expects of the one in C
//! (`src/test/modules/test_custom_rmgrs/t/001_basic.pl`), and what happens without the library.

use anyhow::{Result, ensure};
use walker_testing::{Cluster, ClusterBuilder, Installation, Mode, walker};

const DATABASE: &str = "postgres";
const INSERT: &str = "SELECT test_custom_rmgrs_insert_wal_record";

fn builder() -> Result<ClusterBuilder> {
    let builder =
        Cluster::builder(&Installation::for_tests()?).setting("shared_preload_libraries", "test_custom_rmgrs");
    // Else its records come into what is compared.
    Ok(builder.setting("autovacuum", "off"))
}

fn start() -> Result<Cluster> {
    let cluster = builder()?.start()?;
    cluster.psql(DATABASE, "CREATE EXTENSION test_custom_rmgrs")?;
    Ok(cluster)
}

#[test]
fn records_look_in_pg_walinspect_as_those_of_the_example_in_c() -> Result<()> {
    let cluster = start()?;
    cluster.psql(DATABASE, "CREATE EXTENSION pg_walinspect")?;
    let begin = cluster.psql(DATABASE, "SELECT pg_current_wal_insert_lsn()")?;
    let record_end = cluster.psql(DATABASE, &format!("{INSERT}('payload123')"))?;
    cluster.psql(DATABASE, "SELECT pg_switch_wal()")?;
    let end = cluster.psql(DATABASE, "SELECT pg_current_wal_flush_lsn()")?;

    let manager = "SELECT rm_builtin FROM pg_get_wal_resource_managers() WHERE rm_name = 'test_custom_rmgrs'";
    assert_eq!(cluster.psql(DATABASE, manager)?, "f");
    let records = format!(
        "SELECT end_lsn, resource_manager, record_type, record_length, main_data_length, fpi_length, description \
         FROM pg_get_wal_records_info('{begin}', '{end}') WHERE resource_manager = 'test_custom_rmgrs'"
    );
    let expected =
        format!("{record_end}|test_custom_rmgrs|TEST_CUSTOM_RMGRS_MESSAGE|44|18|0|payload (10 bytes): payload123");
    assert_eq!(cluster.psql(DATABASE, &records)?, expected);

    // And so the command describes them, which reads the files alone.
    let data = cluster.data_directory();
    let dump = |options: &[&str]| {
        let range = ["--start", &begin, "--end", &end, "--pgdata"];
        let output = walker()?.args(["dump"]).args(options).args(range).arg(&data).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let described = dump(&["--rmgr", "test_custom_rmgrs"])?;
    assert!(described.starts_with("rmgr: test_custom_rmgrs len (rec/tot):     44/    44"), "{described}");
    assert!(described.ends_with("desc: TEST_CUSTOM_RMGRS_MESSAGE payload (10 bytes): payload123\n"), "{described}");
    let given = dump(&["--custom-rmgr", "128=test_custom_rmgrs", "--rmgr", "custom128"])?;
    assert_eq!(given, described);
    // The number is everybody's.
    let unknown = dump(&["--rmgr", "custom128"])?;
    assert!(unknown.starts_with("rmgr: custom128"), "{unknown}");
    Ok(())
}

#[test]
fn a_crash_is_recovered_from_only_with_the_library() -> Result<()> {
    let mut cluster = start()?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    cluster.psql(DATABASE, &format!("{INSERT}('a message')"))?;
    cluster.psql(DATABASE, "CREATE TABLE behind_it AS SELECT 1 AS one")?;
    cluster.stop(Mode::Immediate)?;
    cluster.configure([("shared_preload_libraries", "")])?;
    let failure = cluster.start().expect_err("recovery without the library");
    assert!(format!("{failure:#}").contains("resource manager with ID 128 not registered"), "{failure:#}");

    cluster.configure([("shared_preload_libraries", "test_custom_rmgrs")])?;
    cluster.start()?;
    assert_eq!(cluster.psql(DATABASE, "SELECT one FROM behind_it")?, "1");
    Ok(())
}

#[test]
fn a_library_that_is_loaded_later_cannot_register_and_writes_nothing() -> Result<()> {
    let cluster = builder()?.setting("shared_preload_libraries", "").start()?;
    let failure = cluster.psql(DATABASE, "CREATE EXTENSION test_custom_rmgrs; LOAD 'test_custom_rmgrs'").unwrap_err();
    let failure = format!("{failure:#}");
    assert!(
        failure.contains("failed to register custom resource manager \"test_custom_rmgrs\" with ID 128"),
        "{failure}"
    );
    assert!(failure.contains("shared_preload_libraries"), "{failure}");
    Ok(())
}
