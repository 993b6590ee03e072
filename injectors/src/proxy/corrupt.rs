//! `corrupt`: bytes of the answers on an edge arrive changed.

use harness_core::ids::EdgeName;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::debt::Order;
use super::edge_fault::EdgeSpec;
use super::look::{Question, Seen};
use super::ranges::between;
use super::wire::ProxyEffect;
use super::witness::{SILENCE, Says, Slot, Symptom};

/// No answer over HTTP/1.1 is shorter.
const ANSWER_BYTES_MIN: u64 = 19;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CorruptSpec {
    /// The edge, as `caller->callee`.
    pub edge: EdgeName,
    /// The highest bit of one byte in so many is flipped, 1 to 4096; counted by connection.
    #[schemars(range(min = 1, max = 4096))]
    #[serde(default = "often", deserialize_with = "every_bytes")]
    pub every_bytes: u64,
}

fn often() -> u64 {
    256
}

fn every_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    between(from, 1..=4096)
}

/// So many answers have more than so many bytes.
pub(super) fn requests_for_bytes(bytes: u64) -> u32 {
    u32::try_from(bytes / ANSWER_BYTES_MIN + 2).unwrap_or(u32::MAX)
}

impl EdgeSpec for CorruptSpec {
    const KIND: &'static str = "corrupt";
    const SUMMARY: &'static str = "bytes of the answers on an edge arrive changed";

    fn edge(&self) -> &EdgeName {
        &self.edge
    }

    fn order(&self, _seed: u64) -> Order {
        ProxyEffect::Corrupt { every_bytes: self.every_bytes }.into()
    }
}

impl Symptom for CorruptSpec {
    const METHOD: &'static str = "bytes of answers through the edge on a fresh connection";

    fn question(&self, deadline: Duration) -> Question<'_> {
        let requests = requests_for_bytes(self.every_bytes);
        Question { requests, ..Question::once(SILENCE.min(deadline.divided_by(2))) }
    }

    fn says(&self, question: Question<'_>, slot: &Slot, seen: &Seen) -> (Says, String) {
        let asked = usize::try_from(question.requests).unwrap_or(usize::MAX);
        let says = match seen {
            Seen::Garbled => Says::InForce,
            Seen::Answered { status, took } if *status == slot.status && took.len() == asked => {
                Says::NotInForce
            }
            _ => Says::Nothing,
        };
        (says, seen.to_string())
    }
}
