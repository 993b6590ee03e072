//! What a trial costs: the rate of spend, the spend for each good request, all of it, and whether a
//! runaway is capped in time.
//!
//! The meter gives sums that only grow. Where it was silent, stale or began anew nothing is filled
//! in: a bound that was seen to be broken is broken, but none is kept where one did not look.

use stats::cost::{CaseCost, SpendCapped, SpendSample, SpendWatch, cost_ratio, spend_capped};

use super::case::{Case, Found, SEND_LAG_MAX, Value};
use super::samples::sum;
use super::words;
use crate::ids::{FaultId, SignalId};
use crate::plan::{Assertion, CostBound, FaultInstant, SourcePlan, WindowRange};
use crate::signal::Observation;
use crate::time::RunTime;
use crate::units::{Currency, Duration, SpendRate};
use crate::verdict::TrialState;

/// A rate is taken over at least so long: the meter itself counts in steps.
const RATE_OVER: Duration = Duration::from_millis(400);
/// Sums further apart than this, or than four periods, leave a gap.
const GAP_MIN: Duration = Duration::from_secs(1);

/// Sums are exact to a millionth; what is less is a floating-point error.
const EXACT_TO: f64 = 1e-9;
/// The level of the bound of the ratio that is shown.
const SHOWN_ALPHA: f64 = 0.05;

/// Whether the bound was kept.
pub(super) fn cost(case: Case<'_>, signal: &SignalId, bound: &CostBound) -> Found {
    let Some(meter) = Meter::of(case, signal) else {
        return Found::ambiguous(format!("{signal} is no cost feed of this plan"));
    };
    match bound {
        CostBound::Rate { at_most, grace, during } => match case.range(during) {
            Ok((from, to)) => rate(&meter, *at_most, *grace, [from, to]),
            Err(found) => found,
        },
        CostBound::Capped { at_most, fault, within } => {
            capped(case, &meter, (*at_most, fault, *within))
        }
        CostBound::PerSuccess { at_most, during } => {
            per_success(case, &meter, at_most.amount(), during)
        }
        CostBound::Total { at_most, during } => {
            let spent = case.range(during).and_then(|range| meter.spent(range));
            let found = |spent: Spent| {
                let (sum, currency) = (spent.least, meter.currency);
                let because = format!("{} was spent", words::money(sum, currency));
                spent.judge(at_most.amount(), sum, because)
            };
            spent.map_or_else(|found| found, found)
        }
    }
}

/// The feed of one trial.
#[derive(Debug)]
struct Meter<'a> {
    observations: &'a [Observation],
    currency: Currency,
    /// Sums further apart leave a gap.
    gap: Duration,
}

/// What was spent from one reading to another, per second.
#[derive(Debug, Clone, Copy)]
struct Rated {
    from: RunTime,
    to: RunTime,
    rate: f64,
}

/// Money that was spent in a stretch of time.
#[derive(Debug)]
struct Spent {
    /// At least so much.
    least: f64,
    /// Why it may be more.
    doubt: Option<String>,
}

impl Spent {
    /// `value` is what the bound is on, in units of the sum or per request.
    fn judge(self, bound: f64, value: f64, because: String) -> Found {
        match self.doubt {
            _ if value > bound + EXACT_TO => Found::new(TrialState::Bad, Value::At(value), because),
            Some(doubt) => Found::ambiguous(doubt),
            None => Found::new(TrialState::Ok, Value::At(value), because),
        }
    }
}

impl<'a> Meter<'a> {
    fn of(case: Case<'a>, signal: &SignalId) -> Option<Self> {
        let planned = case.plan.signals.iter().find(|planned| &planned.id == signal)?;
        let (every, currency) = match &planned.source {
            SourcePlan::Spend { every, currency } => (*every, *currency),
            SourcePlan::Probe { .. }
            | SourcePlan::Alerts { .. }
            | SourcePlan::Actions { .. }
            | SourcePlan::Pages { .. } => return None,
        };
        let observations = case.trial.observations.get(signal).map_or(&[][..], Vec::as_slice);
        Some(Self { observations, currency, gap: every.times(4).max(GAP_MIN) })
    }

    /// Runs of sums without a gap between them, each in the order of time.
    fn runs(&self) -> Vec<Vec<(RunTime, f64)>> {
        let mut runs: Vec<Vec<(RunTime, f64)>> = vec![Vec::new()];
        for observation in self.observations {
            let last = runs.last_mut().expect("there is a run always");
            match observation {
                Observation::Gap { .. } => runs.push(Vec::new()),
                Observation::Value { at, value, .. } => match last.last() {
                    Some((before, _)) if at <= before => {}
                    Some((before, sum)) if value < sum || at.since(*before) > self.gap => {
                        runs.push(vec![(*at, *value)]);
                    }
                    Some(_) | None => last.push((*at, *value)),
                },
            }
        }
        runs.retain(|run| run.len() > 1);
        runs
    }

    /// The rates at each sum that has one far enough before it.
    fn rates(&self) -> Vec<Rated> {
        let rates = |run: Vec<(RunTime, f64)>| -> Vec<Rated> {
            let rate = |(at, sum): &(RunTime, f64)| {
                let far = |(before, _): &&(RunTime, f64)| at.since(*before) >= RATE_OVER;
                let (from, earlier) = *run.iter().take_while(far).last()?;
                let took = at.since(from).secs_f64();
                Some(Rated { from, to: *at, rate: (sum - earlier) / took })
            };
            run.iter().filter_map(rate).collect()
        };
        self.runs().into_iter().flat_map(rates).collect()
    }

    /// Why it is not known what happened in all of a stretch of time.
    fn blind(&self, [from, to]: [RunTime; 2]) -> Option<String> {
        let whole = |run: &Vec<(RunTime, f64)>| {
            let (first, last) = (run[0].0, run[run.len() - 1].0);
            first <= from && to.since(last) <= self.gap
        };
        if to <= from || self.runs().iter().any(whole) {
            return None;
        }
        let why = self.observations.iter().find_map(|observation| match observation {
            Observation::Gap { at, why, .. } if *at >= from && *at <= to => Some(why.as_str()),
            Observation::Gap { .. } | Observation::Value { .. } => None,
        });
        Some(format!("the spend is not known all along: {}", why.unwrap_or("no sums came")))
    }

    /// What was spent from one time to another.
    fn spent(&self, (from, to): (RunTime, RunTime)) -> Result<Spent, Found> {
        if self.observations.is_empty() {
            return Err(Found::ambiguous("the cost feed gave nothing"));
        }
        let doubt = self.blind([from, to]);
        // Beyond the last sum it goes on as before; but what was not looked at is not counted.
        let end = |run: &[(RunTime, f64)]| match &doubt {
            None => to,
            Some(_) => to.min(run[run.len() - 1].0),
        };
        let within = |run: &Vec<(RunTime, f64)>| {
            (sum_at(run, end(run)) - sum_at(run, from.min(end(run)))).max(0.0)
        };
        let least = self.runs().iter().map(within).sum();
        Ok(Spent { least, doubt })
    }
}

/// The sum at a time, on the straight line between the sums around it; beyond the last one, by the
/// rate before it; before the first one, the first.
fn sum_at(run: &[(RunTime, f64)], at: RunTime) -> f64 {
    let next = run.partition_point(|(time, _)| *time <= at).clamp(1, run.len() - 1);
    let ((before, low), (after, high)) = (run[next - 1], run[next]);
    let slope = (high - low) / after.since(before).secs_f64();
    low + slope * at.since(before).secs_f64()
}

fn rate(meter: &Meter<'_>, at_most: SpendRate, grace: Duration, range: [RunTime; 2]) -> Found {
    let [from, to] = range;
    let bound = [from, from + grace];
    let judged = meter.rates().into_iter().filter(|one| bound[1] <= one.from && one.to <= to);
    let judged: Vec<Rated> = judged.collect();
    let highest = judged.iter().map(|one| one.rate).fold(0.0, f64::max);
    let because = format!("at most {}", words::money_rate(highest, meter.currency));
    let kept = watch(&judged, at_most, bound).capped;
    match (kept, meter.blind([from + grace, to])) {
        (Some(false), _) => Found::new(TrialState::Bad, Value::At(highest), because),
        (_, Some(doubt)) => Found::ambiguous(doubt),
        (Some(true), None) => Found::new(TrialState::Ok, Value::At(highest), because),
        (None, None) => Found::ambiguous("the window ends before a rate can be told"),
    }
}

fn capped(
    case: Case<'_>,
    meter: &Meter<'_>,
    (at_most, fault, within): (SpendRate, &FaultId, Duration),
) -> Found {
    if case.is_placebo() {
        return Found::excluded("a placebo has nothing to cap");
    }
    let Some(effective) = case.instant(fault, FaultInstant::Effective) else {
        return Found::ambiguous(format!("{fault} was not seen in force"));
    };
    // What ends with the revert was not capped by the system.
    let until = case.instant(fault, FaultInstant::Revert).or(case.observed_until());
    let Some(until) = until.filter(|until| until.since(effective) >= within) else {
        return Found::ambiguous(format!("{fault} ended before {within} had passed"));
    };
    let bound = [effective, effective + within];
    let rates: Vec<Rated> = meter.rates().into_iter().filter(|one| one.to <= until).collect();
    let seen = watch(&rates, at_most, bound);
    // A rate that began before the cap was due may be high because of what was spent until then.
    let after: Vec<Rated> = rates.into_iter().filter(|one| bound[1] <= one.from).collect();
    let is_late = watch(&after, at_most, bound).capped == Some(false);
    let doubt = meter.blind([effective, until]);
    let took = seen.time_to_cap.map(|took| took.as_secs_f64());
    let because = match took {
        Some(took) => format!("capped after {}", words::seconds(took)),
        None => format!("not capped in {}", words::seconds(until.since(effective).secs_f64())),
    };
    let value = match took {
        Some(took) => Value::At(took),
        None => Value::Beyond(until.since(effective).secs_f64()),
    };
    match (seen.capped, doubt) {
        (_, _) if is_late => Found::new(TrialState::Bad, value, because),
        (_, Some(doubt)) => Found::ambiguous(doubt),
        (Some(false), None) => Found::ambiguous(format!("{because}: too near to tell")),
        (Some(true), None) => Found::new(TrialState::Ok, value, because),
        (None, None) => Found::ambiguous("no rate of spend was seen in force"),
    }
}

fn per_success(case: Case<'_>, meter: &Meter<'_>, at_most: f64, during: &WindowRange) -> Found {
    let spent = match case.range(during).and_then(|range| meter.spent(range)) {
        Ok(spent) => spent,
        Err(found) => return found,
    };
    let good = match sum(case, None, during, SEND_LAG_MAX) {
        Ok(sum) => sum.good as f64,
        Err(found) => return found,
    };
    let case_cost = CaseCost { spent: spent.least, requests: good };
    if good <= 0.0 {
        let state = if spent.least > 0.0 { TrialState::Bad } else { TrialState::Ambiguous };
        return Found::new(state, Value::Endless, "money was spent and no request succeeded");
    }
    let ratio = spent.least / good;
    let because = format!("{} for each of {good} requests", words::money(ratio, meter.currency));
    let known = spent.doubt.is_none();
    let found = spent.judge(at_most, ratio, because);
    Found { cost: known.then(|| Box::new(case_cost)), ..found }
}

/// The spend for each good request over all trials, in words: it is shown, and decides nothing.
pub(super) fn ratio(found: &[Found], assertion: &Assertion) -> Option<String> {
    let Assertion::Cost { bound: CostBound::PerSuccess { at_most, .. }, .. } = assertion else {
        return None;
    };
    let cases: Vec<CaseCost> =
        found.iter().filter_map(|found| found.cost.as_deref().copied()).collect();
    // Each expectation of a scenario has its own confidence; the bound that is shown has the usual.
    let ratio = cost_ratio(&cases, at_most.amount(), SHOWN_ALPHA)?;
    let (count, currency) = (words::count(cases.len() as u64, "trial"), at_most.currency());
    let upper = ratio.log_upper.map_or_else(String::new, |upper| {
        format!(", at most about {} with 95%", words::money(upper, currency))
    });
    let all = words::money(ratio.ratio, currency);
    Some(format!("; over {count} together {all} for each good request{upper}"))
}

/// What `stats` says of rates with a bound that holds from the second time on.
fn watch(rates: &[Rated], at_most: SpendRate, [start, binds]: [RunTime; 2]) -> SpendCapped {
    let sample = |one: &Rated| SpendSample { at: run_time(one.to), rate: one.rate };
    let samples: Vec<SpendSample> = rates.iter().map(sample).collect();
    let [runaway_start, binds] = [start, binds].map(run_time);
    let grace = binds.saturating_sub(runaway_start);
    spend_capped(&samples, &SpendWatch { cap: at_most.per_second(), runaway_start, grace })
}

fn run_time(at: RunTime) -> std::time::Duration {
    std::time::Duration::from_nanos(at.nanos())
}
