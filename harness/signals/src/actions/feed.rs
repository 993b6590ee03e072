//! What every feed of actions gives: a question, and the reading of its answer. Pure.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::text::short;

/// A list of actions that is asked for again and again.
pub(super) trait Feed: Send {
    /// Path and query of the next question.
    fn path(&self) -> String;

    /// Reads the answer to a question that was asked at this time of `CLOCK_MONOTONIC`. `Err` says
    /// in words why it cannot be read; then nothing has changed.
    fn read(&mut self, body: &[u8], asked_us: u64) -> Result<Reading, String>;
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Action {
    /// Who acted: `breaker`.
    pub(super) actor: &'static str,
    /// What was done: `open`.
    pub(super) verb: String,
    /// On what: `checkout-0`.
    pub(super) target: String,
    /// By the acting process, on `CLOCK_MONOTONIC`.
    pub(super) monotonic_us: u64,
}

/// What was new in one answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Reading {
    pub(super) actions: Vec<Action>,
    /// What is missing, in words.
    pub(super) gaps: Vec<String>,
}

impl Reading {
    /// Reads events one by one; those that cannot be read are one gap.
    pub(super) fn events<T: DeserializeOwned>(&mut self, values: Vec<Value>) -> Vec<T> {
        let asked = values.len();
        let read: Vec<T> =
            values.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect();
        if read.len() < asked {
            self.gaps.push(format!("{} events cannot be read", asked - read.len()));
        }
        read
    }
}

/// An answer with a list of events.
#[derive(Debug, Deserialize)]
pub(super) struct Events {
    pub(super) events: Vec<Value>,
    /// Instances whose events are missing.
    #[serde(default)]
    pub(super) silent: Vec<String>,
}

/// Reads the frame of an answer.
pub(super) fn events(body: &[u8]) -> Result<Events, String> {
    serde_json::from_slice(body)
        .map_err(|error| format!("events cannot be read: {}", short(&error.to_string())))
}

/// The slot's name, `checkout-0`, of a pod that is called `checkout-7d9f-kx1`; the pod's own name
/// where it is not called so.
pub(super) fn slot_name(pod: &str, slot: u64) -> String {
    let mut parts = pod.rsplitn(3, '-');
    let deployment = match (parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(_), Some(deployment)) if !deployment.is_empty() => deployment,
        _ => return short(pod),
    };
    format!("{}-{slot}", short(deployment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_named_by_its_slot() {
        assert_eq!(slot_name("checkout-7d9f-kx1", 2), "checkout-2");
        assert_eq!(slot_name("order-desk-7d9f-kx1", 0), "order-desk-0");
        for other in ["", "interposer", "a-b", "-a-b"] {
            assert_eq!(slot_name(other, 1), other);
        }
    }
}
