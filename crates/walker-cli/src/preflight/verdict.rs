//! Whether the libraries that a server loads register the resource managers that its WAL needs.

use std::str::FromStr;

use pgwal::{CustomRmgrId, KnownCustomRmgr, RmgrId};

use super::libraries::{is_library, registers_none};

/// What the user knows: which library registers which id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Provides {
    pub(super) id: RmgrId,
    pub(super) library: String,
}

impl FromStr for Provides {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected ID=LIBRARY with an ID between 128 and 255, such as 128=my_library".to_owned();
        let (id, library) = text.split_once('=').ok_or_else(expected)?;
        let id = RmgrId::new(id.trim().parse().map_err(|_| expected())?);
        let library = library.trim();
        if !id.is_custom() || library.is_empty() {
            return Err(expected());
        }
        Ok(Self { id, library: library.to_owned() })
    }
}

/// How it stands with one resource manager that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// The library that registers it is loaded.
    Loaded,
    /// It is not; or nothing is loaded that could register it.
    Missing,
    /// It cannot be told.
    Unknown,
}

/// How it stands with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Recovery will find all that it needs.
    Ready,
    /// It will stop.
    NotReady,
    /// It cannot be told.
    Unknown,
}

impl Verdict {
    /// One that is missing is enough to stop, one that is not known enough to doubt.
    pub(super) fn of<'a>(standings: impl IntoIterator<Item = &'a Standing>) -> Self {
        standings.into_iter().fold(Self::Ready, |verdict, standing| match (verdict, standing) {
            (Self::NotReady, _) | (_, Standing::Missing) => Self::NotReady,
            (Self::Unknown, _) | (_, Standing::Unknown) => Self::Unknown,
            (Self::Ready, Standing::Loaded) => Self::Ready,
        })
    }
}

/// The library that registers `id`: as the user says, or else as [`KnownCustomRmgr`] does, or else one that comes with this
/// program.
pub(super) fn library_of(id: RmgrId, provides: &[Provides]) -> Option<String> {
    let said = provides.iter().rev().find(|said| said.id == id).map(|said| said.library.as_str());
    let known = || KnownCustomRmgr::of(id)?.library;
    let own = || own_library(id, custom_rmgrs::Known::ALL.iter().map(|own| (own.id, own.name)));
    said.or_else(known).or_else(own).map(str::to_owned)
}

/// The library of this program's own that registers `id`: it has the name of its resource manager.
fn own_library(id: RmgrId, own: impl IntoIterator<Item = (CustomRmgrId, &'static str)>) -> Option<&'static str> {
    // With the experimental id it may be anybody's.
    let mut own = own.into_iter().filter(|(number, _)| *number != CustomRmgrId::EXPERIMENTAL);
    own.find(|(number, _)| RmgrId::from(*number) == id).map(|(_, name)| name)
}

/// How it stands with a resource manager that `library` registers, if these are loaded. `None` is what is not known.
pub(super) fn standing(library: Option<&str>, loaded: Option<&[String]>) -> Standing {
    match (library, loaded) {
        (_, None) => Standing::Unknown,
        (Some(library), Some(loaded)) => {
            let is_loaded = loaded.iter().any(|entry| is_library(entry, library));
            if is_loaded { Standing::Loaded } else { Standing::Missing }
        }
        (None, Some(loaded)) if loaded.iter().all(|entry| registers_none(entry)) => Standing::Missing,
        (None, Some(_)) => Standing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing_of(id: u8, provides: &[&str], loaded: Option<&[&str]>) -> Standing {
        let provides: Vec<Provides> = provides.iter().map(|text| text.parse().unwrap()).collect();
        let loaded: Option<Vec<String>> = loaded.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        standing(library_of(RmgrId::new(id), &provides).as_deref(), loaded.as_deref())
    }

    #[test]
    fn known_libraries_are_loaded_or_missing() {
        assert_eq!(standing_of(140, &[], Some(&["a", "$libdir/pg_tde"])), Standing::Loaded);
        assert_eq!(standing_of(140, &[], Some(&["a"])), Standing::Missing);
        assert_eq!(standing_of(140, &["140=a"], Some(&["a"])), Standing::Loaded);
        assert_eq!(standing_of(140, &["140=b", "140=a"], Some(&["b"])), Standing::Missing);
    }

    #[test]
    fn of_others_it_is_known_only_if_nothing_could_register_them() {
        assert_eq!(standing_of(128, &[], Some(&[])), Standing::Missing);
        assert_eq!(standing_of(128, &[], Some(&["pg_stat_statements", "walker"])), Standing::Missing);
        assert_eq!(standing_of(128, &[], Some(&["pg_stat_statements", "a"])), Standing::Unknown);
        assert_eq!(standing_of(128, &["128=a"], Some(&["a"])), Standing::Loaded);
        assert_eq!(standing_of(128, &["128=a"], None), Standing::Unknown);
    }

    #[test]
    fn own_ones_are_known_but_not_by_the_experimental_id() {
        let own = [(CustomRmgrId::EXPERIMENTAL, "one"), (CustomRmgrId::new(200), "other")];
        assert_eq!(own_library(RmgrId::new(200), own), Some("other"));
        assert_eq!(own_library(RmgrId::new(128), own), None);
    }

    #[test]
    fn the_worst_decides() {
        use Standing::{Loaded, Missing};
        assert_eq!(Verdict::of(&[]), Verdict::Ready);
        assert_eq!(Verdict::of(&[Loaded, Loaded]), Verdict::Ready);
        assert_eq!(Verdict::of(&[Loaded, Standing::Unknown]), Verdict::Unknown);
        assert_eq!(Verdict::of(&[Standing::Unknown, Missing, Loaded]), Verdict::NotReady);
    }

    #[test]
    fn what_the_user_says_is_checked() {
        for text in ["128", "=a", "127=a", "256=a", "x=a", "128=", "128= "] {
            assert!(text.parse::<Provides>().is_err(), "{text}");
        }
        assert_eq!("255=a".parse(), Ok(Provides { id: RmgrId::new(255), library: "a".to_owned() }));
    }
}
