//! `alert-storm`: many alerts fire at once, all of them ours and marked. Nothing is wrong.

use std::collections::BTreeMap;

use harness_core::fault::{
    BlastRadius, Cx, Debt, Effect, FaultError, Injector, Reversibility, Reverted, Sighting, Witness,
};
use harness_core::system::BoxFuture;
use harness_core::topology::Topology;
use hyper::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::spend::{self, LabControl};

/// The service that tells of alerts, and its control.
const ALERTER: &str = "alerter";
/// More alerts are refused.
const ALERTS_MAX: u32 = 500;
/// The label by which our alerts are known.
const MARKER: &str = "gameday";

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub struct AlertStormSpec {
    /// How many alerts fire.
    pub alerts: u32,
    /// Their common `alertname`.
    pub alertname: String,
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
pub struct AlertStormDebt {
    /// Who tells of alerts.
    pub alerter: LabControl,
    /// The mark of our alerts; used by no other fault, ever.
    pub marker: String,
    /// How many.
    pub alerts: u32,
    /// Their name.
    pub alertname: String,
}

#[derive(Debug, Deserialize)]
struct Synthetic {
    alerts: u32,
}

/// One alert as the alerter's public interface lists it.
#[derive(Debug, Deserialize)]
struct Listed {
    labels: BTreeMap<String, String>,
}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub struct AlertStorm;

impl AlertStorm {
    async fn put(cx: &Cx<'_>, action: &str, undo: &AlertStormDebt) -> Result<(), FaultError> {
        let lease_ms = cx.lease.micros().div_ceil(1000);
        let body = json!({
            "marker": undo.marker, "alerts": undo.alerts, "alertname": undo.alertname,
            "leaseMs": lease_ms,
        });
        let to = (Method::PUT, "/-/synthetic");
        undo.alerter.put(action, to, &body, cx.deadline).await
    }
}

impl Injector for AlertStorm {
    const KIND: &'static str = "alert-storm";
    const SUMMARY: &'static str = "many marked alerts fire at once, and nothing is wrong";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    type Spec = AlertStormSpec;
    type Undo = AlertStormDebt;

    fn blast_radius(_: &AlertStormSpec, topology: &Topology) -> Result<BlastRadius, FaultError> {
        spend::radius(ALERTER, topology)
    }

    fn mechanism(_spec: &AlertStormSpec) -> String {
        "synthetic alerts".to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &AlertStormSpec) -> Result<AlertStormDebt, FaultError> {
        let alerter = LabControl::of(ALERTER, cx.topology)?;
        let marker = format!("gameday-{}", cx.name());
        let AlertStormSpec { alerts, alertname } = spec.clone();
        Ok(AlertStormDebt { alerter, marker, alerts, alertname })
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        _spec: &AlertStormSpec,
        undo: &AlertStormDebt,
    ) -> Result<Option<AlertStormDebt>, FaultError> {
        Self::put(cx, "raise the alerts", undo).await.map(|()| None)
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        _spec: &AlertStormSpec,
        undo: &AlertStormDebt,
    ) -> Result<Effect, FaultError> {
        let of = ("/-/synthetic", "marker", undo.marker.as_str());
        let held: Synthetic = undo.alerter.get("ask for the alerts", of, cx.deadline).await?;
        Ok(if held.alerts > 0 { Effect::InPlace } else { Effect::Absent })
    }

    async fn renew(&self, cx: &Cx<'_>, undo: &AlertStormDebt) -> Result<(), FaultError> {
        // Alerts that were taken back are refused, so this cannot raise them again.
        Self::put(cx, "renew the alerts' lease", undo).await
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &AlertStormDebt) -> Result<Reverted, FaultError> {
        let of = ("/-/synthetic", "marker", undo.marker.as_str());
        let back = undo.alerter.take_back::<Synthetic>("end the alerts", of, cx.deadline).await?;
        let were = back.is_some_and(|back| back.alerts > 0);
        Ok(if were { Reverted::PutBack } else { Reverted::WasClean })
    }
}

/// Looks at the alerts that the alerter's public interface lists, on a connection of its own.
#[derive(Debug, Clone, Copy)]
pub struct AlertStormWitness;

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
