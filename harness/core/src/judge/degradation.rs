//! A quantile of latency under the fault against the same trial's baseline, or against a placebo.
//!
//! Both windows belong to one trial, so what all its requests share cancels. What drifts with time
//! does not: against a placebo, the change that a placebo trial shows is taken off first.

use stats::decimal::Decimal;
use stats::degradation::worsening_state;
use stats::latency::{Quantile as Rank, nearest_rank};

use super::case::{Case, Found, SEND_LAG_MAX, Value, state_of};
use super::samples::sum;
use super::slo::buckets;
use super::words;
use crate::ids::RequestKind;
use crate::plan::{Against, Phase, WindowRange};
use crate::units::{Quantile, Ratio};

/// What is compared.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) of: Option<&'a RequestKind>,
    pub(super) quantile: Quantile,
    pub(super) against: Against,
    pub(super) by_at_most: Ratio,
    pub(super) during: &'a WindowRange,
}

/// One quantile in both windows of a trial, in us.
struct Pair {
    baseline: Rank,
    fault: Rank,
}

/// Whether the quantile got no worse than it may.
pub(super) fn degradation(case: Case<'_>, wanted: &Wanted<'_>) -> Found {
    let found = pair(case, wanted).and_then(|pair| match wanted.against {
        Against::Baseline => Ok(pair),
        Against::Placebo => corrected(case, wanted, pair),
    });
    let pair = match found {
        Ok(pair) => pair,
        Err(found) => return found,
    };
    let ratio_max =
        Decimal::from_billionths(Ratio::ONE.billionths() + wanted.by_at_most.billionths());
    let Some(state) = worsening_state(pair.baseline, pair.fault, ratio_max) else {
        return Found::excluded("there is nothing to compare");
    };
    let (value, because) = match (pair.baseline, pair.fault) {
        (Rank::UpTo(baseline), Rank::UpTo(fault)) => {
            let [before, after] = [baseline, fault].map(|micros| words::seconds(micros / 1e6));
            let text = format!("{} {after}, expected {before}", wanted.quantile);
            (Value::At(fault / baseline), text)
        }
        (Rank::UpTo(_), Rank::Lost | Rank::NoSample) => {
            (Value::Endless, format!("{} endless: too many requests failed", wanted.quantile))
        }
        (Rank::Lost | Rank::NoSample, _) => {
            (Value::None, format!("{} of the baseline was endless itself", wanted.quantile))
        }
    };
    Found::new(state_of(state), value, because)
}

fn pair(case: Case<'_>, wanted: &Wanted<'_>) -> Result<Pair, Found> {
    let quantile = |during: &WindowRange| {
        let sum = sum(case, wanted.of, during, SEND_LAG_MAX)?;
        let (buckets, lost) = buckets(&sum);
        let exact = Decimal::from_billionths(wanted.quantile.billionths());
        Ok(nearest_rank(&buckets, lost, exact))
    };
    let baseline = WindowRange::phases("baseline", Phase::Baseline, Phase::Baseline);
    Ok(Pair { baseline: quantile(&baseline)?, fault: quantile(wanted.during)? })
}

/// What would be expected under the fault if it did nothing: the baseline with the change of the
/// placebo trial that has the same place among placebo trials as this one among fault trials.
fn corrected(case: Case<'_>, wanted: &Wanted<'_>, pair: Pair) -> Result<Pair, Found> {
    let of_kind = |placebo: bool| {
        let cases = case.all.iter().map(move |trial| Case { trial, ..case });
        cases.filter(move |one| one.is_placebo() == placebo)
    };
    let place = of_kind(false).position(|one| one.trial.trial == case.trial.trial);
    let Some(other) = place.and_then(|place| of_kind(true).nth(place)) else {
        return Err(Found::excluded("there is no placebo trial to pair it with"));
    };
    let number = other.trial.trial.number();
    if let Some(invalid) = other.invalid().next() {
        let because = format!("its placebo trial {number} is invalid: {}", invalid.because);
        return Err(if invalid.before_injection {
            Found::excluded(because)
        } else {
            Found::ambiguous(because)
        });
    }
    let placebo = self::pair(other, wanted)?;
    match (placebo.baseline, placebo.fault, pair.baseline) {
        (Rank::UpTo(before), Rank::UpTo(after), Rank::UpTo(baseline)) if before > 0.0 => {
            Ok(Pair { baseline: Rank::UpTo(baseline * after / before), fault: pair.fault })
        }
        (Rank::UpTo(_), Rank::UpTo(_), _) => Ok(pair),
        (_, _, _) => {
            Err(Found::ambiguous(format!("its placebo trial {number} has no such quantile")))
        }
    }
}
