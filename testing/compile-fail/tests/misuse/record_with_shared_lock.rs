//! A record changes what is locked exclusively.

fn block(buffer: &mut pgxlog::SharedBuffer<'_>) {
    let _ = pgxlog::RecordBlock::new(buffer);
}

fn main() {}
