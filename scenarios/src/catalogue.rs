//! The scenarios that come with the tool, by name.

use crate::findings;

/// A scenario that comes with the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// `metadata.name`, and what `gameday run NAME` understands.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! entries {
    ($($name:literal),+ $(,)?) => {
        &[$(Entry {
            name: $name,
            text: include_str!(concat!("../catalogue/", $name, ".yaml")),
        }),+]
    };
}

/// All of them, in the order of their names.
const ALL: &[Entry] = entries!(
    "alert-storm",
    "bad-release",
    "breaker-automation",
    "checkout-crash-loop",
    "checkout-descriptors",
    "checkout-pause",
    "checkout-pod-kill",
    "checkout-starved",
    "collector-blackout",
    "collector-freeze",
    "config-drift",
    "cost-runaway",
    "counter-reset",
    "duplicate-alerts",
    "journey-browse-and-buy",
    "label-drop",
    "pager-certificate-expired",
    "pager-down",
    "payments-brown-out",
    "payments-cut-answers",
    "payments-errors",
    "payments-flapping",
    "payments-garbled",
    "payments-lossy-line",
    "payments-mute",
    "payments-out-of-memory",
    "payments-outage",
    "payments-outage-guarded",
    "payments-packet-delay",
    "payments-packet-loss",
    "payments-partition",
    "payments-slow",
    "payments-slow-charges",
    "payments-thin-line",
    "price-spike",
    "store-disk-full",
    "telemetry-duplicate",
    "telemetry-lag",
    "telemetry-sample",
    "web-container-kill",
    "web-container-pause",
    "web-container-stop",
    "web-network-disconnect",
);

/// All of them, in the order of their names.
pub fn all() -> &'static [Entry] {
    ALL
}

/// The one of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}

/// The one that was most likely meant by a name that none has.
pub fn nearest(name: &str) -> Option<&'static Entry> {
    let known: Vec<&str> = ALL.iter().map(|entry| entry.name).collect();
    find(findings::nearest(name, &known)?)
}
