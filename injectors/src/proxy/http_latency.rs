//! `http-latency`: some requests on an edge are delayed, the others pass.

use harness_core::ids::EdgeName;
use harness_core::units::{Duration, Ratio};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debt::Order;
use super::edge_fault::EdgeSpec;
use super::http_error::{HttpPath, Method, all, asked};
use super::look::{Question, Seen, Telling};
use super::ranges::{delay, requests_to_hit, share};
use super::wire::{HttpEffect, ProxyEffect};
use super::witness::{Says, Slot, Symptom, some_late};

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpLatencySpec {
    /// The edge, as `caller->callee`.
    pub edge: EdgeName,
    /// How long a request waits before it is passed on, 50ms to 1s.
    #[serde(deserialize_with = "delay")]
    pub delay: Duration,
    /// How many of the requests, each for itself, 5% to 100%.
    #[serde(default = "all", deserialize_with = "share")]
    pub share: Ratio,
    /// Only requests of this method. The witness sends some, without a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Only requests whose path begins so. The witness asks for exactly this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPath>,
}

impl EdgeSpec for HttpLatencySpec {
    const KIND: &'static str = "http-latency";
    const SUMMARY: &'static str = "some requests on an edge are delayed";

    fn edge(&self) -> &EdgeName {
        &self.edge
    }

    fn order(&self, seed: u64) -> Order {
        ProxyEffect::Http(HttpEffect {
            method: self.method.map(|method| method.text().to_owned()),
            path: self.path.as_ref().map(|path| path.text().to_owned()),
            errors: Ratio::ZERO,
            status: 503,
            delayed: self.share,
            delay: self.delay,
            seed,
        })
        .into()
    }
}

impl Symptom for HttpLatencySpec {
    const METHOD: &'static str = "round-trip times through the edge on a fresh connection";

    fn question(&self, deadline: Duration) -> Question<'_> {
        let requests = requests_to_hit(self.share);
        let until = Some(Telling::Late(self.delay));
        let once = Question::once(deadline.times(9).divided_by(10));
        asked(self.method, self.path.as_ref(), Question { requests, until, ..once })
    }

    fn says(&self, question: Question<'_>, slot: &Slot, seen: &Seen) -> (Says, String) {
        (some_late(self.delay, question, slot, seen), seen.to_string())
    }

    /// A request without a body may be refused by the callee.
    fn is_healthy(&self, status: u16) -> bool {
        status == 200 || self.method.is_some() || self.path.is_some()
    }
}
