//! `counter-reset`: counters begin from zero again, and no process was restarted: an exporter that
//! was reset, a series that moved to another shard.
//!
//! The services go on counting; only what the collector tells begins anew. When the fault ends, it
//! tells the services' own counts again, back to before the fault.

use harness_core::ids::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::TelemetrySpec;
use super::exposition::{Key, Series};
use super::witness::Sight;
use crate::proxy::Says;

/// A counter that has counted less says nothing.
const COUNTED_MIN: f64 = 20.0;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "CounterResetSpec", description = "Counters begin from zero again.")]
pub(crate) struct ResetSpec {
    /// Whose counters; those of all that is scraped.
    #[serde(default)]
    pub(crate) services: Vec<ServiceName>,
}

impl TelemetrySpec for ResetSpec {
    const KIND: &'static str = "counter-reset";
    const SUMMARY: &'static str = "counters begin from zero again without a restart";
    const METHOD: &'static str = "the services' own counts, before and after one that is told";
    const COUNTS: bool = true;

    fn services(&self) -> &[ServiceName] {
        &self.services
    }

    fn distortion(&self) -> Value {
        json!({ "reset": {} })
    }

    fn says(&self, sight: &Sight<'_>) -> Option<(Says, String)> {
        let (key, before) = sight.before.counter.as_ref()?;
        if *before < COUNTED_MIN {
            return None;
        }
        let (first, last) = (value(sight.own, key)?, value(sight.again, key)?);
        let is = |one: &&Series| one.key.labels.get("le") == key.labels.get("le");
        let told = sight.live(key).filter(is).find(|one| has(one, key))?.value;
        // The told one was scraped between the two looks; a counter never falls.
        let says = if last - first > before / 2.0 {
            Says::Nothing
        } else if told < first && told <= last - before / 2.0 {
            Says::InForce
        } else if told >= first {
            Says::NotInForce
        } else {
            Says::Nothing
        };
        let name = &key.name;
        Some((says, format!("{name} is {first} to {last} by its own count, and told as {told}")))
    }
}

fn value(series: &[Series], key: &Key) -> Option<f64> {
    series.iter().find(|one| one.key == *key).map(|one| one.value)
}

/// Whether a told series has all labels of an own one.
fn has(told: &Series, own: &Key) -> bool {
    own.labels.iter().all(|(key, value)| told.key.label(key) == Some(value.as_str()))
}

#[cfg(test)]
mod tests {
    use super::super::witness::Before;
    use super::super::witness::tests::{NOW, series, sight};
    use super::*;

    #[test]
    fn a_reset_has_only_services() {
        let spec = |value: Value| serde_json::from_value::<ResetSpec>(value);
        let written = serde_json::to_value(spec(json!({})).unwrap()).unwrap();
        assert_eq!(written, json!({"services": []}));
        assert!(spec(json!({"to": 5})).is_err());
    }

    #[test]
    fn a_count_below_what_the_service_itself_had_before_is_a_reset() {
        let spec = ResetSpec { services: vec![] };
        let line = |value: f64| format!("a_total{{instance=\"i\"}} {value}");
        let says = |before: f64, own: (f64, f64), told: f64| {
            let (first, last) = (series(&line(own.0)), series(&line(own.1)));
            let told = series(&format!("{} {}", line(told), NOW - 50));
            let before = Before { counter: Some((first[0].key.clone(), before)), step_ms: 200 };
            let mut sight = sight(&first, &told, &[], &before);
            sight.again = &last;
            spec.says(&sight).map(|(says, _)| says)
        };
        assert_eq!(says(900.0, (1_000.0, 1_040.0), 130.0), Some(Says::InForce));
        assert_eq!(says(900.0, (1_000.0, 1_040.0), 1_020.0), Some(Says::NotInForce));
        assert_eq!(says(900.0, (1_000.0, 1_040.0), 990.0), Some(Says::Nothing), "an old scrape");
        assert_eq!(says(30.0, (1_000.0, 1_040.0), 1_010.0), Some(Says::Nothing), "too fast");
        assert_eq!(says(5.0, (1_000.0, 1_000.0), 995.0), None, "it had counted next to nothing");
    }
}
