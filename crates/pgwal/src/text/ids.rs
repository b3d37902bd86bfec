//! The numbers, places and times that records are made of, as `pg_waldump` writes them.

use super::{Hex, Piece, Room, Short, pieces};
use crate::ids::{BlockNumber, Fork, FullTransactionId, MultiXactId, OffsetNumber, Oid, OriginId};
use crate::ids::{RelFileLocator, TimelineId, TransactionId};
use crate::lsn::Lsn;

/// A type is written as the pieces that it is made of.
macro_rules! made_of {
    ($($name:ty: |$value:ident| $pieces:expr;)*) => {$(
        impl Piece for $name {
            const LONGEST: usize = longest::<Self, _>(|$value| $pieces);

            #[inline(always)]
            fn put(&self, room: &mut Room<'_>) {
                let $value = self;
                $pieces.put(room);
            }
        }
    )*};
}

/// Most bytes of the pieces that a type is made of.
const fn longest<T, P: Piece>(_: fn(&T) -> P) -> usize {
    P::LONGEST
}

made_of! {
    bool: |value| if *value { const { Short::<5>::constant("true") } } else { const { Short::constant("false") } };
    Oid: |oid| oid.get();
    BlockNumber: |block| block.get();
    OffsetNumber: |offset| offset.get();
    MultiXactId: |multi| multi.get();
    TimelineId: |timeline| timeline.get();
    OriginId: |origin| origin.get();
    TransactionId: |xid| xid.get();
    FullTransactionId: |xid| pieces!(xid.epoch(), ":", xid.xid());
    RelFileLocator: |locator| pieces!(locator.tablespace, "/", locator.database, "/", locator.relation);
    Lsn: |lsn| pieces!(Hex(upper(*lsn)), "/", Hex(lower(*lsn)));
}

/// The digits before the slash.
pub(crate) const fn upper(lsn: Lsn) -> u32 {
    (lsn.get() >> 32) as u32
}

/// The digits behind the slash.
#[allow(clippy::cast_possible_truncation)] // The lower half is meant.
pub(crate) const fn lower(lsn: Lsn) -> u32 {
    lsn.get() as u32
}

/// Its name, or its number if PostgreSQL has no such fork.
impl Piece for Fork {
    const LONGEST: usize = 4;

    fn put(&self, room: &mut Room<'_>) {
        match self.name() {
            Some(name) => name.put(room),
            None => self.get().put(room),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{TextBuffer, append};
    use proptest::prelude::*;

    fn text(piece: impl Piece) -> String {
        let mut text = TextBuffer::new();
        append!(text, piece);
        text.to_string()
    }

    #[test]
    fn a_fork_has_a_name_or_a_number() {
        assert_eq!([0, 2, 9].map(|fork| text(Fork::new(fork))), ["main", "vm", "9"]);
    }

    proptest! {
        #[test]
        fn pieces_are_written_as_their_types_print(long: u64, bits in 0..64u32, tablespace: u32, database: u32, relation: u32) {
            let (lsn, xid) = (Lsn::new(long >> bits), FullTransactionId::new(long >> bits));
            let locator = RelFileLocator::new(tablespace, database, relation);
            prop_assert_eq!(text(lsn), lsn.to_string());
            prop_assert_eq!(text(xid), xid.to_string());
            prop_assert_eq!(text(locator), locator.to_string());
        }
    }
}
