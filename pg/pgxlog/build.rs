//! Compiles what is in C.

fn main() {
    let source = "src/guarded_read.c";
    println!("cargo::rerun-if-changed={source}");
    // The server is what has the symbols: the library that this crate becomes a part of finds them when it is loaded.
    cc::Build::new().file(source).opt_level(2).flag_if_supported("-fno-plt").compile("pgxlog_guarded_read");
}
