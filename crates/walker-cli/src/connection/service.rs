//! The connection service file. Mirrors `parseServiceInfo` (`src/interfaces/libpq/fe-connect.c`).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::Parameters;
use super::keyword::check_name;
use super::surroundings::Surroundings;

/// The parameters of a service: from the file that `PGSERVICEFILE` names or `~/.pg_service.conf`, or else from the
/// one in the directory that `PGSYSCONFDIR` names or where packages put it.
pub(super) fn find(service: &str, surroundings: &Surroundings) -> Result<Parameters> {
    let mut any_file = false;
    let own = surroundings.file("PGSERVICEFILE", ".pg_service.conf");
    for path in own.into_iter().chain(system_files(surroundings)) {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("could not read service file \"{}\"", path.display()));
            }
        };
        any_file = true;
        if let Some(parameters) = parse(&text, service, &path)? {
            return Ok(parameters);
        }
    }
    match surroundings.variable("PGSERVICEFILE") {
        Some(path) if !any_file => bail!("service file \"{path}\" not found"),
        _ => bail!("definition of service \"{service}\" not found"),
    }
}

fn system_files(surroundings: &Surroundings) -> Vec<PathBuf> {
    let directories = match surroundings.variable("PGSYSCONFDIR") {
        Some(directory) => vec![directory],
        None => vec!["/etc/postgresql-common".to_owned(), "/etc".to_owned()],
    };
    directories.iter().map(|directory| Path::new(directory).join("pg_service.conf")).collect()
}

/// The section of `service`, if the file has one. What is wrong in other sections does not matter.
fn parse(text: &str, service: &str, path: &Path) -> Result<Option<Parameters>> {
    let mut parameters = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            if parameters.is_some() {
                break;
            }
            if name.strip_suffix(']') == Some(service) {
                parameters = Some(Parameters::new());
            }
            continue;
        }
        let Some(parameters) = &mut parameters else { continue };
        let place = || format!("syntax error in service file \"{}\", line {number}", path.display());
        let (keyword, value) = line.split_once('=').with_context(place)?;
        if keyword == "service" {
            bail!("nested service specifications not supported in service file \"{}\", line {number}", path.display())
        }
        check_name(keyword).with_context(place)?;
        // The first one of several wins.
        parameters.entry(keyword.to_owned()).or_insert_with(|| value.to_owned());
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "# all our servers\n[other]\nhost=elsewhere\n\n[shop]\nhost=db\n port=5433 \nhost=late\n[bad]\nx\n";

    fn of(text: &str, service: &str) -> Result<Option<Parameters>> {
        parse(text, service, Path::new("pg_service.conf"))
    }

    #[test]
    fn a_section_is_a_service() {
        let expected = [("host", "db"), ("port", "5433")].map(|(keyword, value)| (keyword.into(), value.into()));
        assert_eq!(of(FILE, "shop").unwrap(), Some(Parameters::from(expected)));
        assert_eq!(of(FILE, "nothing").unwrap(), None);
    }

    #[test]
    fn mistakes_are_reported_by_line() {
        let message = format!("{:#}", of(FILE, "bad").unwrap_err());
        assert_eq!(message, "syntax error in service file \"pg_service.conf\", line 10");
        assert!(of("[a]\nservice=b", "a").unwrap_err().to_string().contains("nested service"));
        assert!(of("[a]\ncolour=red", "a").is_err());
    }

    #[test]
    fn a_missing_service_or_file_is_named() {
        let mut surroundings = Surroundings::default();
        surroundings.variables.insert("PGSYSCONFDIR".into(), "/nowhere".into());
        let message = find("shop", &surroundings).unwrap_err().to_string();
        assert_eq!(message, "definition of service \"shop\" not found");
        surroundings.variables.insert("PGSERVICEFILE".into(), "/nowhere/file".into());
        assert_eq!(find("shop", &surroundings).unwrap_err().to_string(), "service file \"/nowhere/file\" not found");
    }

    #[test]
    fn a_service_file_lies_in_the_home_directory() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(".pg_service.conf"), FILE).unwrap();
        let surroundings = Surroundings { home: Some(home.path().to_owned()), ..Surroundings::default() };
        assert_eq!(find("shop", &surroundings).unwrap()["port"], "5433");
    }
}
