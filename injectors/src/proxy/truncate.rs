//! `truncate`: every connection of an edge is closed in the middle of an answer.

use harness_core::ids::EdgeName;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::corrupt::requests_for_bytes;
use super::debt::Order;
use super::edge_fault::EdgeSpec;
use super::look::{Question, Seen};
use super::ranges::between;
use super::wire::ProxyEffect;
use super::witness::{SILENCE, Says, Slot, Symptom};

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TruncateSpec {
    /// The edge, as `caller->callee`.
    pub edge: EdgeName,
    /// So many bytes of answers pass on each connection, 0 to 4096; then it is closed.
    #[schemars(range(max = 4096))]
    #[serde(default = "head", deserialize_with = "after_bytes")]
    pub after_bytes: u64,
}

/// In the middle of the head of most answers.
fn head() -> u64 {
    20
}

fn after_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    between(from, 0..=4096)
}

impl EdgeSpec for TruncateSpec {
    const KIND: &'static str = "truncate";
    const SUMMARY: &'static str = "connections of an edge are closed in the middle of an answer";

    fn edge(&self) -> &EdgeName {
        &self.edge
    }

    fn order(&self, _seed: u64) -> Order {
        ProxyEffect::Truncate { after_bytes: self.after_bytes }.into()
    }
}

impl Symptom for TruncateSpec {
    const METHOD: &'static str = "whole answers through the edge on a fresh connection";

    fn question(&self, deadline: Duration) -> Question<'_> {
        let requests = requests_for_bytes(self.after_bytes);
        Question { requests, ..Question::once(SILENCE.min(deadline.divided_by(2))) }
    }

    fn says(&self, question: Question<'_>, slot: &Slot, seen: &Seen) -> (Says, String) {
        let asked = usize::try_from(question.requests).unwrap_or(usize::MAX);
        let says = match seen {
            // The next request may find the connection reset.
            Seen::Closed | Seen::Reset => Says::InForce,
            Seen::Answered { status, took } if *status == slot.status && took.len() == asked => {
                Says::NotInForce
            }
            _ => Says::Nothing,
        };
        (says, seen.to_string())
    }
}
