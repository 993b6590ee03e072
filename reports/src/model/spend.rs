//! What a cost feed says over time: the rate of spend, from sums that only grow.

use std::collections::BTreeMap;

use harness_core::evidence::TrialEvidence;
use harness_core::ids::SignalId;
use harness_core::plan::{Plan, SourcePlan};
use harness_core::signal::Observation;
use harness_core::time::RunTime;
use harness_core::units::Duration;
use serde::{Deserialize, Serialize};

use super::POINTS_MAX;
use super::trial::Axis;
use crate::clean::clean;

/// A rate is taken over at least so long: the meter itself counts in steps.
const RATE_OVER: Duration = Duration::from_millis(400);

/// The rate of spend of one cost feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpendTrack {
    /// The feed.
    pub signal: SignalId,
    /// What it counts in: `EUR`.
    pub currency: String,
    /// When each sum was true.
    pub at_s: Vec<f64>,
    /// Per second, over the time before; `None` where it is not known.
    pub per_second: Vec<Option<f64>>,
}

/// The tracks of a trial, in the order of the plan.
pub(super) fn tracks(plan: &Plan, evidence: &TrialEvidence, axis: Axis) -> Vec<SpendTrack> {
    let feeds: BTreeMap<&SignalId, String> = plan
        .signals
        .iter()
        .filter_map(|signal| match &signal.source {
            SourcePlan::Spend { currency, .. } => Some((&signal.id, currency.to_string())),
            SourcePlan::Probe { .. }
            | SourcePlan::Alerts { .. }
            | SourcePlan::Actions { .. }
            | SourcePlan::Pages { .. } => None,
        })
        .collect();
    let track = |(signal, currency): (&SignalId, String)| {
        let observations = evidence.observations.get(signal)?;
        let (at_s, per_second) = rates(observations, axis);
        let signal = SignalId::new(clean(signal.as_str()));
        Some(SpendTrack { signal, currency, at_s, per_second })
    };
    feeds.into_iter().filter_map(track).collect()
}

fn rates(observations: &[Observation], axis: Axis) -> (Vec<f64>, Vec<Option<f64>>) {
    let (mut at_s, mut per_second) = (Vec::new(), Vec::new());
    // Since the last gap.
    let mut run: Vec<(RunTime, f64)> = Vec::new();
    let thin = observations.len().div_ceil(POINTS_MAX).max(1);
    for (number, observation) in observations.iter().enumerate() {
        let (at, rate) = match observation {
            Observation::Gap { at, .. } => {
                run.clear();
                (at, None)
            }
            Observation::Value { at, value, .. } => {
                if run.last().is_some_and(|(_, before)| before > value) {
                    run.clear();
                }
                let far = |(before, _): &&(RunTime, f64)| at.since(*before) >= RATE_OVER;
                let earlier = run.iter().take_while(far).last();
                let rate =
                    earlier.map(|(before, sum)| (value - sum) / at.since(*before).secs_f64());
                run.push((*at, *value));
                (at, rate)
            }
        };
        if number % thin == 0 || rate.is_none() {
            at_s.push(axis.at(*at));
            per_second.push(rate);
        }
    }
    (at_s, per_second)
}
