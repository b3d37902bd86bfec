//! The settings that a server would read from its files: `postgresql.conf`, what that includes, and
//! `postgresql.auto.conf`. What comes last wins.
//!
//! Mirrors `src/backend/utils/misc/guc-file.l`, which is the same in 15 to 18 but for names: the scanner, `ParseConfigFp`,
//! `ParseConfigFile`, `ParseConfigDirectory` and `DeescapeQuotedString`. Where a server would not start, this is an error.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::scanner::setting_of_line;
use crate::exit::system_message;

/// The file that is read last (`PG_AUTOCONF_FILENAME`), in the data directory.
const AUTO_CONFIGURATION: &str = "postgresql.auto.conf";
/// Files may include each other so deep.
const DEEPEST: u32 = 10;

/// A setting, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) value: String,
    pub(super) file: PathBuf,
    /// From one.
    pub(super) line: usize,
}

/// All settings of a server's files, by their names in lower case.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    settings: BTreeMap<String, Setting>,
}

/// Why a server could not read its configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigurationError {
    #[error("could not open configuration file \"{}\": {}", .path.display(), system_message(.cause))]
    File { path: PathBuf, cause: io::Error },
    #[error("could not open configuration directory \"{}\": {}", .path.display(), system_message(.cause))]
    Directory { path: PathBuf, cause: io::Error },
    #[error("syntax error in file \"{}\" line {line}, near {near}", .file.display())]
    Syntax { file: PathBuf, line: usize, near: String },
    #[error("empty configuration file name in file \"{}\" line {line}", .file.display())]
    EmptyName { file: PathBuf, line: usize },
    #[error("could not open configuration file \"{}\": maximum nesting depth exceeded", .0.display())]
    Depth(PathBuf),
    #[error("configuration file recursion in \"{}\"", .0.display())]
    Recursion(PathBuf),
}

impl Configuration {
    /// Reads `file`, and then the file of `ALTER SYSTEM` in `data_directory`, which need not be there.
    ///
    /// # Errors
    /// [`ConfigurationError`] where a server would not start.
    pub(super) fn read(file: &Path, data_directory: &Path) -> Result<Self, ConfigurationError> {
        let mut configuration = Self::default();
        configuration.read_file(file, None, 0)?;
        let auto = data_directory.join(AUTO_CONFIGURATION);
        if auto.exists() {
            configuration.read_file(&auto, None, 0)?;
        }
        Ok(configuration)
    }

    /// The setting of that name, which is in lower case.
    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.settings.get(name)
    }

    fn read_file(&mut self, path: &Path, caller: Option<&Path>, depth: u32) -> Result<(), ConfigurationError> {
        if depth > DEEPEST {
            return Err(ConfigurationError::Depth(path.to_owned()));
        }
        if caller == Some(path) {
            return Err(ConfigurationError::Recursion(path.to_owned()));
        }
        let content = fs::read(path).map_err(|cause| ConfigurationError::File { path: path.to_owned(), cause })?;
        // No token goes on over the end of a line.
        for (index, content) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = index.saturating_add(1);
            let syntax = |near| ConfigurationError::Syntax { file: path.to_owned(), line, near };
            if let Some((name, value)) = setting_of_line(content).map_err(syntax)? {
                self.take(name.to_ascii_lowercase(), Setting { value, file: path.to_owned(), line }, depth)?;
            }
        }
        Ok(())
    }

    /// Takes a setting, or does what it directs.
    fn take(&mut self, name: String, setting: Setting, depth: u32) -> Result<(), ConfigurationError> {
        let Setting { value, file, line } = &setting;
        let included = || {
            if value.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
                return Err(ConfigurationError::EmptyName { file: file.clone(), line: *line });
            }
            // What is not absolute begins where the file is that names it.
            let path = file.parent().unwrap_or(Path::new("")).join(value);
            Ok(path.components().collect::<PathBuf>())
        };
        let deeper = depth.saturating_add(1);
        match name.as_str() {
            "include" => self.read_file(&included()?, Some(file), deeper),
            "include_if_exists" => match self.read_file(&included()?, Some(file), deeper) {
                Err(ConfigurationError::File { path, .. }) if Ok(&path) == included().as_ref().map_err(drop) => Ok(()),
                outcome => outcome,
            },
            "include_dir" => self.read_directory(&included()?, file, deeper),
            _ => {
                self.settings.insert(name, setting);
                Ok(())
            }
        }
    }

    fn read_directory(&mut self, directory: &Path, caller: &Path, depth: u32) -> Result<(), ConfigurationError> {
        let failed = |cause| ConfigurationError::Directory { path: directory.to_owned(), cause };
        let mut names = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let bytes = name.as_encoded_bytes();
            // There must be something before the ending.
            let wanted = bytes.len() > ".conf".len() && bytes.ends_with(b".conf") && !bytes.starts_with(b".");
            if wanted && !directory.join(&name).is_dir() {
                names.push(name);
            }
        }
        names.sort();
        names.iter().try_for_each(|name| self.read_file(&directory.join(name), Some(caller), depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn directory(files: &[(&str, &str)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        directory
    }

    fn read(files: &[(&str, &str)]) -> Result<Configuration, ConfigurationError> {
        let directory = directory(files);
        Configuration::read(&directory.path().join("postgresql.conf"), directory.path())
    }

    fn value(files: &[(&str, &str)]) -> Option<(String, String, usize)> {
        let configuration = read(files).unwrap();
        let Setting { value, file, line } = configuration.get("x")?.clone();
        Some((value, file.file_name().unwrap().to_str().unwrap().to_owned(), line))
    }

    fn found(value: &str, file: &str, line: usize) -> Option<(String, String, usize)> {
        Some((value.into(), file.into(), line))
    }

    #[test]
    fn the_last_one_wins_and_alter_system_is_the_last() {
        assert_eq!(value(&[("postgresql.conf", "# x = 0\nX = 1\n\nx = 2\r\ny = 3")]), found("2", "postgresql.conf", 4));
        let files = [("postgresql.conf", "x = 1\n"), ("postgresql.auto.conf", "y = 1\nx = 'a''b'\n")];
        assert_eq!(value(&files), found("a'b", "postgresql.auto.conf", 2));
        assert_eq!(value(&[("postgresql.conf", "")]), None);
    }

    #[test]
    fn what_is_included_counts_where_it_is_included() {
        let other = ("other.conf", "x = 2\n");
        assert_eq!(value(&[("postgresql.conf", "x = 1\ninclude 'other.conf'\n"), other]), found("2", "other.conf", 1));
        let before = [("postgresql.conf", "include = 'other.conf'\nx = 1\n"), other];
        assert_eq!(value(&before), found("1", "postgresql.conf", 2));
        // Relative to the file that includes.
        let nested = [("postgresql.conf", "include 'a/b.conf'"), ("a/b.conf", "include 'c.conf'"), ("a/c.conf", "x=7")];
        assert_eq!(value(&nested), found("7", "c.conf", 1));
    }

    #[test]
    fn a_file_that_is_not_there_may_be_included_if_it_exists_only() {
        assert_eq!(value(&[("postgresql.conf", "x = 1\ninclude_if_exists 'none'")]), found("1", "postgresql.conf", 1));
        let missing = |files: &[(&str, &str)]| matches!(read(files), Err(ConfigurationError::File { .. }));
        assert!(missing(&[("postgresql.conf", "include 'none'")]));
        assert!(missing(&[]));
        // It exists, and includes what does not.
        assert!(missing(&[("postgresql.conf", "include_if_exists 'a'"), ("a", "include 'none'")]));
    }

    #[test]
    fn of_a_directory_the_files_with_the_ending_are_read_in_order() {
        let files = [
            ("postgresql.conf", "include_dir 'conf.d'"),
            ("conf.d/10.conf", "x = 10"),
            ("conf.d/9.conf", "x = 9"),
            ("conf.d/99.conf~", "x = 0"),
            ("conf.d/.hidden.conf", "x = 0"),
            ("conf.d/.conf", "x = 0"),
            ("conf.d/z.conf/file", "x = 0"),
        ];
        assert_eq!(value(&files), found("9", "9.conf", 1));
        let missing = read(&[("postgresql.conf", "include_dir 'conf.d'")]);
        assert!(matches!(missing, Err(ConfigurationError::Directory { .. })));
    }

    #[test]
    fn files_that_include_each_other_are_refused() {
        let itself = read(&[("postgresql.conf", "include './postgresql.conf'")]);
        assert!(matches!(itself, Err(ConfigurationError::Recursion(_))), "{itself:?}");
        let each_other = read(&[("postgresql.conf", "include a"), ("a", "include 'postgresql.conf'")]);
        assert!(matches!(each_other, Err(ConfigurationError::Depth(_))));
        let blank = read(&[("postgresql.conf", "\ninclude ' '")]);
        assert!(matches!(blank, Err(ConfigurationError::EmptyName { line: 2, .. })));
    }

    #[test]
    fn errors_are_told_in_the_words_of_the_server() {
        let error = read(&[("postgresql.conf", "x = 1\nx = 1 2\n")]).unwrap_err().to_string();
        assert!(error.ends_with("postgresql.conf\" line 2, near token \"2\""), "{error}");
        let error = read(&[("postgresql.conf", "x =")]).unwrap_err().to_string();
        assert!(error.ends_with("line 1, near end of line"), "{error}");
    }
}
