//! `cost-runaway`: jobs that nobody wanted run and cost money, until somebody stops them.
//!
//! It has caps of its own: a number of jobs, and a sum of money from which the time follows after
//! which each job ends by itself. Beside that the batch runner ends them when the lease does.

use harness_core::fault::{
    BlastRadius, Cx, Debt, Effect, FaultError, Hold, Injector, PROCESS, Reversibility, Reverted,
    Scope, Sighting, Touched, Witness,
};
use harness_core::system::BoxFuture;
use harness_core::topology::Topology;
use harness_core::units::{Currency, Money};
use hyper::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::spend::{self, JOBS, LabControl, METER};

/// More jobs are refused, whatever they cost.
const JOBS_MAX: u32 = 200;
/// A longer life of a job is refused by the batch runner.
const LASTS_MS_MAX: u64 = 600_000;
/// Shorter jobs would be over before anybody could see them.
const LASTS_MS_MIN: u64 = 1_000;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub struct CostRunawaySpec {
    /// How many jobs are started.
    pub jobs: u32,
    /// They end by themselves before they have cost more than this together.
    pub spend_at_most: Money,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "CostRunawaySpec", description = "Jobs run away and cost money.")]
struct Written {
    /// How many jobs are started; 12.
    #[schemars(range(min = 1, max = 200))]
    #[serde(default = "jobs")]
    jobs: u32,
    /// They end by themselves before they have cost more than this together; 10 EUR.
    #[serde(default = "spend_at_most")]
    spend_at_most: Money,
}

fn jobs() -> u32 {
    12
}

fn spend_at_most() -> Money {
    Money::from_micros(10_000_000, Currency::EUR)
}

impl TryFrom<Written> for CostRunawaySpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { jobs, spend_at_most } = written;
        if !(1..=JOBS_MAX).contains(&jobs) {
            return Err(format!("`jobs` is from 1 to {JOBS_MAX}, not {jobs}"));
        }
        if spend_at_most.micros() == 0 {
            return Err("`spendAtMost` is nothing; write, say, `10 EUR`".to_owned());
        }
        Ok(Self { jobs, spend_at_most })
    }
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CostRunawayDebt {
    /// Who runs the jobs.
    pub jobs: LabControl,
    /// Who tells what they cost.
    pub meter: LabControl,
    /// The label of the jobs; used by no other fault, ever.
    pub label: String,
    /// How many.
    pub count: u32,
    /// Each ends by itself after so long, in ms.
    pub lasts_ms: u64,
}

/// One group of jobs as the batch runner tells it.
#[derive(Debug, Deserialize)]
struct Listed {
    groups: Vec<Group>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
struct Group {
    running: u64,
    pending: u64,
}

#[derive(Debug, Deserialize)]
struct Stopped {
    stopped: u64,
}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub struct CostRunaway;

impl Injector for CostRunaway {
    const KIND: &'static str = "cost-runaway";
    const SUMMARY: &'static str = "unwanted jobs run and cost money, within a cap of our own";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    const SCOPE: Scope = Scope::WithinSystem;
    type Spec = CostRunawaySpec;
    type Undo = CostRunawayDebt;

    fn blast_radius(_: &CostRunawaySpec, topology: &Topology) -> Result<BlastRadius, FaultError> {
        spend::radius(JOBS, topology)
    }

    fn holds(_spec: &Self::Spec) -> Vec<Hold> {
        vec![Hold::Needed(PROCESS)]
    }

    fn mechanism(_spec: &CostRunawaySpec) -> String {
        "batch jobs".to_owned()
    }

    async fn arm(
        &self,
        cx: &Cx<'_>,
        spec: &CostRunawaySpec,
    ) -> Result<CostRunawayDebt, FaultError> {
        let jobs = LabControl::of(JOBS, cx.topology)?;
        let meter = LabControl::of(METER, cx.topology)?;
        let spend = meter.spend(cx.deadline).await?;
        let currency = spec.spend_at_most.currency().to_string();
        let unusable = |why: String| FaultError::Unavailable { mechanism: METER.to_owned(), why };
        if spend.currency != currency {
            return Err(unusable(format!("it counts in {}, not in {currency}", spend.currency)));
        }
        let lasts_ms = lasts_ms(spec, spend.prices.job_second()).map_err(unusable)?;
        let label = format!("gameday-{}", cx.name());
        Ok(CostRunawayDebt { jobs, meter, label, count: spec.jobs, lasts_ms })
    }

    fn touched(_: &CostRunawaySpec, undo: &CostRunawayDebt, topology: &Topology) -> Touched {
        undo.jobs.touched(topology)
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        _spec: &CostRunawaySpec,
        undo: &CostRunawayDebt,
    ) -> Result<Option<CostRunawayDebt>, FaultError> {
        let CostRunawayDebt { label, count, lasts_ms, .. } = undo;
        let lease_ms = cx.lease.micros().div_ceil(1000);
        let body = json!({
            "label": label, "count": count, "lastsMs": lasts_ms, "leaseMs": lease_ms,
        });
        let to = (Method::POST, "/jobs");
        undo.jobs.put("start the jobs", to, &body, cx.deadline).await.map(|()| None)
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        _spec: &CostRunawaySpec,
        undo: &CostRunawayDebt,
    ) -> Result<Effect, FaultError> {
        let Group { running, pending } = undo.group(cx).await?;
        Ok(if running + pending > 0 { Effect::InPlace } else { Effect::Absent })
    }

    async fn renew(&self, cx: &Cx<'_>, undo: &CostRunawayDebt) -> Result<(), FaultError> {
        let lease_ms = cx.lease.micros().div_ceil(1000);
        let body = json!({ "label": undo.label, "leaseMs": lease_ms });
        let to = (Method::POST, "/jobs/renew");
        undo.jobs.put("renew the jobs' lease", to, &body, cx.deadline).await
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &CostRunawayDebt) -> Result<Reverted, FaultError> {
        let of = ("/jobs", "label", undo.label.as_str());
        let stopped = undo.jobs.take_back::<Stopped>("stop the jobs", of, cx.deadline).await?;
        // None are left where they ended by themselves, or where the system has stopped them.
        Ok(match stopped {
            Some(Stopped { stopped: 1.. }) => Reverted::PutBack,
            Some(Stopped { stopped: 0 }) | None => Reverted::WasClean,
        })
    }
}

impl CostRunawayDebt {
    async fn group(&self, cx: &Cx<'_>) -> Result<Group, FaultError> {
        let of = ("/jobs", "label", self.label.as_str());
        let listed: Listed = self.jobs.get("list the jobs", of, cx.deadline.divided_by(2)).await?;
        Ok(listed.groups.first().copied().unwrap_or_default())
    }
}

/// After how long each job ends, so that all of them together stay within the money.
fn lasts_ms(spec: &CostRunawaySpec, job_second: u64) -> Result<u64, String> {
    if job_second == 0 {
        return Err("a job costs nothing, so no sum of money bounds it".to_owned());
    }
    let all = u128::from(spec.jobs) * u128::from(job_second);
    let lasts = u128::from(spec.spend_at_most.micros()) * 1000 / all;
    let lasts = u64::try_from(lasts).unwrap_or(u64::MAX).min(LASTS_MS_MAX);
    if lasts < LASTS_MS_MIN {
        let (jobs, money) = (spec.jobs, spec.spend_at_most);
        return Err(format!("{jobs} jobs for {money} would end within {lasts} ms"));
    }
    Ok(lasts)
}

/// Looks at the list of jobs and at what the meter says that they cost, on its own connections.
#[derive(Debug, Clone, Copy)]
pub struct CostRunawayWitness;

impl CostRunawayWitness {
    async fn see(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let undo = CostRunawayDebt::deserialize(debt.undo).map_err(|error| {
            FaultError::Unreadable { what: "undo record".to_owned(), why: error.to_string() }
        })?;
        let Group { running, pending } = undo.group(cx).await?;
        if running + pending == 0 {
            return Ok(Sighting::NotInForce("no job runs or waits".to_owned()));
        }
        let meter = undo.meter.spend(cx.deadline.divided_by(2)).await?;
        let spent = meter.jobs.get(&undo.label).copied().unwrap_or(0);
        let jobs = format!("{running} jobs run, {pending} wait");
        let amount = spent as f64 / 1e6;
        Ok(if meter.is_fresh() && spent > 0 {
            let currency = &meter.currency;
            Sighting::InForce(format!("{jobs}, {amount:.2} {currency} were spent on them"))
        } else {
            Sighting::Unknown(format!("{jobs}, but the meter does not tell what they cost"))
        })
    }
}

impl Witness for CostRunawayWitness {
    fn method(&self) -> &'static str {
        "list of jobs and cost feed"
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
            Self::see(cx, debt).await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(value: Value) -> Result<CostRunawaySpec, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_written_out_and_caps_are_kept() {
        let written = serde_json::to_value(spec(json!({})).unwrap()).unwrap();
        assert_eq!(written, json!({"jobs": 12, "spendAtMost": "10 EUR"}));
        assert!(spec(json!({"jobs": 201})).unwrap_err().contains("from 1 to 200"));
        assert!(spec(json!({"jobs": 0})).is_err());
        assert!(spec(json!({"spendAtMost": "0 EUR"})).unwrap_err().contains("is nothing"));
    }

    #[test]
    fn the_jobs_end_before_they_have_cost_more() {
        let lasts = |jobs: u32, money: &str, price| {
            lasts_ms(&spec(json!({"jobs": jobs, "spendAtMost": money})).unwrap(), price)
        };
        assert_eq!(lasts(12, "10 EUR", 50_000), Ok(16_666));
        assert_eq!(lasts(200, "10 EUR", 50_000), Ok(1_000));
        assert_eq!(lasts(1, "1000 EUR", 1), Ok(LASTS_MS_MAX));
        assert!(lasts(200, "1 EUR", 50_000).unwrap_err().contains("within 100 ms"));
        assert!(lasts(1, "1 EUR", 0).is_err());
    }
}
