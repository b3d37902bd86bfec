//! Records that hold a message and change nothing, as those of PostgreSQL's own example of a custom resource manager.
//!
//! Source: `src/test/modules/test_custom_rmgrs/test_custom_rmgrs.c`.

use std::ffi::CStr;

use pgwal::{Cursor, CustomRmgr, CustomRmgrId, Malformed, Record, TextBuffer};

pgwal::operations! {
    /// What its records are.
    pub enum Operation {
        /// A message.
        Message = 0 => c"TEST_CUSTOM_RMGRS_MESSAGE",
    }
}

/// The resource manager.
#[derive(Debug)]
pub struct TestCustomRmgrs;

impl CustomRmgr for TestCustomRmgrs {
    const ID: CustomRmgrId = CustomRmgrId::EXPERIMENTAL;
    const NAME: &'static CStr = c"test_custom_rmgrs";
    type Operation = Operation;

    fn describe(operation: Operation, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
        match operation {
            Operation::Message => {
                let message = message(record)?;
                text.append_format(format_args!("payload ({} bytes): ", message.len()));
                text.append_bytes(message);
            }
        }
        Ok(())
    }
}

/// The length before a message of so many bytes, in a record's main data (`xl_testcustomrmgrs_message`).
#[must_use]
pub fn header(length: usize) -> [u8; 8] {
    (length as u64).to_le_bytes()
}

/// The message of a record.
///
/// # Errors
/// [`Malformed`] if it is cut off.
pub fn message<'a>(record: &Record<'a>) -> Result<&'a [u8], Malformed> {
    let mut main = Cursor::new(record.main_data);
    let size = main.u64("message_size")?;
    main.take("message", usize::try_from(size).unwrap_or(usize::MAX))
}
