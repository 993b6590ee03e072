//! `checkout`: takes orders. Charges through payments, stores through the store, and falls back
//! to a pending order when payments is unavailable.
//!
//! It keeps nothing of its own: every order lives in the store, every charge in payments.

mod breaker;
mod charging;

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use charging::Charging;
use hyper::header::HeaderValue;
use hyper::{Method, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Context;
use super::service_time::{ServiceTime, Shape};
use super::store::{NewOrder, Order, OrderStatus};
use crate::defects::Defect;
use crate::http::{Call, Client, Outgoing, Reply, Service};
use crate::layout::Layout;

/// The time from the start of the process to its listening socket.
const STARTUP: Duration = Duration::from_millis(300);
/// Orders that are worked on at once.
const CONCURRENCY: usize = 64;
/// Orders that wait for their turn; more are refused with 503.
const WAITING_MAX: usize = 64;
/// A store that takes longer has failed.
const STORE_LIMIT: Duration = Duration::from_secs(1);
/// A longer key is refused.
const KEY_BYTES_MAX: usize = 128;
const WORK: Shape = Shape {
    median: Duration::from_millis(4),
    sigma: 0.6,
    most: Duration::from_millis(40),
    processors: 8,
};

/// What the shop sells, with the price in cents.
const ITEMS: [(&str, u32); 3] = [("espresso", 250), ("cappuccino", 320), ("croissant", 290)];

#[derive(Debug)]
struct Checkout {
    context: Arc<Context>,
    time: ServiceTime,
    charging: Charging,
    store: Client,
    room: Semaphore,
    waiting: AtomicUsize,
    unnamed: AtomicU64,
    fallback: Fallback,
    reopens: bool,
}

/// What happens to an order that cannot be charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fallback {
    StorePending,
    Refuse,
}

pub(super) async fn run(context: Arc<Context>) -> std::io::Result<()> {
    tokio::time::sleep(STARTUP).await;
    let refuse = context.layout.defects.has(Defect::FallbackOff);
    let role = Arc::new(Checkout {
        time: ServiceTime::new(WORK, &context.instance),
        charging: Charging::new(&context),
        store: Client::new(context.layout.dial("checkout", "store")[0]),
        room: Semaphore::new(CONCURRENCY),
        waiting: AtomicUsize::new(0),
        unnamed: AtomicU64::new(0),
        fallback: if refuse { Fallback::Refuse } else { Fallback::StorePending },
        reopens: context.layout.defects.has(Defect::CheckoutReopens),
        context: Arc::clone(&context),
    });
    let trying = tokio::spawn({
        let role = Arc::clone(&role);
        async move { role.charging.try_when_idle().await }
    });
    let served = context.serve(role).await;
    trying.abort();
    served
}

/// A key as header, when it is one.
fn key_header(key: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(key).ok()
}

impl Service for Checkout {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::POST, "/checkout") => {
                let begun = Instant::now();
                let reply = self.checkout(&call).await;
                let code = format!("code=\"{}\"", reply.status.as_u16());
                self.context.metrics.add("requests_total", &code, 1.0);
                self.context.metrics.observe("request_seconds", begun.elapsed());
                reply
            }
            (&Method::GET, "/catalog") => Self::catalog(),
            (&Method::GET, "/healthz") => self.context.healthy(),
            (&Method::GET, "/metrics") => {
                let metrics = &self.context.metrics;
                let depth = self.waiting.load(Ordering::Relaxed);
                metrics.set("queue_depth", "", depth as f64);
                metrics.set("payment_calls_under_way", "", self.charging.under_way() as f64);
                Reply::metrics(metrics.text())
            }
            (&Method::GET, "/events") => {
                let after = call.parameter("after").and_then(|text| text.parse().ok());
                let events = self.charging.events(after.unwrap_or(0));
                Reply::ok(&serde_json::json!({ "events": events }))
            }
            (&Method::GET, "/state") => Reply::ok(&serde_json::json!({
                "breaker": self.charging.state().text(),
                "waiting": self.waiting.load(Ordering::Relaxed),
            })),
            (&Method::POST, "/reset") => {
                self.charging.reset();
                Reply::ok(&serde_json::json!({ "breaker": self.charging.state().text() }))
            }
            _ => Reply::not_found(),
        }
    }
}

/// Gives a place in the queue back, also when the waiting request is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Checkout {
    fn catalog() -> Reply {
        let items = ITEMS.map(|(id, cents)| serde_json::json!({ "id": id, "cents": cents }));
        Reply::ok(&serde_json::json!({ "items": items }))
    }

    /// Whether the shop has what an order asks for. An order that names no item takes whatever
    /// there is.
    fn sells(body: &[u8]) -> bool {
        let order = serde_json::from_slice::<serde_json::Value>(body).ok();
        let item = order.as_ref().and_then(|order| order.get("item"));
        item.is_none_or(|item| ITEMS.iter().any(|(id, _)| item.as_str() == Some(id)))
    }

    async fn checkout(&self, call: &Call) -> Reply {
        let key = match self.key(call) {
            Ok(key) => key,
            Err(reply) => return reply,
        };
        if !Self::sells(&call.body) {
            return Reply::error(StatusCode::BAD_REQUEST, "the catalogue has no such item");
        }
        let Some(_room) = self.enter().await else {
            return Reply::error(StatusCode::SERVICE_UNAVAILABLE, "too many orders wait");
        };
        let Ok(_prices) = self.open_prices() else {
            return Reply::error(StatusCode::SERVICE_UNAVAILABLE, "the prices cannot be read");
        };
        self.time.work().await;
        let order = match (self.charging.charge(&key).await, self.fallback) {
            (Ok(receipt), _) => NewOrder { key, status: OrderStatus::Paid, receipt: Some(receipt) },
            (Err(_), Fallback::StorePending) => {
                NewOrder { key, status: OrderStatus::PendingPayment, receipt: None }
            }
            (Err(_), Fallback::Refuse) => {
                return Reply::error(StatusCode::SERVICE_UNAVAILABLE, "payments is unavailable");
            }
        };
        self.store(&order).await
    }

    /// Prices are known from the start; only with a defect are they looked up in a file that stays
    /// open as long as the order is worked on.
    fn open_prices(&self) -> std::io::Result<Option<File>> {
        self.reopens.then(|| File::open(Layout::path(&self.context.state))).transpose()
    }

    async fn store(&self, order: &NewOrder) -> Reply {
        let answer = self.store.call(&Outgoing::post("/orders", order), STORE_LIMIT).await;
        let stored = answer.ok().and_then(|answer| answer.json::<Order>());
        match stored {
            Some(stored) if stored.status == OrderStatus::Paid => Reply::ok(&stored),
            Some(stored) => Reply::json(StatusCode::ACCEPTED, &stored),
            None => {
                self.context.metrics.add("store_failures_total", "", 1.0);
                Reply::error(StatusCode::SERVICE_UNAVAILABLE, "the store is unavailable")
            }
        }
    }

    async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(room) = self.room.try_acquire() {
            return Some(room);
        }
        let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _place = Waiting(&self.waiting);
        if waiting >= WAITING_MAX { None } else { self.room.acquire().await.ok() }
    }

    fn key(&self, call: &Call) -> Result<String, Reply> {
        let Some(value) = call.headers.get("idempotency-key") else {
            let number = self.unnamed.fetch_add(1, Ordering::Relaxed);
            return Ok(format!("unnamed-{}-{number}", self.context.instance));
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
        match value.to_str() {
            Ok(key) if !key.is_empty() && key.len() <= KEY_BYTES_MAX && key.bytes().all(plain) => {
                Ok(key.to_owned())
            }
            _ => Err(Reply::error(
                StatusCode::BAD_REQUEST,
                "an idempotency-key has up to 128 letters, digits and . _ - :",
            )),
        }
    }
}
