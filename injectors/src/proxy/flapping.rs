//! `flapping`: the callee of an edge goes away and comes back, again and again.

use harness_core::ids::EdgeName;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debt::Order;
use super::dependency_outage::{OutageMode, OutageSpec};
use super::edge_fault::EdgeSpec;
use super::look::{Question, Seen};
use super::ranges::{CYCLE_MAX, cycle_part};
use super::wire::Pulse;
use super::witness::{Says, Slot, Symptom};

/// Silence takes so long to be proven, and some more.
const BLACKHOLE_MIN: Duration = Duration::from_millis(600);

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub struct FlappingSpec {
    /// The edge, as `caller->callee`.
    pub edge: EdgeName,
    /// How the callee is out.
    pub mode: OutageMode,
    /// How long it is out, 50ms to 950ms; with mode `blackhole` at least 600ms.
    pub down: Duration,
    /// How long it is back in between, 50ms to 950ms; both together at most 1s.
    pub up: Duration,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "FlappingSpec", description = "The callee of an edge comes and goes.")]
struct Written {
    /// The edge, as `caller->callee`.
    edge: EdgeName,
    /// How the callee is out; with mode `status` it answers 503.
    mode: OutageMode,
    /// How long it is out; with mode `blackhole` at least 600ms.
    #[serde(deserialize_with = "cycle_part")]
    down: Duration,
    /// How long it is back in between; both together at most 1s.
    #[serde(deserialize_with = "cycle_part")]
    up: Duration,
}

impl TryFrom<Written> for FlappingSpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { edge, mode, down, up } = written;
        if down + up > CYCLE_MAX {
            return Err(format!(
                "a cycle of {} is too long; `down` and `up` together are at most {CYCLE_MAX}",
                down + up
            ));
        }
        if mode == OutageMode::Blackhole && down < BLACKHOLE_MIN {
            return Err(format!(
                "silence of {down} cannot be told from a slow answer; write at least \
                 {BLACKHOLE_MIN}"
            ));
        }
        Ok(Self { edge, mode, down, up })
    }
}

impl FlappingSpec {
    /// What it is while it is out.
    fn outage(&self) -> OutageSpec {
        OutageSpec::of(self.edge.clone(), self.mode)
    }
}

impl EdgeSpec for FlappingSpec {
    const KIND: &'static str = "flapping";
    const SUMMARY: &'static str = "the callee of an edge goes away and comes back, again and again";

    fn edge(&self) -> &EdgeName {
        &self.edge
    }

    fn order(&self, seed: u64) -> Order {
        let pulse = Some(Pulse { on: self.down, off: self.up });
        Order { pulse, ..self.outage().order(seed) }
    }
}

impl Symptom for FlappingSpec {
    const METHOD: &'static str = "requests through the edge on fresh connections, over a cycle";

    fn question(&self, deadline: Duration) -> Question<'_> {
        OutageSpec::asked(deadline)
    }

    fn says(&self, question: Question<'_>, slot: &Slot, seen: &Seen) -> (Says, String) {
        self.outage().says(question, slot, seen)
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::*;
    use crate::proxy::edge_fault::EdgeFault;

    const FLAPPING: EdgeFault<FlappingSpec> = EdgeFault::INJECTOR;

    #[test]
    fn what_cannot_be_seen_is_refused() {
        let check = |mode: &str, down: &str, up: &str| {
            let spec = json!({"edge": "a->b", "mode": mode, "down": down, "up": up});
            FLAPPING.check(&spec).map_err(|error| error.message)
        };
        assert!(check("refuse", "300ms", "200ms").is_ok());
        assert!(check("blackhole", "600ms", "200ms").is_ok());
        for (mode, down, up, message) in [
            ("refuse", "600ms", "500ms", "too long"),
            ("blackhole", "300ms", "300ms", "cannot be told"),
            ("reset", "10ms", "300ms", "out of range"),
        ] {
            let error = check(mode, down, up).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
