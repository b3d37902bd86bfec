//! The columns of a line between the names of resource manager and operation.

use crate::lsn::Lsn;
use crate::record::Record;
use crate::text::{Hex, Hex8, Piece, Room, column_of_6, fill_column_of_10, lower, upper};

/// Lengths, transaction, LSN and that of the record before:
/// ` len (rec/tot):     54/    54, tx:        731, lsn: 0/01500028, prev 0/014FFFF0, desc: `.
pub(super) struct Columns<'r, 'a>(pub(super) &'r Record<'a>);

/// The beginning, to be filled in.
const NUMBERS: &[u8; 52] = b" len (rec/tot):       /      , tx:           , lsn: ";

impl Piece for Columns<'_, '_> {
    #[inline(always)]
    fn room(&self) -> usize {
        128
    }

    #[inline(always)]
    fn put(&self, room: &mut Room<'_>) {
        let Record { lsn, prev, total_len, xid, .. } = *self.0;
        let without_images = total_len.saturating_sub(self.0.image_len());
        let total = column_of_6(total_len);
        // Mostly there is no image.
        let rest = if without_images == total_len { total } else { column_of_6(without_images) };
        match (rest, total) {
            (Some(rest), Some(total)) => room.put_with(NUMBERS.len() as u8, |place| {
                *place = *NUMBERS;
                place[16..22].copy_from_slice(&rest);
                place[23..29].copy_from_slice(&total);
                if let Some(column) = place[35..].first_chunk_mut() {
                    fill_column_of_10(column, xid.get());
                }
            }),
            _ => {
                let (numbers, length) = wide_numbers([without_images, total_len, xid.get()]);
                room.put_part(numbers, length);
            }
        }
        put_lsn(lsn, b"/........, prev ", room);
        put_lsn(prev, b"/........, desc: ", room);
    }
}

/// Lengths of a megabyte and more have columns as wide as they need.
#[cold]
#[inline(never)]
fn wide_numbers([without_images, total_len, xid]: [u32; 3]) -> ([u8; 64], u8) {
    let mut numbers = [0; 64];
    let text = format!(" len (rec/tot): {without_images:>6}/{total_len:>6}, tx: {xid:>10}, lsn: ");
    let length = Room::fill(&mut numbers, text);
    (numbers, length as u8)
}

/// An LSN with its lower half in eight digits, where `rest` has dots: `16/0374D848`.
#[inline(always)]
fn put_lsn<const SIZE: usize>(lsn: Lsn, rest: &[u8; SIZE], room: &mut Room<'_>) {
    Hex(upper(lsn)).put(room);
    room.put_with(SIZE as u8, |place: &mut [u8; SIZE]| {
        *place = *rest;
        if let Some([_, digits @ ..]) = place.first_chunk_mut::<9>() {
            *digits = Hex8(lower(lsn)).characters();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::tests::record;
    use crate::ids::TransactionId;
    use crate::rmgr::RmgrId;
    use crate::text::{TextBuffer, append};
    use crate::version::Version;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn columns_are_as_wide_as_they_need(
            lsn: u64, prev: u64, total_len: u32, xid: u32, bits in proptest::array::uniform4(0..64u32),
        ) {
            let mut record = record(RmgrId::HEAP, 0, Version::V15, &[]);
            let (lsn, prev, total_len, xid) = (lsn >> bits[0], prev >> bits[1], total_len >> (bits[2] / 2), xid >> (bits[3] / 2));
            (record.lsn, record.prev, record.total_len) = (Lsn::new(lsn), Lsn::new(prev), total_len);
            record.xid = TransactionId::new(xid);
            let mut text = TextBuffer::new();
            append!(text, Columns(&record));
            let [lsn, prev] = [lsn, prev].map(|lsn| format!("{:X}/{:08X}", lsn >> 32, lsn & 0xFFFF_FFFF));
            let lengths = format!("{total_len:>6}/{total_len:>6}");
            prop_assert_eq!(
                text.to_string(),
                format!(" len (rec/tot): {lengths}, tx: {xid:>10}, lsn: {lsn}, prev {prev}, desc: ")
            );
        }
    }
}
