//! Steady state with its defaults: load success of 99 % and every sentinel ok.

use harness_core::plan::SteadyPlan;
use harness_core::units::{Duration, Ratio};

use crate::ast::Spec;
use crate::findings::Findings;

use super::signals::Signals;

const HOLD: Duration = Duration::from_millis(500);
const WITHIN: Duration = Duration::from_secs(20);

pub(super) fn lower(spec: &Spec, signals: &Signals, findings: &mut Findings) -> SteadyPlan {
    let steady = &spec.steady;
    let sentinels = match &steady.require {
        None => signals.probes().collect(),
        Some(names) => names.iter().filter_map(|name| signals.find_probe(name, findings)).collect(),
    };
    SteadyPlan {
        success_at_least: steady
            .success
            .as_ref()
            .map_or(Ratio::from_percent(99), |success| success.value),
        latency: steady.latency.as_ref().map(|(quantile, at_most)| (quantile.value, at_most.value)),
        sentinels,
        hold: steady.hold.as_ref().map_or(HOLD, |hold| hold.value),
        within: steady.within.as_ref().map_or(WITHIN, |within| within.value),
    }
}
