//! Breakers, the cost cap and the alerter: `GET /api/automation?afterUs=`, events of all instances
//! by time. A breaker acts on its own instance; the others say on what.
//!
//! An instance that did not answer this time may tell older events the next time. So the question
//! goes back a little before the last one that all had answered, and events are told apart by
//! instance and sequence number.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::feed::{Action, Feed, Reading, events, slot_name};
use crate::monotonic::SharedInstant;
use crate::text::short;

/// A question goes back so far before the last whole answer, in us.
const OVERLAP_US: u64 = 2_000_000;
/// Instances that are told apart; events of further ones are a gap.
const INSTANCES_MAX: usize = 256;
/// Silent instances that are named; further ones are counted.
const SILENT_MAX: usize = 8;
/// The automations whose events are read; others are none of ours.
const ACTORS: [&str; 3] = ["alerter", "breaker", "cap"];

/// The feed of breakers.
#[derive(Debug)]
pub(super) struct Breakers {
    begun_us: u64,
    after_us: u64,
    /// The last sequence number of each instance.
    last: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BreakerEvent {
    automation: String,
    slot: u64,
    instance: String,
    sequence: u64,
    monotonic_us: u64,
    to: String,
    #[serde(default)]
    target: Option<String>,
}

impl Breakers {
    pub(super) fn new(begun: SharedInstant) -> Self {
        let begun_us = begun.monotonic_nanos() / 1000;
        Self { begun_us, after_us: begun_us, last: BTreeMap::new() }
    }

    /// Takes an event unless it is old, or known; what is missing before it is a gap.
    fn take(&mut self, event: &BreakerEvent, reading: &mut Reading) {
        let actor = ACTORS.into_iter().find(|actor| *actor == event.automation);
        let Some(actor) = actor.filter(|_| event.monotonic_us > self.begun_us) else { return };
        let own = slot_name(&event.instance, event.slot);
        match self.last.get(&event.instance) {
            Some(last) if event.sequence <= *last => return,
            Some(last) if event.sequence - last > 1 => {
                let missing = event.sequence - last - 1;
                reading.gaps.push(format!("{missing} events of {own} are lost"));
            }
            None if self.last.len() >= INSTANCES_MAX => {
                reading.gaps.push(format!("events of more than {INSTANCES_MAX} instances"));
                return;
            }
            Some(_) | None => {}
        }
        self.last.insert(event.instance.clone(), event.sequence);
        let verb = match event.to.as_str() {
            "closed" => "close".to_owned(),
            other => short(other),
        };
        let target = event.target.as_deref().map_or(own, short);
        let monotonic_us = event.monotonic_us;
        reading.actions.push(Action { actor, verb, target, monotonic_us });
    }
}

impl Feed for Breakers {
    fn path(&self) -> String {
        format!("/api/automation?afterUs={}", self.after_us)
    }

    fn read(&mut self, body: &[u8], asked_us: u64) -> Result<Reading, String> {
        let answer = events(body)?;
        let mut reading = Reading::default();
        let mut read: Vec<BreakerEvent> = reading.events(answer.events);
        // By instance in their own order, then all by time.
        read.sort_by_key(|event| event.sequence);
        for event in &read {
            self.take(event, &mut reading);
        }
        reading.actions.sort_by_key(|action| action.monotonic_us);
        reading.gaps.dedup();
        if answer.silent.is_empty() {
            self.after_us = self.after_us.max(asked_us.saturating_sub(OVERLAP_US));
        } else {
            let named = answer.silent.iter().take(SILENT_MAX).map(|name| short(name));
            let named = named.collect::<Vec<_>>().join(", ");
            let others = answer.silent.len().saturating_sub(SILENT_MAX);
            let others = if others > 0 { format!(" and {others} others") } else { String::new() };
            reading.gaps.push(format!("events are missing of {named}{others}"));
        }
        Ok(reading)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BEGUN_US: u64 = 10_000_000;

    fn feed() -> Breakers {
        Breakers { begun_us: BEGUN_US, after_us: BEGUN_US, last: BTreeMap::new() }
    }

    fn event(slot: u64, sequence: u64, us: u64, to: &str) -> Value {
        json!({
            "sequence": sequence, "unixMs": 1, "monotonicUs": BEGUN_US + us,
            "instance": format!("checkout-7d9f-x{slot}"), "from": "closed", "to": to,
            "reason": "failures", "automation": "breaker", "slot": slot,
        })
    }

    fn read(feed: &mut Breakers, asked_us: u64, events: &[Value], silent: &[&str]) -> Reading {
        let body = json!({"events": events, "silent": silent}).to_string();
        feed.read(body.as_bytes(), BEGUN_US + asked_us).unwrap()
    }

    fn seen(reading: &Reading) -> Vec<(&str, &str, u64)> {
        let of = |action: &Action| action.monotonic_us - BEGUN_US;
        let all = reading.actions.iter();
        all.map(|one| (one.verb.as_str(), one.target.as_str(), of(one))).collect()
    }

    #[test]
    fn each_event_is_reported_once() {
        let mut feed = feed();
        let first = [event(0, 3, 10, "open"), event(1, 1, 20, "open")];
        let reading = read(&mut feed, 100, &first, &[]);
        assert_eq!(seen(&reading), [("open", "checkout-0", 10), ("open", "checkout-1", 20)]);
        assert!(read(&mut feed, 200, &first, &[]).actions.is_empty());
        let [a, b] = first;
        let more = [a, b, event(0, 4, 150, "half-open"), event(0, 5, 190, "closed")];
        let reading = read(&mut feed, 300, &more, &[]);
        let half_open = ("half-open", "checkout-0", 150);
        assert_eq!(seen(&reading), [half_open, ("close", "checkout-0", 190)]);
        assert_eq!(reading.gaps, Vec::<String>::new());
    }

    #[test]
    fn old_events_and_those_of_others_are_not_reported() {
        let mut feed = feed();
        let mut old = event(0, 1, 0, "open");
        old["monotonicUs"] = json!(BEGUN_US);
        let mut other = event(0, 2, 5, "open");
        other["automation"] = json!("scaler");
        assert_eq!(read(&mut feed, 9, &[old, other], &[]), Reading::default());
    }

    #[test]
    fn who_acts_on_another_says_on_whom() {
        let mut page = event(0, 1, 10, "page");
        page["automation"] = json!("alerter");
        page["target"] = json!("pager-0");
        let reading = read(&mut feed(), 100, &[page], &[]);
        assert_eq!(seen(&reading), [("page", "pager-0", 10)]);
        assert_eq!(reading.actions[0].actor, "alerter");
    }

    #[test]
    fn an_instance_that_was_silent_tells_later() {
        let mut feed = feed();
        let reading =
            read(&mut feed, 9_000_000, &[event(0, 1, 8_000_000, "open")], &["checkout-1"]);
        assert_eq!(reading.gaps, ["events are missing of checkout-1"]);
        assert_eq!(feed.path(), format!("/api/automation?afterUs={BEGUN_US}"));
        let late = [event(1, 1, 100, "open"), event(0, 1, 8_000_000, "open")];
        let reading = read(&mut feed, 9_500_000, &late, &[]);
        assert_eq!(seen(&reading), [("open", "checkout-1", 100)]);
        assert_eq!(feed.path(), format!("/api/automation?afterUs={}", BEGUN_US + 7_500_000));
    }

    #[test]
    fn lost_and_broken_events_are_gaps() {
        let mut feed = feed();
        read(&mut feed, 9, &[event(0, 1, 1, "open")], &[]);
        let reading = read(&mut feed, 9, &[event(0, 4, 2, "open"), json!(7), json!({})], &[]);
        assert_eq!(reading.gaps, ["2 events cannot be read", "2 events of checkout-0 are lost"]);
        assert_eq!(reading.actions.len(), 1);
        assert!(feed.read(b"[", 0).unwrap_err().contains("cannot be read"));
        let names = vec!["x"; SILENT_MAX + 1];
        assert!(read(&mut feed, 9, &[], &names).gaps[0].ends_with("and 1 others"));
    }

    #[test]
    fn instances_without_end_are_a_gap() {
        let mut feed = feed();
        let all: Vec<_> =
            (0..INSTANCES_MAX as u64 + 2).map(|slot| event(slot, 1, 1, "open")).collect();
        let reading = read(&mut feed, 9, &all, &[]);
        assert_eq!((reading.actions.len(), reading.gaps.len()), (INSTANCES_MAX, 1));
        let mut extreme = event(0, u64::MAX, 1, "open");
        extreme["monotonicUs"] = json!(u64::MAX);
        assert_eq!(read(&mut feed, u64::MAX - BEGUN_US, &[extreme], &[]).actions.len(), 1);
    }
}
