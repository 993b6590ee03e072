//! The table of faults: who may stand on which edge, and until when. No I/O and no clock.

use std::collections::{BTreeMap, VecDeque};

use harness_core::ids::EdgeName;
use harness_core::units::Duration;
use injectors::proxy::wire::{
    FaultReport, FaultRequest, FaultState, HttpEffect, LEASE_MAX, NAME_BYTES_MAX, PULSE_PART_MIN,
    ProxyEffect, Pulse,
};

/// No delay and no part of a pulse is longer.
const LONGEST: Duration = Duration::from_secs(600);
/// So many names that ended are remembered; older ones are forgotten.
const ENDED_MAX: usize = 1024;

/// A fault in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) edge: EdgeName,
    pub(super) effect: ProxyEffect,
    pulse: Option<Pulsing>,
    /// In nanoseconds of the boot clock.
    deadline: u64,
}

/// How far a fault is that comes and goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pulsing {
    pulse: Pulse,
    began: u64,
    phase: Phase,
    /// The end of the phase, in nanoseconds of the boot clock.
    until: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    On,
    Off,
}

impl Pulsing {
    fn new(pulse: Pulse, now: u64) -> Self {
        let until = now + nanos(pulse.on);
        Self { pulse, began: now, phase: Phase::On, until }
    }

    /// Goes to the phase of this instant. The cycle keeps its beat, however late this is called.
    fn go_on(&mut self, now: u64) {
        let (on, off) = (nanos(self.pulse.on), nanos(self.pulse.off));
        let into = now.saturating_sub(self.began) % (on + off);
        let start = now - into;
        (self.phase, self.until) =
            if into < on { (Phase::On, start + on) } else { (Phase::Off, start + on + off) };
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.micros() * 1000
}

/// A name that is used up.
#[derive(Debug, Clone)]
struct Ended {
    name: String,
    /// `None` when a `DELETE` came before any `PUT`.
    fault: Option<Fault>,
    state: FaultState,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TableError {
    /// The request itself is wrong: 400.
    #[error("{0}")]
    Wrong(String),
    /// It does not fit to what stands: 409.
    #[error("{0}")]
    Conflict(String),
    /// There is no such edge or fault: 404.
    #[error("{0}")]
    Unknown(String),
}

/// What a `PUT` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// The fault is new.
    New,
    /// It was in force already; its lease is extended.
    Same,
}

/// All faults of the proxy.
#[derive(Debug, Default)]
pub(super) struct Table {
    in_force: BTreeMap<String, Fault>,
    ended: VecDeque<Ended>,
}

impl Table {
    /// Takes a fault up. `now` is of the boot clock.
    pub(super) fn put(
        &mut self,
        name: &str,
        request: &FaultRequest,
        now: u64,
    ) -> Result<Put, TableError> {
        let deadline = deadline(request.lease_ms, now)?;
        check(name, request)?;
        if let Some(fault) = self.in_force.get_mut(name) {
            let pulse = fault.pulse.as_ref().map(|pulsing| pulsing.pulse);
            let same = fault.edge == request.edge && fault.effect == request.effect;
            if !same || pulse != request.pulse {
                return Err(TableError::Conflict(format!(
                    "`{name}` is already in force on {} with {}",
                    fault.edge, fault.effect
                )));
            }
            fault.deadline = deadline;
            return Ok(Put::Same);
        }
        if let Some(ended) = self.ended.iter().find(|ended| ended.name == name) {
            let how = match ended.state {
                FaultState::Expired => "its lease ended",
                FaultState::InForce | FaultState::Absent => "it was put back",
            };
            return Err(TableError::Conflict(format!("`{name}` is used up: {how}")));
        }
        if let Some((other, _)) = self.in_force.iter().find(|(_, f)| f.edge == request.edge) {
            return Err(TableError::Conflict(format!(
                "`{other}` is in force on {}; one fault at a time stands on an edge",
                request.edge
            )));
        }
        let pulse = request.pulse.map(|pulse| Pulsing::new(pulse, now));
        let (edge, effect) = (request.edge.clone(), request.effect.clone());
        let fault = Fault { edge, effect, pulse, deadline };
        self.in_force.insert(name.to_owned(), fault);
        Ok(Put::New)
    }

    /// Extends a lease.
    pub(super) fn renew(&mut self, name: &str, lease_ms: u64, now: u64) -> Result<(), TableError> {
        let deadline = deadline(lease_ms, now)?;
        if let Some(fault) = self.in_force.get_mut(name) {
            fault.deadline = deadline;
            return Ok(());
        }
        match self.ended.iter().find(|ended| ended.name == name) {
            Some(Ended { state: FaultState::Expired, .. }) => {
                Err(TableError::Conflict(format!("the lease of `{name}` has ended")))
            }
            _ => Err(TableError::Unknown(format!("no fault `{name}` is in force"))),
        }
    }

    /// Ends a fault and uses its name up. The edge is that of the fault, where one is known.
    pub(super) fn remove(&mut self, name: &str) -> (FaultState, Option<EdgeName>) {
        if let Some(fault) = self.in_force.remove(name) {
            let edge = fault.edge.clone();
            self.remember(name.to_owned(), Some(fault), FaultState::Absent);
            return (FaultState::InForce, Some(edge));
        }
        if let Some(ended) = self.ended.iter_mut().find(|ended| ended.name == name) {
            let was = std::mem::replace(&mut ended.state, FaultState::Absent);
            return (was, ended.fault.as_ref().map(|fault| fault.edge.clone()));
        }
        if name.len() <= NAME_BYTES_MAX {
            self.remember(name.to_owned(), None, FaultState::Absent);
        }
        (FaultState::Absent, None)
    }

    /// Ends the faults whose lease is over, and names them.
    pub(super) fn expire(&mut self, now: u64) -> Vec<(String, EdgeName)> {
        let over: Vec<String> = self
            .in_force
            .iter()
            .filter(|(_, fault)| fault.deadline <= now)
            .map(|(name, _)| name.clone())
            .collect();
        let mut expired = Vec::new();
        for name in over {
            if let Some(fault) = self.in_force.remove(&name) {
                expired.push((name.clone(), fault.edge.clone()));
                self.remember(name, Some(fault), FaultState::Expired);
            }
        }
        expired
    }

    /// Begins or ends what comes and goes and is due, and says what then stands on each edge.
    pub(super) fn pulse(&mut self, now: u64) -> Vec<(EdgeName, Option<ProxyEffect>)> {
        let mut turned = Vec::new();
        for fault in self.in_force.values_mut() {
            let Some(pulsing) = fault.pulse.as_mut().filter(|it| it.until <= now) else { continue };
            let before = pulsing.phase;
            pulsing.go_on(now);
            if pulsing.phase != before {
                let effect = (pulsing.phase == Phase::On).then(|| fault.effect.clone());
                turned.push((fault.edge.clone(), effect));
            }
        }
        turned
    }

    /// When a lease ends next, or a fault comes or goes.
    pub(super) fn first_deadline(&self) -> Option<u64> {
        let first = |fault: &Fault| match &fault.pulse {
            None => fault.deadline,
            Some(pulsing) => fault.deadline.min(pulsing.until),
        };
        self.in_force.values().map(first).min()
    }

    /// Those in force, then the last ones that ended.
    pub(super) fn report(&self, now: u64) -> Vec<FaultReport> {
        let report = |name: &str, fault: &Fault, state, left| FaultReport {
            name: name.to_owned(),
            edge: fault.edge.clone(),
            effect: fault.effect.clone(),
            pulse: fault.pulse.as_ref().map(|pulsing| pulsing.pulse),
            state,
            lease_left_ms: left,
        };
        let living = self.in_force.iter().map(|(name, fault)| {
            let left = fault.deadline.saturating_sub(now) / 1_000_000;
            report(name, fault, FaultState::InForce, left)
        });
        let ended =
            self.ended.iter().rev().filter_map(|ended| {
                Some(report(&ended.name, ended.fault.as_ref()?, ended.state, 0))
            });
        living.chain(ended).collect()
    }

    fn remember(&mut self, name: String, fault: Option<Fault>, state: FaultState) {
        if self.ended.len() == ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(Ended { name, fault, state });
    }
}

fn deadline(lease_ms: u64, now: u64) -> Result<u64, TableError> {
    let longest = LEASE_MAX.millis();
    if lease_ms == 0 || lease_ms > longest {
        return Err(TableError::Wrong(format!("a lease lasts 1 to {longest} ms, not {lease_ms}")));
    }
    Ok(now + lease_ms * 1_000_000)
}

fn check(name: &str, request: &FaultRequest) -> Result<(), TableError> {
    let wrong = |why: String| Err(TableError::Wrong(why));
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return wrong(format!("a name has 1 to {NAME_BYTES_MAX} bytes"));
    }
    let parts = request.pulse.map_or([PULSE_PART_MIN; 2], |pulse| [pulse.on, pulse.off]);
    if parts.iter().any(|part| !(PULSE_PART_MIN..=LONGEST).contains(part)) {
        return wrong(format!("a part of a pulse lasts {PULSE_PART_MIN} to {LONGEST}"));
    }
    let error = 400..=599;
    match &request.effect {
        ProxyEffect::Status(status) | ProxyEffect::Http(HttpEffect { status, .. })
            if !error.contains(status) =>
        {
            wrong(format!("{status} is not an error status (400 to 599)"))
        }
        ProxyEffect::Latency { delay, jitter } if *delay > LONGEST || jitter > delay => {
            wrong(format!("a delay is at most {LONGEST}, its jitter at most itself"))
        }
        ProxyEffect::Http(HttpEffect { delay: wait, .. })
        | ProxyEffect::Stall { pause: wait, .. }
            if *wait > LONGEST =>
        {
            wrong(format!("a delay is at most {LONGEST}"))
        }
        ProxyEffect::Bandwidth { bytes_per_second: 0 } => {
            wrong("nothing at all is a blackhole".to_owned())
        }
        ProxyEffect::Corrupt { every_bytes: 0 } => {
            wrong("a distance of bytes is at least 1".to_owned())
        }
        ProxyEffect::Refuse
        | ProxyEffect::Reset
        | ProxyEffect::Blackhole
        | ProxyEffect::Status(_)
        | ProxyEffect::Latency { .. }
        | ProxyEffect::HalfOpen
        | ProxyEffect::Bandwidth { .. }
        | ProxyEffect::Stall { .. }
        | ProxyEffect::Truncate { .. }
        | ProxyEffect::Corrupt { .. }
        | ProxyEffect::Http(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn request(edge: &str, effect: ProxyEffect) -> FaultRequest {
        FaultRequest { edge: edge.into(), effect, pulse: None, lease_ms: 1000 }
    }

    #[test]
    fn a_name_is_used_once_and_an_edge_by_one() {
        let mut table = Table::default();
        let (refuse, reset) = (ProxyEffect::Refuse, ProxyEffect::Reset);
        assert_eq!(table.put("one", &request("a->b", refuse.clone()), 0), Ok(Put::New));
        assert_eq!(table.put("one", &request("a->b", refuse.clone()), 5), Ok(Put::Same));
        for (name, edge, effect) in
            [("one", "a->b", &reset), ("one", "x->y", &refuse), ("two", "a->b", &reset)]
        {
            let refused = table.put(name, &request(edge, effect.clone()), 5);
            assert!(matches!(refused, Err(TableError::Conflict(_))), "{refused:?}");
        }
        assert_eq!(table.remove("one"), (FaultState::InForce, Some("a->b".into())));
        assert_eq!(table.remove("one"), (FaultState::Absent, Some("a->b".into())));
        let late = table.put("one", &request("a->b", refuse.clone()), 6);
        assert!(matches!(late, Err(TableError::Conflict(_))), "{late:?}");
        assert_eq!(table.put("two", &request("a->b", reset.clone()), 6), Ok(Put::New));
    }

    #[test]
    fn a_removal_that_overtakes_its_fault_keeps_it_out() {
        let mut table = Table::default();
        assert_eq!(table.remove("late"), (FaultState::Absent, None));
        let late = table.put("late", &request("a->b", ProxyEffect::Refuse), 1);
        assert!(matches!(late, Err(TableError::Conflict(_))), "{late:?}");
        assert!(table.report(1).is_empty());
    }

    #[test]
    fn a_lease_ends_and_is_remembered() {
        let mut table = Table::default();
        table.put("one", &request("a->b", ProxyEffect::Blackhole), 0).unwrap();
        table.renew("one", 3000, SECOND / 2).unwrap();
        assert_eq!(table.first_deadline(), Some(3 * SECOND + SECOND / 2));
        assert!(table.expire(SECOND).is_empty());
        assert_eq!(table.expire(4 * SECOND), [("one".to_owned(), "a->b".into())]);
        assert_eq!(table.first_deadline(), None);
        assert_eq!(table.report(4 * SECOND)[0].state, FaultState::Expired);
        assert!(matches!(table.renew("one", 5, 0), Err(TableError::Conflict(_))));
        assert!(matches!(table.renew("two", 5, 0), Err(TableError::Unknown(_))));
        assert_eq!(table.remove("one").0, FaultState::Expired);
        assert_eq!(table.remove("one").0, FaultState::Absent);
    }

    #[test]
    fn wrong_values_are_refused() {
        let mut table = Table::default();
        let latency = |delay, jitter| ProxyEffect::Latency {
            delay: Duration::from_millis(delay),
            jitter: Duration::from_millis(jitter),
        };
        let long = "n".repeat(NAME_BYTES_MAX + 1);
        for (name, effect, lease_ms) in [
            ("a", ProxyEffect::Status(200), 1000),
            ("a", ProxyEffect::Status(99), 1000),
            ("a", latency(10, 11), 1000),
            ("a", latency(600_001, 0), 1000),
            ("a", ProxyEffect::Bandwidth { bytes_per_second: 0 }, 1000),
            ("a", ProxyEffect::Corrupt { every_bytes: 0 }, 1000),
            ("a", ProxyEffect::Refuse, 0),
            ("a", ProxyEffect::Refuse, LEASE_MAX.millis() + 1),
            ("", ProxyEffect::Refuse, 1000),
            (&long, ProxyEffect::Refuse, 1000),
        ] {
            let request = FaultRequest { lease_ms, ..request("a->b", effect) };
            let refused = table.put(name, &request, 0);
            assert!(matches!(refused, Err(TableError::Wrong(_))), "{request:?}");
        }
        assert!(table.report(0).is_empty());
    }

    #[test]
    fn only_so_many_names_are_remembered() {
        let mut table = Table::default();
        for number in 0..ENDED_MAX + 5 {
            table.remove(&number.to_string());
        }
        assert_eq!(table.ended.len(), ENDED_MAX);
    }

    #[test]
    fn what_comes_and_goes_keeps_its_beat_and_ends_with_its_lease() {
        const MS: u64 = 1_000_000;
        let mut table = Table::default();
        let pulse = Some(Pulse { on: Duration::from_millis(300), off: Duration::from_millis(200) });
        let flapping = FaultRequest { pulse, ..request("a->b", ProxyEffect::Refuse) };
        assert_eq!(table.put("one", &flapping, 0), Ok(Put::New));
        assert_eq!(table.put("one", &flapping, 0), Ok(Put::Same));
        assert!(table.put("one", &request("a->b", ProxyEffect::Refuse), 0).is_err());
        assert_eq!(table.first_deadline(), Some(300 * MS));
        assert!(table.pulse(299 * MS).is_empty());
        assert_eq!(table.pulse(301 * MS), [("a->b".into(), None)]);
        assert_eq!(table.first_deadline(), Some(500 * MS));
        assert_eq!(table.pulse(510 * MS), [("a->b".into(), Some(ProxyEffect::Refuse))]);
        assert_eq!(table.first_deadline(), Some(800 * MS));
        // A whole cycle late: the same phase, and nothing to do.
        assert!(table.pulse(1010 * MS).is_empty());
        assert_eq!(table.first_deadline(), Some(SECOND), "its lease");
        table.expire(SECOND);
        assert!(table.pulse(2 * SECOND).is_empty());
        let short = Some(Pulse { on: Duration::from_millis(1), off: Duration::from_millis(200) });
        let short = FaultRequest { pulse: short, ..request("a->b", ProxyEffect::Refuse) };
        assert!(matches!(table.put("two", &short, 0), Err(TableError::Wrong(_))));
    }
}
