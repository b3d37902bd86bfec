//! `walker top`: what it says is what the views say, and what it does on a terminal is what the keys ask for.

mod screen;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use screen::Screen;
use walker_testing::{
    Cluster, Signal, garbagemap_cluster, send_signal, start_garbagemap, wait_until_garbage_known, walker,
};

const DATABASE: &str = "postgres";
const TIMEOUT: Duration = Duration::from_secs(60);

/// A server with two tables, of which one has a lot of garbage, and both extensions.
fn cluster() -> Result<Cluster> {
    let cluster = start_garbagemap(garbagemap_cluster()?.setting("garbagemap.baseline_rate", "1000"))?;
    cluster.psql(
        DATABASE,
        "CREATE EXTENSION walker;
         CREATE TABLE orders AS SELECT generate_series(1, 10000) AS id, repeat('x', 100) AS note;
         CREATE TABLE parts AS SELECT generate_series(1, 1000) AS id;
         UPDATE orders SET id = id + 1 WHERE id <= 4000;
         DELETE FROM parts WHERE id <= 10;
         CHECKPOINT",
    )?;
    wait_until_garbage_known(&cluster, DATABASE)?;
    Ok(cluster)
}

fn top(cluster: &Cluster, options: &[&str]) -> Result<Command> {
    let mut command = walker()?;
    command.args(["top", "--dbname", &cluster.connection_string(DATABASE)]).args(options);
    Ok(command)
}

/// What the command prints.
fn printed(mut command: Command) -> Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn once_it_prints_what_the_views_say() -> Result<()> {
    let cluster = cluster()?;
    let text = printed(top(&cluster, &["--width", "100", "--sort", "dead-tuples", "--limit", "3"])?)?;
    let lines: Vec<&str> = text.lines().collect();
    ensure!(lines[0].starts_with("walker top  postgres  PostgreSQL 1"), "{text}");
    ensure!(lines.iter().any(|line| line.starts_with("garbagemap       running")), "{text}");
    let tables: Vec<_> = lines.iter().skip_while(|line| !line.starts_with("TABLE")).skip(1).collect();
    ensure!(tables.len() == 3 && tables[0].starts_with("public.orders"), "{text}");
    let words: Vec<&str> = tables[0].split_whitespace().collect();
    ensure!(words.contains(&"4,000") && words.contains(&"29"), "{text}");
    ensure!(!text.contains('\u{1b}') && lines.iter().all(|line| line.chars().count() <= 100), "{text}");

    // For programs: each number of the view, for each table.
    let json = printed(top(&cluster, &["--format", "json"])?)?;
    let asked = cluster.psql(
        DATABASE,
        &format!(
            "SELECT count(*), bool_and(
                 (t->>'dead_tuples')::bigint IS NOT DISTINCT FROM n_dead_tuples
                 AND (t->>'live_tuples')::bigint IS NOT DISTINCT FROM n_live_tuples
                 AND (t->>'dead_bytes')::bigint IS NOT DISTINCT FROM dead_bytes
                 AND (t->>'blocks')::bigint IS NOT DISTINCT FROM n_blocks
                 AND (t->>'removable_tuples')::bigint IS NOT DISTINCT FROM n_removable_tuples
                 AND t->>'name' = format('%I.%I', schemaname, relname))
             FROM garbagemap LEFT JOIN json_array_elements($json${json}$json$::json->'tables') t ON (t->>'id')::oid = relid
             WHERE relkind <> 'p' AND schemaname = 'public'"
        ),
    )?;
    assert_eq!(asked, "2|t");
    let plugin = cluster.psql(DATABASE, &format!("SELECT $json${json}$json$::json#>>'{{plugins,0,name}}'"))?;
    assert_eq!(plugin, "garbagemap");
    Ok(())
}

#[test]
fn on_a_terminal_keys_choose_sort_filter_and_show_heat_maps() -> Result<()> {
    let cluster = cluster()?;
    let mut screen = Screen::start(&top(&cluster, &["--interval", "1"])?, 80, 30)?;
    let text = screen.wait_for(TIMEOUT, |text| text.contains("public.orders") && text.contains("WAL READ"))?;
    ensure!(screen.is_taken(), "{text}");
    let place = |text: &str, name: &str| text.find(name).with_context(|| format!("{name} is not in:\n{text}"));
    ensure!(place(&text, "public.orders")? < place(&text, "public.parts")?, "{text}");
    ensure!(text.contains("DEAD▼"), "{text}");

    screen.press("R")?;
    screen.wait_for(TIMEOUT, |text| text.contains("DEAD▲"))?;
    screen.press("n")?;
    screen.wait_for(TIMEOUT, |text| text.contains("TABLE▲"))?;
    screen.press("h")?;
    screen.wait_for(TIMEOUT, |text| text.contains("quit") && text.contains("Any key goes back."))?;
    screen.press("x")?;
    screen.press("/orders\r")?;
    screen.wait_for(TIMEOUT, |text| text.contains("public.orders") && !text.contains("public.parts"))?;

    screen.press("\r")?;
    let text = screen.wait_for(TIMEOUT, |text| text.contains("Dead tuples in orders"))?;
    ensure!(text.contains("4,000"), "{text}");
    // It goes on while garbage comes and goes: who reads the pages removes what is dead.
    cluster.psql(DATABASE, "UPDATE orders SET id = id + 1 WHERE id > 9500")?;
    screen.wait_for(TIMEOUT, |text| text.contains("Dead tuples in orders") && !text.contains("4,000"))?;
    screen.press("\u{1b}")?;
    screen.wait_for(TIMEOUT, |text| text.contains("TABLE▲"))?;
    screen.press("q")?;
    ensure!(screen.wait(TIMEOUT)?.success());
    ensure!(!screen.is_taken(), "the terminal was not given back");
    Ok(())
}

#[test]
fn it_says_what_is_missing_and_waits_for_a_server_that_restarts() -> Result<()> {
    let mut cluster = cluster()?;
    cluster.psql(DATABASE, "DROP EXTENSION walker; CREATE ROLE nobody LOGIN")?;
    let text = printed(top(&cluster, &["--once"])?)?;
    ensure!(text.contains("plugins: run CREATE EXTENSION walker in this database"), "{text}");
    let mut screen = Screen::start(&top(&cluster, &["--interval", "1"])?, 80, 24)?;
    screen.wait_for(TIMEOUT, |text| text.contains("public.orders"))?;
    cluster.stop(walker_testing::Mode::Fast)?;
    screen.wait_for(TIMEOUT, |text| text.contains("connection to server on socket"))?;
    cluster.start()?;
    screen.wait_for(TIMEOUT, |text| text.contains("q quit") && !text.contains("connection to server"))?;
    screen.press("\u{3}")?;
    ensure!(screen.wait(TIMEOUT)?.success());
    Ok(())
}

#[test]
fn a_table_that_is_dropped_is_said_and_a_signal_gives_the_terminal_back() -> Result<()> {
    let cluster = cluster()?;
    let mut screen = Screen::start(&top(&cluster, &["--interval", "1"])?, 80, 30)?;
    screen.wait_for(TIMEOUT, |text| text.contains("public.orders"))?;
    screen.press("m")?;
    screen.wait_for(TIMEOUT, |text| text.contains("Dead tuples in orders"))?;
    cluster.psql(DATABASE, "DROP TABLE orders")?;
    screen.wait_for(TIMEOUT, |text| text.contains("could not find table \"public.orders\""))?;
    screen.press("\u{1b}")?;
    screen.wait_for(TIMEOUT, |text| text.contains("public.parts") && !text.contains("public.orders"))?;
    send_signal(screen.process_id(), Signal::TERM)?;
    ensure!(screen.wait(TIMEOUT)?.success());
    ensure!(!screen.is_taken(), "the terminal was not given back");
    Ok(())
}
