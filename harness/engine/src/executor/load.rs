//! The load and the signals of one trial: one task that starts them, ends them, and says how it
//! went.

use std::sync::Arc;

use harness_core::event::Done;
use harness_core::ids::{CommandId, RunId};
use harness_core::load::{LoadDriver, LoadJob, SampleSink, Stop};
use harness_core::plan::{Plan, TrialPlan};
use harness_core::signal::{Observation, SignalEvent, SignalSink, Source, Sources};
use harness_core::system::BoxFuture;
use harness_core::time::{Clock, RunTime};
use harness_core::topology::Topology;
use harness_core::units::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::report::Reports;

/// The first window begins so long after the load was asked for: drivers need time to start.
const LEAD: Duration = Duration::from_millis(100);
/// Beyond its phases a trial's load goes on for at most so long while faults are put back.
const OVERTIME: Duration = Duration::from_secs(60);
/// A driver, or a source, that was told to stop must have ended after this time.
const STOP_MAX: Duration = Duration::from_secs(2);

/// The two ways to end a load.
#[derive(Debug, Clone, Default)]
pub(super) struct LoadStop {
    finish: CancellationToken,
    stop: CancellationToken,
}

impl LoadStop {
    /// Nothing more becomes due; what is in flight may end.
    pub(super) fn finish(&self) {
        self.finish.cancel();
    }

    /// Nothing is sent any more.
    pub(super) fn stop(&self) {
        self.finish.cancel();
        self.stop.cancel();
    }
}

impl Stop for LoadStop {
    fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.stop.cancelled())
    }

    fn is_finishing(&self) -> bool {
        self.finish.is_cancelled()
    }

    fn finishing(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.finish.cancelled())
    }
}

/// The task's own things.
pub(super) struct LoadTask {
    pub(super) command: CommandId,
    pub(super) plan: Arc<Plan>,
    pub(super) trial: TrialPlan,
    pub(super) run: RunId,
    pub(super) topology: Arc<Topology>,
    pub(super) driver: Arc<dyn LoadDriver>,
    pub(super) sources: Arc<dyn Sources>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) reports: Reports,
    pub(super) stop: LoadStop,
}

impl LoadTask {
    /// Drives the load to its end. Answers its command twice: `LoadStarted`, and at the end.
    pub(super) async fn run(self) {
        let sources_stop = LoadStop::default();
        let mut sources = self.start_sources(&sources_stop);
        let from = self.clock.now() + LEAD;
        self.reports.done(self.command, Done::LoadStarted { from }).await;
        let ended = self.drive(from).await;
        sources_stop.stop();
        let all = async { while sources.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_MAX.as_std(), all).await.is_err() {
            tracing::warn!("a source did not stop within {STOP_MAX}");
            sources.shutdown().await;
        }
        self.reports.done(self.command, ended).await;
    }

    async fn drive(&self, from: RunTime) -> Done {
        let until = from + self.plan.phases.longest() + self.trial.delay + OVERTIME;
        let prefix = id_prefix(&self.run, &self.trial);
        let job = LoadJob {
            plan: &self.plan.load,
            run: &self.run,
            trial: self.trial.index,
            arm: self.trial.arm.as_str(),
            target: &self.topology.entry,
            seed: self.trial.seed,
            id_prefix: &prefix,
            from,
            until,
        };
        let sink: &dyn SampleSink = &self.reports;
        let driven = self.driver.run(job, sink, &self.stop);
        tokio::select! {
            biased;
            ended = driven => match ended {
                Ok(summary) => Done::LoadEnded(summary),
                Err(error) => Done::LoadFailed { why: error.to_string() },
            },
            () = self.overdue(until) => {
                Done::LoadFailed { why: "the load driver did not end in time".to_owned() }
            }
        }
    }

    /// Ends when the driver should have ended long ago.
    async fn overdue(&self, until: RunTime) {
        let flight = self.plan.load.timeout + self.plan.deadlines.collect;
        tokio::select! {
            biased;
            () = self.stop.stop.cancelled() => {}
            () = async {
                let left = until.since(self.clock.now());
                tokio::select! {
                    biased;
                    () = self.stop.finish.cancelled() => {}
                    () = tokio::time::sleep(left.as_std()) => {}
                }
                tokio::time::sleep(flight.as_std()).await;
            } => {}
        }
        tokio::time::sleep(STOP_MAX.as_std()).await;
    }

    /// Starts all sources; one that cannot be had is a gap.
    fn start_sources(&self, stop: &LoadStop) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for plan in &self.plan.signals {
            match self.sources.source(plan, &self.topology, Arc::clone(&self.clock)) {
                Ok(source) => {
                    let (out, stop) = (self.reports.clone(), stop.clone());
                    tasks.spawn(observe(source, out, stop));
                }
                Err(why) => {
                    let gap =
                        Observation::Gap { signal: plan.id.clone(), at: self.clock.now(), why };
                    SignalSink::put(&self.reports, SignalEvent::Observed(gap));
                }
            }
        }
        tasks
    }
}

async fn observe(source: Arc<dyn Source>, out: Reports, stop: LoadStop) {
    source.run(&out, &stop).await;
}

/// Ids of a trial's requests begin with this.
pub(super) fn id_prefix(run: &RunId, trial: &TrialPlan) -> String {
    format!("{run}-{}", trial.index)
}
