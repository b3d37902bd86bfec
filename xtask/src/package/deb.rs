//! One Debian package: its files, what Debian's policy wants beside them, and `dpkg-deb`.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use walker_testing::temporary_directory;

use super::DPKG_DEB;
use super::release::Release;
use crate::command::{capture, run};
use crate::install::{below, install};

/// What a package says of itself, beside what all say.
#[derive(Debug)]
pub(crate) struct Control<'a> {
    /// To other packages: `Depends` and the like.
    pub(crate) relations: Vec<(&'a str, String)>,
    /// One line.
    pub(crate) synopsis: String,
    /// Paragraphs.
    pub(crate) description: &'a [&'a str],
}

/// The directory with what a package says of itself.
const INFORMATION: &str = "DEBIAN";

/// A package that is being made: its files lie below a directory as they will lie below the root.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    name: String,
    release: &'a Release,
    /// As that of a source package, since `dpkg-shlibdeps` expects it so: below `debian` a file `control`, and the
    /// package in a directory with its name.
    scratch: tempfile::TempDir,
    /// Those with machine code.
    programs: Vec<PathBuf>,
}

impl<'a> Tree<'a> {
    /// A package of that name without files.
    pub(crate) fn new(name: &str, release: &'a Release) -> Result<Self> {
        let scratch = temporary_directory()?;
        let tree = Self { name: name.to_owned(), release, scratch, programs: Vec::new() };
        // By this directory Debian's tools know what a package is made of.
        let information = tree.root().join(INFORMATION);
        fs::create_dir_all(&information).with_context(|| format!("cannot make {}", information.display()))?;
        let control = format!("Source: walker\n\nPackage: {name}\nArchitecture: any\n");
        fs::write(tree.scratch().join("debian/control"), control).context("cannot write debian/control")?;
        Ok(tree)
    }

    /// A directory for what is not part of the package.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    fn root(&self) -> PathBuf {
        self.scratch().join("debian").join(&self.name)
    }

    /// The package's directory for documentation.
    pub(crate) fn documentation(&self) -> PathBuf {
        Path::new("/usr/share/doc").join(&self.name)
    }

    /// Adds a file. From one with machine code what only debuggers need is taken away, as Debian's tools do.
    pub(crate) fn add(&mut self, from: &Path, to: &Path) -> Result<()> {
        let place = below(Some(&self.root()), to);
        install(from, &place)?;
        let is_library = to.extension().is_some_and(|extension| extension == "so");
        if is_library || to.starts_with("/usr/bin") {
            let mut strip = Command::new("strip");
            strip.args(["--remove-section=.comment", "--remove-section=.note"]);
            // What the dynamic linker looks for stays in any case.
            strip.args(is_library.then_some("--strip-unneeded")).arg(&place);
            run(&mut strip)?;
            self.programs.push(place);
        }
        Ok(())
    }

    /// Adds all files of a directory.
    pub(crate) fn add_all(&mut self, from: &Path, to: &Path) -> Result<()> {
        for file in files(from)? {
            let to = to.join(file.strip_prefix(from)?);
            self.add(&file, &to)?;
        }
        Ok(())
    }

    /// Adds a file with that text.
    pub(crate) fn write(&self, to: &Path, text: &[u8]) -> Result<()> {
        let place = below(Some(&self.root()), to);
        let context = || format!("cannot write {}", place.display());
        fs::create_dir_all(place.parent().with_context(context)?).with_context(context)?;
        fs::write(&place, text).with_context(context)
    }

    /// Adds a file with that text, compressed as Debian wants it for manual pages and changelogs.
    pub(crate) fn write_compressed(&self, to: &Path, text: &[u8]) -> Result<()> {
        let mut gzip = Command::new("gzip")
            .args(["-9", "-n"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("gzip")?;
        let mut stdin = gzip.stdin.take().context("gzip has no standard input")?;
        let text = text.to_owned();
        let feeder = std::thread::spawn(move || stdin.write_all(&text));
        let output = gzip.wait_with_output().context("gzip")?;
        feeder.join().ok().context("gzip was not fed")?.context("gzip")?;
        ensure!(output.status.success(), "gzip failed ({})", output.status);
        self.write(to, &output.stdout)
    }

    /// Adds a symbolic link to another file of a package. As Debian wants it, it is relative within a directory of the
    /// root.
    pub(crate) fn link(&self, target: &Path, to: &Path) -> Result<()> {
        let common = target.components().zip(to.components()).take_while(|(a, b)| a == b).count();
        let up = to.components().skip(common + 1).map(|_| "..");
        let target: PathBuf = up.chain(target.iter().skip(common).filter_map(|part| part.to_str())).collect();
        let place = below(Some(&self.root()), to);
        let context = || format!("cannot link {}", place.display());
        fs::create_dir_all(place.parent().with_context(context)?).with_context(context)?;
        symlink(target, &place).with_context(context)
    }

    /// The packages with the shared libraries that the programs need, in the version from which on they fit.
    pub(crate) fn shared_libraries(&self) -> Result<String> {
        let mut command = Command::new("dpkg-shlibdeps");
        // The server's functions are found in the server: nothing is to be said of symbols.
        command.args(["-O", "--warnings=0"]).current_dir(self.scratch());
        let printed = capture(command.args(&self.programs))?;
        let depends = printed.trim().strip_prefix("shlibs:Depends=");
        depends.map(str::to_owned).with_context(|| format!("dpkg-shlibdeps tells no dependencies: {printed}"))
    }

    /// Writes the package into the directory `output` and returns its path.
    pub(crate) fn build(&self, control: &Control<'_>, output: &Path) -> Result<PathBuf> {
        let release = self.release;
        let changelog = self.documentation().join("changelog.Debian.gz");
        self.write_compressed(&changelog, changelog_text(release).as_bytes())?;
        let root = self.root();
        set_permissions(&root)?;

        let installed = files(&root)?;
        let size = installed_size(&root)?;
        let text = control.text(&self.name, release, size);
        self.write(&Path::new(INFORMATION).join("control"), text.as_bytes())?;
        let regular = installed.iter().filter(|file| !file.is_symlink());
        let names = regular.map(|file| file.strip_prefix(&root)).collect::<Result<Vec<_>, _>>()?;
        let sums = capture(Command::new("md5sum").args(names).current_dir(&root))?;
        self.write(&Path::new(INFORMATION).join("md5sums"), sums.as_bytes())?;
        set_permissions(&root.join(INFORMATION))?;

        fs::create_dir_all(output).with_context(|| format!("cannot make {}", output.display()))?;
        let file = format!("{}_{}_{}.deb", self.name, release.debian_version, release.architecture);
        let file = output.join(file);
        let mut dpkg_deb = Command::new(DPKG_DEB);
        // In one thread, or the result depends on how many processors there are.
        dpkg_deb.env("SOURCE_DATE_EPOCH", release.epoch.to_string()).env("DPKG_DEB_THREADS_MAX", "1");
        dpkg_deb.args(["--build", "--root-owner-group", "-Zxz"]).arg(&root).arg(&file);
        capture(&mut dpkg_deb)?;
        Ok(file)
    }
}

impl Control<'_> {
    fn text(&self, name: &str, release: &Release, installed_size: u64) -> String {
        let mut text = String::new();
        let mut field = |name: &str, value: &str| {
            let _ = writeln!(text, "{name}: {value}");
        };
        field("Package", name);
        if name != "walker" {
            field("Source", "walker");
        }
        field("Version", &release.debian_version);
        field("Architecture", &release.architecture);
        field("Maintainer", &release.maintainer);
        field("Installed-Size", &installed_size.to_string());
        for (relation, packages) in &self.relations {
            field(relation, packages);
        }
        field("Section", "database");
        field("Priority", "optional");
        if let Some(homepage) = &release.homepage {
            field("Homepage", homepage);
        }
        field("Description", &self.synopsis);
        let paragraphs: Vec<_> = self.description.iter().map(|paragraph| wrapped(paragraph, 79)).collect();
        text + &paragraphs.join(" .\n")
    }
}

/// Lines of at most so many columns, each behind a space.
fn wrapped(paragraph: &str, columns: usize) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for word in paragraph.split_whitespace() {
        if !line.is_empty() && 1 + line.len() + 1 + word.len() > columns {
            let _ = writeln!(text, "{line}");
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
    text
}

fn changelog_text(release: &Release) -> String {
    format!(
        "walker ({}) unstable; urgency=medium\n\n  * WALker {}: changelog.gz tells what is new.\n\n -- {}  {}\n",
        release.debian_version, release.version, release.maintainer, release.date
    )
}

/// Programs may be run; everything else may be read by everyone.
fn set_permissions(directory: &Path) -> Result<()> {
    for path in [vec![directory.to_owned()], everything(directory)?].concat() {
        if path.is_symlink() {
            continue;
        }
        let is_program = path.parent().is_some_and(|parent| parent.ends_with("usr/bin"));
        let mode = if path.is_dir() || is_program { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(mode))
            .with_context(|| format!("cannot change the permissions of {}", path.display()))?;
    }
    Ok(())
}

/// In KiB, as dpkg-gencontrol estimates it: a directory or link counts one.
fn installed_size(root: &Path) -> Result<u64> {
    let installed = everything(root)?.into_iter().filter(|path| !path.starts_with(root.join(INFORMATION)));
    let sizes = installed.map(|path| -> Result<u64> {
        let metadata = path.symlink_metadata().with_context(|| format!("cannot look at {}", path.display()))?;
        Ok(if metadata.is_file() { metadata.len().div_ceil(1024) } else { 1 })
    });
    sizes.sum()
}

/// All files and links below a directory, in the order of their names.
pub(crate) fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    Ok(everything(directory)?.into_iter().filter(|path| path.is_symlink() || path.is_file()).collect())
}

/// All files, links and directories below a directory, in the order of their names.
fn everything(directory: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot list {}", directory.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(everything(&path)?);
        }
        found.push(path);
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        Release {
            version: "0.1.0".to_owned(),
            debian_version: "0.1.0-1".to_owned(),
            architecture: "amd64".to_owned(),
            epoch: 1_767_323_045,
            date: "Fri, 02 Jan 2026 03:04:05 +0000".to_owned(),
            maintainer: "Name <name@example.org>".to_owned(),
            homepage: Some("https://example.org/".to_owned()),
        }
    }

    #[test]
    fn what_a_package_says_of_itself() {
        let control = Control {
            relations: vec![("Depends", "libc6 (>= 2.34), postgresql-15".to_owned())],
            synopsis: "one line".to_owned(),
            description: &["A paragraph.", "Another one."],
        };
        let expected = "Package: postgresql-15-walker\nSource: walker\nVersion: 0.1.0-1\nArchitecture: amd64\n\
                        Maintainer: Name <name@example.org>\nInstalled-Size: 7\nDepends: libc6 (>= 2.34), postgresql-15\n\
                        Section: database\nPriority: optional\nHomepage: https://example.org/\nDescription: one line\n \
                        A paragraph.\n .\n Another one.\n";
        assert_eq!(control.text("postgresql-15-walker", &release(), 7), expected);
    }

    #[test]
    fn descriptions_have_lines_behind_a_space() {
        assert_eq!(wrapped("one two three", 9), " one two\n three\n");
    }

    #[test]
    fn links_are_relative() {
        let release = release();
        let tree = Tree::new("package", &release).unwrap();
        tree.link(Path::new("/usr/share/a/b"), Path::new("/usr/share/doc/package/c")).unwrap();
        let link = tree.root().join("usr/share/doc/package/c");
        assert_eq!(fs::read_link(link).unwrap(), Path::new("../../a/b"));
    }
}
