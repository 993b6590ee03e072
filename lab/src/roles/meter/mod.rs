//! `meter`: the cost feed. It reads what the jobs have used over the edge `meter->jobs`, prices it,
//! and answers what was spent by service and by group of jobs, as of when.
//!
//! While the jobs do not answer, no sum moves and the age grows. A restart begins at nothing.

mod ledger;
mod prices;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use ledger::{INSTANCE_SECOND, JOB_SECOND, Ledger, Usage};
use prices::{PERCENT_MAX, percent};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Context;
use crate::clock::monotonic_us;
use crate::http::{Call, Client, Outgoing, Reply, Service};
use crate::layout::SERVICES;
use crate::leases::Leases;

const READ_EVERY: Duration = Duration::from_millis(100);
const READ_LIMIT: Duration = Duration::from_millis(300);
const CURRENCY: &str = "EUR";
const NAME_BYTES_MAX: usize = 200;

/// What `GET /jobs` gives, as far as the meter reads it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobsAnswer {
    instance: String,
    monotonic_us: u64,
    groups: Vec<GroupUsage>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupUsage {
    label: String,
    used_ms: u64,
}

/// What `GET /api/spend` gives. Money is in millionths of the currency, and only grows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spend {
    /// The process that counts; another one began at nothing.
    instance: String,
    currency: String,
    /// When the sums were true, in microseconds of the monotonic clock; none before the first
    /// reading.
    pub(super) as_of_us: Option<u64>,
    /// How long ago that was, or how long the meter has run without a reading.
    pub(super) age_ms: u64,
    prices: PriceList,
    services: BTreeMap<String, u64>,
    /// By label.
    pub(super) jobs: BTreeMap<String, u64>,
    spent_micro: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PriceList {
    instance_second_micro: u64,
    job_second_micro: u64,
    /// The share of the list price that is paid now.
    percent: u64,
}

/// What `PUT /api/prices` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PriceChange {
    name: String,
    percent: u64,
    lease_ms: u64,
}

#[derive(Debug)]
struct Meter {
    context: Arc<Context>,
    jobs: Client,
    began: Instant,
    ledger: Mutex<Ledger>,
    /// Changes of the price in percent, by name.
    prices: Mutex<Leases<u64>>,
}

pub(super) async fn run(context: Arc<Context>) -> std::io::Result<()> {
    let services = SERVICES.iter().map(|one| (one.name, one.replicas as u64)).collect();
    let role = Arc::new(Meter {
        jobs: Client::new(context.layout.dial("meter", "jobs")[0]),
        began: Instant::now(),
        ledger: Mutex::new(Ledger::new(services)),
        prices: Mutex::default(),
        context: Arc::clone(&context),
    });
    let reading = tokio::spawn({
        let role = Arc::clone(&role);
        async move { role.read().await }
    });
    let served = context.serve(role).await;
    reading.abort();
    served
}

impl Service for Meter {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::GET, "/api/spend") => Reply::ok(&self.spend()),
            (&Method::PUT, "/api/prices") => match call.json::<PriceChange>() {
                Ok(change) => self.change(&change),
                Err(reply) => reply,
            },
            (&Method::DELETE, "/api/prices") => {
                let name = call.parameter("name").unwrap_or_default();
                let was = self.prices().take_back(self.now_ms(), &name).is_some();
                Reply::ok(&json!({ "name": name, "wasInForce": was }))
            }
            (&Method::GET, "/api/prices") => {
                let name = call.parameter("name").unwrap_or_default();
                let holds = self.prices().find(self.now_ms(), &name).is_some();
                Reply::ok(&json!({ "name": name, "inForce": holds }))
            }
            (&Method::GET, "/healthz") if self.ledger().as_of_us().is_none() => {
                Reply::error(StatusCode::SERVICE_UNAVAILABLE, "nothing was read yet")
            }
            (&Method::GET, "/healthz") => self.context.healthy(),
            (&Method::GET, "/metrics") => Reply::metrics(self.context.metrics.text()),
            _ => Reply::not_found(),
        }
    }
}

impl Meter {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prices(&self) -> std::sync::MutexGuard<'_, Leases<u64>> {
        self.prices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Reads what was used, for ever.
    async fn read(&self) {
        let mut ticks = tokio::time::interval(READ_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let answer = self.jobs.call(&Outgoing::get("/jobs"), READ_LIMIT).await;
            let Some(answer) = answer.ok().and_then(|answer| answer.json::<JobsAnswer>()) else {
                self.context.metrics.add("reads_total", "end=\"failed\"", 1.0);
                continue;
            };
            self.context.metrics.add("reads_total", "end=\"good\"", 1.0);
            let JobsAnswer { instance, monotonic_us: at_us, groups } = answer;
            let used_ms = groups.into_iter().map(|group| (group.label, group.used_ms)).collect();
            let percent = percent(&mut self.prices(), self.now_ms());
            self.ledger().take(Usage { instance, at_us, used_ms }, percent);
        }
    }

    fn spend(&self) -> Spend {
        let percent = percent(&mut self.prices(), self.now_ms());
        let ledger = self.ledger();
        let as_of_us = ledger.as_of_us();
        let age = |as_of: u64| monotonic_us().saturating_sub(as_of) / 1_000;
        let by_name = |(name, spent): (&&str, &u64)| ((*name).to_owned(), *spent);
        Spend {
            instance: self.context.instance.clone(),
            currency: CURRENCY.to_owned(),
            as_of_us,
            age_ms: as_of_us.map_or_else(|| self.now_ms(), age),
            prices: PriceList {
                instance_second_micro: INSTANCE_SECOND,
                job_second_micro: JOB_SECOND,
                percent,
            },
            services: ledger.services().iter().map(by_name).collect(),
            jobs: ledger.jobs().clone(),
            spent_micro: ledger.total(),
        }
    }

    fn change(&self, change: &PriceChange) -> Reply {
        let bad = |reason: &str| Reply::error(StatusCode::BAD_REQUEST, reason);
        if change.name.is_empty() || change.name.len() > NAME_BYTES_MAX {
            return bad("`name` has 1 to 200 bytes");
        }
        if change.percent == 0 || change.percent > PERCENT_MAX || change.lease_ms == 0 {
            return bad("`percent` is from 1 to 10000, and `leaseMs` above 0");
        }
        let PriceChange { name, percent, lease_ms } = change;
        if self.prices().set(self.now_ms(), name, *percent, *lease_ms) {
            Reply::ok(&json!({ "name": name, "percent": percent, "leaseMs": lease_ms }))
        } else {
            Reply::error(StatusCode::CONFLICT, "this change is over")
        }
    }
}
