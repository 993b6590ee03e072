//! `telemetry-lag`: what the collector gathers becomes visible only later, with its own times: an
//! exporter that is behind, a full queue in the pipeline.

use harness_core::ids::ServiceName;
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::TelemetrySpec;
use super::witness::Sight;
use crate::proxy::Says;

/// A shorter lag would not differ from a slow scrape.
const BY_MIN: Duration = Duration::from_secs(1);
/// Older data is not kept by the collector for long.
const BY_MAX: Duration = Duration::from_secs(30);

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct LagSpec {
    pub(crate) services: Vec<ServiceName>,
    pub(crate) by: Duration,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "TelemetryLagSpec", description = "Metrics become visible late.")]
struct Written {
    /// Whose metrics; those of all that is scraped.
    #[serde(default)]
    services: Vec<ServiceName>,
    /// How much later they become visible, from 1s to 30s.
    by: Duration,
}

impl TryFrom<Written> for LagSpec {
    type Error = String;

    fn try_from(Written { services, by }: Written) -> Result<Self, String> {
        if !(BY_MIN..=BY_MAX).contains(&by) {
            return Err(format!("`by` is from {BY_MIN} to {BY_MAX}, not {by}"));
        }
        Ok(Self { services, by })
    }
}

impl TelemetrySpec for LagSpec {
    const KIND: &'static str = "telemetry-lag";
    const SUMMARY: &'static str = "what the collector gathers becomes visible late";
    const METHOD: &'static str = "the services' own metrics, and when the collector saw them last";

    fn services(&self) -> &[ServiceName] {
        &self.services
    }

    fn distortion(&self) -> Value {
        json!({ "lag": { "byMs": self.by.millis() } })
    }

    fn says(&self, sight: &Sight<'_>) -> Option<(Says, String)> {
        let Some(age_ms) = sight.age_ms() else {
            return Some((Says::Nothing, "no scrape is told".to_owned()));
        };
        // The target answers just now, so it is not that it could not be scraped.
        let by_ms = i64::try_from(self.by.millis()).unwrap_or(i64::MAX);
        let says = if age_ms >= by_ms / 10 * 8 {
            Says::InForce
        } else if age_ms < by_ms / 2 {
            Says::NotInForce
        } else {
            Says::Nothing
        };
        Some((says, format!("the newest scrape that is told is {age_ms} ms old")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::witness::Before;
    use super::super::witness::tests::{NOW, sight};
    use super::*;

    #[test]
    fn a_lag_is_written_with_its_time_and_bounded() {
        let spec = |value: Value| serde_json::from_value::<LagSpec>(value);
        let written = serde_json::to_value(spec(json!({"by": "2s"})).unwrap()).unwrap();
        assert_eq!(written, json!({"services": [], "by": "2s"}));
        for wrong in [json!({}), json!({"by": "900ms"}), json!({"by": "31s"})] {
            assert!(spec(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn old_scrapes_of_a_target_that_answers_are_a_lag() {
        let spec = LagSpec { services: vec![], by: Duration::from_secs(2) };
        let says =
            |scrapes: &[i64]| spec.says(&sight(&[], &[], scrapes, &Before::default())).unwrap().0;
        assert_eq!(says(&[NOW - 5_000, NOW - 1_700]), Says::InForce);
        assert_eq!(says(&[NOW - 5_000, NOW - 300]), Says::NotInForce);
        assert_eq!(says(&[NOW - 1_200]), Says::Nothing);
        assert_eq!(says(&[]), Says::Nothing);
    }
}
