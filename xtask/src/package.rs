//! `cargo xtask package`.
//!
//! `postgresql-15-walker` and its siblings have what `cargo xtask install` puts into a PostgreSQL, where Debian's
//! packages of extensions put it; `walker` has the command, its manual pages and what makes shells complete it. `META.json`
//! describes the extensions for PGXN.

mod deb;
mod licences;
mod meta;
mod release;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use walker_testing::PACKAGES_VARIABLE;

use crate::apt::{self, Missing, is_on_path};
use crate::command::{capture, run as run_command};
use crate::install::{Directories, server_files};
use crate::libraries::{self, Library};
use crate::setup::prepare;
use crate::tools;
use crate::workspace::{Profile, Workspace, cargo, feature};
use deb::{Control, Tree};
use release::Release;

/// Makes Debian packages and META.json.
///
/// Builds for release: for each major version of PostgreSQL a package postgresql-MAJOR-walker with the libraries, and
/// the package walker with the command. Made again in the same place, of the same sources and by the same compiler, they
/// are the same byte for byte; the date in them is SOURCE_DATE_EPOCH, or that of the last commit. DEBFULLNAME and DEBEMAIL
/// name the maintainer.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Major version of PostgreSQL to make a package for; may be repeated
    #[arg(long, value_name = "MAJOR", default_values_t = [TESTED])]
    pg: Vec<u32>,
    /// Where to write them [default: packages in cargo's target directory]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Install the packages for PostgreSQL 15 below a directory of their own, and test them with a server
    #[arg(long)]
    test: bool,
}

/// The program without which none of this can be done.
const DPKG_DEB: &str = "dpkg-deb";

/// The major version whose packages are tested.
const TESTED: u32 = 15;

/// Whether packages can be made on this machine.
pub(crate) fn is_possible() -> bool {
    [DPKG_DEB, "dpkg-shlibdeps", "strip"].into_iter().all(is_on_path)
}

/// Sets up what packages are made with.
pub(crate) fn set_up() -> Result<()> {
    if is_possible() { Ok(()) } else { apt::install(&[Missing::PackageTools]) }
}

/// `cargo xtask package`.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        !arguments.test || arguments.pg.contains(&TESTED),
        "packages are tested with PostgreSQL {TESTED} only: add --pg {TESTED}"
    );
    set_up()?;
    let workspace = Workspace::load()?;
    let output = match &arguments.output {
        Some(output) => output.clone(),
        None => workspace.target().join("packages"),
    };
    let mut majors = arguments.pg.clone();
    majors.sort_unstable();
    majors.dedup();

    let mut cli = cargo()?;
    cli.args(["build", "--release", "--package", "walker-cli"]).envs(workspace.environment(Profile::Package)?);
    run_command(cli.current_dir(workspace.root()))?;
    let release = Release::of(&workspace)?;
    let mut made = vec![command_package(&workspace, &release, &majors, Profile::Package, &output)?];
    for major in majors {
        let installation = prepare(major)?;
        let packages = workspace.released_packages(major, false);
        let built = libraries::build(&workspace, &installation, &packages, Profile::Package)?;
        made.push(server_package(&workspace, &release, major, &built, &output)?);
    }
    let meta = output.join("META.json");
    fs::write(&meta, meta::text(&workspace, &release)?).with_context(|| format!("cannot write {}", meta.display()))?;
    made.push(meta);
    for file in made {
        println!("{}", file.display());
    }
    if arguments.test {
        let mut nextest = tools::nextest()?;
        nextest.args(["run", "--package", "walker-testing", "--test", "packages"]);
        nextest.env(PACKAGES_VARIABLE, output.canonicalize()?).current_dir(workspace.root());
        run_command(&mut nextest)?;
    }
    Ok(())
}

/// The packages for tests, from what was built for the other tests: what makes a package one is the same, and a build
/// for release would take minutes. `cargo xtask package --test` tests those for release.
pub(crate) fn for_tests(workspace: &Workspace, major: u32, libraries: &[Library], output: &Path) -> Result<()> {
    let released = workspace.released_packages(major, false);
    let is_released = |library: &&Library| {
        let mut names = released.iter().filter_map(|package| package.shared_library.as_deref());
        names.any(|name| libraries::loaded_name(name) == library.name)
    };
    let libraries: Vec<_> = libraries.iter().filter(is_released).cloned().collect();
    let release = Release::of(workspace)?;
    command_package(workspace, &release, &[major], Profile::Dev, output)?;
    server_package(workspace, &release, major, &libraries, output)?;
    Ok(())
}

/// Where Debian's packages of that major version, and those of apt.postgresql.org, have their files.
fn debian_directories(major: u32) -> Directories {
    Directories {
        libraries: format!("/usr/lib/postgresql/{major}/lib").into(),
        share: format!("/usr/share/postgresql/{major}").into(),
        headers: format!("/usr/include/postgresql/{major}/server").into(),
    }
}

fn server_package(
    workspace: &Workspace,
    release: &Release,
    major: u32,
    libraries: &[Library],
    output: &Path,
) -> Result<PathBuf> {
    let packages = workspace.released_packages(major, false);
    let name = format!("postgresql-{major}-walker");
    let mut tree = Tree::new(&name, release)?;
    let directories = debian_directories(major);
    for file in server_files(workspace, &packages, libraries, &directories)? {
        tree.add(&file.from, &file.to)?;
    }
    // Debian's administrators look for examples there.
    tree.link(&directories.sample(), &tree.documentation().join("examples/walker.conf.sample"))?;
    tree.add(&workspace.root().join("README.md"), &tree.documentation().join("README.md"))?;
    tree.add_all(&workspace.root().join("docs"), &tree.documentation().join("docs"))?;
    let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
    licences::add(&mut tree, workspace, &names, Some(&feature(major)))?;
    let depends = [tree.shared_libraries()?, format!("postgresql-{major}")].join(", ");
    tree.build(
        &Control {
            relations: vec![("Depends", depends), ("Recommends", "walker".to_owned())],
            synopsis: format!("dead tuples of every block range from WAL, for PostgreSQL {major}"),
            description: &[
                "WALker is a background worker that reads all of a server's write-ahead log, of committed and of aborted \
                 transactions, and calls plugins for each record. Its plugin garbagemap keeps the number of dead tuples \
                 of every block of every table, as pgstattuple counts them, without reading the tables.",
                "This package has the extensions walker and garbagemap, and the header for plugins in C. They do nothing \
                 until walker is in shared_preload_libraries and the server was restarted.",
            ],
        },
        output,
    )
}

fn command_package(
    workspace: &Workspace,
    release: &Release,
    majors: &[u32],
    profile: Profile,
    output: &Path,
) -> Result<PathBuf> {
    let mut tree = Tree::new("walker", release)?;
    let command = workspace.built(profile).join("walker");
    tree.add(&command, Path::new("/usr/bin/walker"))?;

    let pages = tree.scratch().join("pages");
    let mut walker = Command::new(&command);
    run_command(walker.arg("manual-pages").arg(&pages).env("SOURCE_DATE_EPOCH", release.epoch.to_string()))?;
    for page in deb::files(&pages)? {
        let name = page.file_name().context("a page without a name")?;
        let text = fs::read(&page).with_context(|| format!("cannot read {}", page.display()))?;
        tree.write_compressed(&Path::new("/usr/share/man/man1").join(name).with_added_extension("gz"), &text)?;
    }
    for (shell, place) in [
        ("bash", "/usr/share/bash-completion/completions/walker"),
        ("zsh", "/usr/share/zsh/vendor-completions/_walker"),
        ("fish", "/usr/share/fish/vendor_completions.d/walker.fish"),
    ] {
        let script = capture(Command::new(&command).args(["completion", shell]))?;
        tree.write(Path::new(place), script.as_bytes())?;
    }
    tree.add(&workspace.root().join("README.md"), &tree.documentation().join("README.md"))?;
    tree.add_all(&workspace.root().join("docs"), &tree.documentation().join("docs"))?;
    licences::add(&mut tree, workspace, &["walker-cli"], None)?;
    let servers: Vec<_> = majors.iter().rev().map(|major| format!("postgresql-{major}-walker")).collect();
    tree.build(
        &Control {
            relations: vec![("Depends", tree.shared_libraries()?), ("Suggests", servers.join(" | "))],
            synopsis: "tells what is in PostgreSQL's WAL, and draws where garbage is".to_owned(),
            description: &[
                "The command walker shows and counts the records of a write-ahead log as pg_waldump does, of PostgreSQL 13 \
                 to 18 in one program, and by relation, block range or transaction; it counts dead tuples over WAL files, \
                 and tells before a server is started whether recovery will find the custom resource managers it needs.",
                "With the extension garbagemap in a running server it draws where the dead tuples of a table are.",
            ],
        },
        output,
    )
}
