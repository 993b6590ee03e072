//! Who is believed about a delay of packets: how long connections out of the namespace take to
//! open, compared with how long they took before. Only where nobody listens any more, the kernel is
//! asked whether what delays them is still there.

use std::net::SocketAddr;

use futures_util::future::join_all;
use harness_core::fault::{Cx, Debt, FaultError, Sighting, Witness};
use harness_core::system::BoxFuture;
use harness_core::units::Duration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::inside::{self, Inside};
use super::super::namespace::Door;
use super::super::packet_witness::{Opening, listeners, listens, open, request, sockets};
use super::{PacketDelayDebt, PacketDelaySpec};
use crate::proxy::{SILENCE, Says, Seen, read, sum_up};

/// Connections that a look opens at each address.
const OPENINGS: usize = 7;
/// What a round trip may take beside the delay, on a busy machine.
const BESIDE: Duration = Duration::from_millis(100);
/// All round trips are longer by so much of what the delay adds at least, in tenths: in force.
const IN_FORCE_TENTHS: u64 = 8;
/// The shortest is longer by less than so much of it, and the middle one by less than all: gone.
const GONE_TENTHS: u64 = 4;

/// How long it took before, kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Healthy {
    /// The shortest of the round trips, by address: a busy machine only makes them longer.
    round_trips: Vec<Duration>,
}

/// What one look saw of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sight {
    /// Somebody listens there, by the kernel's word, and has room for more.
    listens: bool,
    /// What came of a request; none is made where the connections are late.
    request: Option<Seen>,
    /// How long the connections took that opened, shortest first.
    took: Vec<Duration>,
}

impl Sight {
    fn middle(&self) -> Option<Duration> {
        self.took.get(self.took.len() / 2).copied()
    }

    fn is_healthy(&self) -> bool {
        let answered = matches!(self.request, Some(Seen::Answered { status: 200, .. }));
        answered && self.took.len() == OPENINGS
    }

    fn words(&self, before: Option<Duration>) -> String {
        let mut words = match (&self.took[..], self.middle()) {
            ([first, .., last], Some(middle)) => {
                format!("connections open after {first} to {last}, the middle one after {middle}")
            }
            _ => format!("{} of {OPENINGS} connections opened", self.took.len()),
        };
        if let Some(before) = before {
            words.push_str(&format!("; the shortest took {before} before"));
        }
        if let (Some(request), false) = (&self.request, self.is_healthy()) {
            words.push_str(&format!("; {request}"));
        }
        words
    }
}

impl PacketDelaySpec {
    /// The least, and the most, that it adds to a round trip: both ways.
    fn added(&self) -> (Duration, Duration) {
        (self.delay.saturating_sub(self.jitter).times(2), (self.delay + self.jitter).times(2))
    }

    /// A connection is waited for so long.
    fn patience(&self) -> Duration {
        self.added().1 + SILENCE
    }

    fn says(&self, before: Duration, sight: &Sight) -> Says {
        let (least, most) = self.added();
        let (Some(shortest), Some(middle)) = (sight.took.first(), sight.middle()) else {
            return Says::Nothing;
        };
        let shift = |took: Duration| took.saturating_sub(before);
        let tenths = |shift: Duration| shift.micros() * 10;
        let all = sight.took.len() == OPENINGS;
        let is_gone =
            tenths(shift(*shortest)) < least.micros() * GONE_TENTHS && shift(middle) < least;
        if sight.is_healthy() && is_gone {
            Says::NotInForce
        } else if all
            && sight.listens
            && tenths(shift(*shortest)) >= least.micros() * IN_FORCE_TENTHS
            && shift(middle) <= most + BESIDE
        {
            Says::InForce
        } else {
            Says::Nothing
        }
    }
}

/// Looks as the callers in a namespace do.
pub(crate) struct DelayWitness;

impl DelayWitness {
    /// One look at each address, side by side.
    async fn see(
        cx: &Cx<'_>,
        spec: &PacketDelaySpec,
        debt: &PacketDelayDebt,
        door: &Door,
    ) -> Result<Vec<Sight>, FaultError> {
        let patience = spec.patience().min(cx.deadline.divided_by(2));
        let silence = SILENCE.min(cx.deadline.divided_by(3));
        let listening = listeners(&Inside { cx, door, verb: "look" }).await?;
        let each = OPENINGS + 1;
        let mut all = sockets(door, each * debt.endpoints.len())?;
        let looks: Vec<_> = debt
            .endpoints
            .iter()
            .map(|endpoint| {
                let mut opened = all.split_off(all.len() - each);
                let asked = opened.pop().expect("one more than are only opened");
                let (listens, to) = (listens(&listening, *endpoint), SocketAddr::V4(*endpoint));
                async move {
                    let timed = opened.into_iter().map(async |one| {
                        let began = cx.clock.now();
                        let opening = open(one, to, patience).await;
                        (opening == Opening::Open).then(|| cx.clock.now().since(began))
                    });
                    let mut took: Vec<Duration> =
                        join_all(timed).await.into_iter().flatten().collect();
                    took.sort_unstable();
                    let mut sight = Sight { listens, request: None, took };
                    // An answer says that a quick callee is well, and nothing about a late one.
                    if sight.took.first().is_some_and(|shortest| *shortest < spec.added().0) {
                        sight.request = Some(request(asked, to, silence, cx.clock).await);
                    }
                    sight
                }
            })
            .collect();
        Ok(join_all(looks).await)
    }

    async fn before(cx: &Cx<'_>, spec: &Value, undo: &Value) -> Result<Value, FaultError> {
        let spec: PacketDelaySpec = read("specification", spec)?;
        let debt: PacketDelayDebt = read("undo record", undo)?;
        let door = inside::door(&debt.namespace)?;
        let mut round_trips = Vec::new();
        for (sight, endpoint) in
            Self::see(cx, &spec, &debt, &door).await?.iter().zip(&debt.endpoints)
        {
            match sight.took.first() {
                // What takes half as long as the delay by itself would hide it.
                Some(shortest) if sight.is_healthy() && shortest.times(2) < spec.added().0 => {
                    round_trips.push(*shortest);
                }
                _ => {
                    let action = format!("see {endpoint} healthy in `{}`", debt.namespace.name);
                    return Err(FaultError::Failed { action, why: sight.words(None) });
                }
            }
        }
        Ok(serde_json::to_value(Healthy { round_trips }).expect("plain data"))
    }

    async fn now(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let spec: PacketDelaySpec = read("specification", debt.spec)?;
        let healthy: Healthy = read("baseline", debt.baseline)?;
        let debt: PacketDelayDebt = read("undo record", debt.undo)?;
        let Some(door) = debt.namespace.reach() else {
            let words = format!("the namespace `{}` is gone with all in it", debt.namespace.name);
            return Ok(Sighting::NotInForce(words));
        };
        let sights = Self::see(cx, &spec, &debt, &door).await?;
        let inside = Inside { cx, door: &door, verb: "look" };
        let nobody = sights.iter().any(|sight| !sight.listens);
        let has_means = !nobody || debt.means.is_there(&inside).await?;
        let says = |before: Duration, sight: &Sight| match spec.says(before, sight) {
            // Where nobody is who could answer: what is not there delays no packet.
            Says::Nothing if !has_means && !sight.listens => Says::NotInForce,
            says => says,
        };
        let names: Vec<String> = debt.endpoints.iter().map(ToString::to_string).collect();
        let said = sights.iter().zip(&names).zip(&healthy.round_trips);
        Ok(sum_up(said.map(|((sight, name), before)| {
            (says(*before, sight), name.as_str(), sight.words(Some(*before)))
        })))
    }
}

impl Witness for DelayWitness {
    fn method(&self) -> &'static str {
        "how long connections out of the namespace take to open, beside how long they took before"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(Self::before(cx, spec, undo))
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::now(cx, debt).await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BEFORE: Duration = Duration::from_micros(100);

    fn spec() -> PacketDelaySpec {
        let spec = json!({"namespace": "n", "edge": "a->b", "delay": "20ms", "jitter": "5ms"});
        serde_json::from_value(spec).unwrap()
    }

    fn sight(millis: [u64; OPENINGS]) -> Sight {
        Sight {
            listens: true,
            request: Some(Seen::Answered { status: 200, took: Vec::new() }),
            took: millis.map(Duration::from_millis).to_vec(),
        }
    }

    #[test]
    fn all_round_trips_together_show_it_or_disprove_it() {
        let says = |sight: &Sight| spec().says(BEFORE, sight);
        // 15 ms each way at least, 25 ms at most.
        assert_eq!(says(&sight([31, 34, 38, 40, 42, 47, 49])), Says::InForce);
        assert_eq!(says(&sight([0; OPENINGS])), Says::NotInForce);
        assert_eq!(says(&sight([0, 5, 9, 20, 40, 40, 40])), Says::NotInForce, "a busy machine");
        for (millis, why) in [
            ([1, 34, 38, 40, 42, 47, 49], "one that is quick is none of a delay of all packets"),
            ([0, 0, 0, 40, 40, 40, 40], "half of them late is neither"),
            ([15, 16, 17, 18, 19, 20, 21], "half of the shift is neither"),
            ([31, 200, 300, 400, 400, 400, 400], "the machine is late, too"),
        ] {
            assert_eq!(says(&sight(millis)), Says::Nothing, "{why}");
        }
    }

    #[test]
    fn nothing_is_said_of_a_callee_that_is_not_well() {
        let says = |sight: &Sight| spec().says(BEFORE, sight);
        let (late, quick) = (sight([40; OPENINGS]), sight([0; OPENINGS]));
        let silent = Some(Seen::Silent);
        assert_eq!(says(&Sight { request: silent.clone(), ..quick.clone() }), Says::Nothing);
        assert_eq!(says(&Sight { listens: false, ..late.clone() }), Says::Nothing);
        assert_eq!(says(&Sight { request: None, ..quick.clone() }), Says::Nothing);
        let few = |of: &Sight| Sight { took: of.took[1..].to_vec(), ..of.clone() };
        assert_eq!(says(&few(&late)), Says::Nothing);
        assert_eq!(says(&few(&quick)), Says::Nothing);
        let none = Sight { took: Vec::new(), ..quick };
        assert_eq!(says(&none), Says::Nothing);
        assert!(none.words(None).contains("0 of 7"), "{}", none.words(None));
        // The kernel opens connections also for a callee that stands still.
        for request in [None, silent] {
            assert_eq!(says(&Sight { request, ..late.clone() }), Says::InForce);
        }
    }

    #[test]
    fn what_was_slow_before_is_no_sign() {
        let slow = Duration::from_millis(30);
        assert_eq!(spec().says(slow, &sight([31; OPENINGS])), Says::NotInForce);
        assert_eq!(spec().says(slow, &sight([60; OPENINGS])), Says::InForce);
    }

    #[test]
    fn a_look_at_the_longest_delay_ends_in_time() {
        let spec = json!({"namespace": "n", "edge": "a->b", "delay": "100ms", "jitter": "50ms"});
        let spec: PacketDelaySpec = serde_json::from_value(spec).unwrap();
        // Half of the longest look.
        assert!(spec.patience() <= Duration::from_secs(1), "{}", spec.patience());
    }
}
