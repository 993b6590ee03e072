//! A lab for one test: started before, stopped after, whatever happens between.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use lab::{Defects, LabState, Leave, Measure, Orders, Pod, ProcessIdentity, Settings};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The program that holds the roles in these tests.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_lab-shop");
/// Anything that must happen happens within this time, also on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A lab in a directory of its own.
pub(crate) struct TestLab {
    directory: TempDir,
    pub(crate) lab: LabState,
}

pub(crate) fn settings(state: &Path, defects: &[&str]) -> Settings {
    Settings {
        state: state.to_owned(),
        program: PROGRAM.into(),
        role_arguments: vec![String::from("lab-role")],
        interposer: None,
        defects: Defects::parse(defects).unwrap(),
    }
}

impl TestLab {
    pub(crate) fn up(defects: &[&str]) -> Self {
        Self::with(|state| settings(state, defects))
    }

    pub(crate) fn with(settings: impl Fn(&Path) -> Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lab = lab::up(&settings(&directory.path().join("lab"))).unwrap();
        Self { directory, lab }
    }

    pub(crate) fn state(&self) -> std::path::PathBuf {
        self.directory.path().join("lab")
    }

    /// The pods of a deployment as they are now.
    pub(crate) fn pods(&self, deployment: &str) -> Vec<Pod> {
        let topology = get(&self.lab.endpoints.supervisor, "/api/topology");
        let lab: LabState = serde_json::from_value(topology).unwrap();
        lab.pods_of(deployment).cloned().collect()
    }

    pub(crate) fn pid(&self, deployment: &str) -> u32 {
        self.pods(deployment)[0].pid.unwrap()
    }

    pub(crate) fn orders(&self, prefix: &str, per_second: u32, seconds: u64) -> Measure {
        let lasting = Duration::from_secs(seconds);
        let orders = Orders { prefix: prefix.to_owned(), per_second, lasting };
        lab::measure(&self.lab, &orders).unwrap()
    }

    /// Sends orders, and `act`s one second after the first one.
    pub(crate) fn orders_while(
        &self,
        (prefix, per_second, seconds): (&str, u32, u64),
        act: impl FnOnce(),
    ) -> Measure {
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| self.orders(prefix, per_second, seconds));
            std::thread::sleep(Duration::from_secs(1));
            act();
            sending.join().unwrap()
        })
    }

    pub(crate) fn ranges(&self, prefix: &str) -> Value {
        get(&self.lab.endpoints.store, &format!("/orders/ranges?prefix={prefix}"))
    }

    pub(crate) fn firing_pages(&self, alertname: &str) -> usize {
        let pages = get(&self.lab.endpoints.alerter, "/api/pages");
        let of_name = |page: &&Value| page["alertname"] == alertname && page["status"] == "firing";
        pages["pages"].as_array().unwrap().iter().filter(of_name).count()
    }

    pub(crate) fn fires(&self, alertname: &str) -> bool {
        let alerts = get(&self.lab.endpoints.alerter, "/api/v2/alerts");
        alerts.as_array().unwrap().iter().any(|alert| alert["labels"]["alertname"] == alertname)
    }

    pub(crate) fn wait_for_steady(&self) {
        wait_until("steady state", || {
            get(&self.lab.endpoints.supervisor, "/api/steady")["ready"].as_bool().unwrap()
        });
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        if let Err(error) = lab::down(&self.state(), Leave::Nothing) {
            // A second panic would hide the first one.
            assert!(std::thread::panicking(), "{error}");
        }
    }
}

/// Whether every number is in one of the ranges.
pub(crate) fn all_within(numbers: &[u64], ranges: &Value) -> bool {
    let ranges: Vec<[u64; 2]> = serde_json::from_value(ranges.clone()).unwrap();
    numbers.iter().all(|number| ranges.iter().any(|[a, b]| (a..=b).contains(&number)))
}

/// Whether it ever stops being true is not asked.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "no {what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

pub(crate) fn is_alive(pid: u32) -> bool {
    ProcessIdentity::of(pid).is_some()
}

pub(crate) fn get(base: &str, path: &str) -> Value {
    let (status, body) = request(base, "GET", path, "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// One request on a connection of its own; an error is status 0.
pub(crate) fn request(base: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    try_request(base, method, path, body).unwrap_or((0, String::new()))
}

fn try_request(
    base: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<(u16, String), Box<dyn std::error::Error>> {
    let address: SocketAddr = base.trim_start_matches("http://").parse()?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no head")?;
    let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
    Ok((status, body.to_owned()))
}
