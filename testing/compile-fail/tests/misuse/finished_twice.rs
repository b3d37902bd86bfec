//! A change is finished once.

fn finish(change: pgxlog::GenericXLog<'_>) {
    let _ = change.finish();
    let _ = change.finish();
}

fn main() {}
