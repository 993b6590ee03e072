//! The one encrypted edge: what the alerter does with a pager whose certificate has expired.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{TestLab, get, request, signal, wait_until};

/// How many pages of a kill the pager has got.
fn pages(lab: &TestLab) -> usize {
    let pages = get(&lab.lab.endpoints.pager, "/api/pages");
    let pages = pages["pages"].as_array().unwrap();
    pages.iter().filter(|page| page["status"] == "firing").count()
}

/// How many pages the alerter says that it has handed over.
fn handed(lab: &TestLab) -> usize {
    let told = get(&lab.lab.endpoints.supervisor, "/api/automation");
    assert_eq!(told["silent"], json!([]));
    let events = told["events"].as_array().unwrap().iter();
    let pages = events.filter(|event| event["automation"] == "alerter" && event["to"] == "page");
    pages.inspect(|event| assert_eq!(event["target"], "pager-0")).count()
}

fn expire(lab: &TestLab, lease_ms: u64) -> u16 {
    let order = json!({
        "name": "expired", "leaseMs": lease_ms, "order": {"certificate": "expired"},
    });
    request(&lab.lab.endpoints.pager, "PUT", "/-/orders", &order.to_string()).0
}

/// Kills an instance under an expired certificate; the pages before and after its renewal.
fn pages_before_and_after(defects: &[&str]) -> (usize, usize) {
    let lab = TestLab::up(defects);
    assert_eq!(expire(&lab, 60_000), 200);
    signal(lab.pid("checkout"), Signal::KILL);
    wait_until("alert", || lab.firing_pages("CheckoutInstanceDown") == 1);
    // Time for several tries; that nothing comes cannot be waited for.
    std::thread::sleep(Duration::from_millis(900));
    let before = pages(&lab);
    assert!(handed(&lab) >= before);
    assert_eq!(request(&lab.lab.endpoints.pager, "DELETE", "/-/orders?name=expired", "").0, 200);
    lab.wait_for_steady();
    (before, pages(&lab))
}

#[test]
fn a_page_waits_for_a_good_certificate_and_arrives_once() {
    assert_eq!(pages_before_and_after(&[]), (0, 1));
}

#[test]
fn who_trusts_anybody_hands_the_page_over() {
    assert_eq!(pages_before_and_after(&["alerter=trusting"]), (1, 1));
}

#[test]
fn a_forgetful_alerter_loses_a_page_that_was_refused() {
    assert_eq!(pages_before_and_after(&["alerter=forgets"]), (0, 0));
}

#[test]
fn the_end_of_the_lease_alone_brings_the_good_certificate_back() {
    let lab = TestLab::up(&[]);
    assert_eq!(expire(&lab, 2_500), 200);
    signal(lab.pid("checkout"), Signal::KILL);
    wait_until("page", || pages(&lab) == 1);
    assert_eq!(expire(&lab, 2_500), 409, "it never comes back");
    lab.wait_for_steady();
    assert_eq!(pages(&lab), 1);
    assert!(handed(&lab) >= 2, "its beginning and its end");
}

#[test]
fn what_watches_the_pager_goes_on_with_plain_text() {
    let lab = TestLab::up(&[]);
    let pager = &lab.lab.endpoints.pager;
    assert_eq!(expire(&lab, 60_000), 200);
    assert_eq!(request(pager, "GET", "/healthz", "").0, 200);
    let told: Value = get(pager, "/-/orders?name=expired");
    assert_eq!(told["inForce"], true);
    let nonsense = json!({"name": "x", "leaseMs": 1, "order": {"certificate": "valid"}});
    assert_eq!(request(pager, "PUT", "/-/orders", &nonsense.to_string()).0, 400);
}
