//! Orders from outside that hold under a name until their lease ends: how they are placed, asked
//! for and taken back over HTTP. What an order does is its role's matter.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::http::{Call, Reply};
use crate::leases::Leases;

/// A longer name is refused.
const NAME_BYTES_MAX: usize = 200;
/// A longer lease is refused.
const LEASE_MS_MAX: u64 = 3_600_000;

/// What a `PUT` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Placed<O> {
    name: String,
    lease_ms: u64,
    order: O,
}

/// The orders of one role, each as what it has become when it was first placed.
#[derive(Debug)]
pub(crate) struct Orders<T> {
    began: Instant,
    leases: Mutex<Leases<T>>,
}

impl<T: Clone> Orders<T> {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), leases: Mutex::default() }
    }

    /// All that is in force, in the order of their names.
    pub(crate) fn live(&self) -> Vec<T> {
        self.leases().live(self.now_ms()).map(|(_, held)| held.clone()).collect()
    }

    /// Answers what is asked of orders. `begin` makes of an order what is held of it, or says what
    /// is wrong with it; a renewal leaves what is held as it is.
    pub(crate) fn answer<O: DeserializeOwned>(
        &self,
        call: &Call,
        begin: impl FnOnce(O) -> Result<T, String>,
    ) -> Reply {
        let name = call.parameter("name").unwrap_or_default();
        match call.method {
            Method::PUT => match call.json::<Placed<O>>() {
                Ok(placed) => self.place(placed, begin),
                Err(reply) => reply,
            },
            Method::GET => {
                let in_force = self.leases().find(self.now_ms(), &name).is_some();
                Reply::ok(&json!({ "name": name, "inForce": in_force }))
            }
            Method::DELETE => {
                let was = self.leases().take_back(self.now_ms(), &name).is_some();
                Reply::ok(&json!({ "name": name, "wasInForce": was }))
            }
            _ => Reply::not_found(),
        }
    }

    fn place<O>(&self, placed: Placed<O>, begin: impl FnOnce(O) -> Result<T, String>) -> Reply {
        let Placed { name, lease_ms, order } = placed;
        let bad = |reason: &str| Reply::error(StatusCode::BAD_REQUEST, reason);
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return bad("`name` has 1 to 200 bytes");
        }
        if lease_ms == 0 || lease_ms > LEASE_MS_MAX {
            return bad("`leaseMs` is from 1 to 3600000");
        }
        let held = self.leases().find(self.now_ms(), &name).cloned();
        let held = match held.map_or_else(|| begin(order), Ok) {
            Ok(held) => held,
            Err(reason) => return bad(&reason),
        };
        if self.leases().set(self.now_ms(), &name, held, lease_ms) {
            Reply::ok(&json!({ "name": name, "leaseMs": lease_ms }))
        } else {
            Reply::error(StatusCode::CONFLICT, "this order is over")
        }
    }

    fn leases(&self) -> std::sync::MutexGuard<'_, Leases<T>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(orders: &Orders<u32>, method: Method, query: &str, body: &str) -> u16 {
        let call = Call {
            method,
            path: String::from("/-/orders"),
            query: query.to_owned(),
            headers: hyper::HeaderMap::new(),
            body: body.to_owned().into(),
        };
        let even = |order: u32| {
            if order.is_multiple_of(2) { Ok(order) } else { Err(String::from("odd")) }
        };
        orders.answer(&call, even).status.as_u16()
    }

    #[test]
    fn an_order_keeps_what_it_began_as_and_never_comes_back() {
        let orders = Orders::new();
        let place = |number: u32| {
            let body = json!({"name": "a", "leaseMs": 60_000, "order": number}).to_string();
            ask(&orders, Method::PUT, "", &body)
        };
        assert_eq!((place(3), orders.live()), (400, vec![]), "it is refused");
        assert_eq!((place(2), place(4), orders.live()), (200, 200, vec![2]), "it is renewed");
        assert_eq!(ask(&orders, Method::DELETE, "name=a", ""), 200);
        assert_eq!((place(2), orders.live()), (409, vec![]));
        let nameless = json!({"name": "", "leaseMs": 1, "order": 2}).to_string();
        assert_eq!(ask(&orders, Method::PUT, "", &nameless), 400);
        let endless = json!({"name": "b", "leaseMs": 0, "order": 2}).to_string();
        assert_eq!(ask(&orders, Method::PUT, "", &endless), 400);
    }
}
