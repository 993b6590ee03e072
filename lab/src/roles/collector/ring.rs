//! The last minute of every series. Pure: times are handed in.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::told::{Key, Standing, Told, is_counter, tell};
use crate::metrics::{Labels, Sample};

/// Older samples are forgotten.
const KEEP_MS: i64 = 60_000;
/// Samples of one series; at five a second a minute has 300.
const SAMPLES_MAX: usize = 320;
/// More series are not kept.
const SERIES_MAX: usize = 1_024;

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// Unix milliseconds.
    pub(super) at: i64,
    pub(super) value: f64,
    /// The number of the scrape that it is from.
    pub(super) scrape: u32,
}

/// All series.
#[derive(Debug, Default)]
pub(super) struct Rings {
    series: BTreeMap<Key, VecDeque<Point>>,
}

/// One series within a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SeriesView {
    pub(crate) labels: Labels,
    /// Unix milliseconds and value, oldest first.
    pub(crate) samples: Vec<(i64, f64)>,
    /// How much a counter grew within the window; a fall is a restart from zero.
    pub(crate) increase: f64,
}

impl Rings {
    /// Keeps one sample; drops what is too old, and what cannot be a JSON number.
    pub(super) fn push(&mut self, now: i64, scrape: u32, sample: Sample) {
        if !sample.value.is_finite() {
            return;
        }
        let key = (sample.name, sample.labels);
        if !self.series.contains_key(&key) && self.series.len() >= SERIES_MAX {
            self.series.retain(|_, ring| ring.back().is_some_and(|it| it.at >= now - KEEP_MS));
            if self.series.len() >= SERIES_MAX {
                return;
            }
        }
        let ring = self.series.entry(key).or_default();
        ring.push_back(Point { at: now, value: sample.value, scrape });
        while ring.len() > SAMPLES_MAX || ring.front().is_some_and(|it| it.at < now - KEEP_MS) {
            ring.pop_front();
        }
    }

    /// Where every counter stands.
    pub(super) fn counters(&self) -> BTreeMap<Key, f64> {
        let counters = self.series.iter().filter(|((name, _), _)| is_counter(name));
        counters.filter_map(|(key, ring)| Some((key.clone(), ring.back()?.value))).collect()
    }

    /// What is told of all series of this name.
    pub(super) fn told(&self, name: &str, now: i64, standing: &[Standing]) -> Vec<Told> {
        let first = (name.to_owned(), Labels::new());
        let series = self.series.range(first..).take_while(|((found, _), _)| found == name);
        let gathered = series.map(|((_, labels), ring)| Told {
            labels: labels.clone(),
            points: ring.iter().copied().collect(),
        });
        tell(standing, name, now, gathered.collect())
    }

    /// The newest sample of every live series, with its time, in the text format.
    pub(super) fn text(&self, now: i64, standing: &[Standing]) -> String {
        let mut out = String::new();
        let mut names: Vec<&String> = self.series.keys().map(|(name, _)| name).collect();
        names.dedup();
        for (name, one) in names.into_iter().flat_map(|name| {
            self.told(name, now, standing).into_iter().map(move |told| (name, told))
        }) {
            let Some(Point { at, value, .. }) =
                one.points.last().filter(|point| point.at >= now - KEEP_MS)
            else {
                continue;
            };
            let labels = one.labels.iter();
            let labels: Vec<String> =
                labels.map(|(key, value)| format!("{key}=\"{}\"", escape(value))).collect();
            writeln!(out, "{name}{{{}}} {value} {at}", labels.join(","))
                .expect("writing to a string cannot fail");
        }
        out
    }
}

/// The series of these labels with their samples since `since`; a series without one is left out.
/// The increase counts from the last sample before the window.
pub(super) fn view(told: Vec<Told>, labels: &[(String, String)], since: i64) -> Vec<SeriesView> {
    told.into_iter()
        .filter(|one| labels.iter().all(|(k, v)| one.labels.get(k) == Some(v)))
        .filter_map(|Told { labels, points }| {
            let begin = points.partition_point(|point| point.at < since);
            let samples: Vec<(i64, f64)> =
                points[begin..].iter().map(|point| (point.at, point.value)).collect();
            let from = begin.saturating_sub(1);
            let increase = increase(points[from..].iter().map(|point| point.value));
            (!samples.is_empty()).then_some(SeriesView { labels, samples, increase })
        })
        .collect()
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn increase(values: impl Iterator<Item = f64>) -> f64 {
    let mut last = None;
    let mut sum = 0.0;
    for value in values {
        if let Some(last) = last {
            sum += if value >= last { value - last } else { value };
        }
        last = Some(value);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str, slot: &str, value: f64) -> Sample {
        let labels = [(String::from("slot"), slot.to_owned())].into();
        Sample { name: name.to_owned(), labels, value }
    }

    #[test]
    fn an_increase_survives_a_restart() {
        assert!((increase([5.0, 8.0, 2.0, 3.0].into_iter()) - 6.0).abs() < 1e-9);
        assert!(increase([7.0].into_iter()).abs() < 1e-9);
    }

    #[test]
    fn a_view_selects_by_label_and_window_and_counts_from_before_it() {
        let mut rings = Rings::default();
        let seen = |rings: &Rings, labels: &[(String, String)], since| {
            view(rings.told("a", 200, &[]), labels, since)
        };
        for (at, value) in [(0, 10.0), (100, 20.0), (200, 25.0)] {
            rings.push(at, 0, sample("a", "0", value));
            rings.push(at, 0, sample("a", "1", 1.0));
            rings.push(at, 0, sample("b", "0", 1.0));
        }
        let view = seen(&rings, &[(String::from("slot"), String::from("0"))], 100);
        assert_eq!(view.len(), 1);
        assert_eq!(view[0].samples, [(100, 20.0), (200, 25.0)]);
        assert!((view[0].increase - 15.0).abs() < 1e-9);
        assert_eq!(seen(&rings, &[], 0).len(), 2);
        assert!(seen(&rings, &[], 201).is_empty());
    }

    #[test]
    fn samples_and_series_are_bounded() {
        let mut rings = Rings::default();
        for at in 0..1_000 {
            rings.push(at * 200, 0, sample("a", "0", 1.0));
        }
        let told = rings.told("a", 199_800, &[]);
        assert!(told[0].points.len() <= SAMPLES_MAX);
        assert!(told[0].points[0].at >= 999 * 200 - KEEP_MS);
        for slot in 0..SERIES_MAX + 10 {
            rings.push(199_800, 0, sample("c", &slot.to_string(), 1.0));
        }
        assert_eq!(rings.series.len(), SERIES_MAX);
        rings.push(199_800, 0, sample("d", "0", f64::NAN));
        assert!(rings.told("d", 199_800, &[]).is_empty());
        assert!(rings.text(199_900, &[]).contains("a{slot=\"0\"} 1 199800\n"));
    }
}
