//! Metrics in the Prometheus text format: what a role counts, and how the collector reads it.

mod registry;
mod text;

pub(crate) use registry::Metrics;
pub(crate) use text::{Labels, Sample, parse};
