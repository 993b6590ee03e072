//! `brown-out`: the callee of an edge is overloaded now and then: for a while it answers late or
//! with errors, then it is well again, and so on.

use harness_core::ids::EdgeName;
use harness_core::units::{Duration, Ratio};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debt::Order;
use super::edge_fault::EdgeSpec;
use super::look::{Question, Seen};
use super::ranges::{CYCLE_MAX, cycle_part, delay, error_status};
use super::wire::{HttpEffect, ProxyEffect, Pulse};
use super::witness::{Says, Slot, Symptom};

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub struct BrownOutSpec {
    /// The edge, as `caller->callee`.
    pub edge: EdgeName,
    /// So many requests are answered with the status while it lasts, 0% to 100%.
    pub errors: Ratio,
    /// The error status, 400 to 599.
    pub status: u16,
    /// All other requests wait so long while it lasts, 50ms to 1s.
    pub delay: Duration,
    /// How long it lasts, 50ms to 950ms.
    pub on: Duration,
    /// How long all is well in between, 50ms to 950ms; both together at most 1s.
    pub off: Duration,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "BrownOutSpec", description = "The callee of an edge is slow now and then.")]
struct Written {
    /// The edge, as `caller->callee`.
    edge: EdgeName,
    /// So many requests are answered with the status while it lasts; 20% unless said.
    #[serde(default = "some")]
    errors: Ratio,
    /// The error status; 503 unless said.
    #[schemars(range(min = 400, max = 599))]
    #[serde(default = "unavailable", deserialize_with = "error_status")]
    status: u16,
    /// All other requests wait so long while it lasts, 50ms to 1s.
    #[serde(deserialize_with = "delay")]
    delay: Duration,
    /// How long it lasts; 800ms unless said.
    #[serde(default = "lasting", deserialize_with = "cycle_part")]
    on: Duration,
    /// How long all is well in between; 200ms unless said.
    #[serde(default = "pause", deserialize_with = "cycle_part")]
    off: Duration,
}

fn some() -> Ratio {
    Ratio::from_percent(20)
}

fn unavailable() -> u16 {
    503
}

fn lasting() -> Duration {
    Duration::from_millis(800)
}

fn pause() -> Duration {
    Duration::from_millis(200)
}

impl TryFrom<Written> for BrownOutSpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { edge, errors, status, delay, on, off } = written;
        if on + off > CYCLE_MAX {
            return Err(format!(
                "a cycle of {} is too long; `on` and `off` together are at most {CYCLE_MAX}",
                on + off
            ));
        }
        Ok(Self { edge, errors, status, delay, on, off })
    }
}

impl EdgeSpec for BrownOutSpec {
    const KIND: &'static str = "brown-out";
    const SUMMARY: &'static str =
        "the callee of an edge is slow and answers with errors, now and then";

    fn edge(&self) -> &EdgeName {
        &self.edge
    }

    fn order(&self, seed: u64) -> Order {
        let effect = ProxyEffect::Http(HttpEffect {
            method: None,
            path: None,
            errors: self.errors,
            status: self.status,
            delayed: Ratio::ONE,
            delay: self.delay,
            seed,
        });
        Order { effect, pulse: Some(Pulse { on: self.on, off: self.off }) }
    }
}

impl Symptom for BrownOutSpec {
    const METHOD: &'static str = "requests through the edge on fresh connections, over a cycle";

    fn question(&self, deadline: Duration) -> Question<'_> {
        Question::once((self.delay.times(2) + Duration::from_millis(200)).min(deadline))
    }

    fn says(&self, _question: Question<'_>, slot: &Slot, seen: &Seen) -> (Says, String) {
        let says = match seen {
            Seen::Answered { status, .. } if *status == self.status => Says::InForce,
            Seen::Answered { status, took } if *status == slot.status => {
                let took = took.iter().min().copied().unwrap_or_default();
                let shift = took.saturating_sub(slot.round_trip).micros() * 10;
                if shift >= self.delay.micros() * 8 {
                    Says::InForce
                } else if shift < self.delay.micros() * 4 {
                    Says::NotInForce
                } else {
                    Says::Nothing
                }
            }
            _ => Says::Nothing,
        };
        (says, seen.to_string())
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::*;
    use crate::proxy::edge_fault::EdgeFault;

    const BROWN_OUT: EdgeFault<BrownOutSpec> = EdgeFault::INJECTOR;

    #[test]
    fn defaults_are_written_out_and_nonsense_is_refused() {
        let spec = json!({"edge": "a->b", "delay": "300ms"});
        let written = BROWN_OUT.check(&spec).unwrap();
        let defaults = json!({
            "edge": "a->b", "errors": "20%", "status": 503, "delay": "300ms", "on": "800ms",
            "off": "200ms",
        });
        assert_eq!(written, defaults);
        assert_eq!(BROWN_OUT.check(&written).unwrap(), written);
        let long = json!({"edge": "a->b", "delay": "300ms", "on": "900ms"});
        let error = BROWN_OUT.check(&long).unwrap_err();
        assert!(error.message.contains("too long") && error.hint.contains("1s"), "{error:?}");
    }
}
