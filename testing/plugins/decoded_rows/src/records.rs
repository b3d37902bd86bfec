//! What the records hold.

use std::ffi::CStr;

use pgwal::{Cursor, CustomRmgr, CustomRmgrId, LoggedTuple, Malformed, Oid, Record, RelFileLocator, TextBuffer};
use pgxlog::{Delivery, RowChange};

pgwal::operations! {
    /// What happened.
    pub(crate) enum Operation {
        Insert = 0 => c"INSERT",
        Update = 1 => c"UPDATE",
        Delete = 2 => c"DELETE",
        Message = 3 => c"MESSAGE",
    }
}

pub(crate) struct DecodedRows;

impl CustomRmgr for DecodedRows {
    const ID: CustomRmgrId = CustomRmgrId::new(253);
    const NAME: &'static CStr = c"decoded_rows";
    type Operation = Operation;

    fn describe(operation: Operation, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
        match operation {
            Operation::Message => text.append_format(format_args!("{} bytes", Message::parse(record)?.content.len())),
            _ => text.append_format(format_args!("{}", parse_row(operation, record)?.0)),
        }
        Ok(())
    }
}

/// What an insertion, update or deletion holds: the table, the length of the old tuple, which may be zero, and the tuples.
pub(crate) fn row(table: RelFileLocator, old: Option<&LoggedTuple<'_>>, new: &[u8]) -> Vec<u8> {
    let old = old.map_or(&[][..], LoggedTuple::as_bytes);
    let numbers = [table.tablespace, table.database, table.relation].map(Oid::get);
    let mut data: Vec<u8> = numbers.into_iter().chain([old.len() as u32]).flat_map(u32::to_le_bytes).collect();
    data.extend(old);
    data.extend(new);
    data
}

/// The table and what happened to its row.
pub(crate) fn parse_row<'a>(
    operation: Operation,
    record: &Record<'a>,
) -> Result<(RelFileLocator, RowChange<'a>), Malformed> {
    let mut main = Cursor::new(record.main_data);
    let (tablespace, database, relation) = (main.u32("tablespace")?, main.u32("database")?, main.u32("relation")?);
    let length = main.count("length of old row", 1)?;
    let old = main.take("old row", length)?;
    let old = (!old.is_empty()).then(|| LoggedTuple::parse(old)).transpose()?;
    let change = match operation {
        Operation::Insert => RowChange::Insert(LoggedTuple::parse(main.rest())?),
        Operation::Update => RowChange::Update { old, new: LoggedTuple::parse(main.rest())? },
        _ => RowChange::Delete { old },
    };
    Ok((RelFileLocator::new(tablespace, database, relation), change))
}

/// What a message's record holds.
pub(crate) struct Message<'a> {
    pub(crate) database: Oid,
    pub(crate) delivery: Delivery,
    pub(crate) content: &'a [u8],
}

impl<'a> Message<'a> {
    pub(crate) fn data(&self) -> Vec<u8> {
        let mut data = self.database.get().to_le_bytes().to_vec();
        data.push(u8::from(self.delivery == Delivery::Transactional));
        data.extend(self.content);
        data
    }

    pub(crate) fn parse(record: &Record<'a>) -> Result<Self, Malformed> {
        let mut main = Cursor::new(record.main_data);
        let database = Oid::new(main.u32("database")?);
        let delivery = if main.bool("transactional")? { Delivery::Transactional } else { Delivery::Immediate };
        Ok(Self { database, delivery, content: main.rest() })
    }
}
