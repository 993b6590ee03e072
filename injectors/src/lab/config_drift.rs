//! `config-drift`: one declared setting of a service changes while it runs, and nobody said so.
//!
//! What it was, and a hash of all settings, are recorded. It is put back only while everything else
//! is as it was recorded; whoever has changed a setting meanwhile is not overruled.

use std::collections::BTreeMap;

use harness_core::fault::{
    BlastRadius, Cx, Debt, Effect, FaultError, Hold, Injector, PROCESS, Reversibility, Reverted,
    Scope, Sighting, Touched, Witness,
};
use harness_core::ids::ServiceName;
use harness_core::system::BoxFuture;
use harness_core::topology::Topology;
use hyper::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::spend::{self, LabControl};
use super::telemetry::exposition;
use crate::proxy::read;

/// Where a service of the lab tells its settings, and takes changes.
const CONFIG: &str = "/-/config";
/// The metric in which a service tells the settings that are in effect.
const GAUGE: &str = "setting";

/// So often a revert begins anew when the settings change under its hands.
const TRIES: u32 = 3;

/// What can drift: service, setting, least and most.
const SETTINGS: [(&str, &str, u64, u64); 2] =
    [("payments", "processors", 1, 1_024), ("payments", "serviceTimeMs", 1, 5_000)];

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct ConfigDriftSpec {
    pub(crate) service: ServiceName,
    pub(crate) setting: String,
    pub(crate) to: u64,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ConfigDriftSpec", description = "A setting changes at run time.")]
struct Written {
    /// The service.
    service: ServiceName,
    /// The setting: `processors` or `serviceTimeMs` of `payments`.
    setting: String,
    /// What it becomes.
    to: u64,
}

impl TryFrom<Written> for ConfigDriftSpec {
    type Error = String;

    fn try_from(Written { service, setting, to }: Written) -> Result<Self, String> {
        let is = |known: &&(&str, &str, u64, u64)| {
            known.0 == service.as_str() && known.1 == setting.as_str()
        };
        let Some((_, _, least, most)) = SETTINGS.iter().find(is) else {
            let known: Vec<String> =
                SETTINGS.iter().map(|(of, name, ..)| format!("`{name}` of {of}")).collect();
            let known = known.join(", ");
            return Err(format!("{service} has no live setting `{setting}`; there are {known}"));
        };
        if !(least..=most).contains(&&to) {
            return Err(format!("`to` is from {least} to {most} for `{setting}`, not {to}"));
        }
        Ok(Self { service, setting, to })
    }
}

/// All settings of a process and their hash, as it tells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    hash: String,
    settings: BTreeMap<String, u64>,
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ConfigDriftDebt {
    /// Whose setting.
    pub(crate) service: LabControl,
    /// The change's name there; used by no other fault, ever.
    pub(crate) name: String,
    /// Which one.
    pub(crate) setting: String,
    /// What it becomes.
    pub(crate) to: u64,
    /// What it was.
    pub(crate) prior: u64,
    /// All settings as they were.
    pub(crate) before: Settings,
}

/// How the settings stand to the fault.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stand {
    Changed,
    Before,
    Other(String),
}

impl ConfigDriftDebt {
    fn stand(&self, now: &Settings) -> Stand {
        let mut changed = self.before.settings.clone();
        changed.insert(self.setting.clone(), self.to);
        if now.settings == changed {
            Stand::Changed
        } else if now.hash == self.before.hash {
            Stand::Before
        } else {
            Stand::Other(format!("{:?}", now.settings))
        }
    }

    async fn now(&self, cx: &Cx<'_>) -> Result<Settings, FaultError> {
        self.service.get_at("read the settings", CONFIG, cx.deadline.divided_by(3)).await
    }

    /// Asks for a change of what is known to stand there.
    async fn change(
        &self,
        cx: &Cx<'_>,
        known: &Settings,
        set: Option<u64>,
        last: bool,
    ) -> Result<(), FaultError> {
        let set: BTreeMap<&str, u64> =
            set.into_iter().map(|value| (self.setting.as_str(), value)).collect();
        let body = json!({ "name": self.name, "ifHash": known.hash, "set": set, "last": last });
        let action = format!("change the setting {}", self.setting);
        let within = cx.deadline.divided_by(3);
        self.service.put(&action, (Method::PUT, CONFIG), &body, within).await
    }
}

impl ConfigDriftDebt {
    async fn put_back(&self, cx: &Cx<'_>) -> Result<Reverted, FaultError> {
        let now = match self.now(cx).await {
            Err(_) if self.service.is_lab_gone() => return Ok(Reverted::WasClean),
            now => now?,
        };
        match self.stand(&now) {
            Stand::Changed => {
                self.change(cx, &now, Some(self.prior), true).await.map(|()| Reverted::PutBack)
            }
            // The name is closed, so that a change which is still on its way is refused.
            Stand::Before => match self.change(cx, &now, None, true).await {
                // It was closed before, if the settings are still the same.
                Err(FaultError::Conflict { .. }) if self.now(cx).await? == now => {
                    Ok(Reverted::WasClean)
                }
                done => done.map(|()| Reverted::WasClean),
            },
            Stand::Other(settings) => Err(FaultError::Conflict {
                what: format!("the setting {}", self.setting),
                why: format!("somebody else has changed the settings, to {settings}"),
            }),
        }
    }
}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConfigDrift;

impl Injector for ConfigDrift {
    const KIND: &'static str = "config-drift";
    const SUMMARY: &'static str = "a declared setting of a service changes while it runs";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    const SCOPE: Scope = Scope::WithinSystem;
    type Spec = ConfigDriftSpec;
    type Undo = ConfigDriftDebt;

    fn blast_radius(
        spec: &ConfigDriftSpec,
        topology: &Topology,
    ) -> Result<BlastRadius, FaultError> {
        spend::radius(spec.service.as_str(), topology)
    }

    fn holds(_spec: &Self::Spec) -> Vec<Hold> {
        vec![Hold::Changed("the settings"), Hold::Needed(PROCESS)]
    }

    fn mechanism(_spec: &ConfigDriftSpec) -> String {
        "change of a setting".to_owned()
    }

    async fn arm(
        &self,
        cx: &Cx<'_>,
        spec: &ConfigDriftSpec,
    ) -> Result<ConfigDriftDebt, FaultError> {
        let ConfigDriftSpec { service, setting, to } = spec.clone();
        let service = LabControl::of(service.as_str(), cx.topology)?;
        let before: Settings = service.get_at("read the settings", CONFIG, cx.deadline).await?;
        let prior = before.settings.get(&setting).copied().ok_or_else(|| FaultError::NoTarget {
            target: format!("setting {setting} of {}", spec.service),
        })?;
        if prior == to {
            let (what, why) = (setting, format!("it is {to} already"));
            return Err(FaultError::Conflict { what, why });
        }
        let name = format!("gameday-{}", cx.name());
        Ok(ConfigDriftDebt { service, name, setting, to, prior, before })
    }

    fn touched(_: &ConfigDriftSpec, undo: &ConfigDriftDebt, topology: &Topology) -> Touched {
        undo.service.touched(topology)
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        _spec: &ConfigDriftSpec,
        undo: &ConfigDriftDebt,
    ) -> Result<Option<ConfigDriftDebt>, FaultError> {
        undo.change(cx, &undo.before, Some(undo.to), false).await.map(|()| None)
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        _spec: &ConfigDriftSpec,
        undo: &ConfigDriftDebt,
    ) -> Result<Effect, FaultError> {
        let stand = undo.stand(&undo.now(cx).await?);
        Ok(if stand == Stand::Changed { Effect::InPlace } else { Effect::Absent })
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &ConfigDriftDebt) -> Result<Reverted, FaultError> {
        for _ in 1..TRIES {
            match undo.put_back(cx).await {
                // The settings were changed while they were read, perhaps by our own late change.
                Err(FaultError::Conflict { .. }) => {}
                done => return done,
            }
        }
        undo.put_back(cx).await
    }
}

/// Reads the setting that is in effect from the service's own metrics, on a connection of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConfigDriftWitness;

impl ConfigDriftWitness {
    async fn see(cx: &Cx<'_>, undo: &Value) -> Result<Sighting, FaultError> {
        let undo: ConfigDriftDebt = read("undo record", undo)?;
        let series = exposition::read(&undo.service.metrics(cx.deadline).await?);
        Ok(sighting(&undo, &series))
    }
}

fn sighting(undo: &ConfigDriftDebt, series: &[exposition::Series]) -> Sighting {
    let told = |one: &&exposition::Series| {
        one.key.name == GAUGE && one.key.label("name") == Some(&undo.setting)
    };
    let setting = &undo.setting;
    let Some(value) = series.iter().find(told).map(|one| one.value) else {
        return Sighting::Unknown(format!("{setting} is not told"));
    };
    let seen = format!("{setting} is {value} in effect");
    // Settings are whole numbers far below 2^53.
    let is = |setting: u64| (value - setting as f64).abs() < 0.5;
    if is(undo.to) {
        Sighting::InForce(seen)
    } else if is(undo.prior) {
        Sighting::NotInForce(seen)
    } else {
        Sighting::Unknown(seen)
    }
}

impl Witness for ConfigDriftWitness {
    fn method(&self) -> &'static str {
        "the setting in effect, in the service's own metrics"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            Self::see(cx, undo).await?.none_before("see the setting in effect")?;
            Ok(Value::Null)
        })
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

    fn debt() -> ConfigDriftDebt {
        serde_json::from_value(json!({
            "service": {"address": "127.0.0.1:1", "supervisor": null}, "name": "n",
            "setting": "processors", "to": 2, "prior": 256,
            "before": {"hash": "a", "settings": {"processors": 256, "serviceTimeMs": 8}},
        }))
        .unwrap()
    }

    #[test]
    fn only_known_settings_can_drift_and_within_their_bounds() {
        let spec = |setting: &str, to: u64| {
            let value = json!({"service": "payments", "setting": setting, "to": to});
            serde_json::from_value::<ConfigDriftSpec>(value).map_err(|error| error.to_string())
        };
        assert!(spec("processors", 2).is_ok());
        assert!(spec("processors", 0).unwrap_err().contains("from 1 to 1024"));
        assert!(spec("colour", 2).unwrap_err().contains("`serviceTimeMs` of payments"));
    }

    #[test]
    fn any_other_change_of_the_settings_is_somebody_elses() {
        let debt = debt();
        let stand = |hash: &str, processors: u64, time: u64| {
            let settings = json!({"processors": processors, "serviceTimeMs": time});
            let settings = json!({"hash": hash, "settings": settings});
            debt.stand(&serde_json::from_value(settings).unwrap())
        };
        assert_eq!(stand("a", 256, 8), Stand::Before);
        assert_eq!(stand("b", 2, 8), Stand::Changed);
        assert!(matches!(stand("c", 4, 8), Stand::Other(_)));
        assert!(matches!(stand("d", 2, 9), Stand::Other(_)));
        assert!(matches!(stand("e", 256, 9), Stand::Other(_)));
    }

    #[test]
    fn the_setting_in_effect_decides() {
        let see = |text: &str| sighting(&debt(), &exposition::read(text));
        assert!(matches!(see("setting{name=\"processors\"} 2"), Sighting::InForce(_)));
        assert!(matches!(see("setting{name=\"processors\"} 256"), Sighting::NotInForce(_)));
        assert!(matches!(see("setting{name=\"processors\"} 3"), Sighting::Unknown(_)));
        assert!(matches!(see("setting{name=\"serviceTimeMs\"} 2"), Sighting::Unknown(_)));
    }
}
