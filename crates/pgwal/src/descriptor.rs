//! Descriptions of custom resource managers: what their extensions alone know of their records.
//!
//! Mirrors `rm_name`, `rm_identify` and `rm_desc` of `RmgrData` (`src/include/access/xlog_internal.h`) and
//! `RegisterCustomRmgr` (`src/backend/access/transam/rmgr.c`).

use std::collections::BTreeMap;
use std::fmt;

use crate::describe::columns::append_columns;
use crate::error::{Malformed, RecordError};
use crate::record::Record;
use crate::rmgr::RmgrId;
use crate::text::{Left, LowerHex, TextBuffer, pieces};
use crate::version::Version;

/// What an extension knows of the records of its own resource manager.
///
/// ```
/// use pgwal::{Cursor, Descriptor, Malformed, Record, TextBuffer, Version};
///
/// /// `src/test/modules/test_custom_rmgrs` of PostgreSQL: its records hold a message.
/// struct TestCustomRmgrs;
///
/// impl Descriptor for TestCustomRmgrs {
///     fn name(&self) -> &str {
///         "test_custom_rmgrs"
///     }
///
///     fn identify(&self, info: u8, _: Version) -> Option<&str> {
///         (info & 0xF0 == 0).then_some("TEST_CUSTOM_RMGRS_MESSAGE")
///     }
///
///     fn describe(&self, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
///         let mut main = Cursor::new(record.main_data);
///         let size = main.u64("message_size")?;
///         let message = main.take("message", usize::try_from(size).unwrap_or(usize::MAX))?;
///         text.append_format(format_args!("payload ({size} bytes): "));
///         text.append_bytes(message);
///         Ok(())
///     }
/// }
/// ```
///
/// Registered in [`Descriptors`], it takes part in all text about records: see there.
pub trait Descriptor: Send + Sync {
    /// The name of the resource manager, as the extension registers it (`rm_name`).
    fn name(&self) -> &str;

    /// Name of the operation that a record's `info` stands for, such as `INSERT`; `None` if there is no such operation
    /// (`rm_identify`). The lower four bits are not the resource manager's.
    fn identify(&self, info: u8, version: Version) -> Option<&str>;

    /// Appends what the record does (`rm_desc`). [`Cursor`](crate::Cursor) reads its data with the checks that damaged
    /// records need.
    ///
    /// # Errors
    /// [`Malformed`] if the record does not hold what its kind promises. What was appended before is taken back then;
    /// a line of text says `(invalid: ...)` in its place.
    fn describe(&self, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed>;
}

/// Which [`Descriptor`] describes the records of which custom resource manager.
///
/// ```
/// use std::sync::Arc;
/// use pgwal::{Descriptor, Descriptors, RmgrId, TextBuffer};
/// # use pgwal::{Malformed, Record, Version};
/// # struct Tree;
/// # impl Descriptor for Tree {
/// #     fn name(&self) -> &str { "tree" }
/// #     fn identify(&self, info: u8, _: Version) -> Option<&str> { (info & 0xF0 == 0x10).then_some("SPLIT") }
/// #     fn describe(&self, _: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
/// #         text.append_format(format_args!("level 3"));
/// #         Ok(())
/// #     }
/// # }
///
/// # fn main() -> Result<(), pgwal::RegisterError> {
/// # let record = Record {
/// #     lsn: pgwal::Lsn::new(8), end: pgwal::Lsn::new(16), prev: pgwal::Lsn::new(0), total_len: 26,
/// #     xid: pgwal::TransactionId::new(3), top_xid: None, origin: None, rmgr: RmgrId::new(130), info: 0x10,
/// #     version: Version::V17, main_data: &[], blocks: Default::default(),
/// # };
/// // `Tree` is your Descriptor, `record` one of its records.
/// let descriptors = Arc::new(Descriptors::new().with(RmgrId::new(130), Tree)?);
/// let mut text = TextBuffer::new().with_descriptors(descriptors);
/// record.append_line(&mut text);
/// assert!(text.to_string().ends_with("desc: SPLIT level 3\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Descriptors {
    of: BTreeMap<RmgrId, Box<dyn Descriptor>>,
}

impl Descriptors {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { of: BTreeMap::new() }
    }

    /// These and one more: see [`Descriptors::register`].
    ///
    /// # Errors
    /// As [`Descriptors::register`].
    pub fn with(mut self, rmgr: RmgrId, descriptor: impl Descriptor + 'static) -> Result<Self, RegisterError> {
        self.register(rmgr, descriptor)?;
        Ok(self)
    }

    /// From now on `descriptor` describes the records of `rmgr`.
    ///
    /// # Errors
    /// [`RegisterError`] where PostgreSQL refuses a resource manager; all is as before then.
    pub fn register(&mut self, rmgr: RmgrId, descriptor: impl Descriptor + 'static) -> Result<(), RegisterError> {
        let name = descriptor.name();
        if name.is_empty() {
            return Err(RegisterError::NoName(rmgr));
        }
        if !rmgr.is_custom() {
            return Err(RegisterError::NotCustom(rmgr));
        }
        if let Some(other) = self.get(rmgr) {
            return Err(RegisterError::IdTaken { rmgr, name: other.name().to_owned() });
        }
        if let Some(other) = self.find(name) {
            return Err(RegisterError::NameTaken { rmgr: other, name: name.to_owned() });
        }
        self.of.insert(rmgr, Box::new(descriptor));
        Ok(())
    }

    /// Who describes the records of `rmgr`, if somebody was registered.
    #[must_use]
    pub fn get(&self, rmgr: RmgrId) -> Option<&dyn Descriptor> {
        self.of.get(&rmgr).map(AsRef::as_ref)
    }

    /// The resource manager of this name, whatever its case: one of PostgreSQL's own or a registered one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<RmgrId> {
        let is_it = |other: &str| other.eq_ignore_ascii_case(name);
        let registered = self.of.iter().find(|(_, descriptor)| is_it(descriptor.name())).map(|(rmgr, _)| *rmgr);
        let built_in = || RmgrId::BUILT_IN.iter().copied().find(|rmgr| rmgr.name().is_some_and(is_it));
        registered.or_else(built_in)
    }

    /// The name of `rmgr` if it is one of PostgreSQL's own or a registered one; the others have but their number.
    #[must_use]
    pub fn name(&self, rmgr: RmgrId) -> Option<&str> {
        rmgr.name().or_else(|| self.get(rmgr).map(|descriptor| descriptor.name()))
    }

    /// [`RmgrId::identify`], for registered resource managers too.
    #[must_use]
    pub fn identify(&self, rmgr: RmgrId, info: u8, version: Version) -> Option<&str> {
        match self.get(rmgr) {
            Some(descriptor) => descriptor.identify(info, version),
            None => rmgr.identify(info, version),
        }
    }
}

impl fmt::Debug for Descriptors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.of.iter().map(|(rmgr, descriptor)| (rmgr, descriptor.name()))).finish()
    }
}

/// A [`Descriptor`] cannot be registered. The cases are those of `RegisterCustomRmgr`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Its name is empty.
    #[error("custom resource manager {} has no name", .0.get())]
    NoName(RmgrId),
    /// It is none of those that extensions have.
    #[error("custom resource manager ID {} is out of range: it must be between 128 and 255", .0.get())]
    NotCustom(RmgrId),
    /// Another one has this number.
    #[error("custom resource manager ID {} is already registered as \"{name}\"", .rmgr.get())]
    IdTaken {
        /// The number.
        rmgr: RmgrId,
        /// Who has it.
        name: String,
    },
    /// Another one has this name.
    #[error("custom resource manager \"{name}\" is already registered with ID {}", .rmgr.get())]
    NameTaken {
        /// Who has the name.
        rmgr: RmgrId,
        /// The name.
        name: String,
    },
}

/// What a registered descriptor tells of the record: `None` if there is none.
#[cold]
pub(crate) fn describe(record: &Record<'_>, text: &mut TextBuffer) -> Option<Result<(), RecordError>> {
    let descriptors = text.descriptors()?.clone();
    let descriptor = descriptors.get(record.rmgr)?;
    let before = text.len();
    let described = descriptor.describe(record, text);
    if described.is_err() {
        text.truncate(before);
    }
    Some(described.map_err(|cause| record.error(cause)))
}

/// The columns of the record's line before its description, if a descriptor is registered that knows its names; else
/// nothing is appended.
#[cold]
pub(crate) fn append_names(record: &Record<'_>, text: &mut TextBuffer) -> bool {
    let Some(descriptors) = text.descriptors().cloned() else { return false };
    let Some(descriptor) = descriptors.get(record.rmgr) else { return false };
    let rmgr = pieces!("rmgr: ", Left::<11>(descriptor.name()));
    match descriptor.identify(record.info, record.version) {
        Some(operation) => append_columns(&rmgr, record, &pieces!(operation, " "), text),
        None => append_columns(&rmgr, record, &pieces!("UNKNOWN (", LowerHex(record.rmgr_info()), ") "), text),
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cursor::Cursor;
    use crate::describe::tests::record;
    use crate::text::append;

    /// Records of a number and a name.
    struct Counter(&'static str);

    impl Descriptor for Counter {
        fn name(&self) -> &str {
            self.0
        }

        fn identify(&self, info: u8, version: Version) -> Option<&str> {
            match info & 0xF0 {
                0x00 => Some("INCREMENT"),
                0x10 if version >= Version::V17 => Some("AN_OPERATION_WITH_A_NAME_AS_LONG_AS_NONE_OF_POSTGRESQL_S_OWN"),
                _ => None,
            }
        }

        fn describe(&self, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
            let mut main = Cursor::new(record.main_data);
            text.append_format(format_args!("count {}", main.u16("count")?));
            append!(text, ", name ");
            text.append_bytes(main.take("name", 2)?);
            Ok(())
        }
    }

    fn texts() -> [TextBuffer; 2] {
        let descriptors =
            Descriptors::new().with(RmgrId::new(200), Counter("a_counter_with_quite_a_long_name")).unwrap();
        [TextBuffer::new(), TextBuffer::new().with_descriptors(Arc::new(descriptors))]
    }

    fn line(record: &Record<'_>, text: &mut TextBuffer) -> String {
        text.clear();
        record.append_line(text);
        text.to_string()
    }

    #[test]
    fn a_registered_resource_manager_has_names_and_a_description() {
        let [mut without, mut with] = texts();
        let increment = record(RmgrId::new(200), 0x00, Version::V15, &[7, 0, b'x', 0xE9]);
        let columns = "len (rec/tot):     54/    54, tx:        731, lsn: 0/01500028, prev 0/014FFFF0, desc:";
        assert_eq!(line(&increment, &mut without), format!("rmgr: custom200   {columns} UNKNOWN (0) rmid: 200\n"));
        assert_eq!(
            line(&increment, &mut with),
            format!("rmgr: a_counter_with_quite_a_long_name {columns} INCREMENT count 7, name x\u{FFFD}\n")
        );
        assert!(with.as_bytes().ends_with(b"name x\xE9\n"));
        let long = record(RmgrId::new(200), 0x10, Version::V17, &[7, 0, b'x', b'y']);
        assert!(line(&long, &mut with).ends_with("_AS_NONE_OF_POSTGRESQL_S_OWN count 7, name xy\n"));
        let unknown = record(RmgrId::new(200), 0x10, Version::V16, &[7, 0, b'x', b'y']);
        assert!(line(&unknown, &mut with).ends_with("desc: UNKNOWN (10) count 7, name xy\n"));
    }

    #[test]
    fn all_others_are_told_as_before() {
        let [mut without, mut with] = texts();
        for (rmgr, info) in [(RmgrId::HEAP, 0x00), (RmgrId::XLOG, 0xF0), (RmgrId::new(201), 0x31), (RmgrId::new(50), 0)]
        {
            let other = record(rmgr, info, Version::V16, &[3, 0, 8]);
            assert_eq!(line(&other, &mut with), line(&other, &mut without));
        }
    }

    #[test]
    fn a_descriptor_that_fails_leaves_no_text() {
        let [_, mut with] = texts();
        let cut = record(RmgrId::new(200), 0x00, Version::V15, &[7, 0, b'x']);
        assert!(line(&cut, &mut with).ends_with("desc: INCREMENT (invalid: name: wanted 2 bytes, 1 left)\n"));
        with.clear();
        append!(with, "before");
        let error = cut.append_description(&mut with).unwrap_err();
        assert_eq!((error.lsn, with.to_string()), (cut.lsn, "before".to_owned()));
    }

    #[test]
    fn what_postgresql_refuses_is_refused() {
        let mut descriptors = Descriptors::new().with(RmgrId::new(128), Counter("counter")).unwrap();
        let mut refused = |id, name| descriptors.register(RmgrId::new(id), Counter(name)).unwrap_err().to_string();
        assert_eq!(refused(129, ""), "custom resource manager 129 has no name");
        assert_eq!(refused(127, "a"), "custom resource manager ID 127 is out of range: it must be between 128 and 255");
        assert_eq!(refused(128, "a"), "custom resource manager ID 128 is already registered as \"counter\"");
        assert_eq!(refused(129, "COUNTER"), "custom resource manager \"COUNTER\" is already registered with ID 128");
        assert_eq!(refused(129, "btree"), "custom resource manager \"btree\" is already registered with ID 11");
        assert_eq!(format!("{descriptors:?}"), "{RmgrId(128): \"counter\"}");
    }

    #[test]
    fn names_lead_to_numbers_and_back() {
        let descriptors = Descriptors::new().with(RmgrId::new(255), Counter("counter")).unwrap();
        assert_eq!(descriptors.find("Counter"), Some(RmgrId::new(255)));
        assert_eq!(descriptors.find("heap2"), Some(RmgrId::HEAP2));
        assert_eq!(descriptors.find("custom255"), None);
        assert_eq!(descriptors.name(RmgrId::new(255)), Some("counter"));
        assert_eq!(descriptors.name(RmgrId::new(254)), None);
        assert_eq!(descriptors.name(RmgrId::GIN), Some("Gin"));
        let identify = |rmgr| descriptors.identify(rmgr, 0x00, Version::V15);
        assert_eq!(identify(RmgrId::new(255)), Some("INCREMENT"));
        assert_eq!((identify(RmgrId::HEAP), identify(RmgrId::new(254))), (Some("INSERT"), None));
    }
}
