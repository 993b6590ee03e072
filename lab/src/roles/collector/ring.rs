//! The last minute of every series. Pure: times are handed in.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::metrics::{Labels, Sample};

/// Older samples are forgotten.
const KEEP_MS: i64 = 60_000;
/// Samples of one series; at five a second a minute has 300.
const SAMPLES_MAX: usize = 320;
/// More series are not kept.
const SERIES_MAX: usize = 1_024;

type Key = (String, Labels);

/// All series.
#[derive(Debug, Default)]
pub(super) struct Rings {
    series: BTreeMap<Key, VecDeque<(i64, f64)>>,
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
    pub(super) fn push(&mut self, now: i64, sample: Sample) {
        if !sample.value.is_finite() {
            return;
        }
        let key = (sample.name, sample.labels);
        if !self.series.contains_key(&key) && self.series.len() >= SERIES_MAX {
            self.series.retain(|_, ring| ring.back().is_some_and(|(at, _)| *at >= now - KEEP_MS));
            if self.series.len() >= SERIES_MAX {
                return;
            }
        }
        let ring = self.series.entry(key).or_default();
        ring.push_back((now, sample.value));
        while ring.len() > SAMPLES_MAX || ring.front().is_some_and(|(at, _)| *at < now - KEEP_MS) {
            ring.pop_front();
        }
    }

    /// The series of this name and these labels with their samples since `since`; a series
    /// without one is left out. The increase counts from the last sample before the window.
    pub(super) fn view(
        &self,
        name: &str,
        labels: &[(String, String)],
        since: i64,
    ) -> Vec<SeriesView> {
        let first = (name.to_owned(), Labels::new());
        self.series
            .range(first..)
            .take_while(|((found, _), _)| found == name)
            .filter(|((_, found), _)| labels.iter().all(|(k, v)| found.get(k) == Some(v)))
            .filter_map(|((_, found), ring)| {
                let begin = ring.partition_point(|(at, _)| *at < since);
                let samples: Vec<(i64, f64)> = ring.range(begin..).copied().collect();
                let from = begin.saturating_sub(1);
                let increase = increase(ring.range(from..).map(|(_, value)| *value));
                (!samples.is_empty()).then(|| SeriesView {
                    labels: found.clone(),
                    samples,
                    increase,
                })
            })
            .collect()
    }

    /// The newest sample of every live series, with its time, in the text format.
    pub(super) fn text(&self, now: i64) -> String {
        let mut out = String::new();
        for ((name, labels), ring) in &self.series {
            let Some((at, value)) = ring.back().filter(|(at, _)| *at >= now - KEEP_MS) else {
                continue;
            };
            let labels: Vec<String> =
                labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escape(value))).collect();
            writeln!(out, "{name}{{{}}} {value} {at}", labels.join(","))
                .expect("writing to a string cannot fail");
        }
        out
    }
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
        for (at, value) in [(0, 10.0), (100, 20.0), (200, 25.0)] {
            rings.push(at, sample("a", "0", value));
            rings.push(at, sample("a", "1", 1.0));
            rings.push(at, sample("b", "0", 1.0));
        }
        let view = rings.view("a", &[(String::from("slot"), String::from("0"))], 100);
        assert_eq!(view.len(), 1);
        assert_eq!(view[0].samples, [(100, 20.0), (200, 25.0)]);
        assert!((view[0].increase - 15.0).abs() < 1e-9);
        assert_eq!(rings.view("a", &[], 0).len(), 2);
        assert!(rings.view("a", &[], 201).is_empty());
    }

    #[test]
    fn samples_and_series_are_bounded() {
        let mut rings = Rings::default();
        for at in 0..1_000 {
            rings.push(at * 200, sample("a", "0", 1.0));
        }
        assert!(rings.view("a", &[], 0)[0].samples.len() <= SAMPLES_MAX);
        assert!(rings.view("a", &[], 0)[0].samples[0].0 >= 999 * 200 - KEEP_MS);
        for slot in 0..SERIES_MAX + 10 {
            rings.push(199_800, sample("c", &slot.to_string(), 1.0));
        }
        assert_eq!(rings.series.len(), SERIES_MAX);
        rings.push(199_800, sample("d", "0", f64::NAN));
        assert!(rings.view("d", &[], 0).is_empty());
        assert!(rings.text(199_900).contains("a{slot=\"0\"} 1 199800\n"));
    }
}
