//! Sources that are none, or that fail.

use super::Log;
use crate::run::kmsctl;

#[test]
fn source__should_be_refused_or_undecided_where_there_is_no_log() {
    let log = Log::new(1);
    let none = log.path("nothing");
    let run = kmsctl(["audit", "verify", none.to_str().unwrap()]).exits(10);
    assert!(run.stderr.contains("log-file-missing"), "{}", run.stderr);
    std::fs::write(&none, b"no bundle").unwrap();
    let run = kmsctl(["audit", "verify", none.to_str().unwrap()]).exits(10);
    assert!(run.stderr.contains("audit-bundle-malformed"), "{}", run.stderr);
    // A folder in place of a file cannot be read: that says nothing about the log.
    let checkpoint = log.path("log/checkpoint");
    std::fs::remove_file(&checkpoint).unwrap();
    std::fs::create_dir(&checkpoint).unwrap();
    log.run("verify", &[]).exits(3);
}
