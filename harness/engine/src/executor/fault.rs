//! One fault of one trial: the task that owns its undo record and performs its steps.
//!
//! A later order cuts off arming, injecting and looking; a revert and its check are never cut off.
//! While the fault is in force, the task renews its lease, until the trial winds down: a fault
//! whose revert has to wait, or hangs, then ends with its lease.

use std::sync::Arc;

use harness_core::event::{Done, Event, Lost};
use harness_core::fault::{Effect, FaultEntry, FaultError};
use harness_core::ids::CommandId;
use harness_core::plan::{FaultPlan, Plan};
use harness_core::policy;
use harness_core::time::RunTime;
use harness_core::units::Duration;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::ledger::{Ledger, LedgerEntry, OwedFault, PaidHow};
use crate::looks::{Around, Looker, Observed, Wanted, look_until};
use crate::report::{Report, Reports};
use crate::watchdog::Fence;

/// After a second interrupt one revert, and the look whether it worked, takes at most so long.
const HURRY_MAX: Duration = Duration::from_secs(2);
/// A lease is renewed so many times before it would end.
const RENEWALS_PER_LEASE: u64 = 3;
/// Orders that may wait: the conductor gives one at a time, and cuts one off with one other.
pub(super) const ORDERS_MAX: usize = 8;
/// Who pays, in the ledger.
const BY: &str = "run";

/// One step, with the command that it answers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) command: CommandId,
    pub(super) step: Step,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Arm,
    Inject,
    AwaitEffective,
    Revert { hurry: bool },
    AwaitReverted { hurry: bool },
}

/// The task's own things.
pub(super) struct FaultTask {
    pub(super) plan: Arc<Plan>,
    pub(super) around: Around,
    pub(super) entry: FaultEntry,
    pub(super) ledger: Ledger,
    pub(super) reports: Reports,
    pub(super) observed: watch::Receiver<Observed>,
    pub(super) fence: Fence,
    /// Once cancelled, the lease is not renewed any more.
    pub(super) unrenewed: CancellationToken,
}

/// How far the fault is.
struct State {
    record: Option<OwedFault>,
    /// When the lease is renewed next; `None` while the fault is not in force.
    renew_at: Option<RunTime>,
    reverted: Option<harness_core::fault::Reverted>,
}

/// A step that may be cut off.
enum Cut<T> {
    Ended(T),
    By(Order),
}

impl FaultTask {
    /// Performs orders until there will be no more.
    pub(super) async fn run(self, mut orders: mpsc::Receiver<Order>) {
        let mut state = State { record: None, renew_at: None, reverted: None };
        let mut next = None;
        loop {
            if let Some(order) = next.take() {
                next = self.perform(order, &mut state, &mut orders).await;
                continue;
            }
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(order) => next = Some(order),
                    None => return,
                },
                () = self.renewals(&mut state) => {}
            }
        }
    }

    async fn perform(
        &self,
        order: Order,
        state: &mut State,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Option<Order> {
        let (outcome, next) = match order.step {
            Step::Arm => self.arm(state, orders).await,
            Step::Inject => self.inject(state, orders).await,
            Step::AwaitEffective => self.await_effective(state, orders).await,
            Step::Revert { hurry } => (self.revert(state, hurry).await, None),
            Step::AwaitReverted { hurry } => (self.await_reverted(state, hurry).await, None),
        };
        self.reports.done(order.command, outcome).await;
        next
    }

    async fn arm(
        &self,
        state: &mut State,
        orders: &mut mpsc::Receiver<Order>,
    ) -> (Done, Option<Order>) {
        let deadline = self.plan.deadlines.arm;
        let step = timed("arm", deadline, async {
            let cx = self.around.cx(deadline);
            let spec = &self.fault().spec;
            let undo = self.entry.injector.arm(&cx, spec).await?;
            self.keeps_to_the_plan(&undo)?;
            let baseline = self.entry.witness.baseline(&cx, spec, &undo).await?;
            Ok((undo, baseline))
        });
        let (undo, baseline) = match cut_off(orders, step).await {
            Cut::Ended(Ok(armed)) => armed,
            Cut::Ended(Err(error)) => return (Done::FaultFailed(error), None),
            Cut::By(order) => return (cut("arm"), Some(order)),
        };
        let plan = self.fault();
        let record = OwedFault {
            trial: self.around.trial,
            fault: plan.id.clone(),
            kind: plan.kind.clone(),
            system: self.plan.system.kind.clone(),
            spec: plan.spec.clone(),
            undo,
            baseline,
            reversibility: plan.reversibility,
            lease: self.around.lease,
            revert: self.plan.deadlines.revert,
            reverted: plan.reverted.clone(),
        };
        let outcome = self.write(LedgerEntry::Armed(Box::new(record.clone()))).await;
        state.record = outcome.is_ok().then_some(record);
        (outcome.map_or_else(Done::FaultFailed, |()| Done::Armed), None)
    }

    /// Chance, or a fault that does not keep its word, chooses only now.
    fn keeps_to_the_plan(&self, undo: &Value) -> Result<(), FaultError> {
        let plan = self.fault();
        let touched = self.entry.injector.touched(&plan.spec, undo, &self.around.topology)?;
        let beyond = policy::review_armed(&self.plan, plan, &touched);
        beyond.map_or(Ok(()), |why| Err(failed("keep to the blast radius", &why)))
    }

    async fn inject(
        &self,
        state: &mut State,
        orders: &mut mpsc::Receiver<Order>,
    ) -> (Done, Option<Order>) {
        let record = state.record.as_mut().expect("nothing is injected whose record is not synced");
        if let Err(why) = self.fence.check(self.around.clock.now()) {
            return (Done::FaultFailed(failed("inject", &why)), None);
        }
        let deadline = self.plan.deadlines.inject;
        let began = self.around.clock.now();
        let cx = self.around.cx(deadline);
        let step = self.entry.injector.inject(&cx, &record.spec, &record.undo);
        let amended = match cut_off(orders, timed("inject", deadline, step)).await {
            Cut::Ended(Ok(amended)) => amended,
            Cut::Ended(Err(error)) => return (Done::FaultFailed(error), None),
            Cut::By(order) => return (cut("inject"), Some(order)),
        };
        if let Some(undo) = &amended {
            record.undo = undo.clone();
        }
        let injected = LedgerEntry::Injected {
            trial: self.around.trial,
            fault: self.around.fault.clone(),
            undo: amended,
        };
        if let Err(error) = self.write(injected).await {
            return (Done::FaultFailed(error), None);
        }
        state.renew_at = Some(began + self.renewal_period());
        let step = self.entry.injector.verify(&cx, &record.spec, &record.undo);
        match cut_off(orders, timed("verify", deadline, step)).await {
            Cut::Ended(found) => {
                let effect = found.unwrap_or_else(|error| {
                    tracing::warn!(fault = %self.around.fault, %error, "could not verify");
                    Effect::Absent
                });
                (Done::Injected { began, effect }, None)
            }
            Cut::By(order) => (Done::Injected { began, effect: Effect::Absent }, Some(order)),
        }
    }

    async fn await_effective(
        &self,
        state: &mut State,
        orders: &mut mpsc::Receiver<Order>,
    ) -> (Done, Option<Order>) {
        let Some(record) = state.record.clone() else {
            return (Done::NotEffective { seen: "it was never armed".to_owned() }, None);
        };
        let plan = &self.fault().effective;
        let looker = self.looker(&record, plan.by.as_ref());
        let looks = look_until(&self.around, looker, plan, plan.within, Wanted::InForce);
        let step = async {
            tokio::select! {
                biased;
                row = looks => row,
                () = self.renewals(state) => Err("its lease could not be renewed".to_owned()),
            }
        };
        match cut_off(orders, step).await {
            Cut::Ended(Ok(row)) => (Done::Effective { since: row.since, seen: row.seen }, None),
            Cut::Ended(Err(seen)) => (Done::NotEffective { seen }, None),
            Cut::By(order) => {
                (Done::NotEffective { seen: "cut off by its revert".to_owned() }, Some(order))
            }
        }
    }

    async fn revert(&self, state: &mut State, hurry: bool) -> Done {
        state.renew_at = None;
        let began = self.around.clock.now();
        let Some(record) = &state.record else {
            return Done::Reverted { began, how: harness_core::fault::Reverted::WasClean };
        };
        let deadline = hurried(self.plan.deadlines.revert, hurry);
        let cx = self.around.cx(deadline);
        let step = self.entry.injector.revert(&cx, &record.undo);
        match timed("revert", deadline, step).await {
            Ok(how) => {
                state.reverted = Some(how);
                Done::Reverted { began, how }
            }
            Err(error) => Done::FaultFailed(error),
        }
    }

    async fn await_reverted(&self, state: &mut State, hurry: bool) -> Done {
        let Some(record) = &state.record else {
            let seen = "it was never armed".to_owned();
            return Done::ProvenReverted { since: self.around.clock.now(), seen };
        };
        let plan = &self.fault().reverted;
        let within = hurried(plan.within, hurry);
        let looker = self.looker(record, plan.by.as_ref());
        let row = match look_until(&self.around, looker, plan, within, Wanted::Gone).await {
            Ok(row) => row,
            Err(seen) => return Done::NotReverted { seen },
        };
        let how = state.reverted.unwrap_or(harness_core::fault::Reverted::WasClean);
        let paid = LedgerEntry::Paid {
            trial: self.around.trial,
            fault: self.around.fault.clone(),
            how: PaidHow::Reverted(how),
            seen: row.seen.clone(),
            by: BY.to_owned(),
        };
        // When this cannot be written, the run is told so; the fault is gone all the same, and who
        // reads the ledger reverts it once more.
        if self.write(paid).await.is_ok() {
            state.record = None;
        }
        Done::ProvenReverted { since: row.since, seen: row.seen }
    }

    /// Renews the lease again and again while the fault is in force. Ends only when a renewal
    /// failed, which is then reported; cut off and called again, it goes on where it was.
    async fn renewals(&self, state: &mut State) {
        loop {
            let (Some(at), Some(record)) = (state.renew_at, &state.record) else {
                return std::future::pending().await;
            };
            let period = self.renewal_period();
            let due = tokio::time::sleep(at.since(self.around.clock.now()).as_std());
            if self.unrenewed.run_until_cancelled(due).await.is_none() {
                state.renew_at = None;
                continue;
            }
            let cx = self.around.cx(period);
            let renewed = match self.fence.check(self.around.clock.now()) {
                Ok(()) => {
                    timed("renew", period, self.entry.injector.renew(&cx, &record.undo)).await
                }
                Err(why) => Err(failed("renew", &why)),
            };
            match renewed {
                Ok(()) => state.renew_at = Some(self.around.clock.now() + period),
                Err(error) => {
                    state.renew_at = None;
                    let fault = self.around.fault.clone();
                    let lost = Lost::Lease { fault, why: error.to_string() };
                    self.reports.put(Report::Event(Event::Lost(lost))).await;
                    return;
                }
            }
        }
    }

    fn renewal_period(&self) -> Duration {
        self.around.lease.divided_by(RENEWALS_PER_LEASE)
    }

    fn fault(&self) -> &FaultPlan {
        self.plan.fault(&self.around.fault).expect("check: arms name faults of the plan")
    }

    fn looker<'a>(
        &'a self,
        record: &'a OwedFault,
        by: Option<&'a harness_core::ids::SignalId>,
    ) -> Looker<'a> {
        match by {
            Some(name) => Looker::Signal {
                name,
                observed: self.observed.clone(),
                since: self.around.clock.now(),
            },
            None => Looker::Witness(&*self.entry.witness, record.debt()),
        }
    }

    async fn write(&self, entry: LedgerEntry) -> Result<(), FaultError> {
        let written = self.ledger.write(entry).await;
        if let Err(error) = written {
            let why = format!("the undo ledger: {error}");
            let lost = Lost::Storage { why: why.clone() };
            self.reports.put(Report::Event(Event::Lost(lost))).await;
            return Err(failed("write the undo record", &why));
        }
        Ok(())
    }
}

/// Waits for a step, or for the next order, whichever comes first.
async fn cut_off<T>(orders: &mut mpsc::Receiver<Order>, step: impl Future<Output = T>) -> Cut<T> {
    tokio::pin!(step);
    tokio::select! {
        biased;
        Some(order) = orders.recv() => Cut::By(order),
        ended = &mut step => Cut::Ended(ended),
    }
}

/// A step with its deadline.
pub(crate) async fn timed<T>(
    step: &str,
    within: Duration,
    future: impl Future<Output = Result<T, FaultError>>,
) -> Result<T, FaultError> {
    tokio::time::timeout(within.as_std(), future)
        .await
        .unwrap_or_else(|_| Err(FaultError::TimedOut { step: step.to_owned(), within }))
}

/// A deadline, which is short after a second interrupt.
pub(crate) fn hurried(deadline: Duration, hurry: bool) -> Duration {
    if hurry { deadline.min(HURRY_MAX) } else { deadline }
}

fn cut(step: &str) -> Done {
    Done::FaultFailed(failed(step, "a revert came first"))
}

fn failed(action: &str, why: &str) -> FaultError {
    FaultError::Failed { action: action.to_owned(), why: why.to_owned() }
}
