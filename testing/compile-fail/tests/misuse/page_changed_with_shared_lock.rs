//! Who holds a shared lock reads.

fn change(buffer: &mut pgxlog::SharedBuffer<'_>) {
    buffer.page().contents_mut()[0] = 1;
}

fn main() {}
