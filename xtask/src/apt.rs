//! Debian's packages: which are needed, in which version, and how they are installed.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::{capture, line, run_on_stderr};

/// The release of libclang that WALker is built with on Debian 12; elsewhere the newest one is taken.
const LIBCLANG: &str = "libclang1-14";

const BUILD_DEPENDENCIES: [&str; 11] = [
    "bison",
    "dpkg-dev",
    "flex",
    "gcc",
    "libc6-dev",
    "liblz4-dev",
    "libzstd-dev",
    "make",
    "patch",
    "perl",
    "zlib1g-dev",
];

/// Something that the machine lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// PostgreSQL's server of a major version, or its headers.
    PostgreSql(u32),
    /// With which the server's headers are read.
    Libclang,
    /// With which plugins in C are compiled.
    Compiler,
    /// With which packages for Python are downloaded.
    Pip,
    /// With which PostgreSQL itself is compiled.
    BuildDependencies,
    /// With which Debian's packages are made.
    PackageTools,
    /// In which the page of `walker serve` is tested.
    Browser,
}

impl Missing {
    fn description(self) -> String {
        match self {
            Self::PostgreSql(major) => format!("PostgreSQL {major} with pg_config and the server's headers"),
            Self::Libclang => "libclang".to_owned(),
            Self::Compiler => "a C compiler as cc".to_owned(),
            Self::Pip => "pip of python3".to_owned(),
            Self::BuildDependencies => "what PostgreSQL is compiled with".to_owned(),
            Self::PackageTools => "dpkg-deb, dpkg-shlibdeps and strip, with which packages are made".to_owned(),
            Self::Browser => "Chromium, in which pages are tested".to_owned(),
        }
    }

    /// Without versions.
    fn packages(self) -> Vec<String> {
        match self {
            Self::PostgreSql(major) => vec![format!("postgresql-{major}"), format!("postgresql-server-dev-{major}")],
            Self::Libclang => vec![libclang_package()],
            Self::Compiler => vec!["gcc".to_owned(), "libc6-dev".to_owned()],
            Self::Pip => vec!["python3-pip".to_owned()],
            Self::BuildDependencies => BUILD_DEPENDENCIES.map(str::to_owned).to_vec(),
            Self::PackageTools => vec!["dpkg-dev".to_owned(), "binutils".to_owned()],
            Self::Browser => vec!["chromium-headless-shell".to_owned()],
        }
    }
}

/// Names under which Chromium is found on the PATH, as the tests look for it.
const BROWSERS: [&str; 4] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/// Has the tests find a browser.
pub(crate) fn provide_browser() -> Result<()> {
    if BROWSERS.iter().any(|name| is_on_path(name)) { Ok(()) } else { install(&[Missing::Browser]) }
}

/// Installs what is missing, or says what to install where this cannot be done.
pub(crate) fn install(missing: &[Missing]) -> Result<()> {
    let what = missing.iter().map(|missing| missing.description()).collect::<Vec<_>>().join("; ");
    let names = || missing.iter().flat_map(|missing| missing.packages()).collect::<Vec<_>>().join(" ");
    if !is_debian() {
        bail!("missing: {what}\ninstall it (Debian's packages are: {}) and try again", names());
    }
    if !is_root()? {
        bail!("missing: {what}\ninstall it and try again:\n    sudo apt-get install {}", names());
    }
    eprintln!("setup: missing: {what}");
    eprintln!("setup: apt-get update");
    run_on_stderr(apt_get().arg("update"))?;
    let packages = missing.iter().map(|&missing| pinned(missing)).collect::<Result<Vec<_>>>()?.concat();
    let mut install = apt_get();
    install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    eprintln!("setup: {}", line(&install));
    run_on_stderr(&mut install)
}

/// Server and headers in one and the same version: alone, the headers might be newer, and apt would upgrade the
/// server with them, or leave it behind.
fn pinned(missing: Missing) -> Result<Vec<String>> {
    let packages = missing.packages();
    let Missing::PostgreSql(major) = missing else { return Ok(packages) };
    let [server, headers] = &packages[..] else { bail!("two packages belong together: {packages:?}") };
    let installed = installed_version(server)?;
    let version = common_version(installed.as_deref(), &offered(server)?, &offered(headers)?).with_context(|| {
        format!(
            "this release of Debian has no {server}: install PostgreSQL {major} from elsewhere, for example \
             apt.postgresql.org, and name its pg_config in the environment variable {}",
            walker_testing::PG_CONFIG_VARIABLE
        )
    })?;
    if let Some(installed) = installed.filter(|installed| *installed != version) {
        eprintln!("setup: {server} {installed} has no headers any more, so it is changed to {version}");
    }
    Ok(packages.iter().map(|package| format!("{package}={version}")).collect())
}

/// The installed version, if its headers are there, or else the newest that has both.
fn common_version(installed: Option<&str>, servers: &[String], headers: &[String]) -> Option<String> {
    let kept = installed.filter(|installed| headers.iter().any(|header| header == installed)).map(str::to_owned);
    kept.or_else(|| servers.iter().find(|server| headers.contains(server)).cloned())
}

/// Versions that apt can install, the newest first.
fn offered(package: &str) -> Result<Vec<String>> {
    Ok(madison_versions(&capture(Command::new("apt-cache").args(["madison", package]))?))
}

/// Lines are like `postgresql-15 | 15.20-0+deb12u1 | http://... bookworm/main amd64 Packages`.
fn madison_versions(printed: &str) -> Vec<String> {
    let version = |line: &str| line.split('|').nth(1).map(|version| version.trim().to_owned());
    printed.lines().filter_map(version).collect()
}

fn installed_version(package: &str) -> Result<Option<String>> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${db:Status-Status} ${Version}", package])
        .output()
        .context("cannot run dpkg-query")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    Ok(printed.strip_prefix("installed ").map(str::to_owned))
}

fn libclang_package() -> String {
    let search = ["search", "--names-only", "^libclang1-[0-9]+$"];
    newest_libclang(&capture(Command::new("apt-cache").args(search)).unwrap_or_default())
}

/// Lines are like `libclang1-14 - C interface to the Clang library`.
fn newest_libclang(printed: &str) -> String {
    let offered = printed.lines().filter_map(|line| line.split(' ').next());
    let newest = offered.max_by_key(|package| (*package == LIBCLANG, release(package)));
    newest.unwrap_or(LIBCLANG).to_owned()
}

fn release(package: &str) -> u32 {
    package.rsplit('-').next().and_then(|release| release.parse().ok()).unwrap_or(0)
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_debian() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    names_debian(&release) && is_on_path("apt-get")
}

fn names_debian(os_release: &str) -> bool {
    let values = os_release.lines().filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")));
    values.into_iter().any(|value| value.trim_matches('"').split(' ').any(|id| id == "debian"))
}

fn is_root() -> Result<bool> {
    let user = capture(Command::new("id").arg("-u"))?;
    ensure!(!user.trim().is_empty(), "id tells no user");
    Ok(user.trim() == "0")
}

/// Whether a program of that name is on the `PATH`.
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file() && directory != Path::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions<const N: usize>(versions: [&str; N]) -> Vec<String> {
        versions.map(str::to_owned).to_vec()
    }

    #[test]
    fn versions_of_madison() {
        let printed = "postgresql-15 | 15.20-0+deb12u1 | http://d/debian-security bookworm-security/main amd64 Packages\n\
                       postgresql-15 | 15.18-0+deb12u1 | http://d/debian bookworm/main amd64 Packages\n";
        assert_eq!(madison_versions(printed), ["15.20-0+deb12u1", "15.18-0+deb12u1"]);
    }

    #[test]
    fn an_installed_server_stays_if_its_headers_can_be_had() {
        let both = versions(["15.20", "15.18"]);
        assert_eq!(common_version(Some("15.18"), &both, &both).as_deref(), Some("15.18"));
        assert_eq!(common_version(Some("15.17"), &both, &both).as_deref(), Some("15.20"));
        assert_eq!(common_version(None, &both, &both).as_deref(), Some("15.20"));
        assert_eq!(common_version(None, &both, &versions(["15.18"])).as_deref(), Some("15.18"));
        assert_eq!(common_version(None, &[], &[]), None);
    }

    #[test]
    fn the_tried_libclang_is_preferred_to_the_newest() {
        assert_eq!(newest_libclang("libclang1-13 - C\nlibclang1-14 - C\nlibclang1-16 - C\n"), "libclang1-14");
        assert_eq!(newest_libclang("libclang1-9 - C\nlibclang1-19 - C\nlibclang1-17 - C\n"), "libclang1-19");
        assert_eq!(newest_libclang(""), "libclang1-14");
    }

    #[test]
    fn what_derives_from_debian_is_debian() {
        assert!(names_debian("PRETTY_NAME=\"Debian\"\nID=debian\n"));
        assert!(names_debian("ID=mint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!names_debian("ID=fedora\nNAME=debian\n"));
    }
}
