//! The Debian packages as an administrator meets them: installed by dpkg below a root of their own that has Debian's
//! PostgreSQL 15 and nothing else of ours, run, upgraded and removed.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use walker_testing::{
    CREATE_GARBAGE_EXTENSIONS, Cluster, Installation, Mode, PACKAGES_VARIABLE, assert_garbage_equal, change_again,
    every_kind_of_change, temporary_directory,
};

const MAJOR: u32 = 15;
const SERVER: &str = "postgresql-15-walker";
const COMMAND: &str = "walker";
const DATABASE: &str = "postgres";
const TIMEOUT: Duration = Duration::from_secs(60);
const WALKING: &str = "walker: walking over WAL";

/// The packages, and the PostgreSQL they are for; none where one of both is missing, which is said.
struct Given {
    packages: PathBuf,
    debian: Installation,
}

impl Given {
    fn find() -> Result<Option<Self>> {
        let Some(packages) = env::var_os(PACKAGES_VARIABLE).map(PathBuf::from) else {
            eprintln!("skipped: there are no packages; `cargo xtask package --test` makes and tests them");
            return Ok(None);
        };
        let debian = Installation::find_beside(MAJOR)?;
        if debian.share_directory()? != Path::new("/usr/share/postgresql/15") {
            eprintln!("skipped: {} is not Debian's", debian.pg_config().display());
            return Ok(None);
        }
        Ok(Some(Self { packages, debian }))
    }

    fn file(&self, package: &str) -> Result<PathBuf> {
        let beginning = format!("{package}_");
        let entries = fs::read_dir(&self.packages)?.collect::<Result<Vec<_>, _>>()?;
        let mut files = entries.iter().filter(|entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with(&beginning) && name.ends_with(".deb"))
        });
        let file = files.next().with_context(|| format!("no package {package} in {}", self.packages.display()))?;
        ensure!(files.next().is_none(), "several packages {package} in {}", self.packages.display());
        Ok(file.path())
    }
}

/// A root directory with PostgreSQL and dpkg's database.
struct Root {
    directory: TempDir,
    installation: Installation,
}

impl Root {
    /// As on the machine itself, whose packages dpkg believes to be here too: what a package depends on must be there.
    fn new(debian: &Installation) -> Result<Self> {
        let directory = temporary_directory()?;
        let usr = directory.path().join("usr");
        fs::create_dir(&usr)?;
        let installation = debian.private_copy(&usr)?;
        let database = directory.path().join("var/lib/dpkg");
        for part in ["info", "updates", "triggers"] {
            fs::create_dir_all(database.join(part))?;
        }
        let status = fs::read_to_string("/var/lib/dpkg/status").context("dpkg has no database")?;
        let is_ours = |stanza: &&str| {
            let name = stanza.lines().find_map(|line| line.strip_prefix("Package: "));
            name == Some(COMMAND) || name.is_some_and(|name| name.ends_with("-walker"))
        };
        let others: Vec<_> = status.split("\n\n").filter(|stanza| !is_ours(stanza)).collect();
        fs::write(database.join("status"), others.join("\n\n"))?;
        Ok(Self { directory, installation })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    fn dpkg<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<String> {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("--root").arg(self.directory.path()).args(["--force-not-root", "--force-bad-path", "--log=/dev/null"]);
        run(dpkg.args(arguments).env("LC_ALL", "C"))
    }

    fn install(&self, packages: &[PathBuf]) -> Result<()> {
        let paths = packages.iter().filter_map(|path| path.to_str());
        self.dpkg(["--install"].into_iter().chain(paths)).map(drop)
    }

    /// Files that are there because of us.
    fn of_ours(&self) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        let mut directories = vec![self.path("usr")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                let path = entry.path();
                if entry.file_type()?.is_dir() {
                    directories.push(path);
                } else if ["walker", "garbagemap"]
                    .iter()
                    .any(|ours| path.to_string_lossy()[self.length()..].contains(ours))
                {
                    found.insert(path.to_string_lossy()[self.length()..].to_owned());
                }
            }
        }
        Ok(found)
    }

    /// Of the root's path, which may have one of our names in it.
    fn length(&self) -> usize {
        self.directory.path().as_os_str().len()
    }
}

#[test]
fn a_server_with_the_packages_is_set_up_upgraded_and_cleaned() -> Result<()> {
    let Some(given) = Given::find()? else { return Ok(()) };
    let root = Root::new(&given.debian)?;
    assert_eq!(root.of_ours()?, BTreeSet::new());
    root.install(&[given.file(SERVER)?, given.file(COMMAND)?])?;
    // Each file as its checksum says.
    assert_eq!(root.dpkg(["--verify", SERVER, COMMAND])?, "");

    let mut cluster = set_up(&root)?;
    cluster.psql(DATABASE, CREATE_GARBAGE_EXTENSIONS)?;
    cluster.psql(DATABASE, "CREATE EXTENSION walker")?;
    every_kind_of_change(&cluster)?;
    assert_garbage_equal(&cluster)?;
    the_command_works(&root, &cluster)?;

    // As apt does it: while the server runs.
    let newer = newer(&given, root.directory.path())?;
    root.install(&newer)?;
    change_again(&cluster)?;
    assert_garbage_equal(&cluster)?;
    let mark = cluster.log_mark()?;
    cluster.restart(Mode::Fast)?;
    cluster.wait_for_log_since(mark, WALKING, TIMEOUT)?;
    // Without reading tables: the map goes on.
    assert_garbage_equal(&cluster)?;
    cluster.psql(DATABASE, "ALTER EXTENSION walker UPDATE; ALTER EXTENSION garbagemap UPDATE")?;
    let versions = "SELECT string_agg(extname || ' ' || extversion || ' ' || obj_description(oid, 'pg_extension'), ', ' ORDER BY extname)
                    FROM pg_extension WHERE extname IN ('walker', 'garbagemap')";
    assert_eq!(cluster.psql(DATABASE, versions)?, "garbagemap 999 newer, walker 999 newer");
    change_again(&cluster)?;
    assert_garbage_equal(&cluster)?;
    let log = cluster.log()?;
    assert!(!log.contains("begins anew") && !log.contains("PANIC"), "{log}");

    clean(&root, cluster)
}

/// A server whose configuration is the sample of the package, with the two lines that it says to change.
fn set_up(root: &Root) -> Result<Cluster> {
    let sample = fs::read_to_string(root.installation.share_directory()?.join("walker.conf.sample"))?;
    let settings = sample.replace("#shared_preload_libraries", "shared_preload_libraries").replacen(
        "#walker.plugins",
        "walker.plugins",
        1,
    );
    let mut cluster = Cluster::builder(&root.installation)
        .setting("include", "walker.conf")
        .setting("autovacuum", "off")
        .setting("max_prepared_transactions", "10")
        // What was not kept would stay unknown.
        .setting("garbagemap.baseline_rate", "0")
        .build()?;
    fs::write(cluster.data_directory().join("walker.conf"), settings)?;
    cluster.start()?;
    cluster.wait_for_log("plugins: garbagemap", TIMEOUT)?;
    Ok(cluster)
}

fn the_command_works(root: &Root, cluster: &Cluster) -> Result<()> {
    let walker = |arguments: &[&str]| run(Command::new(root.path("usr/bin/walker")).args(arguments));
    assert!(walker(&["--version"])?.starts_with("walker "));
    let picture = walker(&["heatmap", "--dbname", &cluster.connection_string(DATABASE), "--table", "plain"])?;
    assert!(picture.contains("plain"), "{picture}");
    let counted = walker(&["stats", "--path", cluster.wal_directory().to_str().context("a path in UTF-8")?])?;
    assert!(counted.contains("Heap"), "{counted}");
    Ok(())
}

/// Both packages in a higher version, with scripts that update the extensions.
fn newer(given: &Given, directory: &Path) -> Result<Vec<PathBuf>> {
    let mut packages = Vec::new();
    for package in [SERVER, COMMAND] {
        let tree = directory.join(format!("{package}-newer"));
        run(Command::new("dpkg-deb").arg("--raw-extract").arg(given.file(package)?).arg(&tree))?;
        replace_line(&tree.join("DEBIAN/control"), "Version: ", "Version: 999-2")?;
        if package == SERVER {
            let extensions = tree.join("usr/share/postgresql/15/extension");
            for extension in ["walker", "garbagemap"] {
                replace_line(
                    &extensions.join(format!("{extension}.control")),
                    "default_version",
                    "default_version = '999'",
                )?;
                let script = extensions.join(format!("{extension}--{}--999.sql", env!("CARGO_PKG_VERSION")));
                fs::write(script, format!("COMMENT ON EXTENSION {extension} IS 'newer';\n"))?;
            }
        }
        let file = directory.join(format!("{package}-newer.deb"));
        run(Command::new("dpkg-deb").args(["--build", "--root-owner-group", "-Znone"]).arg(&tree).arg(&file))?;
        packages.push(file);
        fs::remove_dir_all(&tree)?;
    }
    Ok(packages)
}

/// As docs/install.md says it.
fn clean(root: &Root, mut cluster: Cluster) -> Result<()> {
    cluster.psql(DATABASE, "DROP EXTENSION garbagemap; SELECT walker_drop_slot(); DROP EXTENSION walker")?;
    cluster.configure([("shared_preload_libraries", "")])?;
    cluster.restart(Mode::Fast)?;
    root.dpkg(["--remove", SERVER, COMMAND])?;
    assert_eq!(root.of_ours()?, BTreeSet::new());
    cluster.restart(Mode::Fast)?;
    // Nor has the worker made it again while it was there.
    assert_eq!(cluster.psql(DATABASE, "SELECT count(*) FROM pg_replication_slots")?, "0");
    assert_eq!(cluster.psql(DATABASE, "SELECT count(*) > 0 FROM plain")?, "t");
    assert_eq!(
        cluster.psql(DATABASE, "SELECT name FROM pg_available_extensions WHERE name IN ('walker', 'garbagemap')")?,
        ""
    );
    Ok(())
}

#[test]
fn packages_hold_what_debian_expects_where_it_expects_it() -> Result<()> {
    let Some(given) = Given::find()? else { return Ok(()) };
    let server = contents(&given.file(SERVER)?)?;
    for file in [
        "usr/lib/postgresql/15/lib/walker.so",
        "usr/lib/postgresql/15/lib/garbagemap.so",
        "usr/share/postgresql/15/extension/walker.control",
        "usr/share/postgresql/15/extension/garbagemap.control",
        "usr/share/postgresql/15/walker.conf.sample",
        "usr/include/postgresql/15/server/extension/walker/walker.h",
        "usr/share/doc/postgresql-15-walker/copyright",
        "usr/share/doc/postgresql-15-walker/changelog.Debian.gz",
        "usr/share/doc/postgresql-15-walker/README.md",
        "usr/share/doc/postgresql-15-walker/docs/worker.md",
        "usr/share/doc/postgresql-15-walker/examples/walker.conf.sample",
    ] {
        assert!(server.iter().any(|entry| entry.path == file), "{file}: {server:#?}");
    }
    // Those that show how something is done are not for everybody.
    assert!(!server.iter().any(|entry| entry.path.contains("hyperloglog.so")), "{server:#?}");
    let command = contents(&given.file(COMMAND)?)?;
    for file in [
        "usr/bin/walker",
        "usr/share/man/man1/walker.1.gz",
        "usr/share/man/man1/walker-dump.1.gz",
        "usr/share/bash-completion/completions/walker",
        "usr/share/zsh/vendor-completions/_walker",
        "usr/share/fish/vendor_completions.d/walker.fish",
        "usr/share/doc/walker/copyright",
        "usr/share/doc/walker/changelog.Debian.gz",
    ] {
        assert!(command.iter().any(|entry| entry.path == file), "{file}: {command:#?}");
    }
    for entry in server.iter().chain(&command) {
        let expected = match entry.mode.chars().next() {
            Some('d') => "drwxr-xr-x",
            Some('l') => "lrwxrwxrwx",
            _ if entry.path == "usr/bin/walker" => "-rwxr-xr-x",
            _ => "-rw-r--r--",
        };
        assert_eq!((entry.mode.as_str(), entry.owner.as_str()), (expected, "root/root"), "{entry:?}");
    }
    let depends = run(Command::new("dpkg-deb").arg("--field").arg(given.file(SERVER)?).arg("Depends"))?;
    let depends: BTreeSet<_> = depends.trim().split(", ").map(|one| one.split(' ').next().unwrap_or(one)).collect();
    assert!(depends.is_superset(&["libc6", "postgresql-15"].into()), "{depends:?}");
    Ok(())
}

#[derive(Debug)]
struct Entry {
    mode: String,
    owner: String,
    path: String,
}

/// Lines are like `-rw-r--r-- root/root 123 2026-01-02 03:04 ./usr/bin/walker`, with ` -> ` behind a link.
fn contents(package: &Path) -> Result<Vec<Entry>> {
    let printed = run(Command::new("dpkg-deb").arg("--contents").arg(package))?;
    let entry = |line: &str| -> Option<Entry> {
        let fields: Vec<_> = line.split_whitespace().collect();
        let path = fields.get(5)?.trim_start_matches("./").to_owned();
        Some(Entry { mode: fields[0].to_owned(), owner: fields[1].to_owned(), path })
    };
    printed.lines().map(|line| entry(line).with_context(|| format!("no entry: {line}"))).collect()
}

fn replace_line(path: &Path, beginning: &str, line: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(text.lines().any(|before| before.starts_with(beginning)), "no {beginning} in {}", path.display());
    let lines = text.lines().map(|before| if before.starts_with(beginning) { line } else { before });
    Ok(fs::write(path, lines.collect::<Vec<_>>().join("\n") + "\n")?)
}

fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "{command:?} failed ({})\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
