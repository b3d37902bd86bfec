//! A record has an operation of its own resource manager.

pgwal::operations! {
    enum Other {
        Decrement = 0 => c"DECREMENT",
    }
}

fn main() {
    let _ = pgxlog::RecordBuilder::<compile_fail::Manager>::new(Other::Decrement);
}
