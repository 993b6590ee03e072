//! `duplicate-alerts`: every notification of the alerter goes out several times under one key, as
//! after a retry whose answer was lost, or from a pair of alerters that do not know of each other.

use harness_core::fault::{Cx, Debt, FaultError, Hold, PROCESS, Sighting, Witness};
use harness_core::system::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::alert_storm::ALERTER;
use super::leased::{Leased, LeasedSpec};
use super::spend::LabControl;
use crate::proxy::read;

/// The service that is told, and its control.
const PAGER: &str = "pager";
/// More deliveries of one notification are refused.
const TIMES_MAX: u32 = 10;
/// A heartbeat that is younger may not have come as often as it will.
const SETTLED_MS: i64 = 150;
/// One that is older says nothing of now.
const STALE_MS: i64 = 1_500;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct DuplicateAlertsSpec {
    pub(crate) times: u32,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DuplicateAlertsSpec", description = "Notifications go out several times.")]
struct Written {
    /// How often each one goes out, from 2 to 10; 2.
    #[schemars(range(min = 2, max = 10))]
    #[serde(default = "times")]
    times: u32,
}

fn times() -> u32 {
    2
}

impl TryFrom<Written> for DuplicateAlertsSpec {
    type Error = String;

    fn try_from(Written { times }: Written) -> Result<Self, String> {
        if (2..=TIMES_MAX).contains(&times) {
            Ok(Self { times })
        } else {
            Err(format!("`times` is from 2 to {TIMES_MAX}, not {times}"))
        }
    }
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DuplicateAlertsDebt {
    /// Who sends.
    pub(crate) alerter: LabControl,
    /// Who receives; the witness asks it.
    pub(crate) pager: LabControl,
    /// The order's name in the alerter; used by no other fault, ever.
    pub(crate) name: String,
    /// How often each notification goes out.
    pub(crate) times: u32,
}

impl Leased for DuplicateAlertsDebt {
    fn control(&self) -> &LabControl {
        &self.alerter
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn body(&self) -> Value {
        json!({ "name": self.name, "order": { "times": self.times } })
    }
}

impl LeasedSpec for DuplicateAlertsSpec {
    const KIND: &'static str = "duplicate-alerts";
    const SUMMARY: &'static str = "every notification of the alerter goes out several times";
    const MECHANISM: &'static str = "order to the alerter";
    const CONTROL: &'static str = ALERTER;
    const HOLDS: &'static [Hold] = &[Hold::Changed("what it sends"), Hold::Needed(PROCESS)];
    type Order = DuplicateAlertsDebt;

    async fn order(
        &self,
        cx: &Cx<'_>,
        alerter: LabControl,
        name: String,
    ) -> Result<DuplicateAlertsDebt, FaultError> {
        let pager = LabControl::of(PAGER, cx.topology)?;
        Ok(DuplicateAlertsDebt { alerter, pager, name, times: self.times })
    }
}

/// What `GET /api/heartbeats` of the pager tells.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Heard {
    now_unix_ms: i64,
    heartbeats: Vec<Beat>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Beat {
    unix_ms: i64,
    deliveries: u64,
}

/// Asks the receiver how often each heartbeat of the sender came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DuplicateAlertsWitness;

impl DuplicateAlertsWitness {
    async fn see(cx: &Cx<'_>, undo: &Value) -> Result<Sighting, FaultError> {
        let undo: DuplicateAlertsDebt = read("undo record", undo)?;
        let ask = undo.pager.get_at("list the heartbeats", "/api/heartbeats", cx.deadline);
        Ok(sighting(undo.times, &ask.await?))
    }
}

fn sighting(times: u32, heard: &Heard) -> Sighting {
    let age = |beat: &Beat| heard.now_unix_ms - beat.unix_ms;
    let mut settled = heard.heartbeats.iter().rev();
    let Some(beat) = settled.find(|beat| age(beat) >= SETTLED_MS) else {
        return Sighting::Unknown("the pager has no heartbeat".to_owned());
    };
    let seen = format!("a heartbeat of {} ms ago came {} times", age(beat), beat.deliveries);
    match beat.deliveries {
        _ if age(beat) > STALE_MS => Sighting::Unknown(seen),
        1 => Sighting::NotInForce(seen),
        deliveries if deliveries == u64::from(times) => Sighting::InForce(seen),
        _ => Sighting::Unknown(seen),
    }
}

impl Witness for DuplicateAlertsWitness {
    fn method(&self) -> &'static str {
        "how often heartbeats of the alerter come to the pager"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            Self::see(cx, undo).await?.none_before("see a heartbeat come once")?;
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

    #[test]
    fn deliveries_have_a_default_and_a_bound() {
        let spec = |value: Value| serde_json::from_value::<DuplicateAlertsSpec>(value);
        let written = serde_json::to_value(spec(json!({})).unwrap()).unwrap();
        assert_eq!(written, json!({"times": 2}));
        for wrong in [json!({"times": 1}), json!({"times": 11}), json!({"often": 3})] {
            assert!(spec(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_newest_heartbeat_that_has_had_its_time_decides() {
        let see = |beats: &[(i64, u64)]| {
            let beat = |(ago, deliveries): &(i64, u64)| Beat {
                unix_ms: 10_000 - ago,
                deliveries: *deliveries,
            };
            let heartbeats = beats.iter().map(beat).collect();
            sighting(3, &Heard { now_unix_ms: 10_000, heartbeats })
        };
        assert!(matches!(see(&[(700, 1), (400, 3), (20, 1)]), Sighting::InForce(_)));
        assert!(matches!(see(&[(700, 3), (400, 1)]), Sighting::NotInForce(_)));
        for unclear in [&[(400, 2)][..], &[(9_000, 1)], &[(20, 3)], &[]] {
            assert!(matches!(see(unclear), Sighting::Unknown(_)), "{unclear:?}");
        }
    }
}
