//! What the server does with the records: redo, mask and logical decoding.

use custom_rmgrs::hyperloglog::{self, Hyperloglog, Operation};
use pgwal::{BlockNumber, DataPage, Operation as _, OperationCode, Record};
use pgxlog::{DecodeMethod, Decoding, Delivery, Redo, RedoError, ResourceManager};

/// The resource manager.
#[derive(Debug)]
pub(crate) struct Manager;

impl ResourceManager for Manager {
    type Records = Hyperloglog;

    fn redo(redo: &mut Redo<'_, Hyperloglog>) -> Result<(), RedoError> {
        match redo.operation() {
            Operation::Initialize => redo.block(0)?.apply(hyperloglog::initialize),
            Operation::Set => redo.block(0)?.apply(hyperloglog::set),
            Operation::Reset => {
                // All are locked before the first is changed, as where the record was written.
                let ids = redo.record().blocks.iter().map(|block| block.id);
                let mut blocks = ids.map(|id| redo.block(id)).collect::<Result<Vec<_>, _>>()?;
                blocks.iter_mut().try_for_each(|block| block.apply(hyperloglog::initialize))
            }
        }
    }

    const MASK: Option<fn(&mut DataPage, BlockNumber)> = Some(hyperloglog::mask);
    const DECODE: Option<DecodeMethod> = Some(decode);
}

/// Each record becomes a logical message, such as `SET 1663/5/16400 column 1, register 17 value 4`.
///
/// They are delivered at once, not with the transaction: a register stays as it is if the transaction aborts, so that
/// who follows the sketch by them has to hear of it in any case, and in the order of the log.
fn decode(record: &Record<'_>, decoding: &mut Decoding<'_>) -> Result<(), RedoError> {
    let code = OperationCode::from_info(record.info);
    let operation = Operation::from_code(code).ok_or_else(|| format!("unknown op code {}", code.info()))?;
    if !decoding.is_of_this_database() {
        return Ok(());
    }
    let name = operation.name().to_string_lossy();
    let relation = hyperloglog::first_block(record)?.relation;
    let content = format!("{name} {relation} {}", hyperloglog::description(operation, record)?);
    decoding.message(Delivery::Immediate, c"hyperloglog", content.as_bytes());
    Ok(())
}
