//! `latency`: every round trip on an edge takes longer.

use harness_core::ids::EdgeName;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debt::Order;
use super::edge_fault::EdgeSpec;
use super::look::{Question, Seen};
use super::wire::ProxyEffect;
use super::witness::{Says, Slot, Symptom};

/// A shorter delay cannot be told from noise.
const DELAY_MIN: Duration = Duration::from_millis(1);
/// A longer delay is an outage.
const DELAY_MAX: Duration = Duration::from_secs(60);
/// Requests per address in one look; fewer where the delay is long.
const REQUESTS_PER_LOOK: u64 = 3;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub struct LatencySpec {
    /// The edge, as `caller->callee`.
    pub edge: EdgeName,
    /// Added to the round-trip time, 1ms to 60s. It is added on the way of the request; opening a
    /// connection takes no longer.
    pub delay: Duration,
    /// Uniformly at most this much more or less; at most half of the delay.
    pub jitter: Duration,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "LatencySpec", description = "Every round trip on an edge takes longer.")]
struct Written {
    /// The edge, as `caller->callee`.
    edge: EdgeName,
    /// Added to the round-trip time, 1ms to 60s.
    delay: Duration,
    /// Uniformly at most this much more or less; at most half of the delay.
    #[serde(default)]
    jitter: Duration,
}

impl TryFrom<Written> for LatencySpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { edge, delay, jitter } = written;
        if !(DELAY_MIN..=DELAY_MAX).contains(&delay) {
            return Err(format!(
                "a delay of {delay} is out of range; write {DELAY_MIN} to {DELAY_MAX}"
            ));
        }
        if jitter.times(2) > delay {
            return Err(format!(
                "a jitter of {jitter} is too large; with a delay of {delay} at most {}",
                delay.divided_by(2)
            ));
        }
        Ok(Self { edge, delay, jitter })
    }
}

impl EdgeSpec for LatencySpec {
    const KIND: &'static str = "latency";
    const SUMMARY: &'static str = "every round trip on an edge takes longer";

    fn edge(&self) -> &EdgeName {
        &self.edge
    }

    fn order(&self, _seed: u64) -> Order {
        ProxyEffect::Latency { delay: self.delay, jitter: self.jitter }.into()
    }
}

/// A fault delays *every* round trip by at least `delay - jitter`. So the shortest of a few
/// decides: it is late only if all are, and one quick round trip disproves the fault.
impl Symptom for LatencySpec {
    const METHOD: &'static str = "round-trip time through the edge on a fresh connection";

    fn question(&self, deadline: Duration) -> Question<'_> {
        // One share for opening the connection; each request has room for a delay and slack.
        let longest = (self.delay + self.jitter).times(2).max(Duration::from_millis(20));
        let fitting = (deadline.micros() / longest.micros()).saturating_sub(1);
        let requests = u32::try_from(fitting.clamp(1, REQUESTS_PER_LOOK)).unwrap_or(1);
        // A single request may take nearly all of the time: opening waits for no delay.
        let silence = match requests {
            1 => deadline.times(9).divided_by(10),
            several => deadline.divided_by(u64::from(several) + 1),
        };
        Question { requests, ..Question::once(silence) }
    }

    fn takes(&self) -> Duration {
        self.delay + self.jitter
    }

    fn says(&self, _question: Question<'_>, slot: &Slot, seen: &Seen) -> (Says, String) {
        let Seen::Answered { status: 200, took } = seen else {
            return (Says::Nothing, seen.to_string());
        };
        let Some(shortest) = took.iter().min() else { return (Says::Nothing, seen.to_string()) };
        let shift = shortest.saturating_sub(slot.round_trip);
        // No round trip is delayed by less.
        let least = self.delay.saturating_sub(self.jitter).micros();
        let says = if shift.micros() * 10 >= least * 8 {
            Says::InForce
        } else if shift.micros() * 10 < least * 2 {
            Says::NotInForce
        } else {
            Says::Nothing
        };
        let before = slot.round_trip;
        (says, format!("round trip {shortest}, {shift} more than the {before} before"))
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::*;
    use crate::proxy::edge_fault::EdgeFault;

    const LATENCY: EdgeFault<LatencySpec> = EdgeFault::INJECTOR;

    #[test]
    fn defaults_are_written_out_and_nonsense_is_refused() {
        assert_eq!(
            LATENCY.check(&json!({"edge": "a->b", "delay": "200ms"})).unwrap(),
            json!({"edge": "a->b", "delay": "200ms", "jitter": "0s"})
        );
        for (delay, jitter, message) in [
            ("200ms", "150ms", "jitter of 150ms is too large"),
            ("0s", "0s", "out of range"),
            ("2m", "0s", "out of range"),
            ("200", "0s", "no unit"),
        ] {
            let spec = json!({"edge": "a->b", "delay": delay, "jitter": jitter});
            let error = LATENCY.check(&spec).unwrap_err();
            assert!(error.message.contains(message) && !error.hint.is_empty(), "{error:?}");
        }
    }

    #[test]
    fn the_shortest_round_trip_decides() {
        let spec = LatencySpec {
            edge: "a->b".into(),
            delay: Duration::from_millis(100),
            jitter: Duration::from_millis(20),
        };
        let slot = Slot::of(Duration::from_millis(5));
        let question = spec.question(Duration::from_secs(2));
        let says = |seen: &Seen| spec.says(question, &slot, seen).0;
        // At least 80 ms are added: 64 prove it, below 16 there is none.
        for (millis, expected) in [
            (4, Says::NotInForce),
            (20, Says::NotInForce),
            (22, Says::Nothing),
            (68, Says::Nothing),
            (69, Says::InForce),
            (500, Says::InForce),
        ] {
            let took = vec![Duration::from_millis(millis + 7), Duration::from_millis(millis)];
            assert_eq!(says(&Seen::Answered { status: 200, took }), expected, "{millis} ms");
        }
        let took = vec![Duration::from_millis(500)];
        assert_eq!(says(&Seen::Answered { status: 503, took }), Says::Nothing);
        assert_eq!(says(&Seen::Silent), Says::Nothing);
    }
}
