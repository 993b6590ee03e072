//! `alert-storm`: many alerts fire at once, all of them ours and marked. Nothing is wrong.

use std::collections::BTreeMap;

use harness_core::fault::{Cx, Debt, FaultError, Sighting, Witness};
use harness_core::system::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::leased::{Leased, LeasedSpec};
use super::spend::LabControl;

/// The service that tells of alerts, and its control.
pub(super) const ALERTER: &str = "alerter";
/// More alerts are refused.
const ALERTS_MAX: u32 = 500;
/// The label by which our alerts are known.
const MARKER: &str = "gameday";

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct AlertStormSpec {
    /// How many alerts fire.
    pub(crate) alerts: u32,
    /// Their common `alertname`.
    pub(crate) alertname: String,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AlertStormSpec", description = "Many marked alerts fire at once.")]
struct Written {
    /// How many alerts fire; 50.
    #[schemars(range(min = 1, max = 500))]
    #[serde(default = "alerts")]
    alerts: u32,
    /// Their common `alertname`; `GamedayStorm`.
    #[serde(default = "alertname")]
    alertname: String,
}

fn alerts() -> u32 {
    50
}

fn alertname() -> String {
    "GamedayStorm".to_owned()
}

impl TryFrom<Written> for AlertStormSpec {
    type Error = String;

    fn try_from(Written { alerts, alertname }: Written) -> Result<Self, String> {
        if !(1..=ALERTS_MAX).contains(&alerts) {
            return Err(format!("`alerts` is from 1 to {ALERTS_MAX}, not {alerts}"));
        }
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        if alertname.is_empty() || alertname.len() > 80 || !alertname.chars().all(is_name) {
            return Err("`alertname` has 1 to 80 letters, digits and `_`".to_owned());
        }
        Ok(Self { alerts, alertname })
    }
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AlertStormDebt {
    /// Who tells of alerts.
    pub(crate) alerter: LabControl,
    /// The mark of our alerts; used by no other fault, ever.
    pub(crate) marker: String,
    /// How many.
    pub(crate) alerts: u32,
    /// Their name.
    pub(crate) alertname: String,
}

/// One alert as the alerter's public interface lists it.
#[derive(Debug, Deserialize)]
struct Listed {
    labels: BTreeMap<String, String>,
}

impl Leased for AlertStormDebt {
    const PATH: &'static str = "/-/synthetic";
    const NAME: &'static str = "marker";

    fn control(&self) -> &LabControl {
        &self.alerter
    }

    fn name(&self) -> &str {
        &self.marker
    }

    fn body(&self) -> Value {
        json!({ "marker": self.marker, "alerts": self.alerts, "alertname": self.alertname })
    }

    fn holds(answer: &Value) -> bool {
        answer["alerts"].as_u64().is_some_and(|alerts| alerts > 0)
    }
}

impl LeasedSpec for AlertStormSpec {
    const KIND: &'static str = "alert-storm";
    const SUMMARY: &'static str = "many marked alerts fire at once, and nothing is wrong";
    const MECHANISM: &'static str = "synthetic alerts";
    const CONTROL: &'static str = ALERTER;
    type Order = AlertStormDebt;

    async fn order(
        &self,
        _cx: &Cx<'_>,
        alerter: LabControl,
        marker: String,
    ) -> Result<AlertStormDebt, FaultError> {
        let Self { alerts, alertname } = self.clone();
        Ok(AlertStormDebt { alerter, marker, alerts, alertname })
    }
}

/// Looks at the alerts that the alerter's public interface lists, on a connection of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AlertStormWitness;

impl AlertStormWitness {
    async fn see(cx: &Cx<'_>, undo: &Value) -> Result<Sighting, FaultError> {
        let undo = AlertStormDebt::deserialize(undo).map_err(|error| FaultError::Unreadable {
            what: "undo record".to_owned(),
            why: error.to_string(),
        })?;
        let of = ("/api/v2/alerts", "filter", MARKER);
        let listed: Vec<Listed> = undo.alerter.get("list the alerts", of, cx.deadline).await?;
        let own = listed.iter().filter(|one| one.labels.get(MARKER) == Some(&undo.marker)).count();
        let (own, all) = (u32::try_from(own).unwrap_or(u32::MAX), undo.alerts);
        let seen = format!("{own} of {all} marked alerts fire");
        Ok(match own {
            0 => Sighting::NotInForce(seen),
            own if own == all => Sighting::InForce(seen),
            _ => Sighting::Unknown(seen),
        })
    }
}

impl Witness for AlertStormWitness {
    fn method(&self) -> &'static str {
        "list of firing alerts"
    }

    fn baseline<'a>(
        &'a self,
        _cx: &'a Cx<'a>,
        _spec: &'a Value,
        _undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(std::future::ready(Ok(Value::Null)))
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::see(cx, debt.undo)
                .await
                .unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_written_out_and_bounds_are_kept() {
        let spec = |value: Value| serde_json::from_value::<AlertStormSpec>(value);
        let written = serde_json::to_value(spec(json!({})).unwrap()).unwrap();
        assert_eq!(written, json!({"alerts": 50, "alertname": "GamedayStorm"}));
        for wrong in [json!({"alerts": 501}), json!({"alerts": 0}), json!({"alertname": "a b"})] {
            assert!(spec(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
