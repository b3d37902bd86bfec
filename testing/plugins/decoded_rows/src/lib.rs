//! An extension for tests: its records tell logical decoding of rows and messages, and do nothing else.

mod records;

use pgrx::prelude::*;
use pgrx::{AnyElement, varlena};
use pgwal::{LoggedTuple, Oid, Record};
use pgxlog::{Decoding, Delivery, RecordBuilder, Redo, RedoError, Relation, ResourceManager};

use crate::records::{DecodedRows, Message, Operation, parse_row};

pgrx::pg_module_magic!();

struct Manager;

impl ResourceManager for Manager {
    type Records = DecodedRows;

    fn redo(_redo: &mut Redo<'_, DecodedRows>) -> Result<(), RedoError> {
        Ok(())
    }

    const DECODE: Option<pgxlog::DecodeMethod> = Some(decode);
}

fn decode(record: &Record<'_>, decoding: &mut Decoding<'_>) -> Result<(), RedoError> {
    use pgwal::Operation as _;
    let code = pgwal::OperationCode::from_info(record.info);
    match Operation::from_code(code).ok_or("unknown operation")? {
        Operation::Message => {
            let message = Message::parse(record)?;
            if message.database == decoding.database() {
                decoding.message(message.delivery, c"decoded_rows", message.content);
            }
        }
        operation => {
            let (table, change) = parse_row(operation, record)?;
            // SAFETY: `on_table` and who uses it write these records: the rows are made by `Relation`'s methods, under a lock that
            // stays. What `decoded_rows_insert_bytes` writes has no tuple.
            unsafe { decoding.row(table, change) };
        }
    }
    Ok(())
}

/// Called by PostgreSQL when it loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    pgxlog::register::<Manager>();
}

#[pg_extern(sql = "")]
fn decoded_rows_insert(relation: pg_sys::Oid, new_row: AnyElement, with_origin: bool) {
    on_table(relation, |table| {
        let mut new = tuple(table, &new_row);
        // SAFETY: a row of this table's type.
        let new = unsafe { table.logged_row(&raw mut new) };
        write(Operation::Insert, &records::row(table.locator(), None, new.as_bytes()), with_origin);
    });
}

#[pg_extern(sql = "")]
fn decoded_rows_update(relation: pg_sys::Oid, old_row: AnyElement, new_row: AnyElement) {
    on_table(relation, |table| {
        let (mut old, mut new) = (tuple(table, &old_row), tuple(table, &new_row));
        // SAFETY: rows of this table's type.
        let (old, new) = unsafe { (table.logged_old_row(&raw mut old, &raw mut new), table.logged_row(&raw mut new)) };
        write(Operation::Update, &records::row(table.locator(), old.as_ref(), new.as_bytes()), true);
    });
}

#[pg_extern(sql = "")]
fn decoded_rows_delete(relation: pg_sys::Oid, old_row: AnyElement) {
    on_table(relation, |table| {
        let mut old = tuple(table, &old_row);
        // SAFETY: a row of this table's type.
        let old = unsafe { table.logged_deleted_row(&raw mut old) };
        write(Operation::Delete, &records::row(table.locator(), old.as_ref(), &[]), true);
    });
}

#[pg_extern(sql = "")]
fn decoded_rows_insert_all(relation: pg_sys::Oid) {
    on_table(relation, |table| {
        // SAFETY: the table is open and locked; each tuple is one of its own, valid until the next one.
        unsafe {
            let snapshot = pg_sys::GetActiveSnapshot();
            let no_index = pg_sys::InvalidOid;
            let scan = pg_sys::systable_beginscan(table.as_raw(), no_index, false, snapshot, 0, std::ptr::null_mut());
            loop {
                let row = pg_sys::systable_getnext(scan);
                if row.is_null() {
                    break;
                }
                let row: LoggedTuple<'_> = table.logged_row(row);
                write(Operation::Insert, &records::row(table.locator(), None, row.as_bytes()), true);
            }
            pg_sys::systable_endscan(scan);
        }
    });
}

#[pg_extern(sql = "")]
fn decoded_rows_insert_bytes(relation: pg_sys::Oid, bytes: &[u8]) {
    if LoggedTuple::parse(bytes).is_ok() {
        error!("these bytes may be a tuple");
    }
    on_table(relation, |table| write(Operation::Insert, &records::row(table.locator(), None, bytes), true));
}

#[pg_extern(sql = "")]
fn decoded_rows_message(transactional: bool, content: &str, with_origin: bool) {
    let delivery = if transactional {
        pgxlog::assign_transaction_id();
        Delivery::Transactional
    } else {
        Delivery::Immediate
    };
    // SAFETY: a global variable of this process.
    let database = Oid::new(unsafe { pg_sys::MyDatabaseId }.to_u32());
    write_record(Operation::Message, &Message { database, delivery, content: content.as_bytes() }.data(), with_origin);
}

/// Opens a table, and keeps its columns from being changed until the end of the transaction.
fn on_table(oid: pg_sys::Oid, body: impl FnOnce(&Relation<'_>)) {
    // SAFETY: what is not there is an ERROR; the lock stays when the table is closed. If `body` raises an ERROR, the end of the
    // transaction closes it. Its pages are not looked at.
    unsafe {
        let raw = pg_sys::table_open(oid, pg_sys::RowExclusiveLock as _);
        body(&Relation::from_raw(raw));
        pg_sys::table_close(raw, pg_sys::NoLock as _);
    }
}

/// The tuple in a composite value, which must be of the table's row type.
fn tuple(table: &Relation<'_>, row: &AnyElement) -> pg_sys::HeapTupleData {
    // SAFETY: an open relation has its row of pg_class; a value of a composite type is a tuple behind a varlena header, and
    // PostgreSQL lets nobody change a table's columns while such a value of its type is at work but by adding some.
    unsafe {
        if row.oid() != (*(*table.as_raw()).rd_rel).reltype {
            error!("the row is not of the table's type");
        }
        let header: pg_sys::HeapTupleHeader = pg_sys::pg_detoast_datum(row.datum().cast_mut_ptr()).cast();
        pg_sys::HeapTupleData {
            t_len: varlena::varsize_any(header.cast()) as u32,
            t_data: header,
            ..Default::default()
        }
    }
}

/// Writes a record of the current transaction.
fn write(operation: Operation, data: &[u8], with_origin: bool) {
    pgxlog::assign_transaction_id();
    write_record(operation, data, with_origin);
}

fn write_record(operation: Operation, data: &[u8], with_origin: bool) {
    let record = RecordBuilder::<Manager>::new(operation).data(data);
    let record = if with_origin { record.include_origin() } else { record };
    if let Err(error) = record.commit([], |[]| ()) {
        error!("{error}");
    }
}
