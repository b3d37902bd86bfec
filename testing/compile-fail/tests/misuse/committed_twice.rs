//! A record is written once.

fn commit(builder: pgxlog::RecordBuilder<'_, compile_fail::Manager>) {
    let _ = builder.commit([], |[]| {});
    let _ = builder.commit([], |[]| {});
}

fn main() {}
