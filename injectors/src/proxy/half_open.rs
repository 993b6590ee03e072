//! `half-open`: the callee gets every request, and its answers do not come back.

use harness_core::ids::EdgeName;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debt::Order;
use super::edge_fault::EdgeSpec;
use super::look::{Question, Seen};
use super::wire::ProxyEffect;
use super::witness::{SILENCE, Says, Slot, Symptom};

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HalfOpenSpec {
    /// The edge, as `caller->callee`.
    pub edge: EdgeName,
}

impl EdgeSpec for HalfOpenSpec {
    const KIND: &'static str = "half-open";
    const SUMMARY: &'static str = "the callee of an edge gets requests, and no answer comes back";

    fn edge(&self) -> &EdgeName {
        &self.edge
    }

    fn order(&self, _seed: u64) -> Order {
        ProxyEffect::HalfOpen.into()
    }
}

impl Symptom for HalfOpenSpec {
    const METHOD: &'static str = "HTTP request through the edge on a fresh connection";

    fn question(&self, deadline: Duration) -> Question<'_> {
        Question::once(SILENCE.min(deadline.divided_by(2)))
    }

    fn says(&self, question: Question<'_>, slot: &Slot, seen: &Seen) -> (Says, String) {
        let says = match seen {
            // A look that was cut short cannot prove silence.
            Seen::Silent if question.silence == SILENCE => Says::InForce,
            Seen::Answered { status, .. } if *status == slot.status => Says::NotInForce,
            _ => Says::Nothing,
        };
        (says, seen.to_string())
    }
}
