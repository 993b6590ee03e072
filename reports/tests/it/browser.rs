//! The page in a real browser: no error on its console, no request to anywhere, the headings that
//! a reader expects. Needs Chromium; without it the test says so by name and leaves.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reports::{Format, render};
use serde_json::Value;

use crate::fixture;

/// The browser is given this long, in virtual milliseconds, to settle.
const SETTLE_MS: u32 = 2_000;

const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    // Whatever would be asked for does not exist: nothing leaves the machine.
    "--host-resolver-rules=MAP * ~NOTFOUND",
];

/// The headings that a reader finds, in order.
const HEADINGS: [&str; 8] = [
    "<h1>Checkout keeps taking orders while payments is down</h1>",
    ">What was done</h2>",
    ">Expectations</h2>",
    ">Trials</h2>",
    ">The other trials</h3>",
    ">Which trials count</h2>",
    ">How to repeat this</h2>",
    ">Words</h2>",
];

#[test]
fn the_page_opens_without_errors_and_without_the_network() {
    let Some(chromium) = chromium() else { return skipped() };
    for (name, run) in [
        ("mixed", fixture::mixed()),
        ("clean", fixture::clean()),
        ("leftover", fixture::leftover()),
    ] {
        let place = place(name);
        let page = write(&place, &render(Format::Html, &run.report(), &fixture::options()));
        let log = place.join("net.json");
        let net_log = format!("--log-net-log={}", log.display());
        let dom = open(&chromium, &place, &page, &["--dump-dom".to_owned(), net_log]);
        assert_eq!(console(&dom.stderr), Vec::<String>::new(), "the console is silent");
        let mut rest = dom.stdout.as_str();
        for heading in HEADINGS {
            rest = rest.split_once(heading).unwrap_or_else(|| panic!("{heading} is missing")).1;
        }
        assert_eq!(requests(&log), Vec::<String>::new(), "the page asks for nothing");
    }
}

#[test]
fn the_page_is_drawn_in_the_light_and_in_the_dark() {
    let Some(chromium) = chromium() else { return skipped() };
    let place = place("drawn");
    let report = fixture::mixed().report();
    let page = write(&place, &render(Format::Html, &report, &fixture::options()));
    let mut sizes = Vec::new();
    for (name, scheme) in [("light", 1), ("dark", 0)] {
        let shot = place.join(format!("{name}.png"));
        let more = [
            format!("--screenshot={}", shot.display()),
            format!("--blink-settings=preferredColorScheme={scheme}"),
            "--window-size=1100,5200".to_owned(),
        ];
        open(&chromium, &place, &page, &more);
        sizes.push(shot.metadata().map_or(0, |file| file.len()));
        tell(&format!("screenshot: {}", shot.display()));
    }
    assert!(sizes.iter().all(|size| *size > 50_000), "there is something to see: {sizes:?}");
    assert_ne!(sizes[0], sizes[1], "light and dark differ");
}

/// The two looks at the console and at the network would notice what they look for.
#[test]
fn a_page_with_an_error_and_a_request_is_noticed() {
    let Some(chromium) = chromium() else { return skipped() };
    let place = place("noticed");
    let page = write(
        &place,
        "<!doctype html><script>console.error('broken on purpose')</script>\
         <img src=\"http://images.invalid/a.png\">",
    );
    let log = place.join("net.json");
    let dom = open(
        &chromium,
        &place,
        &page,
        &["--dump-dom".to_owned(), format!("--log-net-log={}", log.display())],
    );
    assert!(console(&dom.stderr).iter().any(|line| line.contains("broken on purpose")));
    assert!(requests(&log).iter().any(|url| url.contains("images.invalid")));
}

/// Says so, and to the gate by name in the file that `GAMEDAY_SKIPS` names.
fn skipped() {
    let line = "report-in-a-browser: chromium is missing";
    tell(&format!("skipped: {line}"));
    #[expect(clippy::disallowed_methods, reason = "the gate names the list of skipped tests")]
    if let Some(list) = std::env::var_os("GAMEDAY_SKIPS") {
        let mut list = OpenOptions::new().append(true).open(list).expect("the gate made the list");
        writeln!(list, "{line}").expect("the gate's list can be written");
    }
}

#[expect(clippy::print_stdout, reason = "a person looks at what is printed")]
fn tell(text: &str) {
    println!("{text}");
}

struct Opened {
    stdout: String,
    stderr: String,
}

fn chromium() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "a test may look for its browser")]
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    std::env::split_paths(&path)
        .flat_map(|directory| names.map(|name| directory.join(name)))
        .find(|program| program.is_file())
}

/// An own directory for each test, so that two browsers never share a profile.
fn place(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&place).expect("the directory for tests can be written");
    place
}

fn write(place: &Path, page: &str) -> PathBuf {
    let path = place.join("report.html");
    #[expect(clippy::disallowed_methods, reason = "a browser reads files")]
    std::fs::write(&path, page).expect("the directory for tests can be written");
    path
}

fn open(chromium: &Path, place: &Path, page: &Path, more: &[String]) -> Opened {
    let output = Command::new(chromium)
        .args(FLAGS)
        .args(more)
        .arg(format!("--virtual-time-budget={SETTLE_MS}"))
        .arg(format!("--user-data-dir={}", place.join("profile").display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .expect("chromium can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "chromium ended with {}:\n{stderr}", output.status);
    Opened { stdout, stderr }
}

/// What the page wrote to its console, errors of its policy included.
fn console(stderr: &str) -> Vec<String> {
    stderr.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect()
}

/// Every address that a page asked for over the network. What the browser asks for on its own
/// account (its updates, the time) has no origin as its initiator, and is not the page's.
fn requests(log: &Path) -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "the browser writes files")]
    let text = std::fs::read_to_string(log).expect("chromium has written its log");
    let log: Value = serde_json::from_str(&text).expect("the log is JSON");
    let events = log["events"].as_array().expect("a log has events");
    let by_page = |params: &Value| {
        params["initiator"].as_str().is_some_and(|initiator| initiator != "not an origin")
    };
    let params = events.iter().map(|event| &event["params"]).filter(|params| by_page(params));
    params.filter_map(|params| params["url"].as_str()).map(str::to_owned).collect()
}
