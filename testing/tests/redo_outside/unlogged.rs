//! What PostgreSQL changes on pages without a record, made equal: hints. Sources: `heap_mask`, `btree_mask`, and so on, of
//! each access method, which leave out more, since redo does.

use std::str::FromStr;

use pgwal::{BlockNumber, DataPage, ItemFlags};

/// Who writes the pages of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessMethod {
    Bloom,
    Brin,
    Btree,
    Gin,
    Gist,
    Hash,
    Heap,
    Sequence,
    SpGist,
}

impl FromStr for AccessMethod {
    type Err = anyhow::Error;

    /// Reads `pg_am.amname`.
    fn from_str(name: &str) -> Result<Self, anyhow::Error> {
        Ok(match name {
            "bloom" => Self::Bloom,
            "brin" => Self::Brin,
            "btree" => Self::Btree,
            "gin" => Self::Gin,
            "gist" => Self::Gist,
            "hash" => Self::Hash,
            "heap" => Self::Heap,
            "sequence" => Self::Sequence,
            "spgist" => Self::SpGist,
            other => anyhow::bail!("no access method is called {other}"),
        })
    }
}

/// Sets to zero what is changed without a record.
pub(crate) fn mask(page: &mut DataPage, access_method: AccessMethod, number: BlockNumber) {
    // pd_checksum, as the file has it.
    page.as_bytes_mut()[8..10].fill(0);
    page.mask_hint_bits();
    // The ranges' pages are in what looks like free space.
    let is_revmap = access_method == AccessMethod::Brin && page.special().get(6..8) == Some(&[0x92, 0xF0]);
    // Images leave it out.
    if !is_revmap {
        let _ = page.mask_unused_space();
    }
    let clear = |page: &mut DataPage, place: usize, bits: u8| {
        if let Some(byte) = page.special_mut().get_mut(place) {
            *byte &= !bits;
        }
    };
    match access_method {
        AccessMethod::Heap => mask_tuple_hints(page),
        AccessMethod::Btree => {
            page.mask_line_pointer_flags();
            // BTP_HAS_GARBAGE, btpo_cycleid.
            clear(page, 12, 0x40);
            clear(page, 14, 0xFF);
            clear(page, 15, 0xFF);
        }
        AccessMethod::Hash => {
            page.mask_line_pointer_flags();
            // LH_PAGE_HAS_DEAD_TUPLES.
            clear(page, 12, 0x80);
        }
        AccessMethod::Gist => {
            page.mask_line_pointer_flags();
            // The NSN is set behind the record, when F_FOLLOW_RIGHT is cleared; F_HAS_GARBAGE.
            (0..8).for_each(|place| clear(page, place, 0xFF));
            clear(page, 12, 0x18);
        }
        // BRIN_EVACUATE_PAGE.
        AccessMethod::Brin => clear(page, 4, 0x01),
        // Most calls of nextval write no record.
        AccessMethod::Sequence => page.contents_mut().fill(0),
        // Behind its magic number the metapage has a list of pages with room (lastUsedPages).
        AccessMethod::SpGist if number == BlockNumber::new(0) => page.contents_mut()[4..].fill(0),
        AccessMethod::Bloom | AccessMethod::Gin | AccessMethod::SpGist => {}
    }
}

/// What is known of the transactions of tuples: `HEAP_XMIN_COMMITTED`, and so on.
fn mask_tuple_hints(page: &mut DataPage) {
    let numbers: Vec<_> = page.items().map(|(number, _)| number).collect();
    for number in numbers {
        let is_normal = page.item_id(number).is_some_and(|item| item.flags == ItemFlags::Normal);
        if let Some(infomask) = page.item_mut(number).filter(|_| is_normal).and_then(|tuple| tuple.get_mut(21)) {
            *infomask &= 0xF0;
        }
    }
}
