//! Looking until a fault is in force, or gone: so many agreeing looks in a row, within a time.
//!
//! Looks only; what follows from it is the caller's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use harness_core::fault::{Cx, Debt, LOOK_MAX, Sighting, Witness, look_deadline};
use harness_core::ids::{FaultId, RunId, SignalId, TrialIndex};
use harness_core::plan::WitnessPlan;
use harness_core::signal::Observation;
use harness_core::time::{Clock, RunTime};
use harness_core::topology::Topology;
use harness_core::units::Duration;
use tokio::sync::watch;

/// Beyond its deadline, a look is given this time to end by itself.
const GRACE: Duration = Duration::from_millis(50);

/// The newest observation of each signal.
pub(crate) type Observed = BTreeMap<SignalId, Observation>;

/// What surrounds a fault, in a form that a task can own.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) run: RunId,
    pub(crate) trial: TrialIndex,
    pub(crate) fault: FaultId,
    pub(crate) topology: Arc<Topology>,
    pub(crate) lease: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Around {
    pub(crate) fn cx(&self, deadline: Duration) -> Cx<'_> {
        Cx {
            run: &self.run,
            trial: self.trial,
            fault: &self.fault,
            topology: &self.topology,
            lease: self.lease,
            deadline,
            clock: &*self.clock,
        }
    }
}

/// What must be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    InForce,
    Gone,
}

/// Who looks.
pub(crate) enum Looker<'a> {
    /// The kind's own witness.
    Witness(&'a dyn Witness, Debt<'a>),
    /// A signal of the scenario: a failed one sees the fault in force. An observation counts once,
    /// and only when it was made since `since`.
    Signal { name: &'a SignalId, observed: watch::Receiver<Observed>, since: RunTime },
}

/// A row of agreeing looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// When the first of them began.
    pub(crate) since: RunTime,
    /// What the last of them saw.
    pub(crate) seen: String,
}

/// Looks until the row is complete. `Err` says what was seen last.
pub(crate) async fn look_until(
    around: &Around,
    mut looker: Looker<'_>,
    plan: &WitnessPlan,
    within: Duration,
    wanted: Wanted,
) -> Result<Row, String> {
    let until = around.clock.now() + within;
    let (mut agreed, mut since) = (0_u32, RunTime::START);
    let mut last = "nothing was seen in time".to_owned();
    loop {
        let began = around.clock.now();
        let left = until.since(began);
        if left == Duration::ZERO {
            return Err(last);
        }
        let deadline = left.min(looker.deadline());
        if let Some((at, sighting)) = looker.look(around, deadline, began).await {
            let (is_wanted, seen) = agreement(sighting, wanted);
            last = seen;
            if is_wanted && agreed == 0 {
                since = at;
            }
            agreed = if is_wanted { agreed + 1 } else { 0 };
            if agreed >= plan.in_a_row && around.clock.now() <= until {
                return Ok(Row { since, seen: last });
            }
        }
        let pause = (began + plan.every).since(around.clock.now()).max(Duration::from_millis(1));
        let left = until.since(around.clock.now());
        tokio::time::sleep(pause.min(left).as_std()).await;
    }
}

fn agreement(sighting: Sighting, wanted: Wanted) -> (bool, String) {
    match sighting {
        Sighting::InForce(seen) => (wanted == Wanted::InForce, seen),
        Sighting::NotInForce(seen) => (wanted == Wanted::Gone, seen),
        Sighting::Over(seen) => (true, seen),
        Sighting::Unknown(why) => (false, why),
    }
}

impl Looker<'_> {
    fn deadline(&self) -> Duration {
        match self {
            Self::Witness(witness, debt) => look_deadline(witness.look_takes(debt.spec)),
            Self::Signal { .. } => LOOK_MAX,
        }
    }

    /// One look and when it was made; `None` when there is nothing new.
    async fn look(
        &mut self,
        around: &Around,
        deadline: Duration,
        began: RunTime,
    ) -> Option<(RunTime, Sighting)> {
        match self {
            Self::Witness(witness, debt) => {
                let cx = around.cx(deadline);
                let look = witness.look(&cx, *debt);
                let sighting = tokio::time::timeout((deadline + GRACE).as_std(), look)
                    .await
                    .unwrap_or_else(|_| Sighting::Unknown(format!("no look within {deadline}")));
                Some((began, sighting))
            }
            Self::Signal { name, observed, since } => {
                let observation = observed.borrow().get(name).cloned()?;
                let (at, sighting) = match observation {
                    Observation::Value { at, value, .. } if value >= 1.0 => {
                        (at, Sighting::NotInForce(format!("{name} is ok")))
                    }
                    Observation::Value { at, .. } => {
                        (at, Sighting::InForce(format!("{name} fails")))
                    }
                    Observation::Gap { at, why, .. } => (at, Sighting::Unknown(why)),
                };
                if at < *since {
                    return None;
                }
                *since = RunTime::from_nanos(at.nanos() + 1);
                Some((at, sighting))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use harness_core::fault::FaultError;
    use harness_core::system::BoxFuture;
    use serde_json::Value;

    use super::*;
    use crate::clock::PausedClock;
    use crate::testing::witness;

    /// Answers by a script; its last word is repeated. `None` hangs.
    struct Scripted(Mutex<Vec<Option<Sighting>>>);

    impl Witness for Scripted {
        fn method(&self) -> &'static str {
            "script"
        }

        fn baseline<'a>(
            &'a self,
            _: &'a Cx<'a>,
            _: &'a Value,
            _: &'a Value,
        ) -> BoxFuture<'a, Result<Value, FaultError>> {
            Box::pin(async { Ok(Value::Null) })
        }

        fn look<'a>(&'a self, _: &'a Cx<'a>, _: Debt<'a>) -> BoxFuture<'a, Sighting> {
            let mut script = self.0.lock().unwrap();
            let answer = if script.len() > 1 { script.remove(0) } else { script[0].clone() };
            match answer {
                Some(sighting) => Box::pin(std::future::ready(sighting)),
                None => Box::pin(std::future::pending()),
            }
        }
    }

    fn around() -> Around {
        Around {
            run: RunId::new("r"),
            trial: TrialIndex(0),
            fault: "down".into(),
            topology: Arc::default(),
            lease: Duration::from_secs(3),
            clock: Arc::new(PausedClock::start()),
        }
    }

    async fn row(script: Vec<Option<Sighting>>) -> (Result<Row, String>, Duration) {
        let around = around();
        let witness_of = Scripted(Mutex::new(script));
        let debt = Debt { spec: &Value::Null, undo: &Value::Null, baseline: &Value::Null };
        let looker = Looker::Witness(&witness_of, debt);
        let plan = witness();
        let row = look_until(&around, looker, &plan, plan.within, Wanted::InForce).await;
        (row, around.clock.now().since(RunTime::START))
    }

    fn yes() -> Sighting {
        Sighting::InForce("refused".into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_must_not_be_broken() {
        let broken = vec![
            Some(yes()),
            Some(Sighting::NotInForce("200".into())),
            Some(yes()),
            Some(Sighting::Unknown("?".into())),
            Some(yes()),
            Some(yes()),
        ];
        let (row, took) = row(broken).await;
        let row = row.unwrap();
        assert_eq!((row.since.nanos() / 1_000_000, row.seen.as_str()), (200, "refused"));
        assert_eq!(took.millis(), 250);
    }

    #[test]
    fn what_is_over_was_in_force_and_is_gone() {
        for (sighting, in_force, gone) in [
            (Sighting::InForce(String::new()), true, false),
            (Sighting::NotInForce(String::new()), false, true),
            (Sighting::Over(String::new()), true, true),
            (Sighting::Unknown(String::new()), false, false),
        ] {
            let agrees = |wanted| agreement(sighting.clone(), wanted).0;
            assert_eq!((agrees(Wanted::InForce), agrees(Wanted::Gone)), (in_force, gone));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_witness_that_says_no_or_hangs_ends_in_time() {
        let (no, took) = row(vec![Some(Sighting::NotInForce("200".into()))]).await;
        assert_eq!((no, took.millis()), (Err("200".into()), 1000));
        let (hanging, took) = row(vec![None]).await;
        assert_eq!(hanging, Err("no look within 1s".into()));
        assert!(took.millis() <= 1000 + GRACE.millis());
    }

    #[tokio::test(start_paused = true)]
    async fn an_observation_counts_once_and_only_when_new() {
        let around = around();
        let name = SignalId::new("probe");
        let value = |millis: u64, value| {
            let at = RunTime::from_nanos(millis * 1_000_000);
            Observed::from([(name.clone(), Observation::Value { signal: name.clone(), at, value })])
        };
        let (put, observed) = watch::channel(value(0, 0.0));
        let since = RunTime::from_nanos(10_000_000);
        let looker = Looker::Signal { name: &name, observed, since };
        let plan = witness();
        let look = look_until(&around, looker, &plan, plan.within, Wanted::InForce);
        let source = async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            put.send(value(100, 0.0)).unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(400)).await;
            put.send(value(500, 0.0)).unwrap();
        };
        let (row, ()) = tokio::join!(look, source);
        let row = row.unwrap();
        assert_eq!((row.since.nanos() / 1_000_000, row.seen.as_str()), (100, "probe fails"));
        assert!(around.clock.now().nanos() >= 500_000_000);
    }
}
