//! What everyone who reads records knows of a custom resource manager: its number, its operations, and what a record
//! says.
//!
//! Mirrors `rm_name`, `rm_identify` and `rm_desc` of `RmgrData` and `RmgrIdIsCustom`
//! (`src/include/access/xlog_internal.h`, `src/include/access/rmgr.h`).

use std::ffi::CStr;
use std::fmt;
use std::marker::PhantomData;

use crate::descriptor::{Descriptor, Descriptors, RegisterError};
use crate::error::Malformed;
use crate::record::Record;
use crate::rmgr::RmgrId;
use crate::text::TextBuffer;
use crate::version::Version;

/// The number of a custom resource manager: 128 to 255, checked when compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomRmgrId(u8);

impl CustomRmgrId {
    /// For development: nobody has it for himself (`RM_EXPERIMENTAL_ID`). Published extensions
    /// [reserve](https://wiki.postgresql.org/wiki/CustomWALResourceManagers) one.
    pub const EXPERIMENTAL: Self = Self(128);

    /// The number. In a constant, one out of range does not compile:
    ///
    /// ```compile_fail
    /// const ID: pgwal::CustomRmgrId = pgwal::CustomRmgrId::new(100);
    /// ```
    ///
    /// # Panics
    /// Outside of a constant, if it is less than 128.
    #[must_use]
    pub const fn new(id: u8) -> Self {
        assert!(id >= 128, "custom resource manager IDs are between 128 and 255");
        Self(id)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl From<CustomRmgrId> for RmgrId {
    fn from(id: CustomRmgrId) -> Self {
        Self::new(id.0)
    }
}

/// Which of its up to sixteen operations a resource manager means: the upper four bits of a record's `info`. The lower
/// four are PostgreSQL's own, and cannot be said here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationCode(u8);

impl OperationCode {
    /// The code, 0 to 15.
    ///
    /// # Panics
    /// If it is greater; in a constant, that does not compile.
    #[must_use]
    pub const fn new(code: u8) -> Self {
        assert!(code < 16, "operation codes are between 0 and 15");
        Self(code)
    }

    /// The code, 0 to 15.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The code in a record's `info`.
    #[must_use]
    pub const fn from_info(info: u8) -> Self {
        Self(info >> 4)
    }

    /// As it is in a record's `info`.
    #[must_use]
    pub const fn info(self) -> u8 {
        self.0 << 4
    }
}

/// The operations of a custom resource manager. [`operations!`](crate::operations) makes them.
pub trait Operation: Copy + fmt::Debug + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// Its code.
    fn code(self) -> OperationCode;

    /// Its name in all text about records, such as `INSERT` (`rm_identify`).
    fn name(self) -> &'static CStr;

    /// The operation of a code, if there is one.
    #[must_use]
    fn from_code(code: OperationCode) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.code() == code)
    }
}

/// Makes an enum of a custom resource manager's operations: code and name of each.
///
/// ```
/// use pgwal::{Operation as _, OperationCode};
///
/// pgwal::operations! {
///     /// What a counter does.
///     pub enum Operation {
///         /// It is made.
///         Create = 0 => c"CREATE",
///         /// It counts.
///         Increment = 1 => c"INCREMENT",
///     }
/// }
///
/// assert_eq!(Operation::from_code(OperationCode::from_info(0x10)), Some(Operation::Increment));
/// assert_eq!(Operation::Increment.name(), c"INCREMENT");
/// ```
///
/// There are sixteen codes, and each can be used once:
///
/// ```compile_fail
/// pgwal::operations! { enum Operation { Create = 16 => c"CREATE" } }
/// ```
///
/// ```compile_fail
/// pgwal::operations! { enum Operation { Create = 1 => c"CREATE", Increment = 1 => c"INCREMENT" } }
/// ```
#[macro_export]
macro_rules! operations {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$of_operation:meta])* $operation:ident = $code:literal => $text:literal),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        $visibility enum $name {
            $($(#[$of_operation])* $operation = $code),+
        }

        impl $crate::Operation for $name {
            const ALL: &'static [Self] = &[$(Self::$operation),+];

            fn code(self) -> $crate::OperationCode {
                $crate::OperationCode::new(self as u8)
            }

            fn name(self) -> &'static ::std::ffi::CStr {
                match self {
                    $(Self::$operation => $text),+
                }
            }
        }

        const _: () = { $(let _ = $crate::OperationCode::new($code);)+ };
    };
}

/// What everyone who reads the records of a custom resource manager knows of it: PostgreSQL while it recovers,
/// `pg_walinspect`, and every program that uses [`Descriptors::with_custom`]. What only the server does with them is in
/// the crate `pgxlog`.
///
/// ```
/// use pgwal::{Cursor, CustomRmgr, CustomRmgrId, Malformed, Record, TextBuffer};
///
/// pgwal::operations! {
///     /// What a counter does.
///     pub enum Operation {
///         /// It counts.
///         Increment = 0 => c"INCREMENT",
///     }
/// }
///
/// /// Counters in the WAL.
/// #[derive(Debug)]
/// pub struct Counter;
///
/// impl CustomRmgr for Counter {
///     const ID: CustomRmgrId = CustomRmgrId::EXPERIMENTAL;
///     const NAME: &'static std::ffi::CStr = c"counter";
///     type Operation = Operation;
///
///     fn describe(operation: Operation, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
///         match operation {
///             Operation::Increment => {
///                 let by = Cursor::new(record.main_data).u32("by")?;
///                 text.append_format(format_args!("by {by}"));
///             }
///         }
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), pgwal::RegisterError> {
/// let descriptors = pgwal::Descriptors::new().with_custom::<Counter>()?;
/// # assert_eq!(descriptors.find("counter"), Some(pgwal::RmgrId::new(128)));
/// # Ok(())
/// # }
/// ```
pub trait CustomRmgr: 'static {
    /// Its number.
    const ID: CustomRmgrId;
    /// Its name, which no other resource manager may have in whatever case (`rm_name`).
    const NAME: &'static CStr;
    /// What its records do.
    type Operation: Operation;

    /// Appends what the record does, behind the operation's name (`rm_desc`). [`Cursor`](crate::Cursor) reads its data
    /// with the checks that damaged records need. It calls nothing of a server's: there it may be called while an error is
    /// being reported.
    ///
    /// # Errors
    /// [`Malformed`] if the record does not hold what its operation promises.
    fn describe(operation: Self::Operation, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed>;
}

/// A [`CustomRmgr`] as a [`Descriptor`].
struct Custom<T>(PhantomData<fn() -> T>);

impl<T: CustomRmgr> Descriptor for Custom<T> {
    fn name(&self) -> &str {
        text_of(T::NAME)
    }

    fn identify(&self, info: u8, _: Version) -> Option<&str> {
        T::Operation::from_code(OperationCode::from_info(info)).map(|operation| text_of(operation.name()))
    }

    fn describe(&self, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
        match T::Operation::from_code(OperationCode::from_info(record.info)) {
            Some(operation) => T::describe(operation, record, text),
            // Nothing is known of it, as its name, `UNKNOWN`, says.
            None => Ok(()),
        }
    }
}

fn text_of(name: &'static CStr) -> &'static str {
    name.to_str().unwrap_or("not UTF-8")
}

impl Descriptors {
    /// These and `T`'s: see [`Descriptors::register`].
    ///
    /// # Errors
    /// As [`Descriptors::register`].
    pub fn with_custom<T: CustomRmgr>(mut self) -> Result<Self, RegisterError> {
        self.register_custom::<T>(T::ID.into())?;
        Ok(self)
    }

    /// From now on `T` describes the records of `rmgr`, which may be another number than its own.
    ///
    /// # Errors
    /// As [`Descriptors::register`].
    pub fn register_custom<T: CustomRmgr>(&mut self, rmgr: RmgrId) -> Result<(), RegisterError> {
        self.register(rmgr, Custom::<T>(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cursor::Cursor;
    use crate::describe::tests::record;

    crate::operations! {
        enum CounterOperation {
            Create = 0 => c"CREATE",
            Increment = 15 => c"INCREMENT",
        }
    }

    struct Counter;

    impl CustomRmgr for Counter {
        const ID: CustomRmgrId = CustomRmgrId::new(200);
        const NAME: &'static CStr = c"counter";
        type Operation = CounterOperation;

        fn describe(operation: CounterOperation, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
            let count = Cursor::new(record.main_data).u16("count")?;
            text.append_format(format_args!("{operation:?} {count}"));
            Ok(())
        }
    }

    fn line(info: u8, main_data: &[u8]) -> String {
        let descriptors = Descriptors::new().with_custom::<Counter>().unwrap();
        let mut text = TextBuffer::new().with_descriptors(Arc::new(descriptors));
        record(RmgrId::new(200), info, Version::V17, main_data).append_line(&mut text);
        text.to_string()
    }

    #[test]
    fn operations_are_found_by_their_code_whatever_the_lower_bits_are() {
        assert!(line(0xF1, &[3, 0]).contains("rmgr: counter "));
        assert!(line(0xF1, &[3, 0]).contains("desc: INCREMENT Increment 3"));
        assert!(line(0x02, &[7, 0]).contains("desc: CREATE Create 7"));
    }

    #[test]
    fn an_unknown_operation_has_no_description() {
        assert!(line(0x30, &[3, 0]).trim_end().ends_with("desc: UNKNOWN (30)"), "{}", line(0x30, &[3, 0]));
    }

    #[test]
    fn a_record_that_is_too_short_says_so() {
        assert!(line(0x00, &[3]).contains("desc: CREATE (invalid: count: wanted 2 bytes, 1 left)"));
    }
}
