//! `worker`: charges for pending orders and marks them paid, each exactly once.
//!
//! It keeps no state: after a crash it asks the store again. A charge is repeated under the same
//! key, so payments gives the same receipt, and the store counts a receipt once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use hyper::Method;

use super::Context;
use super::payments::{Charge, Receipt};
use super::store::{Mark, Marks, Pending};
use crate::DEFECT_EVERY;
use crate::defects::Defect;
use crate::http::{Call, Client, Outgoing, Reply, Service};

/// Charges under way at once.
const CONCURRENCY: usize = 16;
/// Orders that are charged before they are marked together.
const BATCH: usize = 64;
/// Pause when nothing is pending.
const IDLE: Duration = Duration::from_millis(100);
/// Pause when payments or the store did not answer.
const BACK_OFF: Duration = Duration::from_millis(200);
const CHARGE_LIMIT: Duration = Duration::from_millis(400);
const STORE_LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Worker {
    context: Arc<Context>,
    payments: Client,
    store: Client,
    /// Orders seen, for the defects.
    seen: AtomicU64,
}

/// What came of one order.
enum Done {
    Charged(Vec<Mark>),
    /// With the defect only.
    Dropped,
    Failed,
}

pub(super) async fn run(context: Arc<Context>) -> std::io::Result<()> {
    let role = Arc::new(Worker {
        payments: Client::new(context.layout.dial("worker", "payments")[0]),
        store: Client::new(context.layout.dial("worker", "store")[0]),
        seen: AtomicU64::new(0),
        context: Arc::clone(&context),
    });
    let draining = tokio::spawn({
        let role = Arc::clone(&role);
        async move { role.context.stop.run_until_cancelled(role.drain()).await }
    });
    let served = context.serve(role).await;
    draining.abort();
    served
}

impl Service for Worker {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::GET, "/healthz") => self.context.healthy(),
            (&Method::GET, "/metrics") => Reply::metrics(self.context.metrics.text()),
            _ => Reply::not_found(),
        }
    }
}

impl Worker {
    /// Never ends; each turn is one batch or one pause.
    async fn drain(&self) {
        // After a failure one order is tried alone, so that an outage costs one call a turn.
        let mut batch = 1;
        loop {
            let Some(pending) = self.pending().await else {
                tokio::time::sleep(BACK_OFF).await;
                continue;
            };
            self.context.metrics.set("queue_depth", "", pending.count as f64);
            if pending.keys.is_empty() {
                batch = BATCH;
                tokio::time::sleep(IDLE).await;
                continue;
            }
            let good = self.process(&pending.keys[..batch.min(pending.keys.len())]).await;
            batch = if good { BATCH } else { 1 };
            if !good {
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }

    async fn pending(&self) -> Option<Pending> {
        let request = Outgoing::get("/orders/pending");
        self.store.call(&request, STORE_LIMIT).await.ok()?.json()
    }

    /// Whether all went well.
    async fn process(&self, keys: &[String]) -> bool {
        let mut marks = Vec::with_capacity(keys.len());
        let mut good = true;
        let mut all = futures_util::stream::iter(keys.to_vec())
            .map(|key| self.process_one(key))
            .buffer_unordered(CONCURRENCY);
        while let Some(done) = all.next().await {
            match done {
                Done::Charged(more) => marks.extend(more),
                Done::Dropped => {}
                Done::Failed => good = false,
            }
        }
        drop(all);
        if marks.is_empty() {
            return good;
        }
        let count = marks.len();
        let request = Outgoing::post("/orders/paid", &Marks { marks });
        let answer = self.store.call(&request, STORE_LIMIT).await;
        let marked = answer.is_ok_and(|answer| answer.status.is_success());
        if marked {
            self.context.metrics.add("orders_processed_total", "", count as f64);
        }
        good && marked
    }

    async fn process_one(&self, key: String) -> Done {
        let defects = &self.context.layout.defects;
        let turn = self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(DEFECT_EVERY);
        if turn && defects.has(Defect::WorkerLosesOrders) {
            let path = format!("/orders/{key}");
            let request = Outgoing { method: Method::DELETE, ..Outgoing::get(&path) };
            let answer = self.store.call(&request, STORE_LIMIT).await;
            return if answer.is_ok() { Done::Dropped } else { Done::Failed };
        }
        let Some(mark) = self.charge(&key, key.clone()).await else { return Done::Failed };
        let mut marks = vec![mark];
        if turn && defects.has(Defect::WorkerDuplicates) {
            marks.extend(self.charge(&key, format!("{key}~again")).await);
        }
        Done::Charged(marks)
    }

    async fn charge(&self, order: &str, key: String) -> Option<Mark> {
        let body = Charge { key };
        let answer = self.payments.call(&Outgoing::post("/charge", &body), CHARGE_LIMIT).await;
        let receipt = answer.ok().and_then(|answer| answer.json::<Receipt>());
        let end = if receipt.is_some() { "good" } else { "failed" };
        self.context.metrics.add("payment_calls_total", &format!("end=\"{end}\""), 1.0);
        Some(Mark { key: order.to_owned(), receipt: receipt?.receipt })
    }
}
