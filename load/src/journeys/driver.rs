//! The load driver for journeys: one child process per load.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration as StdDuration;

use harness_core::load::{LoadDriver, LoadError, LoadJob, LoadSummary, SampleSink, Stop};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;

use super::DRIVER;
use super::process::{Line, Walking};
use super::wire::{FINISH, Job, STOP};
use crate::listen::{Orders, listen};
use crate::merge::Merger;
use crate::timer::Timeline;

/// A process that was told to stop tells the rest in this time, or is killed.
const STOP_GRACE: StdDuration = StdDuration::from_millis(250);

/// Lets users walk journeys, in a process of their own.
#[derive(Clone)]
pub struct JourneyDriver {
    clock: Arc<dyn Clock>,
    command: Vec<String>,
}

impl JourneyDriver {
    /// A driver whose times are those of the run's clock. `command` starts a process that calls
    /// [`walk_journeys`](super::walk_journeys), with its program first.
    pub fn new(clock: Arc<dyn Clock>, command: Vec<String>) -> Self {
        Self { clock, command }
    }

    async fn drive(
        &self,
        job: LoadJob<'_>,
        out: &dyn SampleSink,
        stop: &dyn Stop,
    ) -> Result<LoadSummary, LoadError> {
        check(&job)?;
        let timeline = Timeline::new(&*self.clock);
        let mut walking = Walking::start(&self.command, &message(&job, timeline))?;
        let kinds = job.plan.mix.iter().map(|request| request.kind.clone()).collect();
        let mut merger = Merger::new(job.trial, job.from, kinds, 1)
            .tracing(job.plan.correlation.then_some(job.seed));
        let orders = Orders::new();
        let Walking { reports, line } = &mut walking;
        let heard = tokio::select! {
            biased;
            heard = listen(reports, &orders, &mut merger, out, stop) => heard,
            () = pass_on(&orders, line) => Ok(()),
        };
        match heard {
            // A process that was killed on our order has not failed.
            Err(LoadError::Machine { .. }) if stop.is_stopped() => {}
            heard => heard?,
        }
        merger.hand_on_the_rest(out);
        Ok(merger.summary(timeline.now_ns().saturating_sub(job.from.nanos())))
    }
}

impl LoadDriver for JourneyDriver {
    fn run<'a>(
        &'a self,
        job: LoadJob<'a>,
        out: &'a dyn SampleSink,
        stop: &'a dyn Stop,
    ) -> BoxFuture<'a, Result<LoadSummary, LoadError>> {
        Box::pin(self.drive(job, out, stop))
    }
}

/// What the types of the plan do not rule out.
fn check(job: &LoadJob<'_>) -> Result<(), LoadError> {
    let unsupported =
        |what: &str| Err(LoadError::Unsupported { driver: DRIVER, what: what.to_owned() });
    let Some(plan) = job.plan.journeys() else {
        return unsupported("load that is no journeys");
    };
    let mut requests: Vec<u32> =
        plan.journeys.iter().flat_map(|one| &one.steps).map(|step| step.request).collect();
    requests.sort_unstable();
    if !requests.iter().copied().eq(0..u32::try_from(job.plan.mix.len()).unwrap_or(u32::MAX)) {
        return unsupported("steps that are not the requests of the mix, each once");
    }
    if plan.users == 0 || plan.journeys.iter().any(|journey| journey.steps.is_empty()) {
        return unsupported("journeys without users or steps");
    }
    Ok(())
}

fn message(job: &LoadJob<'_>, timeline: Timeline) -> Job {
    Job {
        plan: job.plan.clone(),
        run: job.run.clone(),
        trial: job.trial,
        arm: job.arm.to_owned(),
        target: job.target.to_owned(),
        seed: job.seed,
        id_prefix: job.id_prefix.to_owned(),
        origin_ns: timeline.origin_ns(),
        from_ns: job.from.nanos(),
        until_ns: job.until.nanos(),
    }
}

/// Passes orders to the process, and ends it when it does not obey. Never ends by itself.
async fn pass_on(orders: &Orders, line: &Line) {
    let (mut stop, mut finish) = (orders.stop.subscribe(), orders.finish.subscribe());
    let finished = tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => false,
        _ = finish.wait_for(|finish| *finish) => true,
    };
    if finished {
        line.order(FINISH);
        drop(stop.wait_for(|stop| *stop).await);
    }
    line.order(STOP);
    tokio::time::sleep(STOP_GRACE).await;
    line.kill();
    pending::<()>().await;
}
