//! `store`: durable orders. What it has accepted survives `kill -9`, and what its disk survives.
//!
//! A full disk is no reason to end: writes are refused with 507 until there is room again, and
//! what it has is still told.

mod journal;
mod orders;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::{Method, StatusCode};
use journal::{Journal, NotWritten};
use orders::Orders;
pub(super) use orders::{Mark, NewOrder, Order, OrderStatus, Record};
use serde::{Deserialize, Serialize};

use super::Context;
use crate::defects::Defect;
use crate::http::{Call, Reply, Service};
use crate::volume;

/// Pending orders in one answer, at most.
const PENDING_MAX: usize = 1_024;
/// More marks in one request are refused.
const MARKS_MAX: usize = 1_024;

/// What `POST /orders/paid` takes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marks {
    pub(super) marks: Vec<Mark>,
}

/// What `GET /orders/pending` gives, oldest first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    /// All that are pending.
    pub(super) count: usize,
    /// The oldest of them.
    pub(super) keys: Vec<String>,
}

#[derive(Debug)]
struct Store {
    context: Arc<Context>,
    /// What is on disk, and nothing else.
    orders: Arc<Mutex<Orders>>,
    journal: Journal,
    /// Whether the last write found no room.
    full: AtomicBool,
}

pub(super) async fn run(context: Arc<Context>) -> std::io::Result<()> {
    let orders: Arc<Mutex<Orders>> = Arc::default();
    let kept = Arc::clone(&orders);
    let (journal, replayed) =
        Journal::open(&context.state.join(volume::JOURNAL), move |records| {
            let mut orders = lock(&kept);
            for record in records {
                orders.apply(record);
            }
        })?;
    context.log.line(&format!("{replayed} records replayed"));
    let full = AtomicBool::new(false);
    let role = Store { context: Arc::clone(&context), orders, journal, full };
    context.serve(Arc::new(role)).await
}

fn lock(orders: &Mutex<Orders>) -> MutexGuard<'_, Orders> {
    orders.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service for Store {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        let begun = Instant::now();
        let path = call.path.as_str();
        let writes = call.method != Method::GET && path != "/reset";
        let reply = match (&call.method, path) {
            (&Method::POST, "/orders") => self.create(&call).await,
            (&Method::POST, "/orders/paid") => self.mark_all(&call).await,
            (&Method::POST, "/reset") => {
                self.full.store(false, Ordering::Relaxed);
                Reply::ok(&serde_json::json!({}))
            }
            (&Method::GET, "/orders") => self.read(&call, Orders::listing),
            (&Method::GET, "/orders/ranges") => self.read(&call, Orders::ranges),
            (&Method::GET, "/orders/pending") => {
                let orders = self.orders();
                Reply::ok(&Pending { count: orders.pending(), keys: orders.oldest(PENDING_MAX) })
            }
            (&Method::GET, "/state") => {
                let (pending, orders) = {
                    let orders = self.orders();
                    (orders.pending(), orders.count())
                };
                Reply::ok(&serde_json::json!({ "pending": pending, "orders": orders }))
            }
            (&Method::GET, "/healthz") => self.context.healthy(),
            (&Method::GET, "/metrics") => self.metrics(),
            (method, path) => match (method, path.strip_prefix("/orders/")) {
                (&Method::DELETE, Some(key)) => self.delete(key).await,
                (&Method::POST, Some(rest)) => match rest.strip_suffix("/paid") {
                    Some(key) => self.mark_one(key, &call).await,
                    None => Reply::not_found(),
                },
                _ => Reply::not_found(),
            },
        };
        if writes {
            let code = format!("code=\"{}\"", reply.status.as_u16());
            self.context.metrics.add("requests_total", &code, 1.0);
            self.context.metrics.observe("request_seconds", begun.elapsed());
        }
        reply
    }
}

impl Store {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        lock(&self.orders)
    }

    fn read<T: Serialize>(&self, call: &Call, view: fn(&Orders, &str) -> T) -> Reply {
        let prefix = call.parameter("prefix").unwrap_or_default();
        let answer = view(&self.orders(), &prefix);
        Reply::ok(&answer)
    }

    async fn create(&self, call: &Call) -> Reply {
        let new: NewOrder = match call.json() {
            Ok(new) => new,
            Err(reply) => return reply,
        };
        let key = new.key.clone();
        if let Some(reply) = self.write(vec![Record::Create(new)]).await {
            return reply;
        }
        match self.orders().order(&key) {
            Some(order) => Reply::ok(&order),
            None => Reply::error(StatusCode::CONFLICT, "the order was deleted meanwhile"),
        }
    }

    async fn mark_one(&self, key: &str, call: &Call) -> Reply {
        let receipt = match call.json::<serde_json::Value>() {
            Ok(body) => body["receipt"].as_str().unwrap_or_default().to_owned(),
            Err(reply) => return reply,
        };
        self.mark(vec![Mark { key: key.to_owned(), receipt }]).await
    }

    async fn mark_all(&self, call: &Call) -> Reply {
        match call.json::<Marks>() {
            Ok(body) if body.marks.len() <= MARKS_MAX => self.mark(body.marks).await,
            Ok(_) => Reply::error(StatusCode::PAYLOAD_TOO_LARGE, "too many marks at once"),
            Err(reply) => reply,
        }
    }

    async fn mark(&self, marks: Vec<Mark>) -> Reply {
        let asked = marks.len();
        let known: Vec<Mark> = {
            let orders = self.orders();
            marks.into_iter().filter(|mark| orders.order(&mark.key).is_some()).collect()
        };
        if known.is_empty() && asked > 0 {
            return Reply::error(StatusCode::NOT_FOUND, "no such order");
        }
        let marked = known.len();
        match self.write(known.into_iter().map(Record::Paid).collect()).await {
            Some(reply) => reply,
            None => Reply::ok(&serde_json::json!({ "marked": marked })),
        }
    }

    async fn delete(&self, key: &str) -> Reply {
        if self.orders().order(key).is_none() {
            return Reply::error(StatusCode::NOT_FOUND, "no such order");
        }
        match self.write(vec![Record::Delete { key: key.to_owned() }]).await {
            Some(reply) => reply,
            None => Reply::ok(&serde_json::json!({ "deleted": key })),
        }
    }

    /// Writes what changes something, and returns when it is on disk and known from then on. A
    /// reply means that nothing of it was taken.
    async fn write(&self, records: Vec<Record>) -> Option<Reply> {
        let changing: Vec<Record> = {
            let orders = self.orders();
            if orders.is_full() {
                return Some(Reply::error(StatusCode::INSUFFICIENT_STORAGE, "too many orders"));
            }
            records.into_iter().filter(|record| orders.would_change(record)).collect()
        };
        let wedges = self.context.layout.defects.has(Defect::StoreWedges);
        if changing.is_empty() {
            return None;
        }
        if wedges && self.full.load(Ordering::Relaxed) {
            let why = "the disk was full, and nothing is written until a restart";
            return Some(Reply::error(StatusCode::INSUFFICIENT_STORAGE, why));
        }
        match self.journal.append(changing).await {
            Ok(()) => {
                if !wedges && self.full.swap(false, Ordering::Relaxed) {
                    self.context.log.line("there is room on the disk again");
                }
                None
            }
            Err(NotWritten::Full) => {
                if !self.full.swap(true, Ordering::Relaxed) {
                    self.context.log.line("the disk is full: writes are refused");
                }
                let why = "the disk is full; what was stored before is still here";
                Some(Reply::error(StatusCode::INSUFFICIENT_STORAGE, why))
            }
            Err(NotWritten::Stopped) => {
                self.context.log.line("the journal cannot be written");
                self.context.stop.cancel();
                let why = "the journal cannot be written";
                Some(Reply::error(StatusCode::SERVICE_UNAVAILABLE, why))
            }
        }
    }

    fn metrics(&self) -> Reply {
        let (pending, all) = {
            let orders = self.orders();
            (orders.pending(), orders.count())
        };
        let metrics = &self.context.metrics;
        metrics.set("queue_depth", "", pending as f64);
        metrics.set("orders", "", all as f64);
        Reply::metrics(metrics.text())
    }
}
