//! PostgreSQL's processes have one thread.

fn another_thread(_: impl Send) {}

fn send(buffer: pgxlog::ExclusiveBuffer<'static>) {
    another_thread(buffer);
}

fn main() {}
