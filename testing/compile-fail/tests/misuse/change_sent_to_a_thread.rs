//! PostgreSQL's processes have one thread.

fn another_thread(_: impl Send) {}

fn send(change: pgxlog::GenericXLog<'static>) {
    another_thread(change);
}

fn main() {}
