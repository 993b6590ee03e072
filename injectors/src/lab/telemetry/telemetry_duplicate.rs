//! `telemetry-duplicate`: every series is told several times, as with two collectors of the same
//! targets whose copies nobody merges; sums over series come out too high.

use harness_core::ids::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::witness::Sight;
use super::{TelemetrySpec, within};
use crate::proxy::Says;

/// More copies are refused.
const TIMES_MAX: u32 = 10;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct DuplicateSpec {
    pub(crate) services: Vec<ServiceName>,
    pub(crate) times: u32,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "TelemetryDuplicateSpec", description = "Metrics are told several times.")]
struct Written {
    /// Whose metrics; those of all that is scraped.
    #[serde(default)]
    services: Vec<ServiceName>,
    /// How often each series is told, from 2 to 10; 2.
    #[schemars(range(min = 2, max = 10))]
    #[serde(default = "times")]
    times: u32,
}

fn times() -> u32 {
    2
}

impl TryFrom<Written> for DuplicateSpec {
    type Error = String;

    fn try_from(Written { services, times }: Written) -> Result<Self, String> {
        Ok(Self { services, times: within("times", times, 2, TIMES_MAX)? })
    }
}

impl TelemetrySpec for DuplicateSpec {
    const KIND: &'static str = "telemetry-duplicate";
    const SUMMARY: &'static str = "the collector tells every series several times";
    const METHOD: &'static str = "number of the services' own series and of those that are told";

    fn services(&self) -> &[ServiceName] {
        &self.services
    }

    fn distortion(&self) -> Value {
        json!({ "duplicate": { "times": self.times } })
    }

    fn says(&self, sight: &Sight<'_>) -> Option<(Says, String)> {
        let times = usize::try_from(self.times).unwrap_or(usize::MAX);
        // A series that is told with all its own labels, however many others it is told with.
        let told = |own: &super::exposition::Series| {
            let is = |key: &String, value: &String, one: &super::exposition::Series| {
                one.key.label(key) == Some(value.as_str())
            };
            sight
                .live(&own.key)
                .filter(|one| own.key.labels.iter().all(|(key, value)| is(key, value, one)))
                .count()
        };
        let counts: Vec<usize> = sight.own.iter().map(told).filter(|count| *count > 0).collect();
        let (exposed, all) = (sight.own.len(), counts.iter().sum::<usize>());
        let says = if counts.is_empty() {
            Says::Nothing
        } else if counts.iter().all(|count| *count == times) {
            Says::InForce
        } else if counts.iter().all(|count| *count == 1) {
            Says::NotInForce
        } else {
            Says::Nothing
        };
        (exposed > 0).then(|| (says, format!("{exposed} series are exposed and {all} told")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::witness::Before;
    use super::super::witness::tests::{NOW, series, sight};
    use super::*;

    #[test]
    fn copies_have_a_default_and_a_bound() {
        let spec = |value: Value| serde_json::from_value::<DuplicateSpec>(value);
        let written = serde_json::to_value(spec(json!({})).unwrap()).unwrap();
        assert_eq!(written, json!({"services": [], "times": 2}));
        for wrong in [json!({"times": 1}), json!({"times": 11})] {
            assert!(spec(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_series_must_be_told_so_many_times() {
        let spec = DuplicateSpec { services: vec![], times: 2 };
        let own = series("a_total{instance=\"i\",code=\"1\"} 5\nb{instance=\"i\"} 1\n");
        let told = |copies: &[(&str, u32)]| {
            let lines: String = copies
                .iter()
                .flat_map(|(key, times)| {
                    (0..*times).map(move |number| {
                        format!("{key},replica=\"{number}\"}} 5 {}\n", NOW - 100)
                    })
                })
                .collect();
            let told = series(&lines);
            spec.says(&sight(&own, &told, &[], &Before::default())).unwrap().0
        };
        let (a, b) = ("a_total{instance=\"i\",code=\"1\"", "b{instance=\"i\"");
        assert_eq!(told(&[(a, 2), (b, 2)]), Says::InForce);
        assert_eq!(told(&[(a, 1), (b, 1)]), Says::NotInForce);
        assert_eq!(told(&[(a, 2), (b, 1)]), Says::Nothing);
        assert_eq!(told(&[(a, 3), (b, 3)]), Says::Nothing);
        assert_eq!(told(&[]), Says::Nothing);
    }
}
