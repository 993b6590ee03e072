//! `cap`: the cost cap. It watches the meter over the edge `cap->meter`; when the jobs spend too
//! much for too long, it stops the group that spends most over `cap->jobs`, and records that once.
//!
//! While the meter is silent or stale it does nothing: it holds when blind.

mod watch;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use serde::Serialize;
use serde_json::json;
use watch::{Act, LIMIT_MICRO_PER_SECOND, Sample, Watch};

use super::Context;
use super::jobs::OWN_GROUP;
use super::meter::Spend;
use crate::clock::{Moment, moment};
use crate::defects::Defect;
use crate::http::{Call, Client, Outgoing, Reply, Service};

const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_LIMIT: Duration = Duration::from_millis(300);
const ACT_LIMIT: Duration = Duration::from_millis(500);
/// Sums that are older are no sums.
const STALE_MS: u64 = 600;
const PATIENCE_US: u64 = 500_000;
/// With the defect.
const PATIENCE_LATE_US: u64 = 8_000_000;
/// Older events are forgotten.
const EVENTS_MAX: usize = 1_024;

/// Something that the cap did.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct CapEvent {
    /// Counts from 1.
    sequence: u64,
    #[serde(flatten)]
    at: Moment,
    instance: String,
    /// What was done: `stop`, `release`.
    to: &'static str,
    /// On what.
    target: &'static str,
    /// The group.
    label: String,
}

#[derive(Debug)]
struct Cap {
    context: Arc<Context>,
    meter: Client,
    jobs: Client,
    watch: Mutex<Watch>,
    events: Mutex<(u64, VecDeque<CapEvent>)>,
}

pub(super) async fn run(context: Arc<Context>) -> std::io::Result<()> {
    let late = context.layout.defects.has(Defect::CapLate);
    let blunt = context.layout.defects.has(Defect::CapBlunt);
    let protected = if blunt { "" } else { OWN_GROUP };
    let watch = Watch::new(if late { PATIENCE_LATE_US } else { PATIENCE_US }, protected);
    let role = Arc::new(Cap {
        meter: Client::new(context.layout.dial("cap", "meter")[0]),
        jobs: Client::new(context.layout.dial("cap", "jobs")[0]),
        watch: Mutex::new(watch),
        events: Mutex::default(),
        context: Arc::clone(&context),
    });
    let looking = tokio::spawn({
        let role = Arc::clone(&role);
        async move { role.look().await }
    });
    let served = context.serve(role).await;
    looking.abort();
    served
}

impl Service for Cap {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::GET, "/events") => {
                let events = &self.events.lock().unwrap_or_else(PoisonError::into_inner).1;
                Reply::ok(&json!({ "events": events }))
            }
            (&Method::GET, "/state") => {
                let stopped: Vec<String> = self.watch().stopped().cloned().collect();
                let limit = LIMIT_MICRO_PER_SECOND;
                Reply::ok(&json!({ "stopped": stopped, "limitMicroPerSecond": limit }))
            }
            (&Method::GET, "/healthz") => self.context.healthy(),
            (&Method::GET, "/metrics") => Reply::metrics(self.context.metrics.text()),
            _ => Reply::not_found(),
        }
    }
}

impl Cap {
    fn watch(&self) -> std::sync::MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the meter, and acts, for ever.
    async fn look(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let answer = self.meter.call(&Outgoing::get("/api/spend"), LOOK_LIMIT).await;
            let Some(spend) = answer.ok().and_then(|answer| answer.json::<Spend>()) else {
                continue;
            };
            let Some(at_us) = spend.as_of_us.filter(|_| spend.age_ms <= STALE_MS) else {
                continue;
            };
            let act = self.watch().step(Sample { at_us, spent: spend.jobs });
            if let Some(act) = act
                && !self.context.layout.defects.has(Defect::CapOff)
            {
                self.act(&act).await;
            }
        }
    }

    /// Carries an act out and records it; one that does not succeed is tried at the next look.
    async fn act(&self, act: &Act) {
        let (path, to, label) = match act {
            Act::Stop(label) => ("/jobs/hold", "stop", label),
            Act::Release(label) => ("/jobs/release", "release", label),
        };
        let body = json!({ "label": label });
        let answer = self.jobs.call(&Outgoing::post(path, &body), ACT_LIMIT).await;
        if !answer.is_ok_and(|answer| answer.status.is_success()) {
            self.context.log.line(&format!("cannot {to} {label}"));
            return;
        }
        self.watch().done(act);
        self.context.log.line(&format!("{to} {label}"));
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.0 += 1;
        if events.1.len() == EVENTS_MAX {
            events.1.pop_front();
        }
        let event = CapEvent {
            sequence: events.0,
            at: moment(),
            instance: self.context.instance.clone(),
            to,
            target: "jobs-0",
            label: label.clone(),
        };
        events.1.push_back(event);
    }
}
