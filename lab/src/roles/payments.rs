//! `payments`: the third party that charges money, once per key.
//!
//! A third party keeps its books durably. Here the receipt follows from the key, so that a
//! restart, which empties the list of charges, cannot make a second receipt for one key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::Context;
use super::config::{Config, Setting};
use super::service_time::{ServiceTime, Shape};
use crate::defects::Defect;
use crate::http::{Call, Reply, Service};

/// More charges are refused with 507.
const CHARGES_MAX: usize = 2_000_000;
/// More charges are not listed in one answer.
const LISTED_MAX: usize = 100_000;
const HEALTHY: Duration = Duration::from_millis(8);
const SLOW: Duration = Duration::from_millis(150);
/// Charges that are worked on at once.
const PROCESSORS: usize = 256;
/// The settings that can be changed while it runs.
const SERVICE_TIME: &str = "serviceTimeMs";
const PROCESSORS_NAME: &str = "processors";

/// What `POST /charge` takes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Charge {
    pub(super) key: String,
}

/// What `POST /charge` gives: the same receipt for the same key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Receipt {
    pub(super) receipt: String,
}

#[derive(Debug)]
struct Payments {
    context: Arc<Context>,
    time: ServiceTime,
    config: Config,
    /// Receipt and number of requests by key.
    charges: Mutex<BTreeMap<String, (String, u32)>>,
}

pub(super) async fn run(context: Arc<Context>) -> std::io::Result<()> {
    let median = if context.layout.defects.has(Defect::PaymentsSlow) { SLOW } else { HEALTHY };
    let time = ServiceTime::new(shape(median, PROCESSORS), &context.instance);
    let value = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let median_ms = u64::try_from(median.as_millis()).unwrap_or(u64::MAX);
    let config = Config::new(vec![
        Setting { name: PROCESSORS_NAME, value: value(PROCESSORS), least: 1, most: 1_024 },
        Setting { name: SERVICE_TIME, value: median_ms, least: 1, most: 5_000 },
    ]);
    let role = Payments { context: Arc::clone(&context), time, config, charges: Mutex::default() };
    context.serve(Arc::new(role)).await
}

fn shape(median: Duration, processors: usize) -> Shape {
    Shape { median, sigma: 0.4, most: median * 10, processors }
}

/// FNV-1a, 64 bits: far apart enough for the orders of one lab.
fn hash(key: &str) -> u64 {
    key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Service for Payments {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::POST, "/charge") => {
                let begun = Instant::now();
                let reply = self.charge(&call).await;
                let code = format!("code=\"{}\"", reply.status.as_u16());
                self.context.metrics.add("requests_total", &code, 1.0);
                self.context.metrics.observe("request_seconds", begun.elapsed());
                reply
            }
            (&Method::GET, "/charges") => self.list(&call),
            (&Method::GET, "/healthz") => self.context.healthy(),
            (_, "/-/config") => self.config.answer(&call, |values| {
                let median = Duration::from_millis(values[SERVICE_TIME]);
                let processors = usize::try_from(values[PROCESSORS_NAME]);
                self.time.change(shape(median, processors.unwrap_or(PROCESSORS)));
            }),
            (&Method::GET, "/metrics") => self.metrics(),
            _ => Reply::not_found(),
        }
    }
}

impl Payments {
    /// With the settings that are in effect.
    fn metrics(&self) -> Reply {
        let Shape { median, processors, .. } = self.time.shape();
        let metrics = &self.context.metrics;
        let label = |name: &str| format!("name=\"{name}\"");
        metrics.set("setting", &label(PROCESSORS_NAME), processors as f64);
        metrics.set("setting", &label(SERVICE_TIME), median.as_secs_f64() * 1_000.0);
        Reply::metrics(metrics.text())
    }

    async fn charge(&self, call: &Call) -> Reply {
        let charge: Charge = match call.json() {
            Ok(charge) => charge,
            Err(reply) => return reply,
        };
        self.time.work().await;
        let mut charges = self.charges.lock().unwrap_or_else(PoisonError::into_inner);
        if charges.len() >= CHARGES_MAX && !charges.contains_key(&charge.key) {
            return Reply::error(StatusCode::INSUFFICIENT_STORAGE, "too many charges");
        }
        let receipt = format!("charge-{:016x}", hash(&charge.key));
        let (receipt, requests) = charges.entry(charge.key).or_insert_with(|| (receipt, 0));
        if *requests == 0 {
            self.context.metrics.add("charges_total", "", 1.0);
        }
        *requests = requests.saturating_add(1);
        Reply::ok(&Receipt { receipt: receipt.clone() })
    }

    fn list(&self, call: &Call) -> Reply {
        let prefix = call.parameter("prefix").unwrap_or_default();
        let charges = self.charges.lock().unwrap_or_else(PoisonError::into_inner);
        let listed: Vec<serde_json::Value> = charges
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .take(LISTED_MAX)
            .map(|(key, (receipt, requests))| {
                serde_json::json!({ "key": key, "receipt": receipt, "requests": requests })
            })
            .collect();
        Reply::ok(&serde_json::json!({ "count": listed.len(), "charges": listed }))
    }
}
