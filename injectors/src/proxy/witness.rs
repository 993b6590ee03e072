//! Who is believed about faults on edges: requests through the edge on fresh connections.

use futures_util::future::join_all;
use harness_core::fault::{Cx, Debt, FaultError, Sighting, Witness};
use harness_core::system::BoxFuture;
use harness_core::units::Duration;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::debt::{ProxyDebt, addresses};
use super::dependency_outage::{OutageMode, OutageSpec};
use super::latency::LatencySpec;
use super::look::{Question, Seen, look};

/// Every service of ours answers it.
const PATH: &str = "/healthz";
/// Without a byte in this time, a connection is silent.
const SILENCE: Duration = Duration::from_millis(250);
/// Requests per address before the fault.
const REQUESTS_BEFORE: u32 = 5;
/// Requests per address in one look at a latency; fewer where the delay is long.
const REQUESTS_PER_LOOK: u64 = 3;

/// What a healthy look is like, kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Healthy {
    /// What is asked.
    path: String,
    /// By the edge's slots.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Slot {
    address: String,
    /// The shortest round trip that was seen.
    round_trip: Duration,
}

async fn baseline(cx: &Cx<'_>, undo: &Value) -> Result<Value, FaultError> {
    let debt: ProxyDebt = read("undo record", undo)?;
    let silence = cx.deadline.divided_by(2 + u64::from(REQUESTS_BEFORE));
    let question = Question { path: PATH, requests: REQUESTS_BEFORE, silence };
    let addresses = addresses(&debt.edge, cx.topology)?;
    let seen = ask(&addresses, question, cx).await;
    let mut slots = Vec::new();
    for (address, seen) in addresses.into_iter().zip(seen) {
        match seen {
            Seen::Answered { status: 200, took } if !took.is_empty() => {
                let round_trip = took.into_iter().min().unwrap_or_default();
                slots.push(Slot { address, round_trip });
            }
            other => {
                return Err(FaultError::Failed {
                    action: format!("see {} healthy at {address}", debt.edge),
                    why: other.to_string(),
                });
            }
        }
    }
    let healthy = Healthy { path: PATH.to_owned(), slots };
    Ok(serde_json::to_value(healthy).expect("plain data"))
}

async fn ask(addresses: &[String], question: Question<'_>, cx: &Cx<'_>) -> Vec<Seen> {
    join_all(addresses.iter().map(|address| look(address, question, cx.clock))).await
}

fn read<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, FaultError> {
    T::deserialize(value)
        .map_err(|error| FaultError::Unreadable { what: what.to_owned(), why: error.to_string() })
}

/// What one address says about a fault.
enum Says {
    InForce,
    NotInForce,
    Nothing,
}

/// All addresses must say the same; else nothing can be said.
fn sum_up<'a>(said: impl Iterator<Item = (Says, &'a str, String)>) -> Sighting {
    let (mut with, mut without, mut words) = (0, 0, Vec::new());
    for (says, address, seen) in said {
        match says {
            Says::InForce => with += 1,
            Says::NotInForce => without += 1,
            Says::Nothing => {}
        }
        words.push(format!("{address}: {seen}"));
    }
    let (all, text) = (words.len(), words.join("; "));
    if all > 0 && with == all {
        Sighting::InForce(text)
    } else if all > 0 && without == all {
        Sighting::NotInForce(text)
    } else {
        Sighting::Unknown(text)
    }
}

/// Looks whether the callee of an edge is out, as a caller would find it.
#[derive(Debug, Clone, Copy)]
pub struct OutageWitness;

impl OutageWitness {
    async fn see(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let spec: OutageSpec = read("specification", debt.spec)?;
        let healthy: Healthy = read("baseline", debt.baseline)?;
        // One silence for opening, one for the answer.
        let silence = SILENCE.min(cx.deadline.divided_by(2));
        let question = Question { path: &healthy.path, requests: 1, silence };
        let addresses: Vec<String> =
            healthy.slots.iter().map(|slot| slot.address.clone()).collect();
        let seen = ask(&addresses, question, cx).await;
        Ok(sum_up(addresses.iter().zip(seen).map(|(address, seen)| {
            (says_outage(&spec, &seen, silence), address.as_str(), seen.to_string())
        })))
    }
}

fn says_outage(spec: &OutageSpec, seen: &Seen, silence: Duration) -> Says {
    let status = spec.status.unwrap_or_default();
    match (spec.mode, seen) {
        (_, Seen::Answered { status: 200, .. }) => Says::NotInForce,
        (OutageMode::Refuse, Seen::Refused) | (OutageMode::Reset, Seen::Reset) => Says::InForce,
        (OutageMode::Blackhole, Seen::Silent) if silence == SILENCE => Says::InForce,
        (OutageMode::Status, Seen::Answered { status: seen, .. }) if *seen == status => {
            Says::InForce
        }
        _ => Says::Nothing,
    }
}

impl Witness for OutageWitness {
    fn method(&self) -> &'static str {
        "HTTP request through the edge on a fresh connection"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(baseline(cx, undo))
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::see(cx, debt).await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

/// Looks whether round trips on an edge take longer than before.
///
/// A fault delays *every* round trip by at least `delay - jitter`. So the shortest of a few
/// decides: it is late only if all are, and one quick round trip disproves the fault.
#[derive(Debug, Clone, Copy)]
pub struct LatencyWitness;

impl LatencyWitness {
    async fn see(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let spec: LatencySpec = read("specification", debt.spec)?;
        let healthy: Healthy = read("baseline", debt.baseline)?;
        // One share for opening the connection; each request has room for a delay and slack.
        let longest = (spec.delay + spec.jitter).times(2).max(Duration::from_millis(20));
        let fitting = (cx.deadline.micros() / longest.micros()).saturating_sub(1);
        let requests = u32::try_from(fitting.clamp(1, REQUESTS_PER_LOOK)).unwrap_or(1);
        // A single request may take nearly all of the time: opening waits for no delay.
        let silence = match requests {
            1 => cx.deadline.times(9).divided_by(10),
            several => cx.deadline.divided_by(u64::from(several) + 1),
        };
        let question = Question { path: &healthy.path, requests, silence };
        let addresses: Vec<String> =
            healthy.slots.iter().map(|slot| slot.address.clone()).collect();
        let seen = ask(&addresses, question, cx).await;
        Ok(sum_up(healthy.slots.iter().zip(seen).map(|(slot, seen)| {
            let (says, words) = says_latency(&spec, slot, &seen);
            (says, slot.address.as_str(), words)
        })))
    }
}

fn says_latency(spec: &LatencySpec, slot: &Slot, seen: &Seen) -> (Says, String) {
    let Seen::Answered { status: 200, took } = seen else {
        return (Says::Nothing, seen.to_string());
    };
    let Some(shortest) = took.iter().min() else { return (Says::Nothing, seen.to_string()) };
    let shift = shortest.saturating_sub(slot.round_trip);
    let least = spec.least().micros();
    let says = if shift.micros() * 10 >= least * 8 {
        Says::InForce
    } else if shift.micros() * 10 < least * 2 {
        Says::NotInForce
    } else {
        Says::Nothing
    };
    let words = format!("round trip {shortest}, {shift} more than the {} before", slot.round_trip);
    (says, words)
}

impl Witness for LatencyWitness {
    fn method(&self) -> &'static str {
        "round-trip time through the edge on a fresh connection"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(baseline(cx, undo))
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::see(cx, debt).await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage(mode: OutageMode, seen: &Seen) -> &'static str {
        let status = (mode == OutageMode::Status).then_some(503);
        let spec = OutageSpec { edge: "a->b".into(), mode, status };
        name(&says_outage(&spec, seen, SILENCE))
    }

    fn name(says: &Says) -> &'static str {
        match says {
            Says::InForce => "in force",
            Says::NotInForce => "not in force",
            Says::Nothing => "nothing",
        }
    }

    fn answered(status: u16, millis: u64) -> Seen {
        let took = vec![Duration::from_millis(millis + 7), Duration::from_millis(millis)];
        Seen::Answered { status, took }
    }

    #[test]
    fn each_mode_has_its_one_symptom() {
        let modes =
            [OutageMode::Refuse, OutageMode::Reset, OutageMode::Blackhole, OutageMode::Status];
        let symptoms = [Seen::Refused, Seen::Reset, Seen::Silent, answered(503, 1)];
        for (row, mode) in modes.iter().enumerate() {
            for (column, seen) in symptoms.iter().enumerate() {
                let expected = if row == column { "in force" } else { "nothing" };
                assert_eq!(outage(*mode, seen), expected, "{mode:?}, {seen}");
            }
            assert_eq!(outage(*mode, &answered(200, 1)), "not in force");
            assert_eq!(outage(*mode, &answered(500, 1)), "nothing");
            assert_eq!(outage(*mode, &Seen::Odd("?".into())), "nothing");
        }
        // A look that was cut short cannot prove silence.
        let spec = OutageSpec { edge: "a->b".into(), mode: OutageMode::Blackhole, status: None };
        let says = says_outage(&spec, &Seen::Silent, Duration::from_millis(20));
        assert_eq!(name(&says), "nothing");
    }

    #[test]
    fn the_shortest_round_trip_decides_about_latency() {
        let spec = LatencySpec {
            edge: "a->b".into(),
            delay: Duration::from_millis(100),
            jitter: Duration::from_millis(20),
        };
        let slot = Slot { address: "x".into(), round_trip: Duration::from_millis(5) };
        let says = |seen: &Seen| name(&says_latency(&spec, &slot, seen).0);
        // At least 80 ms are added: 64 prove it, below 16 there is none.
        for (millis, expected) in [
            (4, "not in force"),
            (20, "not in force"),
            (22, "nothing"),
            (68, "nothing"),
            (69, "in force"),
            (500, "in force"),
        ] {
            assert_eq!(says(&answered(200, millis)), expected, "{millis} ms");
        }
        assert_eq!(says(&answered(503, 500)), "nothing");
        assert_eq!(says(&Seen::Silent), "nothing");
    }

    #[test]
    fn addresses_that_differ_say_nothing() {
        let of = |says: Vec<Says>| sum_up(says.into_iter().map(|says| (says, "a", String::new())));
        assert!(matches!(of(vec![Says::InForce, Says::InForce]), Sighting::InForce(_)));
        assert!(matches!(of(vec![Says::NotInForce]), Sighting::NotInForce(_)));
        assert!(matches!(of(vec![Says::InForce, Says::NotInForce]), Sighting::Unknown(_)));
        assert!(matches!(of(vec![Says::InForce, Says::Nothing]), Sighting::Unknown(_)));
        assert!(matches!(of(vec![]), Sighting::Unknown(_)));
    }
}
