//! The orders in memory: a fold over the journal's records. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ranges::{pack, sequence};

/// More orders are refused.
const ORDERS_MAX: usize = 2_000_000;
/// More orders are not listed in one answer.
const LISTED_MAX: usize = 200_000;

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OrderStatus {
    /// Accepted; the worker will charge for it.
    PendingPayment,
    /// Charged for.
    Paid,
}

/// What `POST /orders` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NewOrder {
    pub(crate) key: String,
    pub(crate) status: OrderStatus,
    /// Whose charge it was; only with `paid`.
    pub(crate) receipt: Option<String>,
}

/// An order as answers show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) status: OrderStatus,
    /// Distinct charges that were made for it; more than one is a fault.
    pub(crate) processed: usize,
}

/// That a charge was made for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) key: String,
    pub(crate) receipt: String,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Record {
    /// A new order, or the same one again.
    Create(NewOrder),
    /// A charge for an order.
    Paid(Mark),
    /// The order is taken out.
    Delete {
        /// Whose.
        key: String,
    },
}

#[derive(Debug)]
struct Kept {
    number: u64,
    receipts: Vec<String>,
}

/// All orders.
#[derive(Debug, Default)]
pub(super) struct Orders {
    by_key: BTreeMap<String, Kept>,
    /// Keys of pending orders by number, so the oldest is first.
    pending: BTreeMap<u64, String>,
    next: u64,
}

/// What `GET /orders/ranges` gives: sequence numbers of the keys `<prefix>-<number>`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Ranges {
    stored: Vec<[u64; 2]>,
    processed_twice: Vec<u64>,
    pending: Vec<[u64; 2]>,
}

/// What `GET /orders` gives.
#[derive(Debug, Serialize)]
pub(super) struct Listing {
    count: usize,
    orders: Vec<Order>,
}

impl Orders {
    /// Applies one record; `false` when it changes nothing, because it was applied before or
    /// its order does not exist.
    pub(super) fn apply(&mut self, record: &Record) -> bool {
        match record {
            Record::Create(new) => self.create(new),
            Record::Paid(mark) => self.paid(&mark.key, &mark.receipt),
            Record::Delete { key } => match self.by_key.remove(key) {
                Some(kept) => {
                    self.pending.remove(&kept.number);
                    true
                }
                None => false,
            },
        }
    }

    /// Whether [`Self::apply`] would change anything.
    pub(super) fn would_change(&self, record: &Record) -> bool {
        let is_charged_anew = |key: &str, receipt: &str| {
            self.by_key.get(key).is_some_and(|kept| kept.receipts.iter().all(|it| it != receipt))
        };
        match record {
            Record::Create(new) => {
                let paid = new.receipt.as_ref().filter(|_| new.status == OrderStatus::Paid);
                !self.by_key.contains_key(&new.key)
                    || paid.is_some_and(|receipt| is_charged_anew(&new.key, receipt))
            }
            Record::Paid(mark) => is_charged_anew(&mark.key, &mark.receipt),
            Record::Delete { key } => self.by_key.contains_key(key),
        }
    }

    fn create(&mut self, new: &NewOrder) -> bool {
        let is_new = !self.by_key.contains_key(&new.key);
        if is_new {
            let kept = Kept { number: self.next, receipts: Vec::new() };
            self.by_key.insert(new.key.clone(), kept);
            self.pending.insert(self.next, new.key.clone());
            self.next += 1;
        }
        let paid = new.receipt.as_ref().filter(|_| new.status == OrderStatus::Paid);
        paid.is_some_and(|receipt| self.paid(&new.key, receipt)) || is_new
    }

    fn paid(&mut self, key: &str, receipt: &str) -> bool {
        let Some(kept) = self.by_key.get_mut(key) else { return false };
        if kept.receipts.iter().any(|known| known == receipt) {
            return false;
        }
        kept.receipts.push(receipt.to_owned());
        self.pending.remove(&kept.number);
        true
    }

    pub(super) fn order(&self, key: &str) -> Option<Order> {
        self.by_key.get(key).map(|kept| kept.show(key))
    }

    pub(super) fn count(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.by_key.len() >= ORDERS_MAX
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn oldest(&self, most: usize) -> Vec<String> {
        self.pending.values().take(most).cloned().collect()
    }

    fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Kept)> {
        self.by_key.range(prefix.to_owned()..).take_while(move |(key, _)| key.starts_with(prefix))
    }

    pub(super) fn listing(&self, prefix: &str) -> Listing {
        let count = self.with_prefix(prefix).count();
        let listed = self.with_prefix(prefix).take(LISTED_MAX);
        Listing { count, orders: listed.map(|(key, kept)| kept.show(key)).collect() }
    }

    pub(super) fn ranges(&self, prefix: &str) -> Ranges {
        let (mut stored, mut processed_twice, mut pending) = (vec![], vec![], vec![]);
        for (key, kept) in self.with_prefix(prefix) {
            let Some(number) = sequence(key, prefix) else { continue };
            stored.push(number);
            match kept.receipts.len() {
                0 => pending.push(number),
                1 => {}
                _ => processed_twice.push(number),
            }
        }
        processed_twice.sort_unstable();
        Ranges { stored: pack(stored), processed_twice, pending: pack(pending) }
    }
}

impl Kept {
    fn show(&self, key: &str) -> Order {
        let pending = self.receipts.is_empty();
        Order {
            id: format!("order-{}", self.number),
            key: key.to_owned(),
            status: if pending { OrderStatus::PendingPayment } else { OrderStatus::Paid },
            processed: self.receipts.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(key: &str, receipt: Option<&str>) -> Record {
        let status =
            if receipt.is_some() { OrderStatus::Paid } else { OrderStatus::PendingPayment };
        Record::Create(NewOrder {
            key: key.to_owned(),
            status,
            receipt: receipt.map(str::to_owned),
        })
    }

    fn paid(key: &str, receipt: &str) -> Record {
        Record::Paid(Mark { key: key.to_owned(), receipt: receipt.to_owned() })
    }

    #[test]
    fn the_same_order_and_the_same_receipt_count_once() {
        let mut orders = Orders::default();
        assert!(orders.apply(&create("a-1", None)));
        assert!(!orders.apply(&create("a-1", None)));
        assert_eq!(orders.oldest(9), ["a-1"]);
        assert!(orders.apply(&create("a-1", Some("r1"))), "a retry that was charged");
        assert_eq!(orders.pending(), 0);
        assert!(!orders.apply(&paid("a-1", "r1")), "the worker, late");
        assert_eq!(orders.order("a-1").unwrap().processed, 1);
        assert!(!orders.apply(&create("a-1", None)), "a late retry takes nothing back");
        assert_eq!(orders.order("a-1").unwrap().status, OrderStatus::Paid);
    }

    #[test]
    fn what_would_change_something_is_what_changes_something() {
        let mut orders = Orders::default();
        let delete = || Record::Delete { key: String::from("a-1") };
        let steps = [
            (paid("a-1", "r1"), false),
            (delete(), false),
            (create("a-1", None), true),
            (create("a-1", None), false),
            (create("a-1", Some("r1")), true),
            (paid("a-1", "r1"), false),
            (create("a-1", Some("r2")), true),
            (delete(), true),
            (paid("a-1", "r3"), false),
        ];
        for (record, changes) in steps {
            assert_eq!(orders.would_change(&record), changes, "{record:?}");
            assert_eq!(orders.apply(&record), changes, "{record:?}");
        }
    }

    #[test]
    fn ranges_show_lost_double_and_pending_orders() {
        let mut orders = Orders::default();
        for number in 1..=5 {
            orders.apply(&create(&format!("r-1-{number}"), None));
        }
        for number in [1, 2, 4] {
            orders.apply(&paid(&format!("r-1-{number}"), &format!("x{number}")));
        }
        orders.apply(&paid("r-1-2", "second"));
        orders.apply(&create("r-10-7", Some("y")));
        assert!(orders.apply(&Record::Delete { key: String::from("r-1-4") }));
        assert!(!orders.apply(&Record::Delete { key: String::from("r-1-4") }));
        let expected = Ranges {
            stored: vec![[1, 3], [5, 5]],
            processed_twice: vec![2],
            pending: vec![[3, 3], [5, 5]],
        };
        assert_eq!(orders.ranges("r-1"), expected);
        assert_eq!(orders.listing("r-1-").count, 4);
        assert!(!orders.apply(&paid("unknown", "z")));
    }
}
