//! Guardrails: conditions that abort, watched tick by tick.

use crate::load::LoadTick;
use crate::plan::{Comparison, Guard, Guardrail};
use crate::time::RunTime;
use crate::units::Ratio;

/// Since when each guardrail is breached.
#[derive(Debug)]
pub(super) struct Guards {
    since: Vec<Option<RunTime>>,
    last_tick: RunTime,
}

impl Guards {
    /// The load begins now.
    pub(super) fn new(guardrails: &[Guardrail], at: RunTime) -> Self {
        Self { since: vec![None; guardrails.len()], last_tick: at }
    }

    /// Takes a tick. `Some` names the guardrail that is breached for long enough.
    pub(super) fn on_tick(
        &mut self,
        guardrails: &[Guardrail],
        at: RunTime,
        tick: &LoadTick,
    ) -> Option<String> {
        self.last_tick = at;
        for (guardrail, since) in guardrails.iter().zip(&mut self.since) {
            match breached(&guardrail.guard, tick) {
                Some(true) => {
                    let began = *since.get_or_insert(at);
                    if at.since(began) >= guardrail.lasting {
                        return Some(format!("guardrail tripped: {}", guardrail.text));
                    }
                }
                Some(false) => *since = None,
                None => {}
            }
        }
        None
    }

    /// Time passes without a tick.
    pub(super) fn on_pulse(&self, guardrails: &[Guardrail], at: RunTime) -> Option<String> {
        guardrails
            .iter()
            .filter(|guardrail| guardrail.guard == Guard::LoadStale {})
            .find(|guardrail| at.since(self.last_tick) >= guardrail.lasting)
            .map(|guardrail| format!("guardrail tripped: {}", guardrail.text))
    }
}

/// Whether a tick breaches; `None` when it says nothing.
fn breached(guard: &Guard, tick: &LoadTick) -> Option<bool> {
    let ended = tick.good + tick.bad;
    match guard {
        Guard::Success { .. } if ended == 0 => None,
        Guard::Success { is: Comparison::Below, than } => {
            Some(!than.is_reached_by(tick.good, ended))
        }
        Guard::Success { is: Comparison::Above, than } => {
            Some(*than < Ratio::ONE && !than.is_not_exceeded_by(tick.good, ended))
        }
        Guard::LatencyAbove { .. } if tick.good == 0 => None,
        Guard::LatencyAbove { than } => Some(tick.latency_us_p50 > than.micros()),
        Guard::LoadStale {} => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Duration;

    fn guardrail(guard: Guard, lasting_ms: u64) -> Guardrail {
        Guardrail { text: "g".into(), guard, lasting: Duration::from_millis(lasting_ms) }
    }

    fn at(ms: u64) -> RunTime {
        RunTime::START + Duration::from_millis(ms)
    }

    #[test]
    fn success_must_be_breached_without_a_break() {
        let below = Guard::Success { is: Comparison::Below, than: Ratio::from_percent(50) };
        let rails = [guardrail(below, 200)];
        let mut guards = Guards::new(&rails, at(0));
        let bad = LoadTick { bad: 9, good: 1, ..LoadTick::default() };
        let fine = LoadTick { bad: 5, good: 5, ..LoadTick::default() };
        let silent = LoadTick::default();
        assert_eq!(guards.on_tick(&rails, at(100), &bad), None);
        assert_eq!(guards.on_tick(&rails, at(200), &fine), None);
        assert_eq!(guards.on_tick(&rails, at(300), &bad), None);
        assert_eq!(guards.on_tick(&rails, at(400), &silent), None, "silence is no news");
        assert!(guards.on_tick(&rails, at(500), &bad).is_some());
    }

    #[test]
    fn a_silent_driver_is_stale() {
        let rails = [guardrail(Guard::LoadStale {}, 3000)];
        let mut guards = Guards::new(&rails, at(0));
        assert_eq!(guards.on_tick(&rails, at(100), &LoadTick::default()), None);
        assert_eq!(guards.on_pulse(&rails, at(3000)), None);
        assert!(guards.on_pulse(&rails, at(3100)).is_some());
    }
}
