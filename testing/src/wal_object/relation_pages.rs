//! The pages of a relation in the files of two servers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use pgwal::{BlockNumber, DataPage, RelFileLocator};

/// Makes equal what may be different on the two pages: called for each of them.
pub(super) type Mask = Box<dyn Fn(&mut DataPage, BlockNumber) + Send + Sync>;

/// Compares the main fork of a relation in the data directories of a primary and its standby, both stopped, and returns how
/// many pages it has.
pub(super) fn compare(
    relation: RelFileLocator,
    path: &str,
    [primary, standby]: [&Path; 2],
    mask: &(dyn Fn(&mut DataPage, BlockNumber) + Send + Sync),
) -> Result<u32> {
    let [primary, standby] = [read(&primary.join(path))?, read(&standby.join(path))?];
    let mut blocks = 0;
    let mut different = Vec::new();
    for index in 0..primary.len().max(standby.len()) {
        let number = u32::try_from(index).context("too many blocks")?;
        // A page that was never initialised may be missing: to make a file longer writes no WAL.
        let [mut one, mut other] =
            [&primary, &standby].map(|pages| pages.get(index).cloned().unwrap_or_else(DataPage::zeroed));
        for page in [&mut one, &mut other] {
            if !page.is_new() {
                mask(page, BlockNumber::new(number));
            }
        }
        if one != other {
            different.push(format!("block {number}: {}", difference(&one, &other)));
        }
        blocks = number + 1;
    }
    match different.as_slice() {
        [] => Ok(blocks),
        [first, ..] => {
            bail!("{} of {blocks} pages of {relation} are different on the standby; {first}", different.len())
        }
    }
}

/// All pages, over the files of at most 1 GB (`RELSEG_SIZE`) each.
fn read(path: &Path) -> Result<Vec<DataPage>> {
    let mut pages = Vec::new();
    for segment in 0.. {
        let file = if segment == 0 { path.to_owned() } else { PathBuf::from(format!("{}.{segment}", path.display())) };
        let content = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && segment > 0 => break,
            content => content.with_context(|| format!("cannot read {}", file.display()))?,
        };
        let (whole, rest) = content.as_chunks();
        pages.extend(whole.iter().map(|bytes| DataPage::from_bytes(bytes).clone()));
        if !rest.is_empty() {
            bail!("{} holds no whole number of pages", file.display());
        }
    }
    Ok(pages)
}

/// How many bytes are different, and the first of them.
fn difference(one: &DataPage, other: &DataPage) -> String {
    let pairs = one.as_bytes().iter().zip(other.as_bytes()).enumerate();
    let differing: Vec<_> = pairs.filter(|(_, (one, other))| one != other).collect();
    let first = differing.first().map_or_else(String::new, |(offset, (one, other))| {
        format!("the first at offset {offset}: {one:02X} on the primary, {other:02X} on the standby")
    });
    let [one, other] = [one.lsn(), other.lsn()];
    format!("{} bytes differ, {first}; LSN {one} on the primary, {other} on the standby", differing.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(pages: &[DataPage]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = pages.iter().flat_map(|page| page.as_bytes()).copied().collect();
        fs::write(directory.path().join("16384"), bytes).unwrap();
        directory
    }

    fn page(byte: u8) -> DataPage {
        let mut page = DataPage::zeroed();
        page.init::<0>();
        page.as_bytes_mut()[5_000] = byte;
        page
    }

    #[test]
    fn a_byte_that_is_different_is_found_unless_it_is_masked() {
        let (primary, standby) = (directory(&[page(1), page(2), page(3)]), directory(&[page(1), page(2), page(4)]));
        let directories = [primary.path(), standby.path()];
        let relation = RelFileLocator::new(1663, 5, 16_384);
        let error = compare(relation, "16384", directories, &|_, _| {}).unwrap_err().to_string();
        assert!(error.contains("1 of 3 pages of 1663/5/16384"), "{error}");
        assert!(error.contains("block 2: 1 bytes differ, the first at offset 5000: 03 on the primary, 04"), "{error}");
        let masked = compare(relation, "16384", directories, &|page, number| {
            if number == BlockNumber::new(2) {
                page.mask_unused_space().unwrap();
            }
        });
        assert_eq!(masked.unwrap(), 3);
    }

    #[test]
    fn pages_at_the_end_that_were_never_initialised_may_be_missing() {
        let (primary, standby) = (directory(&[page(1), DataPage::zeroed()]), directory(&[page(1)]));
        let relation = RelFileLocator::new(1663, 5, 16_384);
        assert_eq!(compare(relation, "16384", [primary.path(), standby.path()], &|_, _| {}).unwrap(), 2);
        let (primary, standby) = (directory(&[page(1), page(0)]), directory(&[page(1)]));
        assert!(compare(relation, "16384", [primary.path(), standby.path()], &|_, _| {}).is_err());
    }
}
