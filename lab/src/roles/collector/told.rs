//! What the collector tells while orders distort it. Pure: series and times go in.
//!
//! The rings keep what was gathered; an order changes only what is told of it. So the end of an
//! order leaves no trace: neither a gap nor a jump.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::ring::Point;
use crate::metrics::Labels;

/// A longer lag is refused: the rings keep a minute.
const LAG_MS_MAX: i64 = 30_000;
/// A smaller share is refused.
const ONE_IN_MAX: u32 = 20;
/// More copies are refused.
const TIMES_MAX: u32 = 10;
/// They say whose a series is, so they cannot be lost.
const IDENTITY: [&str; 3] = ["service", "instance", "slot"];
/// The label that tells copies of a series apart.
pub(crate) const REPLICA: &str = "replica";

/// How what is told differs from what was gathered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum Distortion {
    /// Samples are told so much later, at their own times.
    Lag { by_ms: i64 },
    /// Series lose a label; of those that are then alike, one is told.
    DropLabel { label: String },
    /// One scrape in so many is told.
    Sample { one_in: u32 },
    /// Every series is told so many times.
    Duplicate { times: u32 },
    /// Counters have begun from zero again.
    Reset {},
}

/// What `PUT /-/orders` takes as an order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Order {
    /// Whose series; all, when it is empty.
    services: Vec<String>,
    pub(super) distortion: Distortion,
}

/// Series by name and labels.
pub(super) type Key = (String, Labels);

/// An order that is in force.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) order: Order,
    /// Since when, in Unix milliseconds.
    pub(super) since: i64,
    /// Where counters stood then; empty but for a reset.
    pub(super) bases: BTreeMap<Key, f64>,
}

/// One series as it is told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Told {
    pub(super) labels: Labels,
    pub(super) points: Vec<Point>,
}

impl Order {
    /// What is wrong with it.
    pub(super) fn check(&self) -> Result<(), String> {
        let of = |right: bool, words: &str| if right { Ok(()) } else { Err(words.to_owned()) };
        match &self.distortion {
            Distortion::Lag { by_ms } => {
                of((1..=LAG_MS_MAX).contains(by_ms), "`byMs` is from 1 to 30000")
            }
            Distortion::DropLabel { label } => {
                let can = !label.is_empty() && !IDENTITY.contains(&label.as_str());
                of(can, "`label` is not empty, and neither `service`, `instance` nor `slot`")
            }
            Distortion::Sample { one_in } => {
                of((2..=ONE_IN_MAX).contains(one_in), "`oneIn` is from 2 to 20")
            }
            Distortion::Duplicate { times } => {
                of((2..=TIMES_MAX).contains(times), "`times` is from 2 to 10")
            }
            Distortion::Reset {} => Ok(()),
        }
    }

    fn covers(&self, labels: &Labels) -> bool {
        self.services.is_empty()
            || labels.get("service").is_some_and(|service| self.services.contains(service))
    }
}

/// Whether a series only grows while its process lives.
pub(super) fn is_counter(name: &str) -> bool {
    ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end))
}

impl Standing {
    /// What was scraped before the order is told as it is.
    fn apply(&self, name: &str, now: i64, all: Vec<Told>) -> Vec<Told> {
        let (covered, others): (Vec<Told>, Vec<Told>) =
            all.into_iter().partition(|one| self.order.covers(&one.labels));
        let mut told: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
        let mut later = Vec::new();
        for Told { labels, mut points } in covered {
            let points_after = points.split_off(points.partition_point(|it| it.at <= self.since));
            later.push(Told { labels: labels.clone(), points: points_after });
            told.insert(labels, points);
        }
        for Told { labels, points } in self.distort(name, now, later) {
            told.entry(labels).or_default().extend(points);
        }
        let told = told.into_iter().filter(|(_, points)| !points.is_empty());
        others.into_iter().chain(told.map(|(labels, points)| Told { labels, points })).collect()
    }

    fn distort(&self, name: &str, now: i64, mut all: Vec<Told>) -> Vec<Told> {
        let keep = |mut all: Vec<Told>, is_kept: &dyn Fn(&Point) -> bool| {
            for one in &mut all {
                one.points.retain(is_kept);
            }
            all
        };
        match &self.order.distortion {
            Distortion::Lag { by_ms } => keep(all, &|point| point.at <= now - by_ms),
            Distortion::Sample { one_in } => {
                keep(all, &|point| point.scrape.is_multiple_of(*one_in))
            }
            Distortion::DropLabel { label } => without(label, all),
            Distortion::Duplicate { times } => {
                all.into_iter().flat_map(|one| copies(one, *times)).collect()
            }
            Distortion::Reset {} => {
                for one in all.iter_mut().filter(|_| is_counter(name)) {
                    let base = self.bases.get(&(name.to_owned(), one.labels.clone()));
                    let base = base.copied().unwrap_or(0.0);
                    for point in &mut one.points {
                        point.value = (point.value - base).max(0.0);
                    }
                }
                all
            }
        }
    }
}

/// Series without a label. Of those that are alike then, the one with the newest sample is told,
/// as a collector that refuses a second sample of the same time does.
fn without(label: &str, series: Vec<Told>) -> Vec<Told> {
    let mut kept: BTreeMap<Labels, Vec<Point>> = BTreeMap::new();
    let newest = |points: &[Point]| points.last().map(|point| point.at);
    for Told { mut labels, points } in series {
        labels.remove(label);
        match kept.get_mut(&labels) {
            Some(other) if newest(other) >= newest(&points) => {}
            Some(other) => *other = points,
            None => drop(kept.insert(labels, points)),
        }
    }
    kept.into_iter().map(|(labels, points)| Told { labels, points }).collect()
}

fn copies(one: Told, times: u32) -> impl Iterator<Item = Told> {
    (0..times).map(move |number| {
        let mut copy = one.clone();
        if number > 0 {
            copy.labels.insert(REPLICA.to_owned(), number.to_string());
        }
        copy
    })
}

/// What is told of all series of one name.
pub(super) fn tell(standing: &[Standing], name: &str, now: i64, gathered: Vec<Told>) -> Vec<Told> {
    standing.iter().fold(gathered, |all, order| order.apply(name, now, all))
}

/// Whether the last scrape of a target was good, and when the last good one was, as `up` is told.
pub(super) fn target(up: &[Told], service: &str, slot: usize) -> Option<(bool, Option<i64>)> {
    let slot = slot.to_string();
    let is = |one: &Told, key: &str, value: &str| one.labels.get(key).is_some_and(|it| it == value);
    let own = up.iter().find(|one| is(one, "service", service) && is(one, "slot", &slot))?;
    let good = |point: &Point| point.value >= 1.0;
    let seen = own.points.iter().rev().find(|point| good(point)).map(|point| point.at);
    Some((own.points.last().is_some_and(good), seen))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 10_000;

    fn series(service: &str, code: &str) -> Told {
        let labels = [("service", service), ("code", code)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let point = |number: u32| Point {
            at: NOW - 200 * i64::from(20 - number),
            value: f64::from(number * 10),
            scrape: number,
        };
        Told { labels, points: (0..=20).map(point).collect() }
    }

    fn standing(distortion: &serde_json::Value, since: i64) -> Standing {
        let order = json!({"services": ["edge"], "distortion": distortion});
        let order: Order = serde_json::from_value(order).unwrap();
        order.check().unwrap();
        Standing { order, since, bases: BTreeMap::new() }
    }

    fn told(standing: Standing) -> Vec<Told> {
        let gathered = vec![series("edge", "200"), series("edge", "503"), series("store", "200")];
        tell(&[standing], "requests_total", NOW, gathered)
    }

    fn of<'a>(told: &'a [Told], service: &str) -> Vec<&'a Told> {
        told.iter().filter(|one| one.labels["service"] == service).collect()
    }

    #[test]
    fn a_lag_hides_what_is_younger_and_takes_nothing_back() {
        let newest = |told: &[Told], service: &str| of(told, service)[0].points.last().unwrap().at;
        let long = told(standing(&json!({"lag": {"byMs": 1_000}}), NOW - 5_000));
        assert_eq!((newest(&long, "edge"), newest(&long, "store")), (NOW - 1_000, NOW));
        let fresh = told(standing(&json!({"lag": {"byMs": 1_000}}), NOW - 400));
        assert_eq!(newest(&fresh, "edge"), NOW - 400, "it was told before the order");
    }

    #[test]
    fn without_a_label_one_of_the_series_that_are_alike_is_told() {
        let told = told(standing(&json!({"dropLabel": {"label": "code"}}), 0));
        let edge = of(&told, "edge");
        assert_eq!((edge.len(), edge[0].labels.contains_key("code")), (1, false));
        assert!(of(&told, "store")[0].labels.contains_key("code"));
        let (mut old, new) = (series("edge", "200"), series("edge", "503"));
        old.points.truncate(3);
        assert_eq!(without("code", vec![old, new.clone()])[0].points, new.points);
    }

    #[test]
    fn a_share_of_the_scrapes_and_copies_of_the_series_are_told() {
        let share = told(standing(&json!({"sample": {"oneIn": 5}}), 0));
        let scrapes: Vec<u32> = of(&share, "edge")[0].points.iter().map(|it| it.scrape).collect();
        assert_eq!(scrapes, [0, 5, 10, 15, 20]);
        assert_eq!(of(&share, "store")[0].points.len(), 21);
        let twice = told(standing(&json!({"duplicate": {"times": 2}}), 0));
        assert_eq!((of(&twice, "edge").len(), of(&twice, "store").len()), (4, 1));
        assert_eq!(
            of(&twice, "edge").iter().filter(|it| it.labels.contains_key(REPLICA)).count(),
            2
        );
    }

    #[test]
    fn a_reset_counter_begins_from_zero_and_what_was_told_before_stays() {
        let mut reset = standing(&json!({"reset": {}}), NOW - 400);
        let labels = series("edge", "200").labels;
        reset.bases.insert((String::from("requests_total"), labels), 180.0);
        let told = told(reset);
        let values: Vec<f64> =
            of(&told, "edge")[0].points[17..].iter().map(|it| it.value).collect();
        assert_eq!(values, [170.0, 180.0, 10.0, 20.0]);
        assert!((of(&told, "edge")[1].points[20].value - 200.0).abs() < 1e-9, "it has no base");
        assert!(is_counter("request_seconds_count") && !is_counter("breaker_state"));
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in [
            json!({"lag": {"byMs": 0}}),
            json!({"lag": {"byMs": 30_001}}),
            json!({"dropLabel": {"label": "slot"}}),
            json!({"dropLabel": {"label": ""}}),
            json!({"sample": {"oneIn": 1}}),
            json!({"duplicate": {"times": 11}}),
        ] {
            let order = json!({"services": [], "distortion": wrong});
            let order: Order = serde_json::from_value(order).unwrap();
            assert!(order.check().is_err(), "{order:?}");
        }
    }
}
