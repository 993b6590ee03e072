//! Who is believed about faults on edges: requests through the edge on fresh connections.

use std::fmt;
use std::marker::PhantomData;

use futures_util::future::join_all;
use harness_core::fault::{Cx, Debt, FaultError, Sighting, Witness};
use harness_core::system::BoxFuture;
use harness_core::units::Duration;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::debt::{ProxyDebt, addresses};
use super::edge_fault::EdgeSpec;
use super::look::{Question, Seen, look};

/// Without a byte in this time, a connection is silent.
pub(crate) const SILENCE: Duration = Duration::from_millis(250);
/// Between two looks at a fault that comes and goes.
const CYCLE_LOOK: std::time::Duration = std::time::Duration::from_millis(10);
/// Requests per address before the fault.
const REQUESTS_BEFORE: u32 = 5;

/// What a healthy look is like, kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Healthy {
    /// What is asked.
    path: String,
    /// By the edge's slots.
    slots: Vec<Slot>,
}

/// One address of the edge, as it was before the fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slot {
    /// What the caller dials.
    pub address: String,
    /// The shortest round trip that was seen.
    pub round_trip: Duration,
    /// The status of the answers.
    #[serde(default = "healthy")]
    pub status: u16,
}

fn healthy() -> u16 {
    200
}

async fn baseline<S: Symptom>(
    cx: &Cx<'_>,
    spec: &Value,
    undo: &Value,
) -> Result<Value, FaultError> {
    let (spec, debt): (S, ProxyDebt) = (read("specification", spec)?, read("undo record", undo)?);
    let silence = cx.deadline.divided_by(2 + u64::from(REQUESTS_BEFORE));
    let asked = spec.question(cx.deadline);
    let question = Question { requests: REQUESTS_BEFORE, silence, until: None, ..asked };
    let addresses = addresses(&debt.edge, cx.topology)?;
    let seen = ask(&addresses, question, cx).await;
    let mut slots = Vec::new();
    for (address, seen) in addresses.into_iter().zip(seen) {
        match seen {
            Seen::Answered { status, took } if spec.is_healthy(status) && !took.is_empty() => {
                let round_trip = took.into_iter().min().unwrap_or_default();
                slots.push(Slot { address, round_trip, status });
            }
            other => {
                return Err(FaultError::Failed {
                    action: format!("see {} healthy at {address}", debt.edge),
                    why: other.to_string(),
                });
            }
        }
    }
    let healthy = Healthy { path: asked.path.to_owned(), slots };
    Ok(serde_json::to_value(healthy).expect("plain data"))
}

async fn ask(addresses: &[String], question: Question<'_>, cx: &Cx<'_>) -> Vec<Seen> {
    join_all(addresses.iter().map(|address| look(address, question, cx.clock))).await
}

pub(crate) fn read<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, FaultError> {
    T::deserialize(value)
        .map_err(|error| FaultError::Unreadable { what: what.to_owned(), why: error.to_string() })
}

/// What one address says about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Its symptom is there.
    InForce,
    /// All is as before.
    NotInForce,
    /// Neither can be said.
    Nothing,
}

/// All addresses must say the same; else nothing can be said.
pub(crate) fn sum_up<'a>(said: impl Iterator<Item = (Says, &'a str, String)>) -> Sighting {
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

/// What a fault on an edge looks like to a caller.
pub trait Symptom: EdgeSpec {
    /// How the witness looks, in a few words.
    const METHOD: &'static str;

    /// What one look asks, at each address, within a deadline.
    fn question(&self, deadline: Duration) -> Question<'_>;
    /// What the answers at one address say, and the words for it.
    fn says(&self, question: Question<'_>, slot: &Slot, seen: &Seen) -> (Says, String);
    /// How long an answer takes at least while the fault is in force, where that is long.
    fn takes(&self) -> Duration {
        Duration::ZERO
    }
    /// Whether an answer with this status is one of a healthy callee.
    fn is_healthy(&self, status: u16) -> bool {
        status == 200
    }
    /// A fault that comes and goes is looked for so long, again and again.
    fn cycle(&self) -> Option<Duration> {
        self.order(0).pulse.map(|pulse| pulse.on + pulse.off)
    }
}

/// What round trips say about a fault that delays only some of them: one late one shows it, and
/// only all of them being quick disproves it.
pub(super) fn some_late(delay: Duration, question: Question<'_>, slot: &Slot, seen: &Seen) -> Says {
    let Seen::Answered { status, took } = seen else { return Says::Nothing };
    let shift = |took: &Duration| took.saturating_sub(slot.round_trip).micros() * 10;
    let whole = usize::try_from(question.requests).unwrap_or(usize::MAX);
    if *status != slot.status {
        Says::Nothing
    } else if took.iter().any(|took| shift(took) >= delay.micros() * 8) {
        Says::InForce
    } else if took.len() == whole && took.iter().all(|took| shift(took) < delay.micros() * 4) {
        Says::NotInForce
    } else {
        Says::Nothing
    }
}

/// Looks at the edge of a fault as its caller would.
pub struct EdgeWitness<S>(PhantomData<fn() -> S>);

impl<S: Symptom> EdgeWitness<S> {
    /// The witness; it has no state of its own.
    pub(crate) const WITNESS: Self = Self(PhantomData);

    async fn see(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let spec: S = read("specification", debt.spec)?;
        let healthy: Healthy = read("baseline", debt.baseline)?;
        let question = spec.question(cx.deadline);
        let addresses: Vec<String> =
            healthy.slots.iter().map(|slot| slot.address.clone()).collect();
        let look_once = async || {
            let seen = ask(&addresses, question, cx).await;
            sum_up(healthy.slots.iter().zip(seen).map(|(slot, seen)| {
                let (says, words) = spec.says(question, slot, &seen);
                (says, slot.address.as_str(), words)
            }))
        };
        let Some(cycle) = spec.cycle() else { return Ok(look_once().await) };
        // Gone is only what was not seen over a whole cycle; once is enough for the contrary.
        let until = cx.clock.now() + cycle;
        let mut unclear = None;
        loop {
            let sighting = look_once().await;
            match &sighting {
                Sighting::InForce(_) | Sighting::Over(_) => return Ok(sighting),
                Sighting::NotInForce(_) => {}
                Sighting::Unknown(_) => unclear = Some(sighting.clone()),
            }
            if cx.clock.now() > until {
                return Ok(unclear.unwrap_or(sighting));
            }
            tokio::time::sleep(CYCLE_LOOK).await;
        }
    }
}

impl<S: Symptom> fmt::Debug for EdgeWitness<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EdgeWitness({})", S::KIND)
    }
}

impl<S: Symptom> Witness for EdgeWitness<S> {
    fn method(&self) -> &'static str {
        S::METHOD
    }

    fn look_takes(&self, spec: &Value) -> Duration {
        S::deserialize(spec).map_or(Duration::ZERO, |spec| spec.takes())
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(baseline::<S>(cx, spec, undo))
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::see(cx, debt).await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
impl Slot {
    /// A healthy address with this round trip.
    pub(crate) fn of(round_trip: Duration) -> Self {
        Self { address: "x".to_owned(), round_trip, status: 200 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
