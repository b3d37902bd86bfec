//! What an administrator does with the extensions: makes, moves, dumps and restores them, sets them up by the sample of
//! the settings, and does away with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use walker_testing::{
    Cluster, Installation, Mode, assert_garbage_equal, every_kind_of_change, garbage_differences, garbagemap_cluster,
    start_garbagemap, wait_until_garbage_known,
};

const DATABASE: &str = "postgres";

/// How many objects of which kind the database has.
const OBJECTS: &str =
    "SELECT (SELECT count(*) FROM pg_proc), (SELECT count(*) FROM pg_class), (SELECT count(*) FROM pg_type),
     (SELECT count(*) FROM pg_rewrite), (SELECT count(*) FROM pg_operator), (SELECT count(*) FROM pg_namespace),
     (SELECT count(*) FROM pg_description), (SELECT count(*) FROM pg_init_privs), (SELECT count(*) FROM pg_extension),
     (SELECT count(*) FROM pg_roles)";

#[test]
fn extensions_are_made_moved_and_dropped_without_a_trace() -> Result<()> {
    let cluster = garbagemap_cluster()?.start()?;
    let before = cluster.psql(DATABASE, OBJECTS)?;
    cluster.psql(DATABASE, "CREATE SCHEMA one; CREATE SCHEMA two")?;
    cluster.psql(DATABASE, "CREATE EXTENSION walker SCHEMA one; CREATE EXTENSION garbagemap SCHEMA two")?;
    assert_eq!(cluster.psql(DATABASE, "SELECT count(*) FROM one.pg_stat_walker")?, "1");
    cluster.psql(DATABASE, "ALTER EXTENSION walker SET SCHEMA two")?;
    assert_eq!(cluster.psql(DATABASE, "SELECT count(*) FROM two.pg_stat_walker")?, "1");
    assert_eq!(cluster.psql(DATABASE, "SELECT count(*) >= 0 FROM two.garbagemap")?, "t");
    // Its functions name each other by their schema, once and for all.
    let error = cluster.psql(DATABASE, "ALTER EXTENSION garbagemap SET SCHEMA one").unwrap_err();
    assert!(format!("{error:#}").contains("does not support SET SCHEMA"), "{error:#}");
    // To the version that is there already.
    cluster.psql(DATABASE, "ALTER EXTENSION walker UPDATE; ALTER EXTENSION garbagemap UPDATE")?;
    // What stands on it goes only if that is said.
    cluster.psql(DATABASE, "CREATE VIEW mine AS SELECT relid, n_dead_tuples FROM two.garbagemap")?;
    let error = cluster.psql(DATABASE, "DROP EXTENSION garbagemap").unwrap_err();
    assert!(format!("{error:#}").contains("view mine depends on view two.garbagemap"), "{error:#}");
    cluster
        .psql(DATABASE, "DROP EXTENSION garbagemap CASCADE; DROP EXTENSION walker; DROP SCHEMA one; DROP SCHEMA two")?;
    assert_eq!(cluster.psql(DATABASE, OBJECTS)?, before);
    Ok(())
}

#[test]
fn a_dump_is_restored_with_the_extensions_and_what_was_granted() -> Result<()> {
    let cluster = start_garbagemap(garbagemap_cluster()?)?;
    cluster.psql(
        DATABASE,
        "CREATE EXTENSION walker;
         CREATE ROLE watcher; GRANT EXECUTE ON FUNCTION walker_ask(text, text, int) TO watcher;
         REVOKE SELECT ON garbagemap FROM PUBLIC; GRANT SELECT ON garbagemap TO watcher;
         CREATE VIEW worst AS SELECT relname, n_dead_tuples FROM garbagemap ORDER BY n_dead_tuples DESC LIMIT 3",
    )?;
    every_kind_of_change(&cluster)?;
    let dump = run(cluster.program("pg_dump")?.arg(DATABASE))?;
    let created: Vec<_> = dump.lines().filter(|line| line.starts_with("CREATE EXTENSION")).collect();
    assert_eq!(created.len(), 5, "{created:?}");
    // The extension's own objects come with it.
    assert!(!dump.contains("CREATE FUNCTION") && !dump.contains("CREATE VIEW public.garbagemap"), "{dump}");

    cluster.psql(DATABASE, "CREATE DATABASE restored TEMPLATE template0")?;
    cluster.psql("restored", &dump)?;
    let granted = "SELECT has_function_privilege('watcher', 'walker_ask(text, text, int)', 'EXECUTE'),
                       has_table_privilege('watcher', 'garbagemap', 'SELECT'),
                       has_table_privilege('public', 'garbagemap', 'SELECT')";
    assert_eq!(cluster.psql("restored", granted)?, "t|t|f");
    assert_eq!(cluster.psql("restored", granted)?, cluster.psql(DATABASE, granted)?);
    let definitions =
        "SELECT viewname, pg_get_viewdef(viewname::regclass) FROM pg_views WHERE schemaname = 'public' ORDER BY 1";
    assert_eq!(cluster.psql("restored", definitions)?, cluster.psql(DATABASE, definitions)?);

    // The map has the restored tables too.
    cluster.psql("restored", "CHECKPOINT; DELETE FROM plain WHERE id % 2 = 0; SELECT count(*) FROM worst")?;
    wait_until_garbage_known(&cluster, "restored")?;
    assert_eq!(garbage_differences(&cluster, "restored")?, "");
    assert_garbage_equal(&cluster)
}

#[test]
fn taken_out_of_the_settings_walker_leaves_its_slot_and_its_map() -> Result<()> {
    let mut cluster = start_garbagemap(garbagemap_cluster()?)?;
    cluster.psql(DATABASE, "CREATE EXTENSION walker")?;
    every_kind_of_change(&cluster)?;
    cluster.psql(DATABASE, "CHECKPOINT")?;
    cluster.configure([("shared_preload_libraries", ""), ("walker.plugins", "")])?;
    cluster.restart(Mode::Fast)?;
    assert!(cluster.background_workers("walker")?.is_empty());
    let slots = "SELECT string_agg(slot_name || ' ' || active, ', ') FROM pg_replication_slots";
    assert_eq!(cluster.psql(DATABASE, slots)?, "walker false");
    // Who asks is told what to do.
    for query in
        ["SELECT * FROM garbage_summary('plain')", "SELECT * FROM garbagemap", "SELECT walker_ask('garbagemap')"]
    {
        let error = format!("{:#}", cluster.psql(DATABASE, query).unwrap_err());
        assert!(error.contains("walker must be loaded via \"shared_preload_libraries\""), "{query}: {error}");
    }
    cluster.psql(DATABASE, "DROP EXTENSION garbagemap; DROP EXTENSION walker")?;
    cluster.psql(DATABASE, "SELECT pg_drop_replication_slot('walker')")?;
    cluster.stop(Mode::Fast)?;
    let ours =
        |path: &PathBuf| path.to_string_lossy().contains("walker") || path.to_string_lossy().contains("garbagemap");
    let left: Vec<_> = files(&cluster.data_directory(), Path::new(""))?.into_iter().filter(ours).collect();
    assert_eq!(left, [Path::new("walker/garbagemap.snapshot")]);
    fs::remove_dir_all(cluster.data_directory().join("walker"))?;
    cluster.start()?;
    assert_eq!(cluster.psql(DATABASE, slots)?, "");
    // It can come back.
    cluster.configure([("shared_preload_libraries", "walker"), ("walker.plugins", "garbagemap")])?;
    cluster.restart(Mode::Fast)?;
    cluster.psql(DATABASE, "CREATE EXTENSION garbagemap; CHECKPOINT")?;
    wait_until_garbage_known(&cluster, DATABASE)?;
    assert_garbage_equal(&cluster)
}

#[test]
fn the_sample_has_every_setting_with_its_default() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pg/walker/walker.conf.sample");
    let sample = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (to_use, all) = sample.split_once("What follows are all settings").context("the sample has no two parts")?;
    let to_use: Vec<_> = to_use.lines().filter_map(setting).collect();
    assert_eq!(to_use, [("shared_preload_libraries", "'walker'"), ("walker.plugins", "'garbagemap'")]);

    // All of them, as if the # had been taken away.
    let lines = all.lines().filter_map(setting).map(|(name, value)| format!("{name} = {value}\n"));
    let cluster = Cluster::builder(&Installation::for_tests()?)
        .setting("include", "all.conf")
        .setting("shared_preload_libraries", "walker, garbagemap")
        .build()?;
    fs::write(cluster.data_directory().join("all.conf"), lines.collect::<String>())?;
    let mut cluster = cluster;
    cluster.start()?;
    let rows = cluster.psql_rows(
        DATABASE,
        "SELECT name, setting, boot_val, short_desc, context, coalesce(sourcefile LIKE '%/all.conf', false) FROM pg_settings
         WHERE name LIKE 'walker.%' OR name LIKE 'garbagemap.%' ORDER BY name",
    )?;
    ensure!(!rows.is_empty());
    let comments = comments(all);
    assert_eq!(
        comments.keys().copied().collect::<Vec<_>>(),
        rows.iter().map(|row| row[0].as_str()).collect::<Vec<_>>()
    );
    for row in &rows {
        let [name, value, default, description, context, is_from_sample] = &row[..] else { unreachable!() };
        assert_eq!(value, default, "{name}");
        // Set to what it is anyway, it is still said where.
        assert_eq!(is_from_sample, "t", "{name}");
        let comment = &comments[name.as_str()];
        assert!(comment.contains(description.as_str()), "{name}: {comment}");
        assert_eq!(comment.contains("(change requires restart)"), context == "postmaster", "{name}");
    }
    Ok(())
}

/// Name and value of a line such as `#name = value`.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once(" = ")?;
    name.chars().all(|character| character.is_ascii_lowercase() || "._".contains(character)).then_some((name, value))
}

/// What stands directly above each setting, on one line.
fn comments(sample: &str) -> BTreeMap<&str, String> {
    let mut comments = BTreeMap::new();
    let mut comment = String::new();
    for line in sample.lines() {
        match (setting(line), line.strip_prefix("# ")) {
            (Some((name, _)), _) => {
                comments.insert(name, comment.trim().to_owned());
            }
            (None, Some(text)) => comment = format!("{comment} {text}"),
            (None, None) => comment.clear(),
        }
    }
    comments
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// All files below a directory, by their names in it.
fn files(directory: &Path, below: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() { found.extend(files(directory, &path)?) } else { found.push(path) }
    }
    Ok(found)
}
