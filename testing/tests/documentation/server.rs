//! Settings, views and functions: the book against a server, both ways.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use walker_testing::{Cluster, Installation};

use crate::chapters::{Chapter, rows, spans, words};

const DATABASE: &str = "postgres";

/// The extensions and the chapters that have their views and functions.
const CHAPTERS: [&str; 3] = ["docs/views-and-functions.md", "docs/garbagemap-sql.md", "docs/walker-statistics.md"];

fn cluster() -> Result<Cluster> {
    // Settings as nobody has set them.
    let cluster = Cluster::builder(&Installation::for_tests()?)
        .setting("shared_preload_libraries", "walker, garbagemap")
        .start()?;
    cluster.psql(DATABASE, "CREATE EXTENSION walker; CREATE EXTENSION garbagemap")?;
    Ok(cluster)
}

#[test]
fn every_setting_is_described_with_its_default_and_range() -> Result<()> {
    let cluster = cluster()?;
    let chapter = Chapter::read("docs/settings.md")?;
    let described: BTreeMap<String, Vec<&str>> =
        rows(&chapter.text).into_iter().map(|row| (row[0].trim_matches('`').to_owned(), row)).collect();
    let settings = cluster.psql_rows(
        DATABASE,
        "SELECT name, current_setting(name), context, vartype, coalesce(min_val, ''), coalesce(max_val, ''), coalesce(unit, ''),
                coalesce(array_to_string(enumvals, ' '), '')
         FROM pg_settings WHERE name LIKE 'walker.%' OR name LIKE 'garbagemap.%'",
    )?;
    let names: BTreeSet<_> = settings.iter().map(|row| row[0].clone()).collect();
    assert_eq!(described.keys().cloned().collect::<BTreeSet<_>>(), names);
    for setting in &settings {
        let [name, default, context, kind, least, most, unit, values] = &setting[..] else { unreachable!() };
        let [_, said_default, said_range, takes_effect, _] = described[name][..] else { panic!("{name}: columns") };
        let expected = if default.is_empty() { "empty".to_owned() } else { format!("`{default}`") };
        assert_eq!(said_default, expected, "{name}");
        if kind == "integer" {
            let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
            assert_eq!(said_range, format!("`{least}` to `{most}`{unit}"), "{name}");
        }
        let all = words(&chapter.text);
        for value in values.split_whitespace() {
            assert!(all.contains(value), "{name}: value {value} is not in the chapter");
        }
        let expected = match context.as_str() {
            "postmaster" => "restart",
            "sighup" => "reload",
            _ => "at once, in each session",
        };
        assert_eq!(takes_effect, expected, "{name}");
    }
    Ok(())
}

#[test]
fn no_setting_is_named_that_does_not_exist() -> Result<()> {
    let sample = Chapter::read("pg/walker/walker.conf.sample")?;
    let exists = |name: &str| sample.text.lines().any(|line| line.starts_with(&format!("#{name} = ")));
    let mut texts = Chapter::of_book()?;
    texts.push(Chapter::read("README.md")?);
    let mut found = 0;
    for chapter in &texts {
        for word in
            chapter.text.split(|character: char| !(character.is_ascii_alphanumeric() || "._-/".contains(character)))
        {
            let word = word.trim_end_matches(['.', '-']);
            let Some((prefix, rest)) = word.split_once('.') else { continue };
            let is_file = ["so", "h", "control", "snapshot", "conf.sample", "collector.yml", "fish"].contains(&rest);
            if ["walker", "garbagemap"].contains(&prefix) && !is_file {
                found += 1;
                ensure!(exists(word), "{}: there is no setting {word}", chapter.path.display());
            }
        }
    }
    ensure!(found > 20, "only {found} settings found");
    Ok(())
}

#[test]
fn every_view_is_described_with_its_columns() -> Result<()> {
    let cluster = cluster()?;
    let views = cluster.psql_rows(
        DATABASE,
        "SELECT c.relname, string_agg(a.attname, ' ' ORDER BY a.attnum)
         FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
              JOIN pg_class c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND c.relkind = 'v'
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE d.deptype = 'e' AND e.extname IN ('walker', 'garbagemap') GROUP BY 1",
    )?;
    assert_eq!(views.len(), 3);
    let chapters: Vec<_> = CHAPTERS.into_iter().map(Chapter::read).collect::<Result<_>>()?;
    for view in &views {
        let [name, columns] = &view[..] else { unreachable!() };
        let heading = format!("The view `{name}`");
        let section = chapters.iter().find_map(|chapter| chapter.section(&heading).ok());
        let Some(section) = section else { panic!("no section \"{heading}\"") };
        let table = section.split("\n\n").find(|part| part.starts_with("| column")).unwrap_or_default();
        let rows = rows(table);
        let described: Vec<_> = rows.iter().flat_map(|row| spans(row[0])).collect();
        assert_eq!(
            described.iter().copied().collect::<BTreeSet<_>>(),
            columns.split(' ').collect::<BTreeSet<_>>(),
            "{name}"
        );
    }
    Ok(())
}

#[test]
fn every_function_is_described_with_its_arguments_and_results() -> Result<()> {
    let cluster = cluster()?;
    let functions = cluster.psql_rows(
        DATABASE,
        "SELECT p.proname, coalesce(pg_get_function_identity_arguments(p.oid), ''), coalesce(array_to_string(p.proargnames, ' '), '')
         FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
              JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
         WHERE d.deptype = 'e' AND e.extname IN ('walker', 'garbagemap')",
    )?;
    let chapter = Chapter::read("docs/views-and-functions.md")?;
    let mut described = BTreeMap::new();
    for row in rows(chapter.section("Functions")?) {
        let (name, arguments) = row[0].trim_matches('`').split_once('(').expect("a function");
        described.insert(name.to_owned(), (arguments.trim_end_matches(')').to_owned(), row[1], row[2]));
    }
    let names: BTreeSet<_> = functions.iter().map(|row| row[0].clone()).collect();
    assert_eq!(described.keys().cloned().collect::<BTreeSet<_>>(), names);
    for function in &functions {
        let [name, arguments, all_names] = &function[..] else { unreachable!() };
        let (said, returns, _) = &described[name];
        let inputs: Vec<_> = arguments.split(", ").filter(|argument| !argument.starts_with("OUT ")).collect();
        let inputs = inputs.join(", ").replace("IN ", "");
        // What has a default is in brackets.
        assert_eq!(said.replace(['[', ']'], ""), inputs, "{name}");
        let results: BTreeSet<_> = words(returns);
        let first_inputs = inputs.split(", ").filter(|input| !input.is_empty()).count();
        let outputs: BTreeSet<_> = all_names.split_whitespace().skip(first_inputs).collect();
        if !outputs.is_empty() && !returns.starts_with("the columns of") {
            assert_eq!(results, outputs, "{name}");
        }
    }
    // Nor is one named that is not there.
    let others = ["walker_testing", "walker_core"];
    for chapter in Chapter::of_book()? {
        for span in chapter.spans() {
            let Some((name, _)) = span.split_once('(') else { continue };
            let name = name.rsplit(' ').next().unwrap_or(name);
            let is_ours = ["walker_", "garbage", "gs", "pg_stat_walker", "pg_stat_get_walker"]
                .iter()
                .any(|own| name.starts_with(own));
            let is_name = name.chars().all(|character| character.is_ascii_lowercase() || character == '_');
            if is_ours && is_name && !others.contains(&name) {
                ensure!(names.contains(name), "{}: there is no function {name}", chapter.path.display());
            }
        }
    }
    Ok(())
}
