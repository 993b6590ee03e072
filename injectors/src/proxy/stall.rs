//! `stall`: now and then a request on an edge waits, as after a lost packet.

use harness_core::ids::EdgeName;
use harness_core::units::{Duration, Ratio};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debt::Order;
use super::edge_fault::EdgeSpec;
use super::look::{Question, Seen, Telling};
use super::ranges::{delay, requests_to_hit, share};
use super::wire::ProxyEffect;
use super::witness::{Says, Slot, Symptom, some_late};

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StallSpec {
    /// The edge, as `caller->callee`.
    pub edge: EdgeName,
    /// How many of the pieces of requests stall, each for itself, 5% to 100%.
    #[serde(deserialize_with = "share")]
    pub share: Ratio,
    /// How long a stalled piece, and what is behind it on its connection, waits; 50ms to 1s. The
    /// first retransmission of Linux comes after 200ms.
    #[serde(default = "retransmission", deserialize_with = "delay")]
    pub pause: Duration,
}

fn retransmission() -> Duration {
    Duration::from_millis(200)
}

impl EdgeSpec for StallSpec {
    const KIND: &'static str = "stall";
    const SUMMARY: &'static str = "some requests on an edge wait, as after a lost packet";

    fn edge(&self) -> &EdgeName {
        &self.edge
    }

    fn order(&self, seed: u64) -> Order {
        ProxyEffect::Stall { share: self.share, pause: self.pause, seed }.into()
    }
}

impl Symptom for StallSpec {
    const METHOD: &'static str = "round-trip times through the edge on a fresh connection";

    fn question(&self, deadline: Duration) -> Question<'_> {
        let silence = deadline.times(9).divided_by(10);
        let requests = requests_to_hit(self.share);
        let until = Some(Telling::Late(self.pause));
        Question { requests, until, ..Question::once(silence) }
    }

    fn says(&self, question: Question<'_>, slot: &Slot, seen: &Seen) -> (Says, String) {
        (some_late(self.pause, question, slot, seen), seen.to_string())
    }
}
