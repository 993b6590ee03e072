//! `latency`: every round trip on an edge takes longer.

use harness_core::fault::{BlastRadius, Cx, Effect, FaultError, Injector, Reversibility, Reverted};
use harness_core::ids::EdgeName;
use harness_core::topology::Topology;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debt::{self, ProxyDebt};
use super::wire::ProxyEffect;

/// A shorter delay cannot be told from noise.
const DELAY_MIN: Duration = Duration::from_millis(1);
/// A longer delay is an outage.
const DELAY_MAX: Duration = Duration::from_secs(60);

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

impl LatencySpec {
    /// What the proxy does.
    pub(crate) fn effect(&self) -> ProxyEffect {
        ProxyEffect::Latency { delay: self.delay, jitter: self.jitter }
    }

    /// No round trip is delayed by less.
    pub(crate) fn least(&self) -> Duration {
        self.delay.saturating_sub(self.jitter)
    }
}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub struct Latency;

impl Injector for Latency {
    const KIND: &'static str = "latency";
    const SUMMARY: &'static str = "every round trip on an edge takes longer";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    type Spec = LatencySpec;
    type Undo = ProxyDebt;

    fn blast_radius(spec: &LatencySpec, topology: &Topology) -> Result<BlastRadius, FaultError> {
        debt::radius(&spec.edge, topology)
    }

    fn mechanism(_spec: &LatencySpec) -> String {
        "proxy".to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &LatencySpec) -> Result<ProxyDebt, FaultError> {
        debt::arm(cx, &spec.edge).await
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        spec: &LatencySpec,
        undo: &ProxyDebt,
    ) -> Result<Option<ProxyDebt>, FaultError> {
        undo.inject(cx, spec.effect()).await.map(|()| None)
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        spec: &LatencySpec,
        undo: &ProxyDebt,
    ) -> Result<Effect, FaultError> {
        undo.verify(cx, spec.effect()).await
    }

    async fn renew(&self, cx: &Cx<'_>, undo: &ProxyDebt) -> Result<(), FaultError> {
        undo.renew(cx).await
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &ProxyDebt) -> Result<Reverted, FaultError> {
        undo.revert(cx).await
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_are_written_out_and_nonsense_is_refused() {
        assert_eq!(
            Latency.check(&json!({"edge": "a->b", "delay": "200ms"})).unwrap(),
            json!({"edge": "a->b", "delay": "200ms", "jitter": "0s"})
        );
        for (delay, jitter, message) in [
            ("200ms", "150ms", "jitter of 150ms is too large"),
            ("0s", "0s", "out of range"),
            ("2m", "0s", "out of range"),
            ("200", "0s", "no unit"),
        ] {
            let spec = json!({"edge": "a->b", "delay": delay, "jitter": jitter});
            let error = Latency.check(&spec).unwrap_err();
            assert!(error.message.contains(message) && !error.hint.is_empty(), "{error:?}");
        }
    }
}
