//! Each operation has a code of its own.

pgwal::operations! {
    enum Operation {
        Increment = 1 => c"INCREMENT",
        Decrement = 1 => c"DECREMENT",
    }
}

fn main() {}
