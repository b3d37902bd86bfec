//! Even with an exclusive lock a page is changed by a record or by Generic WAL alone.

fn change(buffer: &mut pgxlog::ExclusiveBuffer<'_>) {
    buffer.page().contents_mut()[0] = 1;
}

fn main() {}
