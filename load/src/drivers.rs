//! All drivers behind one: the plan says which of them drives it.

use std::sync::Arc;

use harness_core::load::{LoadDriver, LoadError, LoadJob, LoadSummary, SampleSink, Stop};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;

use crate::http::HttpDriver;
use crate::journeys::JourneyDriver;

/// The open loop for rates, the journeys for users.
#[derive(Clone)]
pub struct Drivers {
    http: HttpDriver,
    journeys: JourneyDriver,
}

impl Drivers {
    /// Drivers whose times are those of the run's clock. `journeys` is the command of the process
    /// that walks journeys: see [`JourneyDriver::new`].
    pub fn new(clock: Arc<dyn Clock>, journeys: Vec<String>) -> Self {
        let http = HttpDriver::new(Arc::clone(&clock));
        Self { http, journeys: JourneyDriver::new(clock, journeys) }
    }
}

impl LoadDriver for Drivers {
    fn run<'a>(
        &'a self,
        job: LoadJob<'a>,
        out: &'a dyn SampleSink,
        stop: &'a dyn Stop,
    ) -> BoxFuture<'a, Result<LoadSummary, LoadError>> {
        if job.plan.journeys().is_some() {
            self.journeys.run(job, out, stop)
        } else {
            self.http.run(job, out, stop)
        }
    }
}
