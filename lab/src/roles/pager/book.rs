//! The pages that came in. Pure: one entry per delivery key, so that a delivery that comes again
//! because its answer was lost is no second page.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::clock::Moment;

/// Older pages, and with them their keys, are forgotten.
const PAGES_MAX: usize = 2_048;

/// Older heartbeats are forgotten.
const BEATS_MAX: usize = 16;

/// Whether a delivery that came before is a page again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Repeats {
    /// It is the same page.
    #[default]
    Same,
    /// With the defect only.
    Again,
}

/// A sign of life of a sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Beat {
    /// The sender's name of it.
    pub(super) key: String,
    #[serde(flatten)]
    pub(super) at: Moment,
    /// How often it was delivered.
    pub(super) deliveries: u64,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    /// Counts from 1, without gaps.
    pub(super) sequence: u64,
    #[serde(flatten)]
    pub(super) at: Moment,
    /// The sender's name of the delivery.
    pub(super) key: String,
    pub(super) alertname: String,
    /// `firing` or `resolved`.
    pub(super) status: String,
    pub(super) labels: BTreeMap<String, String>,
    /// How often the same delivery came again.
    pub(super) repeats: u64,
    pub(super) acknowledged: Option<Moment>,
}

/// What a page says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) key: String,
    pub(super) alertname: String,
    pub(super) status: String,
    pub(super) labels: BTreeMap<String, String>,
}

/// All pages in order.
#[derive(Debug, Default)]
pub(super) struct Book {
    pages: VecDeque<Page>,
    count: u64,
    beats: VecDeque<Beat>,
}

impl Book {
    /// Takes a sign of life.
    pub(super) fn beat(&mut self, at: Moment, key: String) {
        if let Some(known) = self.beats.iter_mut().find(|beat| beat.key == key) {
            known.deliveries += 1;
            return;
        }
        if self.beats.len() == BEATS_MAX {
            self.beats.pop_front();
        }
        self.beats.push_back(Beat { key, at, deliveries: 1 });
    }

    /// The latest signs of life, oldest first.
    pub(super) fn beats(&self) -> impl Iterator<Item = &Beat> {
        self.beats.iter()
    }

    /// Takes a delivery; the number of its page, and whether it is new.
    pub(super) fn receive(
        &mut self,
        at: Moment,
        message: Message,
        repeats: Repeats,
    ) -> (u64, bool) {
        let known = self.pages.iter_mut().find(|page| page.key == message.key);
        if let (Some(known), Repeats::Same) = (known, repeats) {
            known.repeats += 1;
            return (known.sequence, false);
        }
        self.count += 1;
        if self.pages.len() == PAGES_MAX {
            self.pages.pop_front();
        }
        let Message { key, alertname, status, labels } = message;
        self.pages.push_back(Page {
            sequence: self.count,
            at,
            key,
            alertname,
            status,
            labels,
            repeats: 0,
            acknowledged: None,
        });
        (self.count, true)
    }

    /// Acknowledges a page; the first time counts. `false` when there is no such page.
    pub(super) fn acknowledge(&mut self, at: Moment, sequence: u64) -> bool {
        let page = self.pages.iter_mut().find(|page| page.sequence == sequence);
        page.map(|page| page.acknowledged.get_or_insert(at)).is_some()
    }

    /// The pages after a number.
    pub(super) fn after(&self, sequence: u64) -> impl Iterator<Item = &Page> {
        self.pages.iter().filter(move |page| page.sequence > sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(key: &str) -> Message {
        let (alertname, status) = ("Down".to_owned(), "firing".to_owned());
        Message { key: key.to_owned(), alertname, status, labels: BTreeMap::new() }
    }

    #[test]
    fn a_repeated_delivery_is_one_page_and_the_first_acknowledgement_counts() {
        let at = |unix_ms| Moment { unix_ms, monotonic_us: 0 };
        let mut book = Book::default();
        assert_eq!(book.receive(at(1), message("a"), Repeats::Same), (1, true));
        assert_eq!(book.receive(at(2), message("a"), Repeats::Same), (1, false));
        assert_eq!(book.receive(at(3), message("b"), Repeats::Same), (2, true));
        assert!(book.acknowledge(at(4), 1) && book.acknowledge(at(5), 1));
        assert!(!book.acknowledge(at(6), 3));
        let seen: Vec<_> = book.after(0).map(|page| (page.sequence, page.repeats)).collect();
        assert_eq!(seen, [(1, 1), (2, 0)]);
        assert_eq!(book.after(0).next().unwrap().acknowledged, Some(at(4)));
        assert_eq!(book.receive(at(7), message("b"), Repeats::Again), (3, true), "with the defect");
    }

    #[test]
    fn heartbeats_are_counted_by_their_key_and_bounded() {
        let at = |unix_ms| Moment { unix_ms, monotonic_us: 0 };
        let mut book = Book::default();
        for number in 0..40 {
            book.beat(at(number), format!("beat-{number}"));
            book.beat(at(number), format!("beat-{number}"));
        }
        assert_eq!(book.beats().count(), BEATS_MAX);
        assert!(book.beats().all(|beat| beat.deliveries == 2));
        assert_eq!(book.after(0).count(), 0, "a heartbeat is no page");
    }
}
