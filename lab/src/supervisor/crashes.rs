//! Orders that the next processes of some slots crash, each a moment after its start: a stand-in
//! for a program that cannot live with what it finds. They are in force under a lease.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::http::{Call, Reply};
use crate::leases::Leases;

/// More crashes of one slot are refused.
const TIMES_MAX: u32 = 20;
/// A process that lives longer does not crash at its start.
const AFTER_MS_MAX: u64 = 500;
const NAME_BYTES_MAX: usize = 200;

/// What `PUT /-/crashes` takes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Order {
    marker: String,
    deployment: String,
    slots: Vec<usize>,
    /// So many processes of each slot.
    times: u32,
    /// So long after the start of each.
    after_ms: u64,
    lease_ms: u64,
}

impl Order {
    fn is_for(&self, deployment: &str, slot: usize) -> bool {
        self.deployment == deployment && self.slots.contains(&slot)
    }
}

/// What is ordered, and how often each slot has crashed by each order.
#[derive(Debug, Default)]
struct Orders {
    leases: Leases<Order>,
    crashed: BTreeMap<(String, usize), u32>,
}

/// The crashes of one lab.
#[derive(Debug)]
pub(super) struct Crashes {
    began: Instant,
    orders: Mutex<Orders>,
}

impl Crashes {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), orders: Mutex::default() }
    }

    /// How long a process that starts now lives; `None` when it does not have to crash.
    pub(super) fn after(&self, deployment: &str, slot: usize) -> Option<Duration> {
        let mut orders = self.orders();
        let after = orders.due(self.now_ms(), deployment, slot).map(|order| order.after_ms);
        after.map(Duration::from_millis)
    }

    /// Whether a process crashes now; counts it if so.
    pub(super) fn is_due(&self, deployment: &str, slot: usize) -> bool {
        let mut orders = self.orders();
        let due = orders.due(self.now_ms(), deployment, slot).map(|order| order.marker.clone());
        let Some(marker) = due else { return false };
        *orders.crashed.entry((marker, slot)).or_default() += 1;
        true
    }

    /// Answers what is asked of crashes.
    pub(super) fn answer(&self, call: &Call) -> Reply {
        let marker = call.parameter("marker").unwrap_or_default();
        let told = |held: bool| Reply::ok(&json!({ "marker": marker, "inForce": held }));
        let now = self.now_ms();
        match call.method {
            Method::PUT => match call.json::<Order>() {
                Ok(order) => self.take(order),
                Err(reply) => reply,
            },
            Method::DELETE => told(self.orders().leases.take_back(now, &marker).is_some()),
            Method::GET => told(self.orders().leases.find(now, &marker).is_some()),
            _ => Reply::not_found(),
        }
    }

    fn take(&self, order: Order) -> Reply {
        let bad = |reason: &str| Reply::error(StatusCode::BAD_REQUEST, reason);
        if order.marker.is_empty() || order.marker.len() > NAME_BYTES_MAX {
            return bad("`marker` has 1 to 200 bytes");
        }
        if !(1..=TIMES_MAX).contains(&order.times) || order.after_ms > AFTER_MS_MAX {
            return bad("`times` is from 1 to 20, and `afterMs` at most 500");
        }
        if order.lease_ms == 0 {
            return bad("`leaseMs` is above 0");
        }
        let (marker, lease_ms) = (order.marker.clone(), order.lease_ms);
        if self.orders().leases.set(self.now_ms(), &marker, order, lease_ms) {
            Reply::ok(&json!({ "marker": marker, "inForce": true }))
        } else {
            Reply::error(StatusCode::CONFLICT, "these crashes are over")
        }
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Orders {
    /// The first order by which a slot has not crashed often enough.
    fn due(&mut self, now_ms: u64, deployment: &str, slot: usize) -> Option<&Order> {
        let crashed = &self.crashed;
        let count = |order: &Order| crashed.get(&(order.marker.clone(), slot)).copied();
        let mut live = self.leases.live(now_ms).map(|(_, order)| order);
        live.find(|one| one.is_for(deployment, slot) && count(one).unwrap_or_default() < one.times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(times: u32, lease_ms: u64) -> Order {
        Order {
            marker: String::from("a"),
            deployment: String::from("checkout"),
            slots: vec![1],
            times,
            after_ms: 100,
            lease_ms,
        }
    }

    #[test]
    fn a_slot_crashes_as_often_as_was_ordered_and_no_other_does() {
        let crashes = Crashes::new();
        assert_eq!(crashes.after("checkout", 1), None);
        crashes.take(order(2, 60_000));
        assert_eq!(crashes.after("checkout", 1), Some(Duration::from_millis(100)));
        assert_eq!(crashes.after("checkout", 0), None);
        assert_eq!(crashes.after("store", 1), None);
        assert!(crashes.is_due("checkout", 1));
        // A renewal does not begin anew.
        crashes.take(order(2, 60_000));
        assert!(crashes.is_due("checkout", 1) && !crashes.is_due("checkout", 1));
        assert_eq!(crashes.after("checkout", 1), None);
    }

    #[test]
    fn a_lease_ends_and_what_was_taken_back_stays_away() {
        let mut orders = Orders::default();
        assert!(orders.leases.set(0, "a", order(2, 100), 100));
        assert!(orders.due(99, "checkout", 1).is_some());
        assert!(orders.due(100, "checkout", 1).is_none());
        assert!(!orders.leases.set(110, "a", order(2, 100), 100));
    }

    #[test]
    fn nonsense_is_refused() {
        let crashes = Crashes::new();
        for wrong in [
            Order { marker: String::new(), ..order(2, 100) },
            Order { after_ms: 501, ..order(2, 100) },
            order(0, 100),
            order(21, 100),
            order(2, 0),
        ] {
            crashes.take(wrong);
            assert_eq!(crashes.after("checkout", 1), None);
        }
    }
}
