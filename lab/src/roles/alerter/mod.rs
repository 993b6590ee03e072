//! `alerter`: evaluates the rules over the collector's HTTP API and pages once per incident: the
//! pager, and whoever has leased a receiver.

mod incidents;
mod outbox;
mod rules;
mod synthetic;
mod webhook;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use incidents::{Incidents, Notification, Status};
use outbox::{OnFailure, Outbox};
use rules::{ASK_BACK_MS, Manner, Observations, Silence, evaluate, is_blind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use synthetic::Synthetic;
use tokio::sync::Semaphore;

use super::Context;
use super::collector::{FreshnessAnswer, SeriesAnswer, SeriesView};
use crate::clock::{Moment, moment, unix_ms};
use crate::defects::Defect;
use crate::http::{Call, Client, Outgoing, Reply, Service};
use crate::tls::{Connector, Trust};

const EVALUATE_EVERY: Duration = Duration::from_millis(200);
const QUERY_LIMIT: Duration = Duration::from_millis(300);
/// Rules are not evaluated until every target was up once, or for so long.
const START_LIMIT: Duration = Duration::from_secs(10);
const SEND_LIMIT: Duration = Duration::from_secs(1);
const SEND_TRIES: u32 = 3;
const SEND_PAUSE: Duration = Duration::from_millis(100);
/// Deliveries under way; more are dropped and logged.
const DELIVERIES_MAX: usize = 64;
/// Receivers; more are refused.
const RECEIVERS_MAX: usize = 64;
/// Older pages are forgotten.
const PAGES_MAX: usize = 512;
/// A lease of a receiver.
const TTL_SECONDS_MAX: u64 = 3_600;

/// What `POST /-/receivers` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lease {
    url: String,
    ttl_seconds: u64,
}

/// One notification as it was sent.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    /// Counts from 1.
    sequence: u64,
    #[serde(flatten)]
    at: Moment,
    alertname: String,
    incident: u64,
    status: Status,
    /// Receivers it was sent to.
    receivers: usize,
}

#[derive(Debug, Default)]
struct Told {
    incidents: Incidents,
    pages: VecDeque<Page>,
    count: u64,
}

#[derive(Debug)]
struct Alerter {
    context: Arc<Context>,
    collector: Client,
    told: Mutex<Told>,
    /// URL and end of the lease.
    receivers: Mutex<BTreeMap<String, Instant>>,
    deliveries: Arc<Semaphore>,
    outbox: Outbox,
    synthetic: Synthetic,
    /// Whether the rules are evaluated; before that the pod is not ready.
    watching: AtomicBool,
}

pub(super) async fn run(context: Arc<Context>) -> std::io::Result<()> {
    let collector = Client::new(context.layout.service("collector")[0]);
    let forgets = context.layout.defects.has(Defect::AlerterForgets);
    let on_failure = if forgets { OnFailure::Forget } else { OnFailure::TryAgain };
    let trusting = context.layout.defects.has(Defect::AlerterTrusting);
    let trust = if trusting { Trust::Anybody } else { Trust::Authority };
    let connector = Connector::of(&context.state, trust)?;
    let pager = Client::secure(context.layout.dial("alerter", "pager")[0], connector);
    let role = Arc::new(Alerter {
        collector,
        outbox: Outbox::new(pager, on_failure),
        synthetic: Synthetic::new(),
        told: Mutex::default(),
        receivers: Mutex::default(),
        deliveries: Arc::new(Semaphore::new(DELIVERIES_MAX)),
        watching: AtomicBool::new(false),
        context: Arc::clone(&context),
    });
    let watching = tokio::spawn({
        let role = Arc::clone(&role);
        async move { role.watch().await }
    });
    let delivering = tokio::spawn({
        let role = Arc::clone(&role);
        async move { role.outbox.deliver(&role.context.instance).await }
    });
    let beating = tokio::spawn({
        let role = Arc::clone(&role);
        async move { role.outbox.beat(&role.context.instance).await }
    });
    let served = context.serve(role).await;
    watching.abort();
    delivering.abort();
    beating.abort();
    served
}

impl Service for Alerter {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::GET, "/api/v2/alerts") => {
                let now = unix_ms();
                let at = self.context.address;
                let told = self.told();
                let alerts = told.incidents.alerts();
                let listed: Vec<Value> =
                    alerts.filter_map(|alert| webhook::listed(alert, now, at)).collect();
                Reply::ok(&listed)
            }
            (&Method::GET, "/api/alerts") => {
                let told = self.told();
                let alerts: Vec<_> = told.incidents.alerts().collect();
                Reply::ok(&json!({ "alerts": alerts }))
            }
            (&Method::GET, "/api/pages") => {
                let after = call.parameter("after").and_then(|text| text.parse().ok());
                let after: u64 = after.unwrap_or(0);
                let told = self.told();
                let pages: Vec<_> =
                    told.pages.iter().filter(|page| page.sequence > after).collect();
                Reply::ok(&json!({ "pages": pages }))
            }
            (&Method::POST, "/-/receivers") => self.lease(&call),
            (&Method::GET, "/-/receivers") => Reply::ok(&json!({ "receivers": self.live() })),
            (&Method::DELETE, "/-/receivers") => {
                let url = call.parameter("url").unwrap_or_default();
                self.receivers().remove(&url);
                Reply::ok(&json!({ "receivers": self.live() }))
            }
            (_, "/-/synthetic") => self.synthetic.answer(&call),
            (_, "/-/orders") => self.outbox.answer(&call),
            (&Method::GET, "/events") => self.outbox.events(),
            (&Method::GET, "/state") => Reply::ok(&json!({ "waiting": self.outbox.len() })),
            (&Method::GET, "/healthz") if !self.watching.load(Ordering::Relaxed) => {
                Reply::error(StatusCode::SERVICE_UNAVAILABLE, "not every target was up yet")
            }
            (&Method::GET, "/healthz") => self.context.healthy(),
            (&Method::GET, "/metrics") => Reply::metrics(self.context.metrics.text()),
            _ => Reply::not_found(),
        }
    }
}

impl Alerter {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receivers(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Instant>> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The receivers whose lease has not ended.
    fn live(&self) -> Vec<String> {
        let now = Instant::now();
        let mut receivers = self.receivers();
        receivers.retain(|_, end| *end > now);
        receivers.keys().cloned().collect()
    }

    fn lease(&self, call: &Call) -> Reply {
        let lease: Lease = match call.json() {
            Ok(lease) => lease,
            Err(reply) => return reply,
        };
        let bad = |reason: &str| Reply::error(StatusCode::BAD_REQUEST, reason);
        if let Err(error) = webhook::target(&lease.url) {
            return bad(&error.to_string());
        }
        if lease.ttl_seconds == 0 || lease.ttl_seconds > TTL_SECONDS_MAX {
            return bad("`ttlSeconds` is from 1 to 3600");
        }
        let live = self.live();
        if live.len() >= RECEIVERS_MAX && !live.contains(&lease.url) {
            return Reply::error(StatusCode::TOO_MANY_REQUESTS, "too many receivers");
        }
        let end = Instant::now() + Duration::from_secs(lease.ttl_seconds);
        self.receivers().insert(lease.url.clone(), end);
        let body = json!({ "url": lease.url, "ttlSeconds": lease.ttl_seconds });
        Reply::json(StatusCode::CREATED, &body)
    }

    /// Evaluates the rules for ever.
    async fn watch(&self) {
        self.wait_for_targets().await;
        self.watching.store(true, Ordering::Relaxed);
        let mut ticks = tokio::time::interval(EVALUATE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut answered = Instant::now();
        let manner = self.manner();
        let mut blind_until = 0;
        loop {
            ticks.tick().await;
            let mut seen = match self.observe().await {
                Some(seen) => {
                    answered = Instant::now();
                    seen
                }
                None => Observations {
                    now: unix_ms(),
                    collector_silent_ms: i64::try_from(answered.elapsed().as_millis())
                        .unwrap_or(i64::MAX),
                    ..Observations::default()
                },
            };
            if is_blind(&seen) {
                blind_until = seen.now;
            }
            seen.blind_until = blind_until;
            let mut found = evaluate(&seen, manner);
            found.extend(self.synthetic.conditions(seen.now));
            let told = self.told().incidents.step(seen.now, &found);
            for notification in told {
                self.tell(&notification);
            }
        }
    }

    /// How it reads what the collector tells.
    fn manner(&self) -> Manner {
        let defects = &self.context.layout.defects;
        let silence = if defects.has(Defect::AlerterAlarmist) {
            Silence::Outage
        } else if defects.has(Defect::AlerterComplacent) {
            Silence::Health
        } else {
            Silence::Blindness
        };
        let narrow = defects.has(Defect::AlerterNarrow);
        Manner { silence, narrow, naive: defects.has(Defect::AlerterNaive) }
    }

    async fn wait_for_targets(&self) {
        let begun = Instant::now();
        while begun.elapsed() < START_LIMIT {
            let fresh: Option<FreshnessAnswer> = self.ask("/api/freshness").await;
            if fresh.is_some_and(|fresh| fresh.all_seen()) {
                return;
            }
            tokio::time::sleep(EVALUATE_EVERY).await;
        }
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, path: &str) -> Option<T> {
        self.collector.call(&Outgoing::get(path), QUERY_LIMIT).await.ok()?.json()
    }

    async fn series(&self, name: &str, service: &str) -> Option<Vec<SeriesView>> {
        let path = format!("/api/series?name={name}&service={service}&window={ASK_BACK_MS}ms");
        self.ask::<SeriesAnswer>(&path).await.map(|answer| answer.series)
    }

    async fn observe(&self) -> Option<Observations> {
        Some(Observations {
            requests: self.series("requests_total", "edge").await?,
            up: self.series("up", "checkout").await?,
            breakers: self.series("breaker_state", "checkout").await?,
            payment_calls: self.series("payment_calls_total", "checkout").await?,
            freshness: self.ask::<FreshnessAnswer>("/api/freshness").await?.targets,
            now: unix_ms(),
            blind_until: 0,
            collector_silent_ms: 0,
        })
    }

    /// Sends one notification, as often as the defects say.
    fn tell(&self, notification: &Notification) {
        let defects = &self.context.layout.defects;
        let repeats = defects.has(Defect::AlerterRepeats);
        let times = match notification.status {
            _ if defects.has(Defect::AlerterOff) => 0,
            Status::Firing if defects.has(Defect::AlerterFloods) => notification.alerts.len(),
            Status::Firing if repeats => 2,
            Status::Firing | Status::Resolved => 1,
        };
        let body = webhook::payload(notification, self.context.address);
        for _ in 0..times {
            let receivers = self.live();
            let mut told = self.told();
            told.count += 1;
            let page = Page {
                sequence: told.count,
                at: moment(),
                alertname: notification.alertname.clone(),
                incident: notification.incident,
                status: notification.status,
                receivers: receivers.len(),
            };
            if told.pages.len() == PAGES_MAX {
                told.pages.pop_front();
            }
            let key = format!("{}-{}", self.context.instance, page.sequence);
            told.pages.push_back(page);
            drop(told);
            if !self.outbox.put(&key, body.clone()) {
                self.context.log.line(&format!("the page {key} is dropped: too many wait"));
            }
            for url in receivers {
                self.deliver(url, &body);
            }
        }
        let status = match notification.status {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        };
        let name = &notification.alertname;
        self.context.metrics.add("notifications_total", &format!("status=\"{status}\""), 1.0);
        self.context.log.line(&format!("{name} is {status}, told {times} times"));
    }

    fn deliver(&self, url: String, body: &Value) {
        let room = Arc::clone(&self.deliveries).try_acquire_owned();
        let (Ok(room), Ok(target)) = (room, webhook::target(&url)) else {
            self.context.log.line(&format!("a webhook to {url} is dropped"));
            return;
        };
        let body = body.clone();
        let context = Arc::clone(&self.context);
        tokio::spawn(async move {
            let client = Client::new(target.address);
            let mut pause = SEND_PAUSE;
            for _ in 0..SEND_TRIES {
                let request = Outgoing::post(&target.path, &body);
                let answer = client.call(&request, SEND_LIMIT).await;
                if answer.is_ok_and(|answer| answer.status.is_success()) {
                    context.metrics.add("webhooks_total", "end=\"delivered\"", 1.0);
                    drop(room);
                    return;
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            context.metrics.add("webhooks_total", "end=\"failed\"", 1.0);
            context.log.line(&format!("a webhook to {url} failed {SEND_TRIES} times"));
        });
    }
}
