//! The answer of `walker preflight`, as text and as JSON.

use std::fmt::{self, Write as _};

use pgwal::KnownCustomRmgr;
use serde::{Serialize, Serializer};

use super::data_directory::Source;
use super::libraries::{setting_line, split};
use super::needed::Needed;
use super::verdict::{Provides, Standing, Verdict, library_of, standing};

/// What was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Wal {
    pub(super) directories: Vec<String>,
    /// The one that was reached.
    pub(super) timeline: Option<u32>,
    pub(super) start: String,
    pub(super) end: String,
    pub(super) redo: Option<Redo>,
    pub(super) records: u64,
    /// Whether all was looked at that should be.
    #[serde(rename = "complete")]
    pub(super) is_whole: bool,
}

/// Where recovery begins, and which file says so.
#[derive(Debug, Serialize)]
pub(super) struct Redo {
    pub(super) lsn: String,
    pub(super) file: &'static str,
}

/// `shared_preload_libraries`.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    value: String,
    /// `None` if a server refuses the list.
    libraries: Option<Vec<String>>,
    source: Source,
}

impl Settings {
    pub(super) fn new(value: String, source: Source) -> Self {
        let libraries = split(&value);
        Self { value, libraries, source }
    }

    /// What a server loads: of a list that it refuses, nothing.
    fn loaded(&self) -> &[String] {
        self.libraries.as_deref().unwrap_or_default()
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Place<'a> {
            kind: &'a str,
            file: Option<String>,
            line: Option<usize>,
        }
        let (kind, file, line) = match self {
            Self::File(file, line) => ("file", Some(file), Some(*line)),
            Self::Default(file) => ("default", Some(file), None),
            Self::LastStart(file) => ("command line of the last start", Some(file), None),
            Self::Argument => ("--shared-preload-libraries", None, None),
        };
        Place { kind, file: file.map(|file| file.display().to_string()), line }.serialize(serializer)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, line) => write!(formatter, "\"{}\", line {line}", file.display()),
            Self::Default(file) => write!(formatter, "the default: not set in \"{}\"", file.display()),
            Self::LastStart(file) => {
                write!(formatter, "the command line of the last start, by \"{}\"", file.display())
            }
            Self::Argument => formatter.write_str("as given here"),
        }
    }
}

/// A resource manager that is needed.
#[derive(Debug, Serialize)]
struct Row {
    id: u8,
    /// Who reserved the id.
    extension: Option<&'static str>,
    /// The name that is registered.
    name: Option<&'static str>,
    library: Option<String>,
    records: u64,
    first: String,
    last: String,
    standing: &'static str,
    #[serde(skip)]
    kind: Standing,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    wal: Wal,
    shared_preload_libraries: Option<Settings>,
    resource_managers: Vec<Row>,
    verdict: &'static str,
    /// The line that a configuration file should have.
    fix: Option<String>,
    notes: Vec<String>,
}

impl Report {
    pub(super) fn new(
        wal: Wal,
        needed: &Needed,
        settings: Option<Settings>,
        provides: &[Provides],
        notes: Vec<String>,
    ) -> Self {
        let loaded = settings.as_ref().map(Settings::loaded);
        let rows = needed.of.iter().map(|(id, records)| {
            let library = library_of(*id, provides);
            let kind = standing(library.as_deref(), loaded);
            let known = KnownCustomRmgr::of(*id);
            Row {
                id: id.get(),
                extension: known.map(|known| known.extension),
                name: known.and_then(|known| known.name),
                library,
                records: records.count,
                first: records.first.to_string(),
                last: records.last.to_string(),
                standing: match kind {
                    Standing::Loaded => "loaded",
                    Standing::Missing => "missing",
                    Standing::Unknown => "unknown",
                },
                kind,
            }
        });
        let rows: Vec<_> = rows.collect();
        let mut report = Self {
            wal,
            fix: settings.as_ref().and_then(|settings| fix(settings, &rows)),
            shared_preload_libraries: settings,
            resource_managers: rows,
            verdict: "",
            notes,
        };
        report.verdict = match report.verdict() {
            Verdict::Ready => "ready",
            Verdict::NotReady => "not ready",
            Verdict::Unknown => "unknown",
        };
        report
    }

    /// A log of which a part was not seen may need more.
    pub(super) fn verdict(&self) -> Verdict {
        match Verdict::of(self.resource_managers.iter().map(|row| &row.kind)) {
            Verdict::Ready if !self.wal.is_whole => Verdict::Unknown,
            verdict => verdict,
        }
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, text: &mut String) -> fmt::Result {
        let Wal { directories, timeline, start, end, redo, records, is_whole } = &self.wal;
        let directories = directories.iter().map(|path| format!("\"{path}\"")).collect::<Vec<_>>().join(" and ");
        if let Some(Redo { lsn, file }) = redo {
            writeln!(text, "Recovery begins at {lsn}, as {file} says.")?;
        }
        let timeline = timeline.map(|timeline| format!(" on timeline {timeline}")).unwrap_or_default();
        writeln!(text, "Looked at {records} records from {start} to {end}{timeline},\nin {directories}.")?;
        if let Some(Settings { value, libraries, source }) = &self.shared_preload_libraries {
            writeln!(text, "shared_preload_libraries = '{value}'\n({source})")?;
            if libraries.is_none() {
                writeln!(text, "A server refuses this list, and loads none of its libraries.")?;
            }
        }
        for note in &self.notes {
            writeln!(text, "{note}")?;
        }
        writeln!(text)?;
        if self.resource_managers.is_empty() {
            return match is_whole {
                true => writeln!(text, "No custom resource manager is needed."),
                false => writeln!(text, "Up to there no custom resource manager is needed."),
            };
        }
        self.write_rows(text)?;
        writeln!(text)?;
        self.write_verdict(text)
    }

    fn write_rows(&self, text: &mut String) -> fmt::Result {
        let width = |of: fn(&Row) -> &str, heading: &str| {
            let longest = self.resource_managers.iter().map(|row| of(row).chars().count()).max();
            longest.unwrap_or(0).max(heading.len())
        };
        let extension: fn(&Row) -> &str = |row| row.extension.unwrap_or("-");
        let library: fn(&Row) -> &str = |row| row.library.as_deref().unwrap_or("-");
        let (reserved, registered) = ("reserved by", "library");
        let (wide, wider) = (width(extension, reserved), width(library, registered));
        let (count, first, last) = ("records", "first", "last");
        writeln!(text, " ID  {reserved:<wide$}  {registered:<wider$}  {count:>8}  {first:<11}  {last:<11}  standing")?;
        for row in &self.resource_managers {
            let Row { id, records, first, last, standing, .. } = row;
            let (extension, library) = (extension(row), library(row));
            writeln!(
                text,
                "{id:>3}  {extension:<wide$}  {library:<wider$}  {records:>8}  {first:<11}  {last:<11}  {standing}"
            )?;
        }
        Ok(())
    }

    fn write_verdict(&self, text: &mut String) -> fmt::Result {
        let of = |kind: Standing| self.resource_managers.iter().filter(move |row| row.kind == kind);
        if let Some(first) = of(Standing::Missing).min_by_key(|row| row.first.parse::<pgwal::Lsn>().ok()) {
            let Row { id, first, .. } = first;
            writeln!(text, "Recovery would stop at {first}: \"resource manager with ID {id} not registered\".")?;
        }
        if let Some((fix, settings)) = self.fix.as_ref().zip(self.shared_preload_libraries.as_ref()) {
            let place = match &settings.source {
                Source::File(file, line) => format!("In \"{}\", line {line}", file.display()),
                Source::Default(file) => format!("In \"{}\"", file.display()),
                Source::LastStart(_) => "On the server's command line".to_owned(),
                Source::Argument => "In the configuration file".to_owned(),
            };
            writeln!(text, "{place}, set before the server is started:\n\n    {fix}\n")?;
        }
        for Row { id, .. } in of(Standing::Missing).filter(|row| row.library.is_none()) {
            writeln!(text, "The library that registers ID {id} is not known here: put in its name.")?;
        }
        for row in of(Standing::Unknown) {
            let Row { id, library, .. } = row;
            match (&self.shared_preload_libraries, library) {
                (None, Some(library)) => writeln!(text, "Recovery needs {library} in shared_preload_libraries.")?,
                (None, None) => writeln!(text, "Recovery needs the library that registers ID {id}.")?,
                (Some(_), _) => writeln!(
                    text,
                    "Whether one of the libraries registers ID {id} cannot be told: say which by --provides {id}=LIBRARY."
                )?,
            }
        }
        if self.shared_preload_libraries.is_none() {
            return writeln!(text, "The setting was not looked at: see --pgdata and --shared-preload-libraries.");
        }
        match self.verdict() {
            Verdict::Ready => writeln!(text, "Recovery will find all resource managers that it needs."),
            _ if !self.wal.is_whole => writeln!(text, "More may be needed: not all of the WAL could be looked at."),
            _ => Ok(()),
        }
    }
}

/// The line that names the missing libraries behind those that are there.
fn fix(settings: &Settings, rows: &[Row]) -> Option<String> {
    let mut names = settings.loaded().to_vec();
    for row in rows.iter().filter(|row| row.kind == Standing::Missing) {
        let name = row.library.clone().unwrap_or_else(|| format!("LIBRARY_OF_{}", row.id));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    (names.len() > settings.loaded().len()).then(|| setting_line(&names))
}

#[cfg(test)]
mod tests {
    use super::super::needed::Records;
    use super::*;
    use pgwal::{Lsn, RmgrId};
    use std::path::PathBuf;

    fn report(ids: &[u8], value: Option<&str>, provides: &[&str], is_whole: bool) -> Report {
        let records = Records { count: 3, first: Lsn::new(0x100), last: Lsn::new(0x200) };
        let of = ids.iter().map(|id| (RmgrId::new(*id), Records { first: Lsn::new(u64::from(*id)), ..records }));
        let needed = Needed { of: of.collect(), records: 10 };
        let (start, end) = ("0/100".to_owned(), "0/300".to_owned());
        let directories = vec!["wal".to_owned()];
        let wal = Wal { directories, timeline: Some(1), start, end, redo: None, records: 10, is_whole };
        let source = Source::File(PathBuf::from("/data/postgresql.conf"), 7);
        let settings = value.map(|value| Settings::new(value.to_owned(), source));
        let provides: Vec<_> = provides.iter().map(|text| text.parse().unwrap()).collect();
        Report::new(wal, &needed, settings, &provides, Vec::new())
    }

    #[test]
    fn the_fix_names_what_is_missing_behind_what_is_there() {
        let report = report(&[128, 137, 140], Some("pg_stat_statements, pg_tde"), &[], true);
        assert_eq!(report.verdict, "not ready");
        let fix = "shared_preload_libraries = 'pg_stat_statements, pg_tde, pg_search'";
        assert_eq!(report.fix.as_deref(), Some(fix));
        let text = report.to_text();
        assert!(text.contains("would stop at 0/89: \"resource manager with ID 137 not registered\""), "{text}");
        assert!(text.contains("In \"/data/postgresql.conf\", line 7, set before"), "{text}");
        assert!(text.contains("registers ID 128 cannot be told: say which by --provides 128=LIBRARY"), "{text}");
        assert!(text.contains("140  Percona pg_tde      pg_tde            3  0/8C "), "{text}");
    }

    #[test]
    fn where_no_library_can_register_it_the_user_puts_in_the_name() {
        let report = report(&[128], Some(""), &[], true);
        assert_eq!(report.fix.as_deref(), Some("shared_preload_libraries = 'LIBRARY_OF_128'"));
        assert!(report.to_text().ends_with("registers ID 128 is not known here: put in its name.\n"));
        let report = self::report(&[128], Some(""), &["128=mine"], true);
        assert_eq!(report.fix.as_deref(), Some("shared_preload_libraries = 'mine'"));
    }

    #[test]
    fn a_list_that_the_server_refuses_loads_nothing() {
        let report = report(&[140], Some("pg_tde,"), &[], true);
        assert_eq!(report.fix.as_deref(), Some("shared_preload_libraries = 'pg_tde'"));
        assert!(report.to_text().contains("A server refuses this list"));
    }

    #[test]
    fn without_settings_only_the_needs_are_known() {
        let report = report(&[128, 140], None, &[], true);
        assert_eq!((report.verdict, report.fix.is_none()), ("unknown", true));
        let text = report.to_text();
        assert!(text.contains("Recovery needs the library that registers ID 128.\n"), "{text}");
        assert!(text.contains("Recovery needs pg_tde in shared_preload_libraries.\n"), "{text}");
        assert!(text.ends_with("see --pgdata and --shared-preload-libraries.\n"), "{text}");
    }

    #[test]
    fn nothing_needed_or_all_there_is_ready_if_all_was_seen() {
        assert_eq!(report(&[], None, &[], true).verdict, "ready");
        assert!(
            report(&[140], Some("pg_tde"), &[], true).to_text().ends_with("all resource managers that it needs.\n")
        );
        assert_eq!(report(&[], Some(""), &[], false).verdict, "unknown");
        assert!(report(&[140], Some("pg_tde"), &[], false).to_text().contains("More may be needed"));
    }

    #[test]
    fn json_has_all_of_it() {
        let json = serde_json::to_value(report(&[140], Some("a"), &[], true)).unwrap();
        assert_eq!((&json["verdict"], &json["resource_managers"][0]["id"]), (&"not ready".into(), &140.into()));
        assert_eq!(json["fix"], "shared_preload_libraries = 'a, pg_tde'");
        assert_eq!(json["shared_preload_libraries"]["source"]["line"], 7);
        assert_eq!((&json["wal"]["complete"], &json["wal"]["end"]), (&true.into(), &"0/300".into()));
    }
}
