//! Journeys: users in a process of their own, against targets that behave and targets that do not.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration as StdDuration;

use harness_core::load::RequestOutcome;
use harness_core::plan::{
    Extract, JourneyPlan, JourneysPlan, Key, LoadPlan, RequestPlan, Shape, StatusRange, StepPlan,
    Think,
};
use harness_core::time::Clock;
use harness_core::units::Duration;
use load::JourneyDriver;

use crate::support::{
    Connection, OK, Outcome, TestClock, TestStop, TestTarget, drive_with, plan, request, target,
};

const WALKER: &str = env!("CARGO_BIN_EXE_load-journeys");

/// The command of the process that walks.
pub(crate) fn walking_command() -> Vec<String> {
    vec![WALKER.to_owned()]
}

fn driver(clock: Arc<dyn Clock>) -> JourneyDriver {
    JourneyDriver::new(clock, walking_command())
}

fn ms(millis: u64) -> Think {
    Think::Fixed { lasts: Duration::from_millis(millis) }
}

/// A request and the step that sends it.
type Step = (RequestPlan, StepPlan);

/// A step and its request.
fn step(request: RequestPlan, think: Think) -> Step {
    let step =
        StepPlan { request: 0, think, good: None, body_matches: None, extract: BTreeMap::new() };
    (request, step)
}

/// Users who walk these journeys: name, weight, steps.
fn walking(users: u32, journeys: Vec<(&str, u32, Vec<Step>)>) -> LoadPlan {
    let mut mix = Vec::new();
    let journeys = journeys.into_iter().map(|(name, weight, steps)| {
        let steps = steps.into_iter().map(|(request, step)| {
            mix.push(RequestPlan { weight, ..request });
            StepPlan { request: u32::try_from(mix.len() - 1).unwrap(), ..step }
        });
        JourneyPlan { name: name.to_owned(), weight, steps: steps.collect() }
    });
    let journeys = journeys.collect();
    let shape = Shape::Journeys(JourneysPlan { users, ramp_up: Duration::ZERO, journeys });
    LoadPlan { shape, mix, timeout: Duration::from_secs(2), ..plan(1) }
}

/// Users who look at one page again and again.
pub(crate) fn look_around(users: u32) -> LoadPlan {
    walking(users, vec![("look", 1, vec![step(request("GET", "/", 1), ms(50))])])
}

async fn walk(plan: &LoadPlan, target: &TestTarget, millis: u64) -> Outcome {
    drive_with(driver, plan, &target.url(), millis, &TestStop::default()).await.unwrap()
}

/// A target that keeps what it was asked, and answers by it.
async fn asked(answer: fn(&str) -> String) -> (TestTarget, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = seen.clone();
    let target = target(move |mut connection: Connection| {
        let keep = keep.clone();
        async move {
            while let Some(request) = connection.request().await {
                let text = answer(&request);
                keep.lock().unwrap().push(request);
                connection.write(&text).await;
            }
        }
    });
    (target.await, seen)
}

fn first_line(request: &str) -> &str {
    request.lines().next().unwrap_or_default()
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    request.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn users_pause_send_and_are_counted_like_any_load() {
    let target = target(Connection::answer_all).await;
    let plan = look_around(10);
    let outcome = walk(&plan, &target, 1_000).await;
    let total = outcome.total();
    // Ten users with a pause of 50 ms and short answers: some 190; never more than 200.
    assert!((100..=200).contains(&total.planned), "{}", total.planned);
    assert_eq!(total.good, total.planned, "{:?}", total.outcomes);
    assert_eq!(target.requests(), total.planned);
    assert_eq!(outcome.windows.len(), 10);
    assert_eq!(outcome.ticks.iter().map(|tick| tick.due).sum::<u64>(), total.planned);
    assert!(outcome.summary.cpu_cores > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_counts_from_when_the_user_wanted_to_send() {
    // Each answer takes 200 ms, so a user sends every 300 ms.
    let target = target(async |mut connection: Connection| {
        while connection.request().await.is_some() {
            tokio::time::sleep(StdDuration::from_millis(200)).await;
            connection.write(OK).await;
        }
    });
    let target = target.await;
    let plan = walking(4, vec![("look", 1, vec![step(request("GET", "/", 1), ms(100))])]);
    let outcome = walk(&plan, &target, 1_500).await;
    let total = outcome.total();
    assert!((4..=20).contains(&total.planned), "{}", total.planned);
    assert!(total.latency_us.min() >= 200_000, "{}", total.latency_us.min());
    assert!(total.service_us.min() >= 200_000, "{}", total.service_us.min());
    // The first wish comes 100 ms after the start: nobody is due in the first window.
    assert_eq!(outcome.windows[0].totals().0, 0);
    assert_eq!(outcome.windows[1].totals().0, 4, "all four in the second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_one_answer_goes_into_later_requests() {
    let answer = |request: &str| -> String {
        if first_line(request).starts_with("GET /catalog") {
            let body = r#"{"items": [{"id": "espresso"}]}"#;
            let length = body.len();
            return format!(
                "HTTP/1.1 200 OK\r\nx-token: t-77\r\ncontent-length: {length}\r\n\r\n{body}"
            );
        }
        OK.to_owned()
    };
    let (target, seen) = asked(answer).await;
    let (look, mut catalog) = step(request("GET", "/catalog", 1), ms(20));
    let json = Extract::Json { pointer: "/items/0/id".to_owned() };
    catalog.extract.insert("item".to_owned(), json);
    let token = Extract::Header { name: "x-token".to_owned() };
    catalog.extract.insert("token".to_owned(), token);
    let body = Extract::Regex { pattern: r#""(esp\w+)""#.to_owned() };
    catalog.extract.insert("word".to_owned(), body);
    let mut buy = request("POST", "/buy/{{item}}", 1);
    buy.headers.insert("x-token".to_owned(), "{{token}}".to_owned());
    buy.body = Some("one {{word}}".to_owned());
    buy.key = Key::Sequence;
    let plan = walking(2, vec![("buy", 1, vec![(look, catalog), step(buy, ms(0))])]);
    let outcome = walk(&plan, &target, 400).await;
    assert_eq!(outcome.total().good, outcome.total().planned, "{:?}", outcome.total().outcomes);
    let seen = seen.lock().unwrap();
    let bought: Vec<&String> =
        seen.iter().filter(|request| request.starts_with("POST /buy/espresso ")).collect();
    assert!(bought.len() > 4, "{seen:?}");
    for request in &bought {
        assert_eq!(header(request, "x-token"), Some("t-77"), "{request}");
        assert!(request.ends_with("one espresso"), "{request}");
    }
    // Keys are the trial's, without holes, and all of them were taken.
    let keys = u64::try_from(bought.len()).unwrap();
    assert_eq!(outcome.summary.accepted, [(0, keys - 1)]);
    assert!(bought.iter().any(|request| header(request, "idempotency-key") == Some("run-1-3-0")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_ends_the_visit() {
    let answer = |request: &str| -> String {
        let body = if first_line(request).contains("/empty") { "{}" } else { "sold out" };
        let status = if first_line(request).contains("/gone") { "503 Gone" } else { "200 OK" };
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    let (target, seen) = asked(answer).await;
    let never = || step(request("GET", "/never", 1), ms(0));
    let (path, mut empty) = step(request("GET", "/empty", 1), ms(20));
    empty.extract.insert("id".to_owned(), Extract::Json { pointer: "/id".to_owned() });
    let (sold, mut matching) = step(request("GET", "/sold", 1), ms(20));
    matching.body_matches = Some("^in stock".to_owned());
    let plan = walking(
        6,
        vec![
            ("missing", 1, vec![(path, empty), never()]),
            ("wrong", 1, vec![(sold, matching), never()]),
            ("gone", 1, vec![step(request("GET", "/gone", 1), ms(20)), never()]),
        ],
    );
    let outcome = walk(&plan, &target, 500).await;
    let outcomes = outcome.total().outcomes;
    assert_eq!(outcome.total().good, 0);
    assert!(outcomes[&RequestOutcome::Body] > 5, "{outcomes:?}");
    assert!(outcomes[&RequestOutcome::Status(503)] > 2, "{outcomes:?}");
    assert_eq!(outcomes.len(), 2, "{outcomes:?}");
    let seen = seen.lock().unwrap();
    assert!(!seen.iter().any(|request| request.starts_with("GET /never")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_may_have_statuses_of_its_own() {
    let (target, _) = asked(|_| "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let (path, mut gone) = step(request("GET", "/gone", 1), ms(20));
    gone.good = Some(vec![StatusRange { from: 404, to: 404 }]);
    let plan = walking(2, vec![("gone", 1, vec![(path, gone)])]);
    let outcome = walk(&plan, &target, 300).await;
    assert!(outcome.total().good > 4, "{:?}", outcome.total().outcomes);
    assert_eq!(outcome.total().good, outcome.total().planned);
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_last_for_one_visit() {
    let answer = |request: &str| -> String {
        let set = if first_line(request).starts_with("GET /in") {
            "set-cookie: session=s-1; Path=/\r\n"
        } else {
            ""
        };
        format!("HTTP/1.1 200 OK\r\n{set}content-length: 0\r\n\r\n")
    };
    let (target, seen) = asked(answer).await;
    let steps =
        vec![step(request("GET", "/in", 1), ms(20)), step(request("GET", "/cart", 1), ms(0))];
    let outcome = walk(&walking(2, vec![("visit", 1, steps)]), &target, 400).await;
    assert_eq!(outcome.total().good, outcome.total().planned);
    let seen = seen.lock().unwrap();
    let cookies = |path: &str| -> Vec<Option<&str>> {
        let requests = seen.iter().filter(|request| request.starts_with(&format!("GET {path} ")));
        requests.map(|request| header(request, "cookie")).collect()
    };
    assert!(cookies("/in").len() > 4);
    assert!(cookies("/in").iter().all(Option::is_none), "{:?}", cookies("/in"));
    assert!(cookies("/cart").iter().all(|cookie| *cookie == Some("session=s-1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_come_by_weight_and_the_same_seed_walks_the_same_way() {
    let (target, seen) = asked(|_| OK.to_owned()).await;
    let path = |path: &str| vec![step(request("GET", path, 1), ms(5))];
    let plan = walking(20, vec![("a", 1, path("/a")), ("b", 2, path("/b")), ("c", 5, path("/c"))]);
    walk(&plan, &target, 1_500).await;
    let counts: Vec<f64> = {
        let seen = seen.lock().unwrap();
        let count = |path: &str| seen.iter().filter(|r| first_line(r).contains(path)).count();
        ["/a", "/b", "/c"].map(|path| count(path) as f64).to_vec()
    };
    let all: f64 = counts.iter().sum();
    assert!(all > 500.0, "{counts:?}");
    let expected = [1.0, 2.0, 5.0].map(|weight| weight / 8.0 * all);
    let chi: f64 =
        counts.iter().zip(expected).map(|(seen, wanted)| (seen - wanted).powi(2) / wanted).sum();
    // Pearson's chi-square with 2 degrees of freedom: 13.8 is its 0.999 quantile.
    assert!(chi < 13.8, "{counts:?}: chi-square {chi}");
    // One user alone takes the same way again.
    let mut ways = Vec::new();
    for _ in 0..2 {
        seen.lock().unwrap().clear();
        let alone = match &plan.shape {
            Shape::Journeys(all) => Shape::Journeys(JourneysPlan { users: 1, ..all.clone() }),
            other => other.clone(),
        };
        walk(&LoadPlan { shape: alone, ..plan.clone() }, &target, 600).await;
        let seen = seen.lock().unwrap();
        let way: Vec<String> = seen.iter().take(20).map(|r| first_line(r).to_owned()).collect();
        assert_eq!(way.len(), 20, "{way:?}");
        ways.push(way);
    }
    assert_eq!(ways[0], ways[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_are_those_of_the_open_loop() {
    let plan = LoadPlan {
        timeout: Duration::from_millis(150),
        ..walking(3, vec![("look", 1, vec![step(request("GET", "/", 1), ms(30))])])
    };
    let check = async |target: TestTarget, expected: RequestOutcome| {
        let outcome = walk(&plan, &target, 400).await;
        let outcomes = outcome.total().outcomes;
        assert_eq!(outcomes.keys().copied().collect::<Vec<_>>(), [expected], "{outcomes:?}");
    };
    let hangs = async |mut connection: Connection| while connection.request().await.is_some() {};
    check(target(hangs).await, RequestOutcome::Timeout).await;
    let resets = async |mut connection: Connection| {
        connection.request().await;
        connection.reset();
    };
    check(target(resets).await, RequestOutcome::Reset).await;
    let short = async |mut connection: Connection| {
        connection.request().await;
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort").await;
    };
    check(target(short).await, RequestOutcome::Body).await;
    let nonsense = async |mut connection: Connection| {
        connection.request().await;
        connection.write("SSH-2.0-what\r\n\r\n").await;
    };
    check(target(nonsense).await, RequestOutcome::Body).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{closed}");
    let outcome = drive_with(driver, &plan, &url, 400, &TestStop::default()).await.unwrap();
    let outcomes = outcome.total().outcomes;
    assert_eq!(outcomes.keys().copied().collect::<Vec<_>>(), [RequestOutcome::Refused]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_walk_though_the_target_hangs() {
    let hangs = async |mut connection: Connection| while connection.request().await.is_some() {};
    let target = target(hangs).await;
    let plan = LoadPlan {
        timeout: Duration::from_secs(60),
        ..walking(30, vec![("look", 1, vec![step(request("GET", "/", 1), ms(10))])])
    };
    let (stop, clock, url) = (TestStop::default(), TestClock::new(), target.url());
    let pulling = async {
        while target.requests() < 30 {
            tokio::time::sleep(StdDuration::from_millis(2)).await;
        }
        stop.pull();
        clock.now()
    };
    let driving = async {
        let outcome = drive_with(driver, &plan, &url, 60_000, &stop).await.unwrap();
        (outcome, clock.now())
    };
    let ((outcome, ended), pulled) = tokio::join!(driving, pulling);
    assert!(ended.since(pulled).millis() < 1_000, "{} ms", ended.since(pulled).millis());
    assert_eq!(outcome.count(RequestOutcome::Timeout), 30, "what was sent has no answer");
    assert_eq!(outcome.summary.sent, 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walker_that_stands_still_marks_its_windows_and_can_be_stopped() {
    let target = target(Connection::answer_all).await;
    let plan = walking(5, vec![("look", 1, vec![step(request("GET", "/", 1), ms(20))])]);
    let (stop, clock, url) = (TestStop::default(), TestClock::new(), target.url());
    let holding = async {
        while target.requests() < 50 {
            tokio::time::sleep(StdDuration::from_millis(2)).await;
        }
        let walker = walker();
        signal(walker, "STOP");
        tokio::time::sleep(StdDuration::from_millis(400)).await;
        signal(walker, "CONT");
        let before = target.requests();
        while target.requests() < before + 50 {
            tokio::time::sleep(StdDuration::from_millis(2)).await;
        }
        signal(walker, "STOP");
        stop.pull();
        clock.now()
    };
    let driving = async {
        let outcome = drive_partly(&plan, &url, &stop).await;
        (outcome, clock.now())
    };
    let ((paused, ended), pulled) = tokio::join!(driving, holding);
    assert!(ended.since(pulled).millis() < 1_000, "{} ms", ended.since(pulled).millis());
    assert!((3..=8).contains(&paused), "400 ms stand in {paused} windows");
}

/// Drives until stopped and gives the number of marked windows; accounts cannot be whole when the
/// walker was killed.
async fn drive_partly(plan: &LoadPlan, url: &str, stop: &TestStop) -> usize {
    let kept = crate::support::drive_unchecked(driver, plan, url, 60_000, stop).await.unwrap();
    kept.windows.iter().filter(|window| window.paused).count()
}

/// The walker that this very test started: it carries the name of its program.
fn walker() -> u32 {
    let task = std::path::PathBuf::from(format!("/proc/{}/task", std::process::id()));
    let children = std::fs::read_dir(task).unwrap().filter_map(|thread| {
        let thread = thread.ok()?;
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        let children = std::fs::read_to_string(thread.path().join("children")).ok()?;
        (name.trim() == "journeys").then_some(children)
    });
    let children: Vec<u32> = children
        .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .map(|pid| pid.parse().unwrap())
        .collect();
    *children.first().expect("a walker is under way")
}

fn signal(pid: u32, name: &str) {
    Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walker_that_dies_is_an_error_and_no_end() {
    let target = target(Connection::answer_all).await;
    let plan = walking(5, vec![("look", 1, vec![step(request("GET", "/", 1), ms(20))])]);
    let (stop, url) = (TestStop::default(), target.url());
    let killing = async {
        while target.requests() < 20 {
            tokio::time::sleep(StdDuration::from_millis(2)).await;
        }
        signal(walker(), "KILL");
    };
    let driving = drive_with(driver, &plan, &url, 60_000, &stop);
    let (driven, ()) = tokio::join!(driving, killing);
    let error = driven.unwrap_err().to_string();
    assert!(error.contains("walk journeys") && error.contains("signal: 9"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_walked_is_named() {
    let plan = walking(1, vec![("look", 1, vec![step(request("GET", "/{{who}}", 1), ms(20))])]);
    let stop = TestStop::default();
    let error = drive_with(driver, &plan, "http://127.0.0.1:9", 100, &stop).await.unwrap_err();
    assert!(error.to_string().contains("no feed is called `who`"), "{error}");
    let error = drive_with(driver, &plan, "ftp://127.0.0.1", 100, &stop).await.unwrap_err();
    assert!(error.to_string().contains("http://"), "{error}");
    let gone = |clock| JourneyDriver::new(clock, vec!["/nowhere/at-all".to_owned()]);
    let error = drive_with(gone, &plan, "http://127.0.0.1:9", 100, &stop).await.unwrap_err();
    assert!(error.to_string().contains("No such file"), "{error}");
}

/// The walker prints nothing, also about what goes wrong, and ends when its parent's end of the
/// socket closes.
#[test]
fn a_walker_prints_nothing_and_ends_with_its_parent() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = Command::new(WALKER)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = walking(3, vec![("look", 1, vec![step(request("GET", "/", 1), ms(20))])]);
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let origin_ns = u64::try_from(now.tv_sec).unwrap() * 1_000_000_000;
    let job = serde_json::json!({
        "plan": plan, "run": "run-1", "trial": 0, "arm": "fault",
        "target": format!("http://{}", listener.local_addr().unwrap()),
        "seed": 1, "id_prefix": "p", "origin_ns": origin_ns,
        "from_ns": 0, "until_ns": 600_000_000_000_u64,
    });
    let mut line = serde_json::to_vec(&job).unwrap();
    line.push(b'\n');
    std::io::Write::write_all(&mut &ours, &line).unwrap();
    // It walks: a user comes by, and fails, for nobody answers.
    let (visitor, _) = listener.accept().unwrap();
    drop(visitor);
    drop(listener);
    std::thread::sleep(StdDuration::from_millis(200));
    drop(ours);
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    assert_eq!((out.unwrap().as_str(), err.unwrap().as_str()), ("", ""));
}
