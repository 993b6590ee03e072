//! Pages on their way to the pager, over the edge `alerter->pager`: in order, each until it was
//! taken. A delivery carries a key, so that one whose answer was lost is no second page. Whatever
//! goes out goes only to who has shown a good certificate: else it waits, and is tried again.
//!
//! A heartbeat goes the same way all the time, so that silence can be told from a broken way. An
//! order makes every delivery go out several times, under one key.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::clock::{Moment, moment};
use crate::http::{Call, Client, Outgoing, Reply};
use crate::orders::Orders;
use crate::roles::pager::DELIVERY_KEY;

const SEND_LIMIT: Duration = Duration::from_millis(500);
/// After a delivery that failed; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_millis(800);
/// More that wait are dropped.
const WAITING_MAX: usize = 256;

/// From one heartbeat to the next.
const HEARTBEAT_EVERY: Duration = Duration::from_millis(300);
/// More deliveries of one page are refused.
const TIMES_MAX: u32 = 10;

/// What `PUT /-/orders` takes as an order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    times: u32,
}

/// Older events are forgotten.
const EVENTS_MAX: usize = 256;

/// A page that was handed over, as `GET /events` tells it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Handed {
    /// Counts from 1, without gaps.
    sequence: u64,
    /// When it was known to be taken.
    #[serde(flatten)]
    at: Moment,
    instance: String,
    to: &'static str,
    target: &'static str,
    key: String,
}

/// What is done with a page that could not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFailure {
    TryAgain,
    /// With the defect only.
    Forget,
}

/// The pages that wait.
#[derive(Debug)]
pub(super) struct Outbox {
    pager: Client,
    on_failure: OnFailure,
    waiting: Mutex<VecDeque<(HeaderValue, Value)>>,
    more: Notify,
    /// How many were handed over, and the latest.
    handed: Mutex<(u64, VecDeque<Handed>)>,
    /// How often each delivery goes out.
    repeats: Orders<u32>,
}

impl Outbox {
    pub(super) fn new(pager: Client, on_failure: OnFailure) -> Self {
        Self {
            pager,
            on_failure,
            waiting: Mutex::default(),
            more: Notify::new(),
            handed: Mutex::default(),
            repeats: Orders::new(),
        }
    }

    /// Answers what is asked of orders.
    pub(super) fn answer(&self, call: &Call) -> Reply {
        self.repeats.answer(call, |Repeat { times }| match times {
            2..=TIMES_MAX => Ok(times),
            _ => Err(format!("`times` is from 2 to {TIMES_MAX}")),
        })
    }

    /// Delivers as often as orders say; whether it was taken at least once.
    async fn send(&self, path: &str, key: HeaderValue, body: &Value) -> bool {
        let headers = [(HeaderName::from_static(DELIVERY_KEY), key)];
        let times = self.repeats.live().into_iter().max().unwrap_or(1);
        let mut taken = false;
        for _ in 0..times {
            let request = Outgoing { headers: &headers, ..Outgoing::post(path, body) };
            let answer = self.pager.call(&request, SEND_LIMIT).await;
            taken |= answer.is_ok_and(|answer| answer.status.is_success());
        }
        taken
    }

    /// Sends heartbeats for ever; one that is not taken is not sent again.
    pub(super) async fn beat(&self, instance: &str) {
        let mut ticks = tokio::time::interval(HEARTBEAT_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for number in 1_u64.. {
            ticks.tick().await;
            if let Ok(key) = HeaderValue::from_str(&format!("{instance}-heartbeat-{number}")) {
                self.send("/heartbeat", key, &json!({})).await;
            }
        }
    }

    /// Puts a page at the end; `false` when too many wait.
    pub(super) fn put(&self, key: &str, body: Value) -> bool {
        let Ok(key) = HeaderValue::from_str(key) else { return false };
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING_MAX {
            return false;
        }
        waiting.push_back((key, body));
        self.more.notify_one();
        true
    }

    /// How many wait, the one that is being delivered included.
    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    /// What was handed over, oldest first.
    pub(super) fn events(&self) -> Reply {
        let handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        Reply::ok(&json!({ "events": handed.1 }))
    }

    fn note(&self, instance: &str, key: &HeaderValue) {
        let mut handed = self.handed.lock().unwrap_or_else(PoisonError::into_inner);
        handed.0 += 1;
        if handed.1.len() == EVENTS_MAX {
            handed.1.pop_front();
        }
        let event = Handed {
            sequence: handed.0,
            at: moment(),
            instance: instance.to_owned(),
            to: "page",
            target: "pager-0",
            key: key.to_str().unwrap_or_default().to_owned(),
        };
        handed.1.push_back(event);
    }

    /// Delivers for ever.
    pub(super) async fn deliver(&self, instance: &str) {
        let mut pause = PAUSE;
        loop {
            let first = self.waiting().front().cloned();
            let Some((key, body)) = first else {
                self.more.notified().await;
                continue;
            };
            if self.send("/hook", key.clone(), &body).await {
                self.note(instance, &key);
                self.waiting().pop_front();
                pause = PAUSE;
                continue;
            }
            match self.on_failure {
                OnFailure::Forget => drop(self.waiting().pop_front()),
                OnFailure::TryAgain => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, VecDeque<(HeaderValue, Value)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
