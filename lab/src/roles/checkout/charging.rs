//! Charging through `checkout->payments`: breaker, bulkhead and time limit around one call.
//!
//! When the breaker opens, whoever still waits for a bulkhead slot is released at once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::HeaderName;
use serde::Serialize;
use tokio::sync::{Semaphore, watch};

use super::breaker::{Breaker, CallEnd, Change, Leave, SLOW, State};
use crate::clock::{Moment, moment};
use crate::defects::Defect;
use crate::http::{Client, Outgoing};
use crate::roles::Context;
use crate::roles::payments::{Charge, Receipt};

/// A charge that takes longer has failed.
const CHARGE_LIMIT: Duration = Duration::from_millis(400);
/// Charges of one instance that are under way at once.
const BULKHEAD: usize = 16;
/// How often a breaker without orders is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Older events of the breaker are forgotten.
const EVENTS_MAX: usize = 512;

/// Payments could not be asked, did not answer, or answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unavailable;

/// A change of the breaker, kept because automation is judged by it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BreakerEvent {
    /// Counts from 1 in this pod, without gaps.
    pub(super) sequence: u64,
    #[serde(flatten)]
    at: Moment,
    instance: String,
    from: &'static str,
    to: &'static str,
    reason: &'static str,
}

/// The way to payments of one instance.
#[derive(Debug)]
pub(super) struct Charging {
    context: Arc<Context>,
    client: Client,
    /// Nothing with the defect `breaker=off`.
    breaker: Option<Mutex<Breaker>>,
    bulkhead: Semaphore,
    /// How often the breaker has opened; a change releases those who wait.
    opened: watch::Sender<u64>,
    events: Mutex<(u64, VecDeque<BreakerEvent>)>,
}

/// Leave for one call, given back when the call ends or is dropped.
struct Attempt<'a> {
    charging: &'a Charging,
    leave: Leave,
    end: CallEnd,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(breaker) = &self.charging.breaker {
            let mut breaker = breaker.lock().unwrap_or_else(PoisonError::into_inner);
            let change = breaker.record(Instant::now(), self.leave, self.end);
            drop(breaker);
            self.charging.note(change);
        }
    }
}

impl Charging {
    pub(super) fn new(context: &Arc<Context>) -> Self {
        let address = context.layout.dial("checkout", "payments")[0];
        let off = context.layout.defects.has(Defect::BreakerOff);
        let charging = Self {
            context: Arc::clone(context),
            client: Client::new(address),
            breaker: (!off).then(|| Mutex::new(Breaker::new())),
            bulkhead: Semaphore::new(BULKHEAD),
            opened: watch::Sender::new(0),
            events: Mutex::default(),
        };
        charging.gauge(State::Closed);
        charging
    }

    /// Charges for `key`, or says at once or in bounded time that payments is unavailable.
    /// Without a breaker the wait for the bulkhead has no bound but the caller's patience.
    pub(super) async fn charge(&self, key: &str) -> Result<String, Unavailable> {
        let asked = Instant::now();
        let mut opened = self.opened.subscribe();
        let Some(leave) = self.leave(asked) else {
            self.count("rejected");
            return Err(Unavailable);
        };
        let mut attempt =
            leave.map(|leave| Attempt { charging: self, leave, end: CallEnd::Abandoned });
        let slot = tokio::select! {
            biased;
            slot = self.bulkhead.acquire() => slot.map_err(|_| Unavailable)?,
            _ = opened.changed() => {
                self.count("released");
                return Err(Unavailable);
            }
        };
        let body = Charge { key: key.to_owned() };
        let header = super::key_header(key);
        let mut request = Outgoing::post("/charge", &body);
        let headers: Vec<_> = header
            .map(|value| (HeaderName::from_static("idempotency-key"), value))
            .into_iter()
            .collect();
        request.headers = &headers;
        let answer = self.client.call(&request, CHARGE_LIMIT).await;
        drop(slot);
        let receipt = answer.ok().and_then(|answer| answer.json::<Receipt>());
        let end = match &receipt {
            None => CallEnd::Failed,
            Some(_) if asked.elapsed() > SLOW => CallEnd::Slow,
            Some(_) => CallEnd::Good,
        };
        self.count(match end {
            CallEnd::Good => "good",
            CallEnd::Slow => "slow",
            CallEnd::Failed | CallEnd::Abandoned => "failed",
        });
        if let Some(attempt) = &mut attempt {
            attempt.end = end;
        }
        drop(attempt);
        receipt.map(|receipt| receipt.receipt).ok_or(Unavailable)
    }

    /// Tries payments by itself while the breaker is not closed and no order does; never ends.
    pub(super) async fn try_when_idle(&self) {
        let Some(breaker) = &self.breaker else { return };
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = Instant::now();
            if !breaker.lock().unwrap_or_else(PoisonError::into_inner).is_idle(now) {
                continue;
            }
            let Some(Some(leave)) = self.leave(now) else { continue };
            let mut attempt = Attempt { charging: self, leave, end: CallEnd::Abandoned };
            let answer = self.client.call(&Outgoing::get("/healthz"), CHARGE_LIMIT).await;
            let good = answer.is_ok_and(|answer| answer.status.is_success());
            attempt.end = if good { CallEnd::Good } else { CallEnd::Failed };
        }
    }

    /// `None`: refused. `Some(None)`: there is no breaker.
    #[expect(clippy::option_option, reason = "refused, unguarded and guarded are three things")]
    fn leave(&self, now: Instant) -> Option<Option<Leave>> {
        let Some(breaker) = &self.breaker else { return Some(None) };
        let (leave, change) = breaker.lock().unwrap_or_else(PoisonError::into_inner).ask(now);
        self.note(change);
        leave.map(Some)
    }

    /// The breaker's state; closed when there is none.
    pub(super) fn state(&self) -> State {
        self.breaker.as_ref().map_or(State::Closed, |breaker| {
            breaker.lock().unwrap_or_else(PoisonError::into_inner).state()
        })
    }

    /// Closes the breaker.
    pub(super) fn reset(&self) {
        if let Some(breaker) = &self.breaker {
            let change =
                breaker.lock().unwrap_or_else(PoisonError::into_inner).reset(Instant::now());
            self.note(change);
        }
    }

    /// The events after the one numbered `after`, oldest first.
    pub(super) fn events(&self, after: u64) -> Vec<BreakerEvent> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.1.iter().filter(|event| event.sequence > after).cloned().collect()
    }

    /// Those who wait for a bulkhead slot or are being charged.
    pub(super) fn under_way(&self) -> usize {
        BULKHEAD - self.bulkhead.available_permits()
    }

    fn note(&self, change: Option<Change>) {
        let Some(Change { from, to, reason }) = change else { return };
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.0 += 1;
        let event = BreakerEvent {
            sequence: events.0,
            at: moment(),
            instance: self.context.instance.clone(),
            from: from.text(),
            to: to.text(),
            reason,
        };
        if events.1.len() == EVENTS_MAX {
            events.1.pop_front();
        }
        events.1.push_back(event);
        drop(events);
        self.gauge(to);
        let label = format!("to=\"{}\"", to.text());
        self.context.metrics.add("breaker_changes_total", &label, 1.0);
        self.context.log.line(&format!("breaker: {} -> {} ({reason})", from.text(), to.text()));
        if to == State::Open {
            self.opened.send_modify(|times| *times += 1);
        }
    }

    fn gauge(&self, state: State) {
        let number = match state {
            State::Closed => 0.0,
            State::HalfOpen => 1.0,
            State::Open => 2.0,
        };
        self.context.metrics.set("breaker_state", "", number);
    }

    fn count(&self, end: &str) {
        self.context.metrics.add("payment_calls_total", &format!("end=\"{end}\""), 1.0);
    }
}
