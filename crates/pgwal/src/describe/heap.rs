//! Source: `src/backend/access/rmgrdesc/heapdesc.c`.

use crate::describe::format::list;
use crate::describe::standby::describe_invalidations;
use crate::rmgr::heap::{Delete, Heap, InfoBits, Inplace, Insert, Lock, Truncate, TruncateFlags, Update};
use crate::text::{Hex2, TextBuffer, append};
use crate::version::Version;

/// 16 put a colon behind each name, and ordered them anew.
pub(super) fn describe(heap: &Heap, version: Version, text: &mut TextBuffer) {
    let named = version >= Version::V16;
    match heap {
        Heap::Insert(Insert { offset, flags, .. }) => {
            let (is, and) = if named { (": ", ",") } else { (" ", "") };
            append!(text, "off", is, offset, and, " flags", is, "0x", Hex2(flags.bits()));
        }
        Heap::Delete(Delete { xmax, offset, info_bits, flags }) => {
            if named {
                append!(text, "xmax: ", xmax, ", off: ", offset, ", ");
                describe_info_bits("infobits", *info_bits, text);
                return append!(text, ", flags: 0x", Hex2(flags.bits()));
            }
            append!(text, "off ", offset, " flags 0x", Hex2(flags.bits()), " ");
            describe_bare_info_bits(*info_bits, text);
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

fn describe_update(update: &Update, named: bool, text: &mut TextBuffer) {
    let Update { old_xmax, old_offset, old_info_bits, flags, new_xmax, new_offset, .. } = update;
    if named {
        append!(text, "old_xmax: ", old_xmax, ", old_off: ", old_offset, ", ");
        describe_info_bits("old_infobits", *old_info_bits, text);
        return append!(text, ", flags: 0x", Hex2(flags.bits()), ", new_xmax: ", new_xmax, ", new_off: ", new_offset);
    }
    append!(text, "off ", old_offset, " xmax ", old_xmax, " flags 0x", Hex2(flags.bits()), " ");
    describe_bare_info_bits(*old_info_bits, text);
    append!(text, "; new off ", new_offset, " xmax ", new_xmax);
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
    if version >= Version::V16 {
        append!(text, "xmax: ", xmax, ", off: ", offset, ", ");
        describe_info_bits("infobits", *info_bits, text);
        return append!(text, ", flags: 0x", Hex2(flags.bits()));
    }
    append!(text, "off ", offset, ": ", locker, " ", xmax, ": flags 0x", Hex2(flags.bits()), " ");
    describe_bare_info_bits(*info_bits, text);
}

fn names(bits: InfoBits) -> impl Iterator<Item = &'static str> {
    let names = [
        (InfoBits::XMAX_IS_MULTI, "IS_MULTI"),
        (InfoBits::XMAX_LOCK_ONLY, "LOCK_ONLY"),
        (InfoBits::XMAX_EXCL_LOCK, "EXCL_LOCK"),
        (InfoBits::XMAX_KEYSHR_LOCK, "KEYSHR_LOCK"),
        (InfoBits::KEYS_UPDATED, "KEYS_UPDATED"),
    ];
    names.into_iter().filter(move |(bit, _)| bits.contains(*bit)).map(|(_, name)| name)
}

/// Source: `infobits_desc`, of 16 and later.
fn describe_info_bits(label: &str, bits: InfoBits, text: &mut TextBuffer) {
    append!(text, label, ":");
    list(names(bits), text);
}

/// Source: `out_infobits`, before 16.
#[inline]
fn describe_bare_info_bits(bits: InfoBits, text: &mut TextBuffer) {
    if !bits.is_empty() {
        names(bits).for_each(|name| append!(text, name, " "));
    }
}
