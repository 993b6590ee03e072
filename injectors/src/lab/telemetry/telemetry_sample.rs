//! `telemetry-sample`: only one scrape in so many is kept, as after somebody has turned the rate
//! of samples down to save money.

use harness_core::ids::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::witness::Sight;
use super::{TelemetrySpec, within};
use crate::proxy::Says;

/// A smaller share is refused.
const ONE_IN_MAX: u32 = 20;
/// So many gaps between scrapes must say the same.
const GAPS: usize = 2;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct SampleSpec {
    pub(crate) services: Vec<ServiceName>,
    pub(crate) one_in: u32,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "TelemetrySampleSpec", description = "Only some scrapes are kept.")]
struct Written {
    /// Whose metrics; those of all that is scraped.
    #[serde(default)]
    services: Vec<ServiceName>,
    /// One scrape in so many is kept, from 2 to 20.
    #[schemars(range(min = 2, max = 20))]
    one_in: u32,
}

impl TryFrom<Written> for SampleSpec {
    type Error = String;

    fn try_from(Written { services, one_in }: Written) -> Result<Self, String> {
        Ok(Self { services, one_in: within("oneIn", one_in, 2, ONE_IN_MAX)? })
    }
}

impl TelemetrySpec for SampleSpec {
    const KIND: &'static str = "telemetry-sample";
    const SUMMARY: &'static str = "the collector keeps one scrape in so many";
    const METHOD: &'static str = "the services' own metrics, and the times of the scrapes told";

    fn services(&self) -> &[ServiceName] {
        &self.services
    }

    fn distortion(&self) -> Value {
        json!({ "sample": { "oneIn": self.one_in } })
    }

    fn says(&self, sight: &Sight<'_>) -> Option<(Says, String)> {
        let from = sight.scrapes.len().saturating_sub(GAPS + 1);
        let gaps: Vec<i64> =
            sight.scrapes[from..].windows(2).map(|pair| pair[1] - pair[0]).collect();
        // Before the fault the usual step is what is told now.
        let step_ms = if sight.before.step_ms > 0 {
            sight.before.step_ms
        } else {
            gaps.iter().min().copied().unwrap_or(0)
        };
        let limit_ms = step_ms * (i64::from(self.one_in) + 1) / 2;
        let age_ms = sight.age_ms().unwrap_or(i64::MAX);
        let says = if gaps.len() < GAPS || step_ms == 0 {
            Says::Nothing
        } else if gaps.iter().all(|gap| *gap >= limit_ms) {
            Says::InForce
        } else if gaps.iter().all(|gap| *gap < limit_ms) && age_ms < limit_ms {
            Says::NotInForce
        } else {
            Says::Nothing
        };
        Some((says, format!("the last scrapes told are {gaps:?} ms apart, usual are {step_ms}")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::witness::Before;
    use super::super::witness::tests::{NOW, sight};
    use super::*;

    #[test]
    fn a_share_is_bounded() {
        let spec = |value: Value| serde_json::from_value::<SampleSpec>(value);
        let written = serde_json::to_value(spec(json!({"oneIn": 5})).unwrap()).unwrap();
        assert_eq!(written, json!({"services": [], "oneIn": 5}));
        for wrong in [json!({}), json!({"oneIn": 1}), json!({"oneIn": 21})] {
            assert!(spec(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn gaps_between_scrapes_tell_that_some_are_missing() {
        let spec = SampleSpec { services: vec![], one_in: 5 };
        let before = Before { counter: None, step_ms: 200 };
        let says = |ago: &[i64]| {
            let scrapes: Vec<i64> = ago.iter().map(|ago| NOW - ago).collect();
            spec.says(&sight(&[], &[], &scrapes, &before)).unwrap().0
        };
        assert_eq!(says(&[3_000, 2_000, 1_000, 10]), Says::InForce);
        assert_eq!(says(&[3_000, 500, 300, 100]), Says::NotInForce);
        assert_eq!(says(&[1_200, 1_000, 800]), Says::Nothing, "the next one is late");
        assert_eq!(says(&[1_600, 600, 400]), Says::Nothing, "it has just ended");
        assert_eq!(says(&[100]), Says::Nothing);
    }
}
