//! `label-drop`: a label is removed from the series on their way, as a change of relabelling does
//! it; what selects by that label finds nothing any more.

use harness_core::ids::ServiceName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::TelemetrySpec;
use super::witness::Sight;
use crate::proxy::Says;

/// Labels that say whose a series is: without them nobody could tell what is told of whom.
const IDENTITY: [&str; 3] = ["service", "instance", "slot"];
/// A longer name is refused.
const LABEL_BYTES_MAX: usize = 80;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct LabelDropSpec {
    pub(crate) services: Vec<ServiceName>,
    pub(crate) label: String,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "LabelDropSpec", description = "A label of metrics is lost.")]
struct Written {
    /// Whose metrics; those of all that is scraped.
    #[serde(default)]
    services: Vec<ServiceName>,
    /// The label; neither `service`, `instance` nor `slot`.
    label: String,
}

impl TryFrom<Written> for LabelDropSpec {
    type Error = String;

    fn try_from(Written { services, label }: Written) -> Result<Self, String> {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        if label.is_empty() || label.len() > LABEL_BYTES_MAX || !label.chars().all(is_name) {
            return Err("`label` has 1 to 80 letters, digits and `_`".to_owned());
        }
        if IDENTITY.contains(&label.as_str()) {
            return Err(format!("`label` cannot be `{label}`, which says whose a series is"));
        }
        Ok(Self { services, label })
    }
}

impl TelemetrySpec for LabelDropSpec {
    const KIND: &'static str = "label-drop";
    const SUMMARY: &'static str = "series lose a label on their way to the collector";
    const METHOD: &'static str = "labels of the services' own metrics and of those that are told";

    fn services(&self) -> &[ServiceName] {
        &self.services
    }

    fn distortion(&self) -> Value {
        json!({ "dropLabel": { "label": self.label } })
    }

    fn says(&self, sight: &Sight<'_>) -> Option<(Says, String)> {
        let has_it = sight.own.iter().filter(|one| one.key.label(&self.label).is_some());
        let (mut with, mut without) = (0, 0);
        let mut exposed = 0;
        for own in has_it {
            exposed += 1;
            for told in sight.live(&own.key) {
                match told.key.label(&self.label) {
                    Some(_) => with += 1,
                    None => without += 1,
                }
            }
        }
        if exposed == 0 {
            return None;
        }
        let says = match (with, without) {
            (0, 1..) => Says::InForce,
            (1.., 0) => Says::NotInForce,
            _ => Says::Nothing,
        };
        let label = &self.label;
        Some((says, format!("{exposed} series have `{label}`, told {with} with and {without} not")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::witness::Before;
    use super::super::witness::tests::{NOW, series, sight};
    use super::*;

    #[test]
    fn a_label_that_says_whose_a_series_is_cannot_be_dropped() {
        let spec = |value: Value| serde_json::from_value::<LabelDropSpec>(value);
        assert!(spec(json!({"label": "code", "services": ["edge"]})).is_ok());
        for wrong in [json!({}), json!({"label": ""}), json!({"label": "a b"})] {
            assert!(spec(wrong.clone()).is_err(), "{wrong}");
        }
        let whose = spec(json!({"label": "slot"})).unwrap_err().to_string();
        assert!(whose.contains("says whose"), "{whose}");
    }

    #[test]
    fn what_is_exposed_with_the_label_is_told_without_it() {
        let spec = LabelDropSpec { services: vec![], label: "code".to_owned() };
        let own = series("a_total{instance=\"i\",code=\"200\"} 5\nup{instance=\"i\"} 1\n");
        let says = |told: &str| {
            let told = series(told);
            spec.says(&sight(&own, &told, &[], &Before::default())).unwrap().0
        };
        let (now, old) = (NOW - 100, NOW - 5_000);
        let with = format!("a_total{{instance=\"i\",code=\"200\"}} 5 {now}\n");
        let bare = format!("a_total{{instance=\"i\"}} 5 {now}\n");
        assert_eq!(says(&bare), Says::InForce);
        assert_eq!(says(&with), Says::NotInForce);
        assert_eq!(says(&format!("{with}{bare}")), Says::Nothing);
        assert_eq!(says(&bare.replace(&now.to_string(), &old.to_string())), Says::Nothing);
        assert_eq!(says(&bare.replace("\"i\"", "\"j\"")), Says::Nothing, "another instance");
        let none = series("up{instance=\"i\"} 1\n");
        assert!(spec.says(&sight(&none, &none, &[], &Before::default())).is_none());
    }
}
