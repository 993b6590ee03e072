//! Expectations from a file of their own, against a plan that was run.

use harness_core::diag::Diagnostic;
use harness_core::plan::{Assertion, Bound, Expectation};
use scenarios::{expectations, render};

use crate::world::plan_of;

const OUTAGE: &str = include_str!("../../catalogue/payments-outage.yaml");

fn read(text: &str) -> Result<Vec<Expectation>, String> {
    let plan = plan_of(OUTAGE, |_| {}).expect("the catalogue is clean");
    let draw = |diagnostics: Vec<Diagnostic>| render("slo.yaml", text, &diagnostics, false);
    expectations("slo.yaml", text, &plan).map_err(draw)
}

#[test]
fn a_list_alone_is_enough() {
    let read =
        read("expect:\n  - successRate: {atLeast: 99.99%, during: down.effective .. fault.end}\n");
    let stricter = &read.unwrap()[0];
    let Assertion::SuccessRate { bound: Bound::AtLeast(bound), during, .. } = &stricter.assertion
    else {
        panic!("{stricter:?}");
    };
    assert_eq!(bound.to_string(), "99.99%");
    assert_eq!(during.text, "down.effective .. fault.end");
    assert_eq!(stricter.arms, ["fault".into()]);
}

#[test]
fn a_whole_scenario_gives_its_own() {
    let plan = plan_of(OUTAGE, |_| {}).unwrap();
    assert_eq!(read(OUTAGE).unwrap(), plan.expectations);
}

#[test]
fn automation_and_objectives_may_stand_alone_too() {
    let text = "slis: {all: {ratio: {}}}\nslos: {up: {sli: all, atLeast: 99%}}\n\
                expect:\n  - errorBudget: {slo: up, takesAtMost: 1%}\n\
                automation:\n  - {id: breaker, expect: {acts: {action: open, within: 2s}}}\n";
    let read = read(text).unwrap();
    let ids: Vec<&str> = read.iter().map(|expectation| expectation.id.as_str()).collect();
    assert_eq!(ids, ["errorBudget", "breaker-acts"]);
    let whole = scenarios::catalogue::find("breaker-automation").unwrap().text;
    assert!(read_whole(whole) > 4);
}

/// How many expectations a whole scenario gives to another run.
fn read_whole(text: &str) -> usize {
    read(text).unwrap_or_else(|drawn| panic!("{drawn}")).len()
}

#[test]
fn what_the_run_did_not_have_is_told() {
    for (text, words) in [
        ("expect:\n  - recovery: {to: mitigate, within: 2s, of: donw}\n", "did you mean `down`?"),
        ("expect:\n  - latency: {quantile: p99, atMost: 1}\n", "a bare number has no unit"),
        ("expect:\n  - invariant: [none-lost]\nload: {}\n", "has no key `load`"),
        ("slo: 99%\n", "there is no `expect` here"),
        ("", "holds no scenario"),
    ] {
        let refused = read(text).unwrap_err();
        assert!(refused.contains(words), "{refused}");
    }
}
