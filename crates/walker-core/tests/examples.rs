//! The program in examples/, run on a small log.

use std::env;
use std::fs;
use std::process::Command;

include!("../../pgwal/examples/log/small.rs");

#[test]
fn read_directory_counts_records() {
    let expected = "Transaction                   1\nHeap                          1\ncustom128                     1\n\
                    the log ends: invalid record length: wanted 24, got 0 at 0/10000F0\n";
    assert_eq!(over_small_log("read_directory"), expected);
}

#[test]
fn run_plugin_counts_inserted_rows() {
    assert_eq!(over_small_log("run_plugin"), "1 records of inserted rows up to 0/10000F0\n");
}

/// What an example prints of a directory with the small log.
fn over_small_log(example: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let mut segment = small_log();
    segment.resize(16 << 20, 0);
    fs::write(directory.path().join("000000010000000000000001"), segment).unwrap();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--package", "walker-core", "--example", example, "--"]);
    let output = cargo.arg(directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
