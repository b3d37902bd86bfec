//! The programs in examples/, run on a small log.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

include!("../examples/log/small.rs");

/// What the example prints for the small log.
fn output_of(example: &str, arguments: &[&str]) -> String {
    let segment = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{example}.segment"));
    fs::write(&segment, small_log()).unwrap();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--quiet", "--package", "pgwal", "--example", example, "--"]);
    let output = cargo.arg(segment).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn dump_segment_prints_each_record() {
    let lines = output_of("dump_segment", &[]);
    let ends = [
        "desc: INSERT off: 1, flags: 0x00, blkref #0: rel 1663/5/16384 blk 7 FPW",
        "desc: UNKNOWN (0) rmid: 128",
        "desc: COMMIT 2025-05-08 06:13:20.000000 UTC",
    ];
    assert_eq!(lines.lines().count(), ends.len(), "{lines}");
    for (line, end) in lines.lines().zip(ends) {
        assert!(line.ends_with(end), "{line}");
    }
}

#[test]
fn full_page_images_finds_those_of_one_relation() {
    let found = "0/1000028: main block 7, 60 bytes, 1 line pointers\n";
    assert_eq!(output_of("full_page_images", &["1663/5/16384"]), found);
    assert_eq!(output_of("full_page_images", &["1663/5/16385"]), "");
}

#[test]
fn custom_rmgr_describes_what_an_extension_wrote() {
    let line = output_of("custom_rmgr", &[]);
    assert!(line.starts_with("rmgr: test_custom_rmgrs len (rec/tot): "), "{line}");
    assert!(line.ends_with("desc: TEST_CUSTOM_RMGRS_MESSAGE payload (5 bytes): hello\n"), "{line}");
}
