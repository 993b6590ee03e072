//! `price-spike`: the cost feed charges several times the list price.
//!
//! The change has a name and a lease in the meter; a meter that is started again has the list
//! price. What was charged meanwhile stays charged.

use std::num::NonZeroU32;

use harness_core::fault::{Cx, Debt, FaultError, Hold, PROCESS, Sighting, Witness};
use harness_core::system::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::leased::{Leased, LeasedSpec};
use super::spend::{LabControl, METER};

/// A larger factor is refused.
const TIMES_MAX: u32 = 50;
/// How long the witness looks at what the services cost.
const LOOK_OVER: std::time::Duration = std::time::Duration::from_millis(350);

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct PriceSpikeSpec {
    /// How many times the price before.
    pub(crate) times: NonZeroU32,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PriceSpikeSpec", description = "Everything costs several times as much.")]
struct Written {
    /// How many times the price before, from 2 to 50.
    #[schemars(range(min = 2, max = 50))]
    times: u32,
}

impl TryFrom<Written> for PriceSpikeSpec {
    type Error = String;

    fn try_from(Written { times }: Written) -> Result<Self, String> {
        match NonZeroU32::new(times).filter(|times| (2..=TIMES_MAX).contains(&times.get())) {
            Some(times) => Ok(Self { times }),
            None => Err(format!("`times` is from 2 to {TIMES_MAX}, not {times}")),
        }
    }
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PriceSpikeDebt {
    /// Who charges.
    pub(crate) meter: LabControl,
    /// The change's name in the meter; used by no other fault, ever.
    pub(crate) name: String,
    /// The share of the price before, in percent.
    pub(crate) percent: u32,
}

impl Leased for PriceSpikeDebt {
    const PATH: &'static str = "/api/prices";

    fn control(&self) -> &LabControl {
        &self.meter
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn body(&self) -> Value {
        json!({ "name": self.name, "percent": self.percent })
    }
}

impl LeasedSpec for PriceSpikeSpec {
    const KIND: &'static str = "price-spike";
    const SUMMARY: &'static str = "the cost feed charges several times the price";
    const MECHANISM: &'static str = "cost feed";
    const CONTROL: &'static str = METER;
    const HOLDS: &'static [Hold] = &[Hold::Changed("the prices"), Hold::Needed(PROCESS)];
    type Order = PriceSpikeDebt;

    async fn order(
        &self,
        cx: &Cx<'_>,
        meter: LabControl,
        name: String,
    ) -> Result<PriceSpikeDebt, FaultError> {
        meter.spend(cx.deadline).await?;
        Ok(PriceSpikeDebt { meter, name, percent: self.times.get() * 100 })
    }
}

/// Looks at how fast the cost of the services grows, which are there all the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PriceSpikeWitness;

impl PriceSpikeWitness {
    /// Millionths that the services cost a second.
    async fn rate(cx: &Cx<'_>, meter: &LabControl) -> Result<f64, FaultError> {
        let failed = |why: &str| FaultError::Failed {
            action: "see what the services cost".to_owned(),
            why: why.to_owned(),
        };
        let within = cx.deadline.divided_by(3);
        let stale = || failed("the meter is stale");
        let before = meter.spend(within).await?.services().ok_or_else(stale)?;
        tokio::time::sleep(LOOK_OVER).await;
        let after = meter.spend(within).await?.services().ok_or_else(stale)?;
        let took = after.0.saturating_sub(before.0);
        if took == 0 || after.1 < before.1 {
            return Err(failed("the meter stood still, or began anew"));
        }
        Ok((after.1 - before.1) as f64 * 1e6 / took as f64)
    }

    async fn see(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let (undo, before) = (undo(debt.undo)?, debt.baseline.as_f64().unwrap_or(0.0));
        let times = Self::rate(cx, &undo.meter).await? / before;
        let wanted = f64::from(undo.percent) / 100.0;
        let seen = format!("the services cost {times:.1} times what they did");
        Ok(if times >= f64::midpoint(1.0, wanted) {
            Sighting::InForce(seen)
        } else {
            Sighting::NotInForce(seen)
        })
    }
}

fn undo(value: &Value) -> Result<PriceSpikeDebt, FaultError> {
    PriceSpikeDebt::deserialize(value).map_err(|error| FaultError::Unreadable {
        what: "undo record".to_owned(),
        why: error.to_string(),
    })
}

impl Witness for PriceSpikeWitness {
    fn method(&self) -> &'static str {
        "growth of what the services cost"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        record: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let rate = Self::rate(cx, &undo(record)?.meter).await?;
            if rate > 0.0 {
                return Ok(Value::from(rate));
            }
            Err(FaultError::Failed {
                action: "see what the services cost".to_owned(),
                why: "nothing".to_owned(),
            })
        })
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::see(cx, debt).await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}
