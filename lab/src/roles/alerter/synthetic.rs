//! Alerts that nobody's rule has raised: a stand-in for a misconfigured rule, or for a system far
//! away. All alerts of one marker come and go together, under a lease.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::rules::Condition;
use crate::http::{Call, Reply};
use crate::leases::Leases;

/// More alerts of one marker are refused.
const ALERTS_MAX: u32 = 500;
const NAME_BYTES_MAX: usize = 200;
/// The label that holds the marker.
const MARKER: &str = "gameday";

/// What `PUT /-/synthetic` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Storm {
    marker: String,
    alertname: String,
    alerts: u32,
    lease_ms: u64,
}

/// The synthetic alerts of one alerter.
#[derive(Debug)]
pub(super) struct Synthetic {
    began: Instant,
    /// `alertname` and number of alerts, by marker.
    storms: Mutex<Leases<(String, u32)>>,
}

impl Synthetic {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), storms: Mutex::default() }
    }

    /// What fires now, in wall time.
    pub(super) fn conditions(&self, now: i64) -> Vec<Condition> {
        let mut storms = self.storms();
        let of = |(marker, (name, alerts)): (&String, &(String, u32))| -> Vec<Condition> {
            let one = |number: u32| Condition {
                alertname: Cow::Owned(name.clone()),
                labels: vec![(MARKER, marker.clone()), ("number", number.to_string())],
                summary: String::from("a synthetic alert"),
                since: now,
                for_ms: 0,
            };
            (0..*alerts).map(one).collect()
        };
        storms.live(self.now_ms()).flat_map(of).collect()
    }

    /// Answers what is asked of synthetic alerts.
    pub(super) fn answer(&self, call: &Call) -> Reply {
        let marker = call.parameter("marker").unwrap_or_default();
        match call.method {
            Method::PUT => match call.json::<Storm>() {
                Ok(storm) => self.raise(&storm),
                Err(reply) => reply,
            },
            Method::DELETE => {
                let was = self.storms().take_back(self.now_ms(), &marker);
                Reply::ok(&json!({ "marker": marker, "alerts": was.map_or(0, |(_, count)| count) }))
            }
            Method::GET => {
                let mut storms = self.storms();
                let held = storms.find(self.now_ms(), &marker);
                let alerts = held.map_or(0, |(_, count)| *count);
                Reply::ok(&json!({ "marker": marker, "alerts": alerts }))
            }
            _ => Reply::not_found(),
        }
    }

    fn raise(&self, storm: &Storm) -> Reply {
        let bad = |reason: &str| Reply::error(StatusCode::BAD_REQUEST, reason);
        let named = |text: &str| !text.is_empty() && text.len() <= NAME_BYTES_MAX;
        if !named(&storm.marker) || !named(&storm.alertname) {
            return bad("`marker` and `alertname` have 1 to 200 bytes");
        }
        if storm.alerts == 0 || storm.alerts > ALERTS_MAX || storm.lease_ms == 0 {
            return bad("`alerts` is from 1 to 500, and `leaseMs` above 0");
        }
        let value = (storm.alertname.clone(), storm.alerts);
        if self.storms().set(self.now_ms(), &storm.marker, value, storm.lease_ms) {
            Reply::ok(&json!({ "marker": storm.marker, "alerts": storm.alerts }))
        } else {
            Reply::error(StatusCode::CONFLICT, "these alerts are over")
        }
    }

    fn storms(&self) -> std::sync::MutexGuard<'_, Leases<(String, u32)>> {
        self.storms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
