//! `pager`: whom the alerter wakes. It takes webhooks, tells repeated deliveries from new pages,
//! takes acknowledgements, and counts heartbeats, which wake nobody. An order makes it show a
//! certificate that has expired to those who speak TLS with it.

mod book;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use book::{Beat, Book, Message, Page, Repeats};
use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::Context;
use crate::clock::moment;
use crate::defects::Defect;
use crate::http::{Call, Reply, Service};
use crate::orders::Orders;
use crate::tls::{Acceptor, Certificate, Shows};

/// The header in which the sender names a delivery.
pub(super) const DELIVERY_KEY: &str = "x-delivery-key";
/// A longer key is cut.
const KEY_CHARACTERS_MAX: usize = 200;

/// A webhook, as far as a pager reads it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    status: String,
    group_labels: BTreeMap<String, String>,
    #[serde(default)]
    common_labels: BTreeMap<String, String>,
}

/// What `PUT /-/orders` takes as an order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Show {
    certificate: Showable,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Showable {
    Expired,
}

impl Shows for Orders<Certificate> {
    fn shown(&self) -> Certificate {
        self.live().pop().unwrap_or(Certificate::Valid)
    }
}

#[derive(Debug)]
struct Pager {
    context: Arc<Context>,
    /// Which certificate is shown; the valid one while there is no order.
    shown: Arc<Orders<Certificate>>,
    book: Mutex<Book>,
    repeats: Repeats,
}

pub(super) async fn run(context: Arc<Context>) -> std::io::Result<()> {
    let again = context.layout.defects.has(Defect::PagerRepeats);
    let repeats = if again { Repeats::Again } else { Repeats::Same };
    let shown = Arc::new(Orders::new());
    let acceptor = Acceptor::of(&context.state, shown.clone())?;
    let role = Pager { context: Arc::clone(&context), shown, book: Mutex::default(), repeats };
    context.serve_with(Arc::new(role), Some(acceptor)).await
}

impl Service for Pager {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::POST, "/hook") => self.receive(&call),
            (&Method::POST, "/heartbeat") => match key(&call) {
                Ok(key) => {
                    self.book().beat(moment(), key);
                    Reply::ok(&json!({}))
                }
                Err(reply) => reply,
            },
            (&Method::GET, "/api/heartbeats") => {
                let book = self.book();
                let beats: Vec<&Beat> = book.beats().collect();
                Reply::ok(&json!({ "nowUnixMs": moment().unix_ms, "heartbeats": beats }))
            }
            (&Method::GET, "/api/pages") => {
                let after = call.parameter("after").and_then(|text| text.parse().ok());
                let book = self.book();
                let pages: Vec<&Page> = book.after(after.unwrap_or(0)).collect();
                Reply::ok(&json!({ "instance": self.context.instance, "pages": pages }))
            }
            (_, "/-/orders") => self
                .shown
                .answer(&call, |Show { certificate: Showable::Expired }| Ok(Certificate::Expired)),
            (&Method::GET, "/healthz") => self.context.healthy(),
            (&Method::GET, "/metrics") => Reply::metrics(self.context.metrics.text()),
            (&Method::POST, path) => {
                let inner = path.strip_prefix("/api/pages/");
                let number = inner.and_then(|rest| rest.strip_suffix("/acknowledge"));
                match number.and_then(|text| text.parse().ok()) {
                    Some(sequence) if self.book().acknowledge(moment(), sequence) => {
                        Reply::ok(&json!({ "sequence": sequence }))
                    }
                    Some(_) | None => Reply::not_found(),
                }
            }
            _ => Reply::not_found(),
        }
    }
}

impl Pager {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&self, call: &Call) -> Reply {
        let webhook: Webhook = match call.json() {
            Ok(webhook) => webhook,
            Err(reply) => return reply,
        };
        let key = match key(call) {
            Ok(key) => key,
            Err(reply) => return reply,
        };
        let message = Message {
            key,
            alertname: webhook.group_labels.get("alertname").cloned().unwrap_or_default(),
            status: webhook.status,
            labels: webhook.common_labels,
        };
        let (sequence, new) = self.book().receive(moment(), message, self.repeats);
        let end = if new { "end=\"new\"" } else { "end=\"repeated\"" };
        self.context.metrics.add("pages_total", end, 1.0);
        Reply::ok(&json!({ "sequence": sequence, "new": new }))
    }
}

/// The sender's name of a delivery.
fn key(call: &Call) -> Result<String, Reply> {
    let key = call.headers.get(DELIVERY_KEY).and_then(|value| value.to_str().ok());
    match key.filter(|key| !key.is_empty()) {
        Some(key) => Ok(key.chars().take(KEY_CHARACTERS_MAX).collect()),
        None => Err(Reply::error(StatusCode::BAD_REQUEST, "`x-delivery-key` is missing")),
    }
}
