//! PostgreSQL 17, built with assertions from the source package of Debian 13, and its regression tests.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::available_parallelism;

use anyhow::{Context as _, Result, bail};
use walker_testing::REGRESSION_TESTS_MAJOR;

use crate::apt::{self, Missing};
use crate::command::{capture, line, run, run_on_stderr};

pub(super) const MAJOR: u32 = REGRESSION_TESTS_MAJOR;
const PACKAGE: &str = "postgresql-17";
/// What was tried.
const VERSION: &str = "17.11-0+deb13u1";
/// What Debian's index said of it, with checksums of its files.
const INDEX: &str = include_str!("postgresql-17.sources");
const RELEASE: &str = "trixie";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const OPTIONS: [&str; 6] =
    ["--enable-cassert", "--with-lz4", "--with-zstd", "--without-icu", "--without-readline", "--disable-rpath"];
/// Only where `configure` believes to install: a server and its programs find each other by relative paths.
const PREFIX: &str = "/usr/local/pgsql";
/// Programs find libpq beside themselves, so that the installation can be moved and copied. As make reads it.
const LINKER_OPTION: &str = "LDFLAGS_EX=-Wl,-rpath,'$$ORIGIN/../lib'";

pub(super) fn recipe() -> String {
    format!("the source package {PACKAGE} {VERSION} of Debian {RELEASE}, {}", OPTIONS.join(" "))
}

pub(super) fn make(target: &Path, scratch: &Path) -> Result<()> {
    let missing = missing();
    if !missing.is_empty() {
        apt::install(&missing)?;
    }
    let source = unpack(scratch)?;
    let build = scratch.join("build");
    fs::create_dir(&build)?;
    let jobs = available_parallelism().map_or(1, usize::from);
    eprintln!("setup: building PostgreSQL {MAJOR} takes some minutes: about 400 s of CPU time");
    let log = scratch.join("build.log");
    let mut configure = Command::new(source.join("configure"));
    configure.arg(format!("--prefix={PREFIX}")).args(OPTIONS).arg(LINKER_OPTION);
    logged(configure.current_dir(&build), &log)?;
    logged(make_in(&build).arg(format!("--jobs={jobs}")).arg("world-bin"), &log)?;
    let staged = scratch.join("staged");
    logged(make_in(&build).arg("install-world-bin").arg(format!("DESTDIR={}", staged.display())), &log)?;

    let installed = staged.join(PREFIX.trim_start_matches('/'));
    for entry in fs::read_dir(&installed).with_context(|| format!("cannot list {}", installed.display()))? {
        let entry = entry?;
        super::rename(&entry.path(), &target.join(entry.file_name()))?;
    }
    keep_regression_tests(&source.join("src/test/regress"), &build.join("src/test/regress"), &target.join("regress"))
}

/// What the tests read, what they are expected to print, and the libraries that they load.
fn keep_regression_tests(source: &Path, built: &Path, target: &Path) -> Result<()> {
    fs::create_dir(target)?;
    for name in ["sql", "data", "expected", "parallel_schedule"] {
        super::rename(&source.join(name), &target.join(name))?;
    }
    for name in ["regress.so", "autoinc.so", "refint.so"] {
        super::rename(&built.join(name), &target.join(name))?;
    }
    Ok(())
}

fn missing() -> Vec<Missing> {
    let programs = ["bison", "flex", "make", "perl", "cc", "dpkg-source", "patch"];
    let headers = ["lz4.h", "zstd.h", "zlib.h"];
    let has_all = programs.into_iter().all(apt::is_on_path)
        && headers.into_iter().all(|header| Path::new("/usr/include").join(header).is_file());
    if has_all { Vec::new() } else { vec![Missing::BuildDependencies] }
}

/// Where this machine gets its own packages from: every release is there.
fn mirror() -> Result<String> {
    let targets = ["indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Identifier: Packages"];
    let printed = capture(Command::new("apt-get").args(targets))?;
    main_mirror(&printed).context("apt-get indextargets names no mirror with the main part of a release of Debian")
}

/// Lines are like `http://mirror/debian/ bookworm main`; updates of a release have names such as `bookworm-updates`.
fn main_mirror(printed: &str) -> Option<String> {
    printed.lines().find_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [mirror, release, "main"] if !release.contains('-') => Some(mirror.to_owned()),
        _ => None,
    })
}

/// Downloads the source package and unpacks it: the version that was tried if the mirror still has its files, else the newest.
fn unpack(scratch: &Path) -> Result<PathBuf> {
    if !apt::is_on_path("apt-get") {
        bail!("its source package comes by apt-get, which this machine lacks");
    }
    let mirror = mirror()?;
    let log = scratch.join("source.log");
    let version = match download_tried(scratch, &mirror, &log) {
        Ok(()) => VERSION.to_owned(),
        Err(error) => {
            eprintln!("setup: {PACKAGE} {VERSION} is not to be had any more, so the newest is taken: {error:#}");
            download_newest(scratch, &mirror, &log)?
        }
    };
    let release = version.split('-').next().unwrap_or(&version);
    Ok(scratch.join(format!("{PACKAGE}-{release}")))
}

/// A mirror's index names only the newest version of a release, while the files of older ones stay for a time: apt is given an
/// index that names this one, and checks the files by its checksums.
fn download_tried(scratch: &Path, mirror: &str, log: &Path) -> Result<()> {
    let apt = Apt::new(&scratch.join("apt-tried"), &format!("deb-src [trusted=yes] {mirror} {RELEASE} main\n"))?;
    let index = apt.directory.join("lists").join(index_name(mirror));
    fs::write(&index, INDEX).with_context(|| format!("cannot write {}", index.display()))?;
    apt.source(VERSION, scratch, log)
}

/// What apt calls its copy of the release's index (`URItoFileName`).
fn index_name(mirror: &str) -> String {
    let place = mirror.split_once("://").map_or(mirror, |(_, place)| place).trim_end_matches('/');
    format!("{}_dists_{RELEASE}_main_source_Sources", place.replace('_', "%5f").replace('/', "_"))
}

/// Returns the version; apt checks Debian's signature.
fn download_newest(scratch: &Path, mirror: &str, log: &Path) -> Result<String> {
    let key = if Path::new(KEYRING).is_file() { format!("[signed-by={KEYRING}] ") } else { String::new() };
    let apt = Apt::new(&scratch.join("apt"), &format!("deb-src {key}{mirror} {RELEASE} main\n"))?;
    run_on_stderr(apt.command("apt-get").args(["--quiet=2", "update"]))?;
    let offered = versions(&capture(apt.command("apt-cache").args(["showsrc", "--only-source", PACKAGE]))?);
    let newest = offered.last().with_context(|| format!("{mirror} has no {PACKAGE} in {RELEASE}"))?;
    apt.source(newest, scratch, log)?;
    Ok(newest.clone())
}

/// A configuration of its own: the machine's sources and lists stay as they are.
struct Apt {
    directory: PathBuf,
}

impl Apt {
    fn new(directory: &Path, sources: &str) -> Result<Self> {
        fs::create_dir_all(directory.join("lists/partial"))?;
        fs::create_dir_all(directory.join("cache/archives/partial"))?;
        fs::write(directory.join("sources.list"), sources)?;
        Ok(Self { directory: directory.to_owned() })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (option, name) in
            [("Dir::Etc::sourcelist", "sources.list"), ("Dir::State::lists", "lists"), ("Dir::Cache", "cache")]
        {
            command.arg("-o").arg(format!("{option}={}", self.directory.join(name).display()));
        }
        command.args(["-o", "Dir::Etc::sourceparts=-", "-o", "APT::Sandbox::User=root"]);
        command
    }

    /// Downloads and unpacks the source package into a directory.
    fn source(&self, version: &str, directory: &Path, log: &Path) -> Result<()> {
        let mut source = self.command("apt-get");
        source.args(["--quiet=2", "source", &format!("{PACKAGE}={version}")]);
        logged(source.current_dir(directory), log)
    }
}

/// Lines are like `Version: 17.11-0+deb13u1`.
fn versions(printed: &str) -> Vec<String> {
    printed.lines().filter_map(|line| line.strip_prefix("Version: ")).map(|version| version.trim().to_owned()).collect()
}

fn make_in(directory: &Path) -> Command {
    let mut make = Command::new("make");
    // As a part of another make it would look for that one's job server.
    make.args(["--silent", "--no-print-directory"]).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    make.current_dir(directory);
    make
}

/// Runs a child that says much; only if it fails is the end of that shown.
fn logged(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.with_context(|| format!("cannot open {}", log.display()))?;
    eprintln!("setup: {}", line(command));
    run(command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file))
        .with_context(|| format!("the end of {}:\n{}", log.display(), tail(log)))
}

fn tail(log: &Path) -> String {
    const LENGTH: u64 = 4000;
    let read = || -> Result<String> {
        let mut file = File::open(log)?;
        let from = file.metadata()?.len().saturating_sub(LENGTH);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_that_of_the_release_itself() {
        let printed = "http://mirror/debian-security/ bookworm-security main\nhttp://mirror/debian/ bookworm contrib\n\
                       http://mirror/debian/ bookworm main\nhttp://mirror/debian/ bookworm-updates main\n";
        assert_eq!(main_mirror(printed).as_deref(), Some("http://mirror/debian/"));
        assert_eq!(main_mirror("http://mirror/debian-security/ bookworm-security main\n"), None);
    }

    #[test]
    fn the_index_is_that_of_the_version() {
        assert_eq!(versions(INDEX), [VERSION]);
        assert!(INDEX.starts_with(&format!("Package: {PACKAGE}\n")));
    }

    #[test]
    fn the_index_has_the_name_that_apt_looks_for() {
        let name = "deb.debian.org_debian_dists_trixie_main_source_Sources";
        assert_eq!(index_name("http://deb.debian.org/debian/"), name);
        assert_eq!(index_name("http://host/a_b"), "host_a%5fb_dists_trixie_main_source_Sources");
    }

    #[test]
    fn versions_of_a_source_package() {
        let printed =
            "Package: postgresql-17\nVersion: 17.11-0+deb13u1\nStandards-Version: 4.7.0\n\nVersion: 17.12-1\n";
        assert_eq!(versions(printed), ["17.11-0+deb13u1", "17.12-1"]);
    }

    #[test]
    fn the_end_of_a_long_log_is_shown() {
        let directory = walker_testing::temporary_directory().unwrap();
        let log = directory.path().join("log");
        let error = logged(Command::new("sh").args(["-c", "yes | head -c 9000; echo the reason; exit 1"]), &log);
        let message = format!("{:#}", error.unwrap_err());
        assert!(message.contains("the reason") && message.len() < 5000, "{message}");
    }
}
