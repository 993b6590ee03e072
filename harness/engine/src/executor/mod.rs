//! Performs the conductor's commands through core's ports. Decides nothing; every command that is
//! not superseded is answered, and every wait has a deadline.

mod fault;
mod load;
mod system;

pub(crate) use fault::{hurried, timed};
pub(crate) use system::close;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use harness_core::event::{AbortRequest, Command, Done, Event, Issued, Lost};
use harness_core::fault::Registry;
use harness_core::ids::{CommandId, FaultId, RunId, TrialIndex};
use harness_core::load::LoadDriver;
use harness_core::plan::{Plan, TrialPlan};
use harness_core::signal::Sources;
use harness_core::system::{Host, Opened};
use harness_core::time::{Clock, RunTime};
use harness_core::topology::Topology;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ledger::{Ledger, LedgerEntry};
use crate::looks::{Around, Observed};
use crate::report::{Report, Reports};
use crate::watchdog::Fence;
use fault::{FaultTask, ORDERS_MAX, Order, Step};
use load::{LoadStop, LoadTask};

/// Who closes, in the ledger.
pub(crate) const BY: &str = "run";

/// The outside, as core's ports.
#[derive(Clone)]
pub struct Ports {
    /// Opens and closes the system.
    pub host: Arc<dyn Host>,
    /// The kinds of fault.
    pub registry: Registry,
    /// Sends load.
    pub driver: Arc<dyn LoadDriver>,
    /// Makes sources of signals.
    pub sources: Arc<dyn Sources>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

type FaultKey = (TrialIndex, FaultId);

/// The tasks of a run and what they need.
pub(crate) struct Executor {
    run: RunId,
    plan: Arc<Plan>,
    ports: Ports,
    ledger: Ledger,
    reports: Reports,
    fence: Fence,
    observed: watch::Receiver<Observed>,
    /// Everything that runs. A panic in one of them is a bug, see `join_next`.
    tasks: JoinSet<()>,
    opened: Option<Opened>,
    topology: Arc<Topology>,
    load: Option<LoadStop>,
    faults: BTreeMap<FaultKey, mpsc::Sender<Order>>,
    /// Cancelled once the trial winds down: what waits for its revert may end with its lease.
    unrenewed: CancellationToken,
    /// Steps of the system as a whole that may be cut off.
    steps: BTreeMap<CommandId, CancellationToken>,
    wakes: BTreeSet<(RunTime, CommandId)>,
    hurry: bool,
}

/// What an executor is made of, beside the plan.
pub(crate) struct Surroundings {
    pub(crate) run: RunId,
    pub(crate) ports: Ports,
    pub(crate) ledger: Ledger,
    pub(crate) reports: Reports,
    pub(crate) fence: Fence,
    pub(crate) observed: watch::Receiver<Observed>,
}

impl Executor {
    pub(crate) fn new(plan: Arc<Plan>, around: Surroundings) -> Self {
        let Surroundings { run, ports, ledger, reports, fence, observed } = around;
        Self {
            run,
            plan,
            ports,
            ledger,
            reports,
            fence,
            observed,
            tasks: JoinSet::new(),
            opened: None,
            topology: Arc::default(),
            load: None,
            faults: BTreeMap::new(),
            unrenewed: CancellationToken::new(),
            steps: BTreeMap::new(),
            wakes: BTreeSet::new(),
            hurry: false,
        }
    }

    /// The system is open.
    pub(crate) fn opened(&mut self, opened: Opened) {
        self.topology = Arc::new(opened.topology.clone());
        self.opened = Some(opened);
    }

    /// Takes note of an event before the conductor answers it.
    pub(crate) fn note(&mut self, event: &Event) {
        self.hurry |= matches!(event, Event::Abort(AbortRequest::Signal { count }) if *count >= 2);
        if matches!(event, Event::Abort(_) | Event::Lost(_)) {
            self.unrenewed.cancel();
        }
        match event {
            Event::Done { command, outcome } => {
                self.steps.remove(command);
                if let Done::Steady(topology) = outcome {
                    self.topology = Arc::new(topology.clone());
                }
            }
            // Opening is cut off at once; the rest is the conductor's decision.
            Event::Abort(_) | Event::Lost(_) if self.opened.is_none() => self.cut_off_steps(),
            _ => {}
        }
    }

    /// Whether a second interrupt came.
    pub(crate) fn is_in_hurry(&self) -> bool {
        self.hurry
    }

    /// When the next wake is due.
    pub(crate) fn next_wake(&self) -> Option<RunTime> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// The command whose wake is due.
    pub(crate) fn take_wake(&mut self, now: RunTime) -> Option<CommandId> {
        let (at, command) = *self.wakes.first()?;
        (at <= now).then(|| {
            self.wakes.remove(&(at, command));
            command
        })
    }

    /// Waits for the end of any task; `Some` is the text of its panic.
    pub(crate) async fn join_next(&mut self) -> Option<String> {
        match self.tasks.join_next().await {
            Some(Err(error)) if error.is_panic() => Some(panic_text(error.into_panic().as_ref())),
            Some(_) => None,
            None => std::future::pending().await,
        }
    }

    /// Begins a command.
    pub(crate) fn execute(&mut self, issued: Issued) {
        let id = issued.id;
        match issued.command {
            Command::Open => self.open(id),
            Command::Settle { .. } => self.settle(id),
            Command::StartLoad { trial } => self.start_load(id, trial),
            Command::StopLoad { now, .. } => self.stop_load(now),
            Command::Arm { trial, fault } => {
                self.start_fault(trial, &fault);
                self.order(id, &(trial, fault), Step::Arm);
            }
            Command::Inject { trial, fault } => self.order(id, &(trial, fault), Step::Inject),
            Command::AwaitEffective { trial, fault } => {
                self.order(id, &(trial, fault), Step::AwaitEffective);
            }
            Command::Revert { trial, fault, hurry } => {
                self.order(id, &(trial, fault), Step::Revert { hurry });
            }
            Command::AwaitReverted { trial, fault, hurry } => {
                self.order(id, &(trial, fault), Step::AwaitReverted { hurry });
            }
            Command::Collect { trial } => self.collect(id, trial),
            Command::Wake { at } => {
                self.wakes.insert((at, id));
            }
            Command::Close => self.close(id),
            // A trial's tasks end with the trial.
            Command::TrialEnds { .. } => {
                self.faults.clear();
                self.unrenewed = CancellationToken::new();
                if let Some(load) = self.load.take() {
                    load.stop();
                }
            }
            Command::TrialBegins { .. }
            | Command::PhaseBegins { .. }
            | Command::PlaceboMark { .. }
            | Command::End { .. } => {}
        }
    }

    /// Ends everything that still runs. What is owed then is in the ledger.
    pub(crate) async fn shut_down(&mut self) {
        if let Some(load) = self.load.take() {
            load.stop();
        }
        self.cut_off_steps();
        self.faults.clear();
        self.tasks.shutdown().await;
    }

    fn open(&mut self, id: CommandId) {
        let cut = self.step(id);
        let (plan, host) = (Arc::clone(&self.plan), Arc::clone(&self.ports.host));
        let (ledger, reports) = (self.ledger.clone(), self.reports.clone());
        self.tasks.spawn(async move {
            let opened = tokio::select! {
                biased;
                () = cut.cancelled() => Err((Done::NotOpened { why: "cut off".to_owned() }, false)),
                opened = system::open(&plan, &*host, &ledger) => opened,
            };
            match opened {
                Ok(opened) => reports.put(Report::Opened(id, opened)).await,
                Err((outcome, lost)) => {
                    if lost && let Done::NotOpened { why } = &outcome {
                        let lost = Lost::Storage { why: why.clone() };
                        reports.put(Report::Event(Event::Lost(lost))).await;
                    }
                    reports.done(id, outcome).await;
                }
            }
        });
    }

    fn settle(&mut self, id: CommandId) {
        let Some(opened) = self.opened.clone() else {
            let missing = vec!["the system is not open".to_owned()];
            return self.answer(id, Done::Unsteady { missing });
        };
        let (plan, clock) = (Arc::clone(&self.plan), Arc::clone(&self.ports.clock));
        self.spawn_step(id, async move { system::settle(&plan, &*opened.system, clock).await });
    }

    fn collect(&mut self, id: CommandId, trial: TrialIndex) {
        let Some(opened) = self.opened.clone() else {
            return self
                .answer(id, Done::NotCollected { why: "the system is not open".to_owned() });
        };
        let prefix = load::id_prefix(&self.run, self.trial(trial));
        let (deadline, clock) = (self.plan.deadlines.collect, Arc::clone(&self.ports.clock));
        self.spawn_step(id, async move {
            system::collect(deadline, &*opened.system, &prefix, clock).await
        });
    }

    fn close(&mut self, id: CommandId) {
        self.cut_off_steps();
        let Some(record) = self.ledger.state().system.filter(|system| system.owed) else {
            return self.answer(id, Done::Closed);
        };
        let deadline = hurried(self.plan.deadlines.close, self.hurry);
        let (host, clock) = (Arc::clone(&self.ports.host), Arc::clone(&self.ports.clock));
        let (ledger, reports) = (self.ledger.clone(), self.reports.clone());
        self.tasks.spawn(async move {
            let outcome = match close(&*host, &record.record, deadline, &*clock).await {
                Ok(()) => {
                    let entry = LedgerEntry::SystemClosed { by: BY.to_owned() };
                    if let Err(error) = ledger.write(entry).await {
                        tracing::warn!(%error, "could not write that the system is closed");
                    }
                    Done::Closed
                }
                Err(why) => Done::NotClosed { why },
            };
            reports.done(id, outcome).await;
        });
    }

    fn start_load(&mut self, id: CommandId, trial: TrialIndex) {
        let stop = LoadStop::default();
        self.load = Some(stop.clone());
        let task = LoadTask {
            command: id,
            plan: Arc::clone(&self.plan),
            trial: self.trial(trial).clone(),
            run: self.run.clone(),
            topology: Arc::clone(&self.topology),
            driver: Arc::clone(&self.ports.driver),
            sources: Arc::clone(&self.ports.sources),
            clock: Arc::clone(&self.ports.clock),
            reports: self.reports.clone(),
            stop,
        };
        self.tasks.spawn(task.run());
    }

    fn stop_load(&mut self, now: bool) {
        if now {
            // A guardrail tripped, say: from here on there are only reverts.
            self.unrenewed.cancel();
        }
        match &self.load {
            Some(load) if now => load.stop(),
            Some(load) => load.finish(),
            None => {}
        }
    }

    fn start_fault(&mut self, trial: TrialIndex, fault: &FaultId) {
        let kind = self.plan.fault(fault).map_or("", |plan| &plan.kind);
        let Some(entry) = self.ports.registry.entry(kind, &self.plan.system.kind) else { return };
        let task = FaultTask {
            plan: Arc::clone(&self.plan),
            around: Around {
                run: self.run.clone(),
                trial,
                fault: fault.clone(),
                topology: Arc::clone(&self.topology),
                lease: self.plan.safety.lease,
                clock: Arc::clone(&self.ports.clock),
            },
            entry: entry.clone(),
            ledger: self.ledger.clone(),
            reports: self.reports.clone(),
            observed: self.observed.clone(),
            fence: self.fence.clone(),
            unrenewed: self.unrenewed.clone(),
        };
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        self.tasks.spawn(task.run(inbox));
        self.faults.insert((trial, fault.clone()), orders);
    }

    fn order(&mut self, command: CommandId, key: &FaultKey, step: Step) {
        let order = Order { command, step };
        let sent = self.faults.get(key).is_some_and(|orders| orders.try_send(order).is_ok());
        if !sent {
            let why = format!("there is no task for {} in trial {}", key.1, key.0.number());
            let error = harness_core::fault::FaultError::Failed {
                action: "pass on a step".to_owned(),
                why,
            };
            self.answer(command, Done::FaultFailed(error));
        }
    }

    fn trial(&self, index: TrialIndex) -> &TrialPlan {
        let trials = &self.plan.trials;
        let mut all = trials.planned.iter().chain(&trials.spare);
        all.find(|trial| trial.index == index).expect("commands name trials of the plan")
    }

    fn step(&mut self, id: CommandId) -> CancellationToken {
        self.steps.entry(id).or_default().clone()
    }

    fn cut_off_steps(&mut self) {
        for cut in std::mem::take(&mut self.steps).into_values() {
            cut.cancel();
        }
    }

    /// A step that nobody waits for once it is cut off.
    fn spawn_step(&mut self, id: CommandId, step: impl Future<Output = Done> + Send + 'static) {
        let (cut, reports) = (self.step(id), self.reports.clone());
        self.tasks.spawn(async move {
            if let Some(outcome) = cut.run_until_cancelled(step).await {
                reports.done(id, outcome).await;
            }
        });
    }

    fn answer(&mut self, command: CommandId, outcome: Done) {
        self.tell(Event::Done { command, outcome });
    }

    /// Does something beside the run's steps; it ends with the run at the latest.
    pub(crate) fn aside(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Puts an event at the end of the queue.
    pub(crate) fn tell(&mut self, event: Event) {
        let reports = self.reports.clone();
        self.aside(async move { reports.put(Report::Event(event)).await });
    }
}

/// The words of a panic.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}
