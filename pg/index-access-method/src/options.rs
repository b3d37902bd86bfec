//! Storage parameters of indexes: `CREATE INDEX ... WITH (...)`.
//!
//! Source: `src/backend/access/common/reloptions.c`.

use std::any::TypeId;
use std::cell::RefCell;
use std::ffi::CStr;

use pgrx::pg_sys;

use crate::method::IndexAccessMethod;

/// A storage parameter that is a number.
#[derive(Debug, Clone, Copy)]
pub struct IntegerOption {
    /// Its name, in lower case.
    pub name: &'static CStr,
    /// What it is, in a few words.
    pub description: &'static CStr,
    /// Its value if it is not given.
    pub default: i32,
    /// The smallest value.
    pub minimum: i32,
    /// The largest value.
    pub maximum: i32,
}

thread_local! {
    /// The kind of storage parameters (`relopt_kind`) that each access method got from PostgreSQL. A backend has one thread.
    static KINDS: RefCell<Vec<(TypeId, pg_sys::relopt_kind::Type)>> = const { RefCell::new(Vec::new()) };
}

/// Bytes of the header that the values are behind (`vl_len_`), and of a value.
const WORD: usize = size_of::<i32>();

/// The values that were given, behind each other in the order of the options (`amoptions`).
///
/// # Safety
/// `given` is an array of text, or null, as PostgreSQL passes to `amoptions`.
pub(crate) unsafe fn parse<M: IndexAccessMethod>(given: pg_sys::Datum, validate: bool) -> *mut pg_sys::bytea {
    let elements: Vec<_> = (1_i32..).zip(M::OPTIONS).map(|(place, option)| element(option, place)).collect();
    let size = WORD * (1 + M::OPTIONS.len());
    // SAFETY: each element names one of this kind's options, whose value has its place within the struct.
    unsafe {
        let count = elements.len() as i32;
        pg_sys::build_reloptions(given, validate, kind::<M>(), size, elements.as_ptr(), count).cast()
    }
}

fn element(option: &IntegerOption, place: i32) -> pg_sys::relopt_parse_elt {
    pg_sys::relopt_parse_elt {
        optname: option.name.as_ptr(),
        opttype: pg_sys::relopt_type::RELOPT_TYPE_INT,
        offset: place * WORD as i32,
        #[cfg(feature = "pg18")]
        isset_offset: 0,
    }
}

/// The values of an index's options.
///
/// # Safety
/// Null, or what [`parse`] returned for this access method.
pub(crate) unsafe fn values<M: IndexAccessMethod>(options: *const pg_sys::bytea) -> Vec<i32> {
    let value = |(place, option): (usize, &IntegerOption)| {
        // SAFETY: a `bytea` that is not compressed begins with its length, `VARSIZE`.
        let length = if options.is_null() { 0 } else { unsafe { options.cast::<u32>().read_unaligned() >> 2 } };
        // Fewer values than these are those of another access method.
        if (place + 1) * WORD > length as usize {
            return option.default;
        }
        // SAFETY: so many bytes are there.
        unsafe { options.cast::<i32>().add(place).read_unaligned() }
    };
    (1..).zip(M::OPTIONS).map(value).collect()
}

/// Tells PostgreSQL of the options, once in a process.
fn kind<M: IndexAccessMethod>() -> pg_sys::relopt_kind::Type {
    let id = TypeId::of::<M>();
    if let Some(kind) = KINDS.with_borrow(|kinds| kinds.iter().find(|(other, _)| *other == id).map(|(_, kind)| *kind)) {
        return kind;
    }
    // SAFETY: the strings are constants. An ERROR between leaves a kind that nobody uses.
    let kind = unsafe {
        let kind = pg_sys::add_reloption_kind();
        for option in M::OPTIONS {
            let (name, description) = (option.name.as_ptr(), option.description.as_ptr());
            let lock = pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE;
            pg_sys::add_int_reloption(kind, name, description, option.default, option.minimum, option.maximum, lock);
        }
        kind
    };
    KINDS.with_borrow_mut(|kinds| kinds.push((id, kind)));
    kind
}
