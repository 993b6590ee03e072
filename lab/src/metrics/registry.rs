//! The counters, gauges and latency histograms of one process.
//!
//! The number of series is bounded by the code that names them: labels are never taken from
//! requests.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the latency buckets, in milliseconds.
const BUCKETS_MS: [u32; 12] = [1, 2, 5, 10, 20, 50, 100, 200, 400, 800, 1_600, 3_200];

#[derive(Debug, Default, Clone)]
struct Histogram {
    /// Not cumulative; the last one is what lies beyond all bounds.
    buckets: [u64; BUCKETS_MS.len() + 1],
    sum: Duration,
}

#[derive(Debug, Default)]
struct Series {
    values: BTreeMap<(&'static str, String), f64>,
    histograms: BTreeMap<&'static str, Histogram>,
}

/// What one process counts. Every series carries `service` and `instance`.
#[derive(Debug)]
pub(crate) struct Metrics {
    common: String,
    series: Mutex<Series>,
}

impl Metrics {
    /// No series yet.
    pub(crate) fn new(service: &str, instance: &str) -> Self {
        let common = format!("service=\"{service}\",instance=\"{instance}\"");
        Self { common, series: Mutex::default() }
    }

    /// Adds to a counter. `labels` is ready text such as `code="200"`, or empty.
    pub(crate) fn add(&self, name: &'static str, labels: &str, more: f64) {
        *self.series().values.entry((name, labels.to_owned())).or_default() += more;
    }

    /// Sets a gauge.
    pub(crate) fn set(&self, name: &'static str, labels: &str, value: f64) {
        self.series().values.insert((name, labels.to_owned()), value);
    }

    /// Records one latency into the histogram `name`, which is in seconds.
    pub(crate) fn observe(&self, name: &'static str, latency: Duration) {
        let ms = latency.as_secs_f64() * 1_000.0;
        let bucket = BUCKETS_MS.iter().position(|bound| ms <= f64::from(*bound));
        let mut series = self.series();
        let histogram = series.histograms.entry(name).or_default();
        histogram.buckets[bucket.unwrap_or(BUCKETS_MS.len())] += 1;
        histogram.sum += latency;
    }

    /// All series in the text format.
    pub(crate) fn text(&self) -> String {
        let series = self.series();
        let mut out = String::with_capacity(2_048);
        let mut last = "";
        for ((name, labels), value) in &series.values {
            if *name != last {
                let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
                line(&mut out, format_args!("# TYPE {name} {kind}"));
                last = name;
            }
            let comma = if labels.is_empty() { "" } else { "," };
            line(&mut out, format_args!("{name}{{{}{comma}{labels}}} {value}", self.common));
        }
        for (name, histogram) in &series.histograms {
            self.histogram(&mut out, name, histogram);
        }
        out
    }

    fn histogram(&self, out: &mut String, name: &str, histogram: &Histogram) {
        line(out, format_args!("# TYPE {name} histogram"));
        let mut below = 0;
        for (count, bound) in histogram.buckets.iter().zip(BUCKETS_MS) {
            below += count;
            let bound = f64::from(bound) / 1_000.0;
            line(out, format_args!("{name}_bucket{{{},le=\"{bound}\"}} {below}", self.common));
        }
        let all = below + histogram.buckets[BUCKETS_MS.len()];
        line(out, format_args!("{name}_bucket{{{},le=\"+Inf\"}} {all}", self.common));
        let sum = histogram.sum.as_secs_f64();
        line(out, format_args!("{name}_sum{{{}}} {sum}", self.common));
        line(out, format_args!("{name}_count{{{}}} {all}", self.common));
    }

    fn series(&self) -> std::sync::MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::parse;

    #[test]
    fn what_is_written_can_be_read_again() {
        let metrics = Metrics::new("checkout", "checkout-1");
        metrics.add("requests_total", "code=\"200\"", 2.0);
        metrics.add("requests_total", "code=\"200\"", 1.0);
        metrics.set("queue_depth", "", 7.0);
        metrics.observe("request_seconds", Duration::from_millis(3));
        metrics.observe("request_seconds", Duration::from_secs(9));
        let samples = parse(&metrics.text());
        let value = |name: &str, label: &str| {
            let found = samples.iter().find(|one| {
                one.name == name && (label.is_empty() || one.labels.values().any(|v| v == label))
            });
            found.unwrap().value
        };
        assert!((value("requests_total", "200") - 3.0).abs() < 1e-9);
        assert!((value("queue_depth", "") - 7.0).abs() < 1e-9);
        assert!((value("request_seconds_bucket", "0.002")).abs() < 1e-9);
        assert!((value("request_seconds_bucket", "0.005") - 1.0).abs() < 1e-9);
        assert!((value("request_seconds_bucket", "+Inf") - 2.0).abs() < 1e-9);
        assert!((value("request_seconds_sum", "") - 9.003).abs() < 1e-9);
        assert!(samples.iter().all(|one| one.labels["service"] == "checkout"));
    }
}
