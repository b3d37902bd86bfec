//! The columns of a line between the names of resource manager and operation.

use crate::record::Record;
use crate::text::{Piece, Right, TextBuffer, pieces};

/// Appends `before`, lengths, transaction, LSN and that of the record before, and `after`:
/// ` len (rec/tot):     54/    54, tx:        731, lsn: 0/01500028, prev 0/014FFFF0, desc: `.
#[inline(always)]
pub(crate) fn append_columns(before: &impl Piece, record: &Record<'_>, after: &impl Piece, text: &mut TextBuffer) {
    let Record { lsn, prev, total_len, xid, .. } = *record;
    let without_images = total_len.saturating_sub(record.image_len());
    let lengths = pieces!(" len (rec/tot): ", Right::<6>(without_images), "/", Right::<6>(total_len));
    text.append_lsn(pieces!(before, lengths, ", tx: ", Right::<10>(xid.get()), ", lsn: "), lsn, ());
    text.append_lsn(pieces!(", prev "), prev, pieces!(", desc: ", after));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::describe::tests::record;
    use crate::ids::TransactionId;
    use crate::lsn::Lsn;
    use crate::rmgr::RmgrId;
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
            append_columns(&(), &record, &(), &mut text);
            let [lsn, prev] = [lsn, prev].map(|lsn| format!("{:X}/{:08X}", lsn >> 32, lsn & 0xFFFF_FFFF));
            let lengths = format!("{total_len:>6}/{total_len:>6}");
            prop_assert_eq!(
                text.to_string(),
                format!(" len (rec/tot): {lengths}, tx: {xid:>10}, lsn: {lsn}, prev {prev}, desc: ")
            );
        }
    }
}
