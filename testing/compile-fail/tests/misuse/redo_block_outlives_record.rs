//! Blocks are unlocked before the next record is replayed.

use std::cell::RefCell;

use compile_fail::Counter;
use pgwal::CustomRmgr;
use pgxlog::{Redo, RedoBlock, RedoError, ResourceManager};

thread_local! {
    static KEPT: RefCell<Vec<RedoBlock<'static>>> = const { RefCell::new(Vec::new()) };
}

struct Keeps;

impl ResourceManager for Keeps {
    type Records = Counter;

    fn redo(redo: &mut Redo<'_, Counter>) -> Result<(), RedoError> {
        let block = redo.block(0)?;
        KEPT.with_borrow_mut(|kept| kept.push(block));
        Ok(())
    }
}

fn main() {
    let _ = Counter::NAME;
}
