//! Source: `src/backend/access/rmgrdesc/heapdesc.c`.

use std::sync::LazyLock;

use crate::describe::format::list;
use crate::describe::standby::describe_invalidations;
use crate::describe::tell;
use crate::error::RecordError;
use crate::record::Record;
use crate::rmgr::heap::{
    Delete, HOT_UPDATE, Heap, INSERT, InfoBits, Inplace, Insert, Lock, OPERATION_MASK, Truncate, TruncateFlags, UPDATE,
    Update,
};
use crate::text::{Hex2, Piece, Room, Short, TextBuffer, append, pieces};
use crate::version::Version;

/// The kinds of record that most logs are made of are told without a detour by [`Heap`]: it is large.
#[inline]
pub(super) fn describe(record: &Record<'_>, text: &mut TextBuffer) -> Result<(), RecordError> {
    let version = record.version;
    let named = version >= Version::V16;
    match record.info & OPERATION_MASK {
        INSERT => tell(&Insert::parse(record), |insert| describe_insert(insert, named, text)),
        UPDATE | HOT_UPDATE => tell(&Update::parse(record), |update| describe_update(update, named, text)),
        _ => tell(&Heap::parse(record), |heap| describe_any(heap, version, text)),
    }
}

/// 16 put a colon behind each name, and ordered them anew.
fn describe_any(heap: &Heap, version: Version, text: &mut TextBuffer) {
    let named = version >= Version::V16;
    match heap {
        Heap::Insert(insert) => describe_insert(insert, named, text),
        Heap::Delete(Delete { xmax, offset, info_bits, flags }) => {
            let flags = Hex2(flags.bits());
            if named {
                append!(
                    text,
                    "xmax: ",
                    xmax,
                    ", off: ",
                    offset,
                    ", infobits: ",
                    Listed(*info_bits),
                    ", flags: 0x",
                    flags
                );
            } else {
                append!(text, "off ", offset, " flags 0x", flags, " ", Bare(*info_bits));
            }
        }
        Heap::Update(update) | Heap::HotUpdate(update) => describe_update(update, named, text),
        Heap::Truncate(truncate) => describe_truncate(truncate, named, text),
        Heap::Confirm(offset) if named => append!(text, "off: ", offset),
        Heap::Confirm(offset) => append!(text, "off ", offset),
        Heap::Lock(lock) => describe_lock(lock, "xid", version, text),
        Heap::Inplace(Inplace { offset, invalidations }) => {
            append!(text, "off", if named { ":" } else { "" }, " ", offset);
            if let Some(all) = invalidations {
                describe_invalidations(&all.messages, all.init_file(), version, text);
            }
        }
    }
}

#[inline]
fn describe_insert(Insert { offset, flags, .. }: &Insert, named: bool, text: &mut TextBuffer) {
    if named {
        append!(text, "off: ", offset, ", flags: 0x", Hex2(flags.bits()));
    } else {
        append!(text, "off ", offset, " flags 0x", Hex2(flags.bits()));
    }
}

#[inline]
fn describe_update(update: &Update, named: bool, text: &mut TextBuffer) {
    let Update { old_xmax, old_offset, old_info_bits, flags, new_xmax, new_offset, .. } = update;
    let flags = Hex2(flags.bits());
    if named {
        let old =
            pieces!("old_xmax: ", old_xmax, ", old_off: ", old_offset, ", old_infobits: ", Listed(*old_info_bits));
        append!(text, old, ", flags: 0x", flags, ", new_xmax: ", new_xmax, ", new_off: ", new_offset);
    } else {
        let old = pieces!("off ", old_offset, " xmax ", old_xmax, " flags 0x", flags, " ", Bare(*old_info_bits));
        append!(text, old, "; new off ", new_offset, " xmax ", new_xmax);
    }
}

fn describe_truncate(truncate: &Truncate, named: bool, text: &mut TextBuffer) {
    let Truncate { flags, relations, .. } = truncate;
    if named {
        let names = [(TruncateFlags::CASCADE, "CASCADE"), (TruncateFlags::RESTART_SEQUENCES, "RESTART_SEQS")];
        append!(text, "flags:");
        list(names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| name), text);
        append!(text, ", nrelids: ", relations.len(), ", relids:");
        return list(relations, text);
    }
    if flags.contains(TruncateFlags::CASCADE) {
        append!(text, "cascade ");
    }
    if flags.contains(TruncateFlags::RESTART_SEQUENCES) {
        append!(text, "restart_seqs ");
    }
    append!(text, "nrelids ", relations.len(), " relids");
    for relation in relations {
        append!(text, " ", relation);
    }
}

/// Before 16, records of Heap and Heap2 have different names for the locker.
pub(super) fn describe_lock(lock: &Lock, locker: &str, version: Version, text: &mut TextBuffer) {
    let Lock { xmax, offset, info_bits, flags } = lock;
    let flags = Hex2(flags.bits());
    if version >= Version::V16 {
        append!(text, "xmax: ", xmax, ", off: ", offset, ", infobits: ", Listed(*info_bits), ", flags: 0x", flags);
    } else {
        append!(text, "off ", offset, ": ", locker, " ", xmax, ": flags 0x", flags, " ", Bare(*info_bits));
    }
}

/// Source: `infobits_desc`, of 16 and later.
struct Listed(InfoBits);

impl Piece for Listed {
    const LONGEST: usize = Names::LONGEST;

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        names(&LISTED, self.0).put(room);
    }
}

/// Source: `out_infobits`, before 16.
struct Bare(InfoBits);

impl Piece for Bare {
    const LONGEST: usize = Names::LONGEST;

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        // Mostly there is none.
        if !self.0.is_empty() {
            names(&BARE, self.0).put(room);
        }
    }
}

/// The names of some bits.
type Names = Short<64>;

/// Those of all combinations of the bits that have a name.
type AllNames = LazyLock<[Names; COMBINATIONS]>;

const COMBINATIONS: usize = 1 << NAMES.len();

/// In the order of their bits.
const NAMES: [&str; 5] = ["IS_MULTI", "LOCK_ONLY", "EXCL_LOCK", "KEYSHR_LOCK", "KEYS_UPDATED"];

/// As a list in brackets.
static LISTED: AllNames = AllNames::new(|| all_names(|names| format!("[{}]", names.join(", "))));

/// Each with a blank behind it.
static BARE: AllNames = AllNames::new(|| all_names(|names| names.iter().map(|name| format!("{name} ")).collect()));

fn all_names(written: impl Fn(&[&str]) -> String) -> [Names; COMBINATIONS] {
    std::array::from_fn(|bits| {
        let is_set = |(bit, name): (usize, &'static str)| (bits >> bit & 1 != 0).then_some(name);
        let names: Vec<_> = NAMES.into_iter().enumerate().filter_map(is_set).collect();
        Names::new(written(&names).as_bytes()).unwrap_or(Names::EMPTY)
    })
}

#[inline(always)]
fn names(all: &AllNames, bits: InfoBits) -> &Names {
    all.get(usize::from(bits.bits()) % COMBINATIONS).unwrap_or(&Names::EMPTY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bits_have_their_names() {
        for bits in 0..=u8::MAX {
            let bits = InfoBits::from_bits_retain(bits);
            let known: Vec<_> = InfoBits::all().intersection(bits).iter_names().map(|(name, _)| name).collect();
            let names: Vec<_> = known.iter().map(|name| name.trim_start_matches("XMAX_")).collect();
            let mut text = TextBuffer::new();
            append!(text, Listed(bits), "|", Bare(bits), "|");
            let bare: String = names.iter().map(|name| format!("{name} ")).collect();
            assert_eq!(text.to_string(), format!("[{}]|{bare}|", names.join(", ")));
        }
    }
}
