//! A page is read while it is locked.

use pgwal::DataPage;
use pgxlog::PinnedBuffer;

fn read<'rel>(buffer: PinnedBuffer<'rel>) -> u16 {
    let locked = buffer.share();
    let page: &DataPage = locked.page();
    let _pinned = locked.unlock();
    page.lower()
}

fn main() {}
