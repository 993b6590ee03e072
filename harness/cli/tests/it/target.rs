//! The shop from outside, and a run on it that is in force.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{Place, Running, short_scenario, signal, until};

/// One order through the shop's edge, on a connection of its own.
pub(crate) fn order_works(address: &str) -> bool {
    let attempt = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_millis(400)))?;
        let request = format!(
            "POST /checkout HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             content-length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = [0; 32];
        let count = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..count]).into_owned())
    };
    attempt().is_ok_and(|answer| answer.starts_with("HTTP/1.1 20"))
}

/// Whether a service answers that it is healthy, on a connection of its own.
pub(crate) fn answers(address: &str) -> bool {
    let limit = Duration::from_millis(400);
    let attempt = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address.parse().unwrap(), limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes())?;
        let mut answer = [0; 32];
        let count = stream.read(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer[..count]).into_owned())
    };
    attempt().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The public address of the lab in a state directory.
pub(crate) fn shop(state: &Path) -> String {
    let text = std::fs::read_to_string(state.join("lab.json")).unwrap();
    let lab: serde_json::Value = serde_json::from_str(&text).unwrap();
    lab["endpoints"]["edge"].as_str().unwrap().trim_start_matches("http://").to_owned()
}

pub(crate) fn ledger_lines(place: &Place) -> usize {
    let text =
        place.only_run().and_then(|run| std::fs::read_to_string(run.join("undo.jsonl")).ok());
    text.map_or(0, |text| text.lines().count())
}

pub(crate) fn watchdog(place: &Place) -> Option<u32> {
    let processes = place.processes();
    processes.iter().find(|(_, words)| words.contains("agent-watchdog")).map(|(pid, _)| *pid)
}

/// Stops a process, and waits until it stands still.
pub(crate) fn stand_still(pid: u32) {
    signal(pid, "STOP");
    let still = until(Duration::from_secs(5), || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, after_name) = stat.rsplit_once(')').unwrap();
        after_name.trim_start().starts_with('T').then_some(())
    });
    assert!(still.is_some(), "process {pid} stands still");
}

/// Kills the watchdog of a run and then the run. The run stands still meanwhile: it would put
/// everything back as soon as its watchdog is gone.
pub(crate) fn kill_after_watchdog(place: &Place, run: Running) {
    stand_still(run.pid());
    signal(watchdog(place).expect("a run has a watchdog"), "KILL");
    let gone = until(Duration::from_secs(5), || watchdog(place).is_none().then_some(()));
    assert!(gone.is_some(), "the watchdog is gone");
    run.kill();
}

/// A lab of its own; its address.
pub(crate) fn lab_up(place: &Place) -> String {
    let up = place.gameday(&["lab", "up", "--state", "shop"]);
    assert_eq!(up.code, 0, "{up:?}");
    let address = shop(&place.path().join("shop"));
    assert!(order_works(&address), "the shop takes orders before");
    address
}

/// How a run on the shop is begun.
#[derive(Clone, Copy)]
pub(crate) struct Begin<'a> {
    /// The faults' and the run's lease.
    pub(crate) lease: &'a str,
    /// By way of this command; empty for directly.
    pub(crate) way: &'a [String],
    /// Further arguments of `gameday run`.
    pub(crate) more: &'a [&'a str],
    /// Where its directory is made, as the test sees it.
    pub(crate) runs: &'a Path,
}

impl<'a> Begin<'a> {
    /// With two seconds of lease, and nothing special.
    pub(crate) fn plain(runs: &'a Path) -> Self {
        Self { lease: "2s", way: &[], more: &[], runs }
    }
}

/// The newest run in a directory of runs.
pub(crate) fn newest_run(runs: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(runs).ok()?;
    let runs = entries.filter_map(|entry| Some(entry.ok()?.path()));
    runs.filter(|path| path.join("plan.json").is_file()).max()
}

/// Begins a run of one long outage between edge and checkout, and waits until it is in force.
pub(crate) fn in_force(place: &Place, address: &str, begin: Begin<'_>) -> Running {
    let file = place.write("short.yaml", &short_scenario(begin.lease, "60s"));
    let before = newest_run(begin.runs);
    let arguments = [&["run", &file, "--lab", "shop"][..], begin.more].concat();
    let mut run = if begin.way.is_empty() {
        place.start(&arguments)
    } else {
        place.start_by(begin.way, &arguments)
    };
    let broken = until(Duration::from_secs(30), || {
        if !run.is_running() {
            return Some(false);
        }
        let dir = newest_run(begin.runs).filter(|dir| Some(dir) != before.as_ref())?;
        let effective = std::fs::read_to_string(dir.join("journal.jsonl")).ok()?;
        (effective.contains("\"effective\":{") && !order_works(address)).then_some(true)
    });
    match broken {
        Some(true) => run,
        Some(false) => panic!("the run ended before its fault was in force: {:?}", run.end()),
        None => panic!("the fault is not in force: {:?}", run.kill()),
    }
}

/// A lab of its own and a run on it that has just been seen in force.
pub(crate) fn run_in_force(place: &Place) -> (Running, String) {
    let address = lab_up(place);
    let run = in_force(place, &address, Begin::plain(&place.path().join(".gameday/runs")));
    (run, address)
}
