//! Pages on their way to the pager, over the edge `alerter->pager`: in order, each until it was
//! taken. A delivery carries a key, so that one whose answer was lost is no second page.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio::sync::Notify;

use crate::http::{Client, Outgoing};
use crate::roles::pager::DELIVERY_KEY;

const SEND_LIMIT: Duration = Duration::from_millis(500);
/// After a delivery that failed; doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_millis(800);
/// More that wait are dropped.
const WAITING_MAX: usize = 256;

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
}

impl Outbox {
    pub(super) fn new(pager: Client, on_failure: OnFailure) -> Self {
        Self { pager, on_failure, waiting: Mutex::default(), more: Notify::new() }
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

    /// Delivers for ever.
    pub(super) async fn deliver(&self) {
        let mut pause = PAUSE;
        loop {
            let first = self.waiting().front().cloned();
            let Some((key, body)) = first else {
                self.more.notified().await;
                continue;
            };
            let headers = [(HeaderName::from_static(DELIVERY_KEY), key)];
            let request = Outgoing { headers: &headers, ..Outgoing::post("/hook", &body) };
            let answer = self.pager.call(&request, SEND_LIMIT).await;
            if answer.is_ok_and(|answer| answer.status.is_success()) {
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
