//! The program in examples/, run on a small log.

use std::env;
use std::fs;
use std::process::Command;

include!("../../pgwal/examples/log/small.rs");

#[test]
fn read_directory_counts_records() {
    let directory = tempfile::tempdir().unwrap();
    let mut segment = small_log();
    segment.resize(16 << 20, 0);
    fs::write(directory.path().join("000000010000000000000001"), segment).unwrap();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--package", "walker-core", "--example", "read_directory", "--"]);
    let output = cargo.arg(directory.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let expected = "Transaction                   1\nHeap                          1\ncustom128                     1\n\
                    the log ends: invalid record length: wanted 24, got 0 at 0/10000F0\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}
