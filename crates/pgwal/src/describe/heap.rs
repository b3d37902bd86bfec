//! Source: `src/backend/access/rmgrdesc/heapdesc.c`.

use std::fmt::{self, Write};

use crate::describe::format::list;
use crate::describe::standby::describe_invalidations;
use crate::rmgr::heap::{Delete, Heap, InfoBits, Inplace, Insert, Lock, Truncate, TruncateFlags, Update};
use crate::version::Version;

/// 16 put a colon behind each name, and ordered them anew.
pub(super) fn describe(heap: &Heap, version: Version, text: &mut String) -> fmt::Result {
    let named = version >= Version::V16;
    match heap {
        Heap::Insert(Insert { offset, flags, .. }) => {
            let (is, and) = if named { (": ", ",") } else { (" ", "") };
            write!(text, "off{is}{offset}{and} flags{is}0x{:02X}", flags.bits())
        }
        Heap::Delete(Delete { xmax, offset, info_bits, flags }) => {
            if named {
                write!(text, "xmax: {xmax}, off: {offset}, ")?;
                describe_info_bits("infobits", *info_bits, text)?;
                return write!(text, ", flags: 0x{:02X}", flags.bits());
            }
            write!(text, "off {offset} flags 0x{:02X} ", flags.bits())?;
            describe_bare_info_bits(*info_bits, text)
        }
        Heap::Update(update) | Heap::HotUpdate(update) => describe_update(update, named, text),
        Heap::Truncate(truncate) => describe_truncate(truncate, named, text),
        Heap::Confirm(offset) if named => write!(text, "off: {offset}"),
        Heap::Confirm(offset) => write!(text, "off {offset}"),
        Heap::Lock(lock) => describe_lock(lock, "xid", version, text),
        Heap::Inplace(Inplace { offset, invalidations }) => {
            write!(text, "off{} {offset}", if named { ":" } else { "" })?;
            match invalidations {
                Some(all) => describe_invalidations(&all.messages, all.init_file(), version, text),
                None => Ok(()),
            }
        }
    }
}

fn describe_update(update: &Update, named: bool, text: &mut String) -> fmt::Result {
    let Update { old_xmax, old_offset, old_info_bits, flags, new_xmax, new_offset, .. } = update;
    if named {
        write!(text, "old_xmax: {old_xmax}, old_off: {old_offset}, ")?;
        describe_info_bits("old_infobits", *old_info_bits, text)?;
        return write!(text, ", flags: 0x{:02X}, new_xmax: {new_xmax}, new_off: {new_offset}", flags.bits());
    }
    write!(text, "off {old_offset} xmax {old_xmax} flags 0x{:02X} ", flags.bits())?;
    describe_bare_info_bits(*old_info_bits, text)?;
    write!(text, "; new off {new_offset} xmax {new_xmax}")
}

fn describe_truncate(truncate: &Truncate, named: bool, text: &mut String) -> fmt::Result {
    let Truncate { flags, relations, .. } = truncate;
    if named {
        let names = [(TruncateFlags::CASCADE, "CASCADE"), (TruncateFlags::RESTART_SEQUENCES, "RESTART_SEQS")];
        text.write_str("flags:")?;
        list(names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| name), text)?;
        write!(text, ", nrelids: {}, relids:", relations.len())?;
        return list(relations, text);
    }
    if flags.contains(TruncateFlags::CASCADE) {
        text.write_str("cascade ")?;
    }
    if flags.contains(TruncateFlags::RESTART_SEQUENCES) {
        text.write_str("restart_seqs ")?;
    }
    write!(text, "nrelids {} relids", relations.len())?;
    relations.iter().try_for_each(|relation| write!(text, " {relation}"))
}

/// Before 16, records of Heap and Heap2 have different names for the locker.
pub(super) fn describe_lock(lock: &Lock, locker: &str, version: Version, text: &mut String) -> fmt::Result {
    let Lock { xmax, offset, info_bits, flags } = lock;
    if version >= Version::V16 {
        write!(text, "xmax: {xmax}, off: {offset}, ")?;
        describe_info_bits("infobits", *info_bits, text)?;
        return write!(text, ", flags: 0x{:02X}", flags.bits());
    }
    write!(text, "off {offset}: {locker} {xmax}: flags 0x{:02X} ", flags.bits())?;
    describe_bare_info_bits(*info_bits, text)
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
fn describe_info_bits(label: &str, bits: InfoBits, text: &mut String) -> fmt::Result {
    write!(text, "{label}:")?;
    list(names(bits), text)
}

/// Source: `out_infobits`, before 16.
fn describe_bare_info_bits(bits: InfoBits, text: &mut String) -> fmt::Result {
    names(bits).try_for_each(|name| write!(text, "{name} "))
}
