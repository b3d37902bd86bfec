//! A pin is no lock.

fn read(buffer: &pgxlog::PinnedBuffer<'_>) -> u16 {
    buffer.page().lower()
}

fn main() {}
