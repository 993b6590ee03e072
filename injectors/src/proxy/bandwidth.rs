//! `bandwidth`: connections of an edge carry no more than so much.

use harness_core::ids::EdgeName;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::debt::Order;
use super::edge_fault::EdgeSpec;
use super::look::{Question, Seen};
use super::ranges::between;
use super::wire::ProxyEffect;
use super::witness::{Says, Slot, Symptom};

/// A look sends as much as takes so long.
const TRANSFER_MS: u64 = 300;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BandwidthSpec {
    /// The edge, as `caller->callee`.
    pub edge: EdgeName,
    /// What each connection carries in each direction, in KiB per second, 1 to 1024.
    #[schemars(range(min = 1, max = 1024))]
    #[serde(deserialize_with = "kib_per_second")]
    pub kib_per_second: u64,
}

fn kib_per_second<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    between(from, 1..=1024)
}

impl BandwidthSpec {
    fn bytes_per_second(&self) -> u64 {
        self.kib_per_second * 1024
    }
}

impl EdgeSpec for BandwidthSpec {
    const KIND: &'static str = "bandwidth";
    const SUMMARY: &'static str = "connections of an edge carry only so much";

    fn edge(&self) -> &EdgeName {
        &self.edge
    }

    fn order(&self, _seed: u64) -> Order {
        ProxyEffect::Bandwidth { bytes_per_second: self.bytes_per_second() }.into()
    }
}

impl Symptom for BandwidthSpec {
    const METHOD: &'static str = "the time of a larger request through the edge";

    fn question(&self, deadline: Duration) -> Question<'_> {
        let bytes = self.bytes_per_second() * TRANSFER_MS / 1000;
        let padding_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Question { padding_bytes, ..Question::once(deadline.times(9).divided_by(10)) }
    }

    fn says(&self, _question: Question<'_>, slot: &Slot, seen: &Seen) -> (Says, String) {
        let says = match seen {
            Seen::Answered { status, took } if *status == slot.status => {
                let took = took.iter().min().copied().unwrap_or_default();
                let shift = took.saturating_sub(slot.round_trip).millis();
                if shift * 10 >= TRANSFER_MS * 8 {
                    Says::InForce
                } else if shift * 10 < TRANSFER_MS * 2 {
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
