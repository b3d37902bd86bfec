//! SP-GiST indexes. Source: `src/include/access/spgxlog.h`.
//!
//! The line pointers and tuples that follow the fixed part of a record are not read here.

use crate::cursor::Cursor;
use crate::error::{Malformed, RecordError};
use crate::ids::{OffsetNumber, TransactionId};
use crate::record::Record;
use crate::rmgr::{is_catalog, parse_main};
use crate::version::Version;

/// A record of resource manager SPGist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpGist {
    /// A leaf tuple was added to a chain.
    AddLeaf(AddLeaf),
    /// A chain of leaf tuples was moved to another page.
    MoveLeafs(MoveLeafs),
    /// An inner tuple got another node.
    AddNode(AddNode),
    /// An inner tuple was split into a prefix and a postfix.
    SplitTuple(SplitTuple),
    /// A chain of leaf tuples was split up below a new inner tuple.
    PickSplit(PickSplit),
    /// VACUUM removed tuples from a leaf page.
    VacuumLeaf(VacuumLeaf),
    /// VACUUM removed tuples from a root that is a leaf.
    VacuumRoot {
        /// Tuples removed.
        deleted_count: u16,
    },
    /// VACUUM turned redirections into placeholders, and removed placeholders.
    VacuumRedirect(VacuumRedirect),
    /// An operation that is not known here.
    Unknown,
}

/// The entry of an inner tuple that leads to what is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downlink {
    /// The inner tuple, if any.
    pub parent: OffsetNumber,
    /// Its node.
    pub node: u16,
}

/// `spgxlogAddLeaf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddLeaf {
    /// Whether the page is made anew.
    pub new_page: bool,
    /// Whether the page is of the tree of null values.
    pub stores_nulls: bool,
    /// The new tuple.
    pub offset: OffsetNumber,
    /// First tuple of the chain, if any.
    pub head: OffsetNumber,
    /// What leads there.
    pub downlink: Downlink,
}

/// `spgxlogMoveLeafs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveLeafs {
    /// Tuples moved.
    pub count: u16,
    /// Whether the page they went to is made anew.
    pub new_page: bool,
    /// Whether the chain was a dead tuple only.
    pub replace_dead: bool,
    /// Whether the pages are of the tree of null values.
    pub stores_nulls: bool,
    /// What leads there.
    pub downlink: Downlink,
}

/// `spgxlogAddNode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddNode {
    /// The inner tuple, on block 0.
    pub offset: OffsetNumber,
    /// Where it moved, on block 1; invalid if it stayed.
    pub new_offset: OffsetNumber,
    /// Whether that page is made anew.
    pub new_page: bool,
    /// The block reference that has the parent; -1 if the parent does not change.
    pub parent_block: i8,
    /// What leads there.
    pub downlink: Downlink,
}

/// `spgxlogSplitTuple`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitTuple {
    /// The prefix.
    pub prefix: OffsetNumber,
    /// The postfix.
    pub postfix: OffsetNumber,
    /// Whether the postfix's page is made anew.
    pub new_page: bool,
    /// Whether both are on the same page.
    pub same_page: bool,
}

/// `spgxlogPickSplit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PickSplit {
    /// Whether the root was split.
    pub is_root_split: bool,
    /// Leaf tuples removed.
    pub deleted_count: u16,
    /// Leaf tuples added.
    pub inserted_count: u16,
    /// Whether the page they come from is made anew.
    pub init_source: bool,
    /// Whether the page they go to is made anew.
    pub init_destination: bool,
    /// The new inner tuple.
    pub inner: OffsetNumber,
    /// Whether its page is made anew.
    pub init_inner: bool,
    /// Whether the pages are of the tree of null values.
    pub stores_nulls: bool,
    /// Whether the parent is on the inner tuple's page.
    pub inner_is_parent: bool,
    /// What leads there.
    pub downlink: Downlink,
}

/// `spgxlogVacuumLeaf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VacuumLeaf {
    /// Tuples that are dead now.
    pub dead_count: u16,
    /// Tuples that are placeholders now.
    pub placeholder_count: u16,
    /// Tuples moved.
    pub moved_count: u16,
    /// Tuples that another one follows now.
    pub chained_count: u16,
}

/// `spgxlogVacuumRedirect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VacuumRedirect {
    /// Redirections that are placeholders now.
    pub redirect_count: u16,
    /// First placeholder that was removed.
    pub first_placeholder: OffsetNumber,
    /// Newest transaction of the redirections: those up to it conflict on a standby.
    pub conflict_horizon: TransactionId,
    /// Whether the index belongs to a catalogue (16 and later).
    pub is_catalog: bool,
}

impl SpGist {
    /// Reads a record of resource manager SPGist.
    ///
    /// # Errors
    /// [`RecordError`] if there is less data than this kind of record has.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordError> {
        parse_main(record, |cursor| {
            Ok(match record.rmgr_info() {
                0x10 => Self::AddLeaf(AddLeaf {
                    new_page: cursor.bool("newPage")?,
                    stores_nulls: cursor.bool("storesNulls")?,
                    offset: offset(cursor, "offnumLeaf")?,
                    head: offset(cursor, "offnumHeadLeaf")?,
                    downlink: Downlink::parse(cursor)?,
                }),
                0x20 => Self::MoveLeafs(MoveLeafs::parse(cursor)?),
                0x30 => Self::AddNode(AddNode {
                    offset: offset(cursor, "offnum")?,
                    new_offset: offset(cursor, "offnumNew")?,
                    new_page: cursor.bool("newPage")?,
                    parent_block: cursor.u8("parentBlk")?.cast_signed(),
                    downlink: Downlink::parse(cursor)?,
                }),
                0x40 => Self::SplitTuple(SplitTuple {
                    prefix: offset(cursor, "offnumPrefix")?,
                    postfix: offset(cursor, "offnumPostfix")?,
                    new_page: cursor.bool("newPage")?,
                    same_page: cursor.bool("postfixBlkSame")?,
                }),
                0x50 => Self::PickSplit(PickSplit::parse(cursor)?),
                0x60 => Self::VacuumLeaf(VacuumLeaf {
                    dead_count: cursor.u16("nDead")?,
                    placeholder_count: cursor.u16("nPlaceholder")?,
                    moved_count: cursor.u16("nMove")?,
                    chained_count: cursor.u16("nChain")?,
                }),
                0x70 => Self::VacuumRoot { deleted_count: cursor.u16("nDelete")? },
                0x80 => Self::VacuumRedirect(VacuumRedirect::parse(cursor, record.version)?),
                _ => Self::Unknown,
            })
        })
    }
}

fn offset(cursor: &mut Cursor<'_>, field: &'static str) -> Result<OffsetNumber, Malformed> {
    cursor.u16(field).map(OffsetNumber::new)
}

impl Downlink {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        Ok(Self { parent: offset(cursor, "offnumParent")?, node: cursor.u16("nodeI")? })
    }
}

impl MoveLeafs {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let count = cursor.u16("nMoves")?;
        let new_page = cursor.bool("newPage")?;
        let replace_dead = cursor.bool("replaceDead")?;
        let stores_nulls = cursor.bool("storesNulls")?;
        cursor.skip("padding", 1)?;
        Ok(Self { count, new_page, replace_dead, stores_nulls, downlink: Downlink::parse(cursor)? })
    }
}

impl PickSplit {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let is_root_split = cursor.bool("isRootSplit")?;
        cursor.skip("padding", 1)?;
        let deleted_count = cursor.u16("nDelete")?;
        let inserted_count = cursor.u16("nInsert")?;
        let init_source = cursor.bool("initSrc")?;
        let init_destination = cursor.bool("initDest")?;
        let inner = offset(cursor, "offnumInner")?;
        let init_inner = cursor.bool("initInner")?;
        let stores_nulls = cursor.bool("storesNulls")?;
        let inner_is_parent = cursor.bool("innerIsParent")?;
        cursor.skip("padding", 1)?;
        Ok(Self {
            is_root_split,
            deleted_count,
            inserted_count,
            init_source,
            init_destination,
            inner,
            init_inner,
            stores_nulls,
            inner_is_parent,
            downlink: Downlink::parse(cursor)?,
        })
    }
}

impl VacuumRedirect {
    fn parse(cursor: &mut Cursor<'_>, version: Version) -> Result<Self, Malformed> {
        Ok(Self {
            redirect_count: cursor.u16("nToPlaceholder")?,
            first_placeholder: offset(cursor, "firstPlaceholder")?,
            conflict_horizon: TransactionId::new(cursor.u32("snapshotConflictHorizon")?),
            is_catalog: is_catalog(cursor, version)?,
        })
    }
}

/// Name of the operation as in `spg_identify`; `None` for one that does not exist.
#[must_use]
pub const fn identify(info: u8) -> Option<&'static str> {
    Some(match info & 0xF0 {
        0x10 => "ADD_LEAF",
        0x20 => "MOVE_LEAFS",
        0x30 => "ADD_NODE",
        0x40 => "SPLIT_TUPLE",
        0x50 => "PICKSPLIT",
        0x60 => "VACUUM_LEAF",
        0x70 => "VACUUM_ROOT",
        0x80 => "VACUUM_REDIRECT",
        _ => return None,
    })
}
