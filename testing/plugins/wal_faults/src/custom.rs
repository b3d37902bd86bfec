//! The resource manager.

use std::ffi::CStr;

use pgwal::{BlockNumber, Cursor, CustomRmgr, CustomRmgrId, DataPage, Malformed, OperationCode, Record, TextBuffer};
use pgxlog::{DecodeMethod, Decoding, Delivery, Redo, RedoError, ResourceManager};

use crate::fault::Fault;
use crate::page;

/// What the records do. Not made by `operations!`, whose names cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Adds to the counters of all blocks.
    Add,
    /// Makes the blocks' pages from nothing, and adds.
    Make,
    /// Changes nothing.
    Nothing,
}

impl pgwal::Operation for Operation {
    const ALL: &'static [Self] = &[Self::Add, Self::Make, Self::Nothing];

    fn code(self) -> OperationCode {
        OperationCode::new(self as u8)
    }

    fn name(self) -> &'static CStr {
        Fault::of_settings().at("identify");
        match self {
            Self::Add => c"ADD",
            Self::Make => c"MAKE",
            Self::Nothing => c"NOTHING",
        }
    }
}

/// Its records.
#[derive(Debug)]
pub(crate) struct Records;

impl CustomRmgr for Records {
    const ID: CustomRmgrId = CustomRmgrId::new(250);
    const NAME: &'static CStr = c"wal_faults";
    type Operation = Operation;

    fn describe(_: Operation, record: &Record<'_>, text: &mut TextBuffer) -> Result<(), Malformed> {
        let fault = Fault::of_settings();
        fault.at("describe");
        fault.at("both");
        text.append_format(format_args!("blocks {}, main data {}", record.blocks.len(), record.main_data.len()));
        Ok(())
    }
}

/// What the server does with them.
#[derive(Debug)]
pub(crate) struct Manager;

impl ResourceManager for Manager {
    type Records = Records;

    fn redo(redo: &mut Redo<'_, Records>) -> Result<(), RedoError> {
        let fault = Fault::of_settings();
        fault.check("begin")?;
        fault.at("both");
        let operation = redo.operation();
        let mut held = Vec::new();
        for id in redo.record().blocks.iter().map(|block| block.id) {
            let mut block = redo.block(id)?;
            fault.check("holding")?;
            if fault.is("holding", "twice") {
                redo.block(id)?;
            }
            let change = |page: &mut DataPage, data: &[u8]| -> Result<(), RedoError> {
                if operation == Operation::Make {
                    page::make(page);
                }
                page::add(page, Cursor::new(data).u64("value")?, &fault)?;
                if fault.is("changed", "header") {
                    page.set_lower(page.upper() + 1);
                }
                Ok(())
            };
            if fault.is("half changed", "swallowed") {
                let half = |page: &mut DataPage, data: &[u8]| {
                    page::add(page, Cursor::new(data).u64("value")?, &Fault::new("half changed", "panic"))?;
                    Ok::<_, RedoError>(())
                };
                let _ = pgxlog::catch_error(|| block.apply(half));
            } else {
                block.apply(change)?;
            }
            held.push(block);
        }
        fault.check("applied")?;
        if fault.is("applied", "forget") {
            held.into_iter().for_each(std::mem::forget);
        }
        Ok(())
    }

    const STARTUP: Option<fn()> = Some(|| Fault::of_settings().at("startup"));

    const CLEANUP: Option<fn()> = Some(|| Fault::of_settings().at("cleanup"));

    const MASK: Option<fn(&mut DataPage, BlockNumber)> = Some(|page, _| {
        Fault::of_settings().at("mask");
        page.mask_lsn_and_checksum();
    });

    const DECODE: Option<DecodeMethod> = Some(|record: &Record<'_>, decoding: &mut Decoding<'_>| {
        Fault::of_settings().check("decode")?;
        decoding.message(Delivery::Immediate, c"wal_faults", record.main_data);
        Ok(())
    });
}

/// One that is never registered.
#[derive(Debug)]
pub(crate) struct Unregistered;

/// One whose ID is that of [`Manager`].
#[derive(Debug)]
pub(crate) struct SameId;

/// One whose name is that of [`Manager`], but for the case of its letters.
#[derive(Debug)]
pub(crate) struct SameName;

macro_rules! another {
    ($manager:ident, $id:literal, $name:literal) => {
        impl CustomRmgr for $manager {
            const ID: CustomRmgrId = CustomRmgrId::new($id);
            const NAME: &'static CStr = $name;
            type Operation = Operation;

            fn describe(_: Operation, _: &Record<'_>, _: &mut TextBuffer) -> Result<(), Malformed> {
                Ok(())
            }
        }

        impl ResourceManager for $manager {
            type Records = Self;

            fn redo(_: &mut Redo<'_, Self>) -> Result<(), RedoError> {
                Ok(())
            }
        }
    };
}

another!(Unregistered, 251, c"wal_faults_unregistered");
another!(SameId, 250, c"wal_faults_of_another_name");
another!(SameName, 252, c"WAL_Faults");
