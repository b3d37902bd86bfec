//! Describes the records of an extension's own resource manager, which `pg_waldump` cannot.
//!
//! The extension is `test_custom_rmgrs` of PostgreSQL's own tests, which has the experimental number 128.
//!
//! ```text
//! cargo run --example custom_rmgr -- $PGDATA/pg_wal/000000010000000000000001
//! ```

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::{env, fs};

use pgwal::{
    Cursor, CustomRmgr, CustomRmgrId, Descriptors, LongPageHeader, Malformed, RawRecord, Reader, ReaderOptions, Record,
    TextBuffer,
};

pgwal::operations! {
    enum Operation {
        Message = 0 => c"TEST_CUSTOM_RMGRS_MESSAGE",
    }
}

/// Source: `src/test/modules/test_custom_rmgrs/test_custom_rmgrs.c`.
struct TestCustomRmgrs;

impl CustomRmgr for TestCustomRmgrs {
    const ID: CustomRmgrId = CustomRmgrId::EXPERIMENTAL;
    const NAME: &'static std::ffi::CStr = c"test_custom_rmgrs";
    type Operation = Operation;

    fn describe(_: Operation, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
        let mut main = Cursor::new(record.main_data);
        let size = main.u64("message_size")?;
        let message = main.take("message", usize::try_from(size).unwrap_or(usize::MAX))?;
        text.append_format(format_args!("payload ({size} bytes): "));
        text.append_bytes(message);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args_os().nth(1).ok_or("usage: custom_rmgr SEGMENT")?;
    let segment = fs::read(file)?;
    let first_page = LongPageHeader::parse(&segment)?;
    let mut reader = Reader::seek(first_page.page.address, ReaderOptions::from_segment(&first_page));
    let descriptors = Descriptors::new().with_custom::<TestCustomRmgrs>()?;
    let mut text = TextBuffer::new().with_descriptors(Arc::new(descriptors));
    let mut tell = |raw: &RawRecord<'_>| {
        if raw.header.rmgr.is_custom()
            && let Err(error) = raw.append_line(&mut text)
        {
            eprintln!("{error}");
        }
        ControlFlow::Continue(())
    };
    let outcome = reader.for_each(None, &segment, &mut tell);
    print!("{text}");
    match outcome {
        Err(error) if !error.is_end_of_wal() => Err(error.into()),
        _ => Ok(()),
    }
}
