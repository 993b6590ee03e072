//! `jobs`: a small batch runner. Jobs do nothing but run, and running costs money.
//!
//! Two jobs of the group `reports` run for ever, as the shop's own work. A quota bounds how many
//! run at once. What was used is kept in memory only: a restart begins anew, under another
//! instance name, and its jobs are gone.

mod groups;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use groups::{Batch, Groups, JOBS_MAX, Refusal};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::Context;
use crate::clock::monotonic_us;
use crate::defects::Defect;
use crate::http::{Call, Reply, Service};

/// So many jobs run at once, the shop's own included.
const QUOTA: usize = 24;
/// With the defect.
const QUOTA_OFF: usize = 10_000;
/// The group of the shop's own jobs, which nothing stops.
pub(crate) const OWN_GROUP: &str = "reports";
const OWN_JOBS: usize = 2;
/// A job runs for at most so long.
const LASTS_MS_MAX: u64 = 600_000;
/// Jobs end, and those that wait begin, within this time.
const TICK: Duration = Duration::from_millis(20);
/// A longer label is refused.
const LABEL_BYTES_MAX: usize = 200;

/// What `POST /jobs` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Submission {
    label: String,
    count: usize,
    lasts_ms: u64,
    #[serde(default)]
    lease_ms: Option<u64>,
}

/// What `POST /jobs/renew` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Renewal {
    label: String,
    lease_ms: u64,
}

/// What `POST /jobs/hold` and `POST /jobs/release` take.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    label: String,
}

#[derive(Debug)]
struct Jobs {
    context: Arc<Context>,
    began: Instant,
    groups: Mutex<Groups>,
}

pub(super) async fn run(context: Arc<Context>) -> std::io::Result<()> {
    let off = context.layout.defects.has(Defect::QuotaOff);
    let mut groups = Groups::new(if off { QUOTA_OFF } else { QUOTA });
    let own = Batch { count: OWN_JOBS, lasts_ms: u64::MAX, lease_ms: None };
    groups.submit(0, OWN_GROUP, own).expect("the first jobs have room");
    let groups = Mutex::new(groups);
    let role = Arc::new(Jobs { context: Arc::clone(&context), began: Instant::now(), groups });
    let ticking = tokio::spawn({
        let role = Arc::clone(&role);
        async move {
            loop {
                tokio::time::sleep(TICK).await;
                role.groups().advance(role.now_ms());
            }
        }
    });
    let served = context.serve(role).await;
    ticking.abort();
    served
}

impl Service for Jobs {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::GET, "/jobs") => self.list(&call),
            (&Method::POST, "/jobs") => self.submit(&call),
            (&Method::DELETE, "/jobs") => self.close(&call),
            (&Method::POST, "/jobs/renew") => match call.json::<Renewal>() {
                Ok(renewal) => self.renew(&renewal),
                Err(reply) => reply,
            },
            (&Method::POST, "/jobs/hold") => match call.json::<Named>() {
                Ok(Named { label }) if label == OWN_GROUP && !self.may_stop_own() => {
                    Reply::error(StatusCode::CONFLICT, "the shop's own jobs are not stopped")
                }
                Ok(Named { label }) => {
                    let stopped = self.groups().hold(self.now_ms(), &label);
                    Reply::ok(&json!({ "label": label, "stopped": stopped }))
                }
                Err(reply) => reply,
            },
            (&Method::POST, "/jobs/release") => match call.json::<Named>() {
                Ok(Named { label }) => {
                    self.groups().release(&label);
                    Reply::ok(&json!({ "label": label }))
                }
                Err(reply) => reply,
            },
            (&Method::GET, "/healthz") => self.context.healthy(),
            (&Method::GET, "/metrics") => Reply::metrics(self.context.metrics.text()),
            _ => Reply::not_found(),
        }
    }
}

impl Jobs {
    fn groups(&self) -> std::sync::MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With the defect only.
    fn may_stop_own(&self) -> bool {
        self.context.layout.defects.has(Defect::CapBlunt)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// One group, or all of them.
    fn list(&self, call: &Call) -> Reply {
        let now_ms = self.now_ms();
        let mut groups = self.groups();
        groups.advance(now_ms);
        let views = match call.parameter("label") {
            Some(label) => vec![groups.view(now_ms, &label)],
            None => groups.views(now_ms),
        };
        let (instance, at) = (&self.context.instance, monotonic_us());
        Reply::ok(&json!({ "instance": instance, "monotonicUs": at, "groups": views }))
    }

    fn submit(&self, call: &Call) -> Reply {
        let asked: Submission = match call.json() {
            Ok(asked) => asked,
            Err(reply) => return reply,
        };
        let bad = |reason: &str| Reply::error(StatusCode::BAD_REQUEST, reason);
        if asked.label.is_empty() || asked.label.len() > LABEL_BYTES_MAX {
            return bad("`label` has 1 to 200 bytes");
        }
        if asked.count == 0 || asked.count > JOBS_MAX {
            return bad("`count` is from 1 to 1000");
        }
        if asked.lasts_ms == 0 || asked.lasts_ms > LASTS_MS_MAX {
            return bad("`lastsMs` is from 1 to 600000");
        }
        let Submission { label, count, lasts_ms, lease_ms } = asked;
        let batch = Batch { count, lasts_ms, lease_ms };
        match self.groups().submit(self.now_ms(), &label, batch) {
            Ok(view) => Reply::json(StatusCode::CREATED, &view),
            Err(refusal) => refused(refusal),
        }
    }

    fn renew(&self, renewal: &Renewal) -> Reply {
        if self.groups().renew(self.now_ms(), &renewal.label, renewal.lease_ms) {
            Reply::ok(&json!({ "label": renewal.label, "leaseMs": renewal.lease_ms }))
        } else {
            Reply::error(StatusCode::GONE, "the group has no lease that could be renewed")
        }
    }

    fn close(&self, call: &Call) -> Reply {
        let label = call.parameter("label").unwrap_or_default();
        if label.is_empty() || label == OWN_GROUP || label.len() > LABEL_BYTES_MAX {
            return Reply::error(StatusCode::BAD_REQUEST, "`label` names no group that can end");
        }
        match self.groups().close(self.now_ms(), &label) {
            Ok(stopped) => Reply::ok(&json!({ "label": label, "stopped": stopped })),
            Err(refusal) => refused(refusal),
        }
    }
}

fn refused(refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Closed => Reply::error(StatusCode::CONFLICT, "the group is closed"),
        Refusal::Held => Reply::error(StatusCode::TOO_MANY_REQUESTS, "the group is held"),
        Refusal::Full => Reply::error(StatusCode::INSUFFICIENT_STORAGE, "too many jobs or groups"),
    }
}
