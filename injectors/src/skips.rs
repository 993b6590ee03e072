//! Tests that this machine cannot make are left out by name; the gate fails on those that were not
//! allowed.

use std::fs::OpenOptions;
use std::io::Write as _;

/// Says by name that a test is left out, and why.
pub(crate) fn skip(name: &str, why: &str) {
    let line = format!("{name}: {why}");
    eprintln!("skipped: {line}");
    #[expect(clippy::disallowed_methods, reason = "the gate names the list of skipped tests")]
    if let Some(list) = std::env::var_os("GAMEDAY_SKIPS") {
        let mut list = OpenOptions::new().append(true).create(true).open(list).unwrap();
        writeln!(list, "{line}").unwrap();
    }
}
