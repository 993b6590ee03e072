//! We attack ourselves: the harness, its watchdog, its proxy, its disk and its machine, while a
//! fault is in force. After each attack nothing is in force, or a leftover is named with exit
//! code 4. With `GAMEDAY_FIGURES=FILE` each attack appends its figures to that file.

mod boot;
mod containers;
mod disk;
mod guest;
mod kinds;
mod packets;
mod parts;
mod programs;
mod stops;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::until;
use crate::target::order_works;

/// The longest that anything may stay in force after an attack.
const SAFE_MAX: Duration = Duration::from_secs(30);

/// What came of one attack.
struct Figure<'a> {
    /// What was done to us.
    attack: &'a str,
    /// The kind of fault that was in force.
    kind: &'a str,
    /// Until nothing was in force any more.
    to_safe: Duration,
    /// Leftovers that were named, and paid later.
    named: u32,
}

impl Figure<'_> {
    /// Keeps the figures where they are asked for.
    fn keep(&self) {
        let Some(path) = std::env::var_os("GAMEDAY_FIGURES") else { return };
        let line = serde_json::json!({
            "attack": self.attack,
            "kind": self.kind,
            "to_safe_ms": self.to_safe.as_secs_f64() * 1e3,
            "named": self.named,
        });
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// The outage that most attacks interrupt.
const OUTAGE: &str = "dependency-outage";

/// Waits until orders work again; how long it took.
fn healed(began: Instant, address: &str, attack: &str) -> Duration {
    let healed = until(SAFE_MAX, || order_works(address).then(|| began.elapsed()));
    healed.unwrap_or_else(|| panic!("{attack}: orders do not work again"))
}

/// The journal of a run, as text.
fn journal(run: &Path) -> String {
    std::fs::read_to_string(run.join("journal.jsonl")).unwrap()
}

/// Says by name that a test is left out, and why.
#[expect(clippy::print_stderr, reason = "who runs the tests should see it")]
pub(crate) fn skip(name: &str, why: &str) {
    let line = format!("{name}: {why}");
    eprintln!("skipped: {line}");
    if let Some(path) = std::env::var_os("GAMEDAY_SKIPS") {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}
