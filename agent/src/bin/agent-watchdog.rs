//! The watchdog alone, for tests: `agent-watchdog --run DIR --lease 3s --harness PID:START`.
//!
//! Users get the same watchdog as a hidden subcommand of `gameday`, which knows systems, too.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use agent::watchdog::{Outside, WatchdogEnd, WatchdogJob, watch};
use harness_engine::store::RunDir;

fn main() -> ExitCode {
    let outside = Outside { registry: injectors::registry(), host: Box::new(|_| None) };
    match job().map(|job| watch(&job, &outside)) {
        Some(Ok(WatchdogEnd::NotNeeded | WatchdogEnd::Paid)) => ExitCode::SUCCESS,
        Some(Ok(WatchdogEnd::Owed) | Err(_)) | None => ExitCode::FAILURE,
    }
}

fn job() -> Option<WatchdogJob> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given: BTreeMap<&str, &str> =
        words.chunks_exact(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    Some(WatchdogJob {
        run: RunDir::at(Path::new(given.get("--run")?))?,
        lease: given.get("--lease")?.parse().ok()?,
        harness: given.get("--harness")?.parse().ok()?,
    })
}
