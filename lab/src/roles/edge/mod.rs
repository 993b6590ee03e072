//! `edge`: the gateway. Balances over the checkout instances, retries, limits and times out.
//!
//! It knows instances only by what happens on `edge->checkout`: an instance that refuses, breaks
//! or keeps timing out is ejected, asked every 100 ms, and taken back when it answers.

mod balance;
mod bucket;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use balance::{Candidate, Upstream, choose};
use bucket::Bucket;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::sync::Semaphore;

use super::Context;
use crate::defects::Defect;
use crate::http::{Answer, Call, CallError, Client, Outgoing, Reply, Service};
use crate::release::RELEASE_HEADER;

/// The whole request, retries included; then 504.
const LIMIT: Duration = Duration::from_secs(2);
/// Requests under way; more get 503.
const CONCURRENCY: usize = 1_024;
/// Requests per second, and as a burst; more get 429.
const RATE: f64 = 2_000.0;
/// Retries of one request.
const RETRIES_MAX: usize = 2;
/// Retries as a share of requests, with a floor per second and a most at once.
const RETRY_SHARE: f64 = 0.2;
const RETRIES_PER_SECOND: f64 = 10.0;
const RETRIES_AT_ONCE: f64 = 100.0;
/// How often ejected instances are asked, and how long they may take.
const ASK_EVERY: Duration = Duration::from_millis(100);
const ASK_LIMIT: Duration = Duration::from_millis(250);

#[derive(Debug)]
struct Gateway {
    context: Arc<Context>,
    upstreams: Vec<Upstream>,
    turn: AtomicUsize,
    room: Semaphore,
    rate: Mutex<Bucket>,
    /// Nothing with the defect `retries=off`.
    retries: Option<Mutex<Bucket>>,
}

pub(super) async fn run(context: Arc<Context>) -> std::io::Result<()> {
    let now = Instant::now();
    let off = context.layout.defects.has(Defect::RetriesOff);
    let addresses = context.layout.dial("edge", "checkout");
    let role = Arc::new(Gateway {
        upstreams: addresses.iter().map(|at| Upstream::new(Client::new(*at))).collect(),
        turn: AtomicUsize::new(0),
        room: Semaphore::new(CONCURRENCY),
        rate: Mutex::new(Bucket::new(RATE, RATE, now)),
        retries: (!off).then(|| Mutex::new(Bucket::new(RETRIES_AT_ONCE, RETRIES_PER_SECOND, now))),
        context: Arc::clone(&context),
    });
    let asking = tokio::spawn({
        let role = Arc::clone(&role);
        async move { role.context.stop.run_until_cancelled(role.ask_ejected()).await }
    });
    let served = context.serve(role).await;
    asking.abort();
    served
}

impl Service for Gateway {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        let route = match (&call.method, call.path.as_str()) {
            (&Method::POST, "/checkout") => "checkout",
            (&Method::GET, "/catalog") => "catalog",
            (&Method::GET, "/healthz") => return self.context.healthy(),
            (&Method::GET, "/metrics") => return self.metrics(),
            _ => return Reply::not_found(),
        };
        let begun = Instant::now();
        let reply = self.admit(&call).await;
        let labels = format!("route=\"{route}\",code=\"{}\"", reply.status.as_u16());
        self.context.metrics.add("requests_total", &labels, 1.0);
        self.context.metrics.observe("request_seconds", begun.elapsed());
        reply
    }
}

/// Counts a request as pending until it ends or is dropped.
struct PendingRequest<'a>(&'a AtomicUsize);

impl<'a> PendingRequest<'a> {
    fn on(upstream: &'a Upstream) -> Self {
        upstream.pending.fetch_add(1, Ordering::Relaxed);
        Self(&upstream.pending)
    }
}

impl Drop for PendingRequest<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gateway {
    async fn admit(&self, call: &Call) -> Reply {
        if !lock(&self.rate).take(Instant::now()) {
            return Reply::error(StatusCode::TOO_MANY_REQUESTS, "too many requests");
        }
        let Ok(_room) = self.room.try_acquire() else {
            return Reply::error(StatusCode::SERVICE_UNAVAILABLE, "too many requests under way");
        };
        self.forward(call).await
    }

    async fn forward(&self, call: &Call) -> Reply {
        let deadline = Instant::now() + LIMIT;
        let key = call.headers.get("idempotency-key");
        let headers: Vec<(HeaderName, HeaderValue)> = key
            .map(|key| (HeaderName::from_static("idempotency-key"), key.clone()))
            .into_iter()
            .collect();
        let request = Outgoing {
            method: call.method.clone(),
            path: &call.path,
            headers: &headers,
            body: call.body.clone(),
        };
        let may_repeat = call.method == Method::GET || key.is_some();
        if let Some(retries) = &self.retries {
            lock(retries).add(RETRY_SHARE);
        }
        let mut tried = vec![false; self.upstreams.len()];
        for attempt in 0..=RETRIES_MAX {
            let Some(at) = self.choose(&tried) else { break };
            tried[at] = true;
            match self.attempt(&self.upstreams[at], &request, deadline).await {
                Ok(answer) => return pass_on(answer),
                Err(CallError::TimedOut(_)) => {
                    return Reply::error(StatusCode::GATEWAY_TIMEOUT, "no answer in time");
                }
                Err(CallError::Broken(_)) if !may_repeat => break,
                Err(_) if attempt == RETRIES_MAX || !self.may_retry() => break,
                Err(_) => self.context.metrics.add("retries_total", "", 1.0),
            }
        }
        Reply::error(StatusCode::BAD_GATEWAY, "no instance of checkout answered")
    }

    fn may_retry(&self) -> bool {
        self.retries.as_ref().is_some_and(|retries| lock(retries).take(Instant::now()))
    }

    fn choose(&self, tried: &[bool]) -> Option<usize> {
        let blind = self.context.layout.defects.has(Defect::BalanceBlind);
        let candidates: Vec<Candidate> = self
            .upstreams
            .iter()
            .zip(tried)
            .map(|(upstream, tried)| Candidate {
                pending: if blind { 0 } else { upstream.pending.load(Ordering::Relaxed) },
                ejected: upstream.is_ejected(),
                tried: *tried,
            })
            .collect();
        choose(&candidates, self.turn.fetch_add(1, Ordering::Relaxed))
    }

    async fn attempt(
        &self,
        upstream: &Upstream,
        request: &Outgoing<'_>,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        let _pending = PendingRequest::on(upstream);
        let left = deadline.saturating_duration_since(Instant::now());
        let result = upstream.client.call(request, left).await;
        let out = match &result {
            Ok(_) => {
                upstream.answered();
                false
            }
            Err(CallError::TimedOut(_)) => upstream.timed_out(),
            Err(CallError::Refused(_) | CallError::Broken(_)) => true,
        };
        if out && upstream.eject() {
            self.context.metrics.add("ejections_total", "", 1.0);
            self.context.log.line(&format!("{} ejected", upstream.client.address()));
        }
        result
    }

    /// Asks ejected instances whether they are back; never ends.
    async fn ask_ejected(&self) {
        let mut ticks = tokio::time::interval(ASK_EVERY);
        loop {
            ticks.tick().await;
            for upstream in self.upstreams.iter().filter(|upstream| upstream.is_ejected()) {
                let answer = upstream.client.call(&Outgoing::get("/healthz"), ASK_LIMIT).await;
                if answer.is_ok_and(|answer| answer.status.is_success()) {
                    upstream.restore();
                    self.context.log.line(&format!("{} is back", upstream.client.address()));
                }
            }
        }
    }

    fn metrics(&self) -> Reply {
        let metrics = &self.context.metrics;
        let under_way = CONCURRENCY - self.room.available_permits();
        metrics.set("requests_under_way", "", under_way as f64);
        let ejected = self.upstreams.iter().filter(|upstream| upstream.is_ejected()).count();
        metrics.set("instances_ejected", "", ejected as f64);
        Reply::metrics(metrics.text())
    }
}

fn pass_on(answer: Answer) -> Reply {
    let json = HeaderValue::from_static("application/json");
    let content_type = answer.headers.get(CONTENT_TYPE).cloned().unwrap_or(json);
    // Callers see at the gateway which release has answered them.
    let release = answer.headers.get(RELEASE_HEADER).cloned();
    Reply { status: answer.status, content_type, body: answer.body, release }
}

fn lock(bucket: &Mutex<Bucket>) -> std::sync::MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}
