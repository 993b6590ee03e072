//! Restarts by the supervisor: `GET /api/events?after=`, its own events by number.
//!
//! Every start after the source began is a restart, for the system was whole before. What else the
//! supervisor records (an end, a back-off, readiness) is no action of its.

use serde::Deserialize;

use super::feed::{Action, Feed, Reading, events, slot_name};
use crate::monotonic::SharedInstant;
use crate::text::short;

/// The feed of restarts.
#[derive(Debug)]
pub(super) struct Restarts {
    begun_us: u64,
    after: u64,
}

#[derive(Deserialize)]
struct SupervisorEvent {
    sequence: u64,
    at: Moment,
    reason: String,
    object: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Moment {
    monotonic_us: u64,
}

impl Restarts {
    pub(super) fn new(begun: SharedInstant) -> Self {
        Self { begun_us: begun.monotonic_nanos() / 1000, after: 0 }
    }

    fn take(&mut self, event: &SupervisorEvent, reading: &mut Reading) {
        if event.sequence <= self.after {
            return;
        }
        let missing = event.sequence - self.after - 1;
        if self.after > 0 && missing > 0 {
            reading.gaps.push(format!("{missing} events of the supervisor are lost"));
        }
        self.after = event.sequence;
        if event.reason != "Started" || event.at.monotonic_us <= self.begun_us {
            return;
        }
        let name = event.object.strip_prefix("pod/").unwrap_or(&event.object);
        let target = slot(&event.message).map_or_else(|| short(name), |it| slot_name(name, it));
        let monotonic_us = event.at.monotonic_us;
        let verb = "restart".to_owned();
        reading.actions.push(Action { actor: "supervisor", verb, target, monotonic_us });
    }
}

/// The slot of a message like `pid 4711 in slot 2`.
fn slot(message: &str) -> Option<u64> {
    message.rsplit_once(" in slot ")?.1.parse().ok()
}

impl Feed for Restarts {
    fn path(&self) -> String {
        format!("/api/events?after={}", self.after)
    }

    fn read(&mut self, body: &[u8], _asked_us: u64) -> Result<Reading, String> {
        let answer = events(body)?;
        let mut reading = Reading::default();
        let mut read: Vec<SupervisorEvent> = reading.events(answer.events);
        read.sort_by_key(|event| event.sequence);
        for event in &read {
            self.take(event, &mut reading);
        }
        Ok(reading)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BEGUN_US: u64 = 10_000_000;

    fn event(sequence: u64, us: u64, reason: &str, object: &str, message: &str) -> Value {
        json!({
            "sequence": sequence, "at": {"unixMs": 1, "monotonicUs": BEGUN_US + us},
            "kind": "Normal", "reason": reason, "object": object, "message": message,
        })
    }

    fn read(feed: &mut Restarts, events: &[Value]) -> Reading {
        feed.read(json!({ "events": events }).to_string().as_bytes(), 0).unwrap()
    }

    #[test]
    fn only_starts_after_the_beginning_are_restarts() {
        let mut feed = Restarts { begun_us: BEGUN_US, after: 0 };
        let pod = "pod/checkout-7d9f-kx1";
        let reading = read(
            &mut feed,
            &[
                event(4, 0, "Started", pod, "pid 3 in slot 1"),
                event(5, 10, "Terminated", pod, "ended by signal 9"),
                event(6, 11, "BackOff", pod, "restart in 300 ms"),
                event(7, 300, "Started", "pod/checkout-7d9f-kx2", "pid 4 in slot 1"),
                event(8, 301, "Started", "interposer", "pid 5, restarts 1"),
                event(9, 302, "Started", "pod/worker-1-a", "pid 6"),
            ],
        );
        let targets: Vec<_> = reading
            .actions
            .iter()
            .map(|one| (one.verb.as_str(), one.target.as_str(), one.monotonic_us - BEGUN_US))
            .collect();
        let restart = |target, us| ("restart", target, us);
        let interposer = restart("interposer", 301);
        assert_eq!(targets, [restart("checkout-1", 300), interposer, restart("worker-1-a", 302)]);
        assert_eq!((reading.gaps.len(), feed.path().as_str()), (0, "/api/events?after=9"));
    }

    #[test]
    fn an_answer_that_comes_again_is_not_reported_again() {
        let mut feed = Restarts { begun_us: BEGUN_US, after: 0 };
        let once = [event(1, 5, "Started", "pod/a-b-c", "pid 3 in slot 0")];
        assert_eq!(read(&mut feed, &once).actions.len(), 1);
        assert_eq!(read(&mut feed, &once), Reading::default());
    }

    #[test]
    fn lost_and_broken_events_are_gaps() {
        let mut feed = Restarts { begun_us: BEGUN_US, after: 3 };
        let reading = read(&mut feed, &[event(6, 5, "Ready", "pod/a-b-c", ""), json!({"at": 1})]);
        let lost = "2 events of the supervisor are lost";
        assert_eq!(reading.gaps, ["1 events cannot be read", lost]);
        assert!(feed.read(b"{}", 0).is_err());
        let extreme = json!({
            "sequence": u64::MAX, "at": {"monotonicUs": u64::MAX}, "reason": "Started",
            "object": "", "message": " in slot 99999999999999999999999",
        });
        assert_eq!(read(&mut feed, &[extreme]).actions[0].target, "");
        assert_eq!(read(&mut feed, &[]), Reading::default());
    }
}
