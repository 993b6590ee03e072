//! `gameday load` against a small target of this test: what it prints, counts, refuses, and how
//! it ends.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, Said, signal, until};

/// How the target answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// `200 ok`, at once.
    Ok,
    /// `503`, at once.
    Unavailable,
    /// Never.
    Never,
}

/// A target; its threads end with the test's process.
struct Target {
    port: u16,
    requests: Arc<AtomicU64>,
    last: Arc<std::sync::Mutex<String>>,
}

impl Target {
    fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Self { port, requests: Arc::default(), last: Arc::default() };
        let (requests, last) = (Arc::clone(&target.requests), Arc::clone(&target.last));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (requests, last) = (Arc::clone(&requests), Arc::clone(&last));
                std::thread::spawn(move || serve(stream, answers, &requests, &last));
            }
        });
        target
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(
    mut stream: TcpStream,
    answers: Answers,
    requests: &AtomicU64,
    last: &std::sync::Mutex<String>,
) {
    let answer = match answers {
        Answers::Ok => "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        Answers::Unavailable => "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        Answers::Never => "",
    };
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    let mut piece = [0_u8; 4096];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        buffer.extend_from_slice(&piece[..count]);
        while let Some(length) = whole_request(&buffer) {
            let request: Vec<u8> = buffer.drain(..length).collect();
            *last.lock().unwrap() = String::from_utf8(request).unwrap();
            requests.fetch_add(1, Ordering::SeqCst);
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn whole_request(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    let head = text.find("\r\n\r\n")? + 4;
    let body = text[..head].lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()
    });
    let length = head + body.unwrap_or(0_usize);
    (bytes.len() >= length).then_some(length)
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// A busy machine may make a measurement invalid; the exit code must say the same as the result.
fn check_measured(said: &Said) -> Value {
    let result = json(said);
    let valid = result["valid"].as_bool().unwrap();
    assert_eq!(said.code, if valid { 0 } else { 2 }, "{said:?}");
    assert_eq!(valid, result["problems"].as_array().unwrap().is_empty());
    result
}

#[test]
fn every_request_is_sent_counted_and_reported() {
    let (place, target) = (Place::new(), Target::start(Answers::Ok));
    let url = target.url("/orders?x=1");
    let said = place.gameday(&[
        "load",
        &url,
        "--rate",
        "400/s",
        "--for",
        "1s",
        "--json",
        "--body",
        "id={{sequence}}",
        "--header",
        "X-Test: yes",
        "--hdr-log",
        "out.hlog",
        "--workers",
        "2",
    ]);
    let result = check_measured(&said);
    assert_eq!(result["format"], "gameday.load/1");
    assert_eq!(target.requests(), 400);
    let report = &result["open"];
    assert_eq!((&report["due"], &report["sent"]), (&400.into(), &400.into()));
    assert_eq!(report["rateAsked"], 400.0);
    assert_eq!(report["total"]["outcomes"], serde_json::json!({"200": 400}));
    assert!(report["lagUs"]["p99"].is_u64() && report["total"]["latencyUs"]["max"].is_u64());
    let last = target.last.lock().unwrap().clone();
    assert!(last.starts_with("POST /orders?x=1 HTTP/1.1\r\n"), "{last}");
    assert!(last.contains("x-test: yes\r\n") && last.contains("\r\n\r\nid="), "{last}");
    check_log(&place.path().join("out.hlog"));
}

fn check_log(path: &Path) {
    let log = std::fs::read_to_string(path).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.starts_with("Tag=")).collect();
    assert_eq!(lines.len(), 10, "one line per window of 100 ms: {log}");
    assert!(lines[9].starts_with("Tag=POST_/orders?x=1,0.900,0.100,"), "{}", lines[9]);
}

#[test]
fn a_person_gets_a_table() {
    let (place, target) = (Place::new(), Target::start(Answers::Unavailable));
    let url = target.url("/");
    let said = place.gameday(&["load", &url, "--rate", "100/s", "--for", "500ms"]);
    assert!(matches!(said.code, 0 | 2), "{said:?}");
    let words = |line: &str| -> Vec<String> {
        let found = said.out.lines().find(|one| one.trim_start().starts_with(line));
        let found = found.unwrap_or_else(|| panic!("no line `{line}` in {}", said.out));
        found.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(words("asked")[..3], ["asked", "100.0/s", "50"]);
    assert_eq!(words("good")[..3], ["good", "0.0/s", "0"]);
    assert_eq!(words("503")[..4], ["503", "50", "100", "%"]);
    let latency = words("latency");
    assert!(latency[1..7].iter().all(|word| word == "never"), "{latency:?}");
    assert_eq!(said.out.contains("\nvalid: "), said.code == 0, "{}", said.out);
    assert_eq!(said.out.contains("\nNOT VALID: "), said.code == 2, "{}", said.out);
    // With the status declared good, the same answers are.
    let said = place
        .gameday(&["load", &url, "--rate", "100/s", "--for", "500ms", "--good", "5xx", "--json"]);
    assert_eq!(check_measured(&said)["open"]["total"]["good"], 50);
}

#[test]
fn an_interrupt_prints_what_was_measured() {
    for answers in [Answers::Ok, Answers::Never] {
        let (place, target) = (Place::new(), Target::start(answers));
        let url = target.url("/");
        let mut load = place.start(&["load", &url, "--rate", "300/s", "--for", "5m", "--json"]);
        let busy = || (target.requests() >= 30).then_some(());
        until(Duration::from_secs(20), busy).expect("the load begins");
        let pulled = Instant::now();
        signal(load.pid(), "INT");
        until(Duration::from_secs(20), || (!load.is_running()).then_some(())).expect("it ends");
        // 100 ms is the promise; the rest is for a busy machine.
        assert!(pulled.elapsed() < Duration::from_secs(1), "{:?}", pulled.elapsed());
        let said = load.end();
        assert_eq!(said.code, 3, "{said:?}");
        let result = json(&said);
        assert_eq!(result["interrupted"], true);
        let report = &result["open"];
        assert_eq!(report["sent"], target.requests(), "{answers:?}");
        let outcomes = report["total"]["outcomes"].as_object().unwrap();
        let allowed: &[&str] = match answers {
            // What was under way could still end.
            Answers::Ok => &["200"],
            Answers::Never | Answers::Unavailable => &["timeout", "unsent"],
        };
        assert!(outcomes.keys().all(|name| allowed.contains(&name.as_str())), "{outcomes:?}");
        let rate = report["rateAsked"].as_f64().unwrap();
        assert!((rate - 300.0).abs() < 1e-6, "over the time that passed: {rate}");
    }
}

#[test]
fn a_client_that_stood_still_says_so() {
    let (place, target) = (Place::new(), Target::start(Answers::Ok));
    let url = target.url("/");
    let load = place.start(&["load", &url, "--rate", "200/s", "--for", "2s"]);
    let busy = || (target.requests() >= 20).then_some(());
    until(Duration::from_secs(20), busy).expect("the load begins");
    signal(load.pid(), "STOP");
    std::thread::sleep(Duration::from_millis(400));
    signal(load.pid(), "CONT");
    let said = load.end();
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.out.contains("NOT VALID: the client stood still"), "{}", said.out);
    assert_eq!(target.requests(), 400, "what was due in the meantime is sent all the same");
}

#[test]
fn a_closed_loop_is_for_benchmarks() {
    let (place, target) = (Place::new(), Target::start(Answers::Ok));
    let url = target.url("/");
    let load = ["load", &url, "--closed", "--for", "300ms", "--connections", "4"];
    let said = place.gameday(&load);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("For benchmarks only"), "{}", said.out);
    let said = place.gameday(&[&load[..], &["--json"]].concat());
    let result = check_measured(&said);
    let requests = result["closed"]["requests"].as_u64().unwrap();
    assert!(requests > 4 && requests <= target.requests(), "{requests}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let place = Place::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{free}/");
    for (arguments, code, words) in [
        (&["http://example.com/"][..], 69, "--allow-host example.com"),
        (&["http://10.1.2.3:80/", "--allow-host", "10.1.2.4"], 69, "not this machine"),
        (&[&closed], 69, "could not reach"),
        (&["127.0.0.1:80"], 64, "http://"),
        (&["http://127.0.0.1/", "--rate", "2000"], 64, "2000/s"),
        (&["http://127.0.0.1/", "--for", "2h"], 64, "1h"),
        (&["http://127.0.0.1/", "--rate", "10000000/s", "--for", "1m"], 64, "too many"),
        (&["http://127.0.0.1/", "--rate", "1/m", "--for", "1s"], 64, "no request"),
        (&["http://127.0.0.1/", "--good", "fine"], 64, "--good"),
        (&["http://127.0.0.1/", "--body", "@nothing"], 64, "nothing"),
        (&["http://127.0.0.1/", "--closed", "--rate", "1/s"], 64, "--closed"),
        (&["http://127.0.0.1/", "--connections", "0"], 64, "--connections"),
    ] {
        let said = place.gameday(&[&["load"], arguments].concat());
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
        assert!(said.err.contains(words), "{arguments:?}: {said:?}");
        assert!(said.out.is_empty(), "{said:?}");
    }
    let target = Target::start(Answers::Ok);
    let url = target.url("/{{nobody}}");
    let said = place.gameday(&["load", &url]);
    assert_eq!((said.code, target.requests()), (64, 0), "{said:?}");
}
