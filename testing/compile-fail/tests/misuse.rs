//! Each program in `tests/misuse` is refused by the compiler, with the message beside it.
//!
//! With `TRYBUILD=overwrite` in the environment, the messages are written anew.

#[test]
fn misuses_do_not_compile() {
    let tests = trybuild::TestCases::new();
    tests.compile_fail("tests/misuse/*.rs");
}
