//! Jobs, what they cost, and the cap that stops them; and the pager, which the alerter does not
//! give up on.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{TestLab, get, request, signal, wait_until};

fn submit(lab: &TestLab, label: &str, count: u64, lease_ms: u64) -> (u16, String) {
    let body = json!({
        "label": label, "count": count, "lastsMs": 60_000, "leaseMs": lease_ms,
    });
    request(&lab.lab.endpoints.jobs, "POST", "/jobs", &body.to_string())
}

fn group(lab: &TestLab, label: &str) -> Value {
    get(&lab.lab.endpoints.jobs, &format!("/jobs?label={label}"))["groups"][0].clone()
}

fn spent(lab: &TestLab, label: &str) -> u64 {
    get(&lab.lab.endpoints.meter, "/api/spend")["jobs"][label].as_u64().unwrap_or(0)
}

/// What the cost cap did, as the automation feed tells it.
fn acts(lab: &TestLab) -> Vec<(String, String)> {
    let feed = get(&lab.lab.endpoints.supervisor, "/api/automation");
    assert_eq!(feed["silent"], json!([]));
    let events = feed["events"].as_array().unwrap().iter();
    let of_cap = events.filter(|event| event["automation"] == "cap");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    of_cap.map(|event| (text(&event["to"]), text(&event["label"]))).collect()
}

fn act(verb: &str, label: &str) -> (String, String) {
    (verb.to_owned(), label.to_owned())
}

#[test]
fn a_runaway_is_metered_stopped_once_and_released_later() {
    let lab = TestLab::up(&[]);
    assert!(spent(&lab, "reports") > 0, "the shop's own jobs cost money");
    assert_eq!(submit(&lab, "runaway", 15, 60_000).0, 201);
    assert!(group(&lab, "runaway")["running"].as_u64().unwrap() == 15);
    wait_until("end of the jobs", || group(&lab, "runaway")["running"] == 0);
    wait_until("the cap's record", || acts(&lab) == [act("stop", "runaway")]);
    let used = group(&lab, "runaway")["usedMs"].as_u64().unwrap();
    wait_until("the whole bill", || spent(&lab, "runaway") == used * 50);
    assert_eq!(submit(&lab, "runaway", 1, 60_000).0, 429, "the cap holds it back");
    wait_until("release", || acts(&lab).contains(&act("release", "runaway")));
    assert_eq!(acts(&lab), [act("stop", "runaway"), act("release", "runaway")]);
    let path = "/jobs?label=runaway";
    assert_eq!(request(&lab.lab.endpoints.jobs, "DELETE", path, "").0, 200);
    assert_eq!(submit(&lab, "runaway", 1, 60_000).0, 409, "closed for good");
    lab.wait_for_steady();
    assert_eq!(group(&lab, "reports")["running"], 2);
}

#[test]
fn without_cap_and_quota_all_jobs_run_until_their_lease_ends() {
    let lab = TestLab::up(&["cap=off", "quota=off"]);
    assert_eq!(submit(&lab, "runaway", 60, 3_000).0, 201);
    assert_eq!(group(&lab, "runaway")["running"], 60);
    wait_until("end of the lease", || group(&lab, "runaway")["ended"] == 60);
    let used = group(&lab, "runaway")["usedMs"].as_u64().unwrap();
    assert!((180_000..190_000).contains(&used), "{used} ms are 60 jobs of 3 s");
    assert!(acts(&lab).is_empty());
}

#[test]
fn the_quota_bounds_what_runs_and_a_late_cap_is_late() {
    let lab = TestLab::up(&["cap=late"]);
    assert_eq!(submit(&lab, "runaway", 60, 60_000).0, 201);
    let now = group(&lab, "runaway");
    assert_eq!((&now["running"], &now["pending"]), (&json!(22), &json!(38)));
    wait_until("the cap's record", || !acts(&lab).is_empty());
    let used = group(&lab, "runaway")["usedMs"].as_u64().unwrap();
    assert!(used > 22 * 7_500, "{used} ms of 22 jobs");
}

#[test]
fn a_price_spike_ends_by_its_lease() {
    let lab = TestLab::up(&[]);
    let percent = || get(&lab.lab.endpoints.meter, "/api/spend")["prices"]["percent"].clone();
    let body = json!({"name": "spike", "percent": 300, "leaseMs": 700}).to_string();
    assert_eq!(request(&lab.lab.endpoints.meter, "PUT", "/api/prices", &body).0, 200);
    assert_eq!(percent(), 300);
    wait_until("end of the lease", || percent() == 100);
    assert_eq!(request(&lab.lab.endpoints.meter, "PUT", "/api/prices", &body).0, 409);
}

/// How often the pager was told that an instance is down, when it was away meanwhile.
fn pages_after_an_outage(defects: &[&str]) -> usize {
    let lab = TestLab::up(defects);
    let pager = lab.pid("pager");
    signal(pager, Signal::STOP);
    signal(lab.pid("checkout"), Signal::KILL);
    wait_until("alert", || lab.firing_pages("CheckoutInstanceDown") == 1);
    std::thread::sleep(std::time::Duration::from_millis(700));
    signal(pager, Signal::CONT);
    lab.wait_for_steady();
    let received = get(&lab.lab.endpoints.pager, "/api/pages");
    let received = received["pages"].as_array().unwrap();
    received.iter().filter(|one| one["status"] == "firing").count()
}

#[test]
fn a_page_that_was_not_taken_is_delivered_once_when_the_pager_is_back() {
    assert_eq!(pages_after_an_outage(&[]), 1);
}
