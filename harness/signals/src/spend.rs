//! A cost feed: what was spent so far, read from the system's meter at a fixed period.
//!
//! Each new sum is one value, at the time when the meter says that it was true. A meter that is
//! silent, stale, in another currency, or begins anew is a gap: a sum is never guessed.

use std::sync::Arc;

use harness_core::ids::SignalId;
use harness_core::load::Stop;
use harness_core::signal::{Observation, SignalEvent, SignalSink, Source};
use harness_core::system::BoxFuture;
use harness_core::time::{Clock, RunTime};
use harness_core::units::{Currency, Duration};
use hyper::Method;
use serde::Deserialize;
use tokio::time::MissedTickBehavior;

use crate::http::{Ask, ask};
use crate::monotonic::SharedInstant;
use crate::outlet::Outlet;
use crate::text::short;

/// Sums that are older, or older than four periods, are stale.
const STALE_MIN: Duration = Duration::from_millis(800);
/// One question.
const LOOK_WITHIN: Duration = Duration::from_millis(500);
const PATH: &str = "/api/spend";

/// The feed of a meter; see the module.
pub(crate) struct SpendFeed {
    pub(crate) signal: SignalId,
    /// `host:port` of the meter.
    pub(crate) meter: String,
    /// More than zero.
    pub(crate) every: Duration,
    pub(crate) currency: Currency,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What a meter answers, as far as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spend {
    instance: String,
    currency: String,
    as_of_us: Option<u64>,
    spent_micro: u64,
}

/// What is known of the feed.
#[derive(Debug, Default)]
struct Reader {
    last: Option<Spend>,
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
enum Reading {
    /// A new sum, in millionths, and when it was true in microseconds of the shared clock.
    Sum { micros: u64, as_of_us: u64 },
    /// The last sum again.
    Known,
    /// What is missing, and the sum with which it goes on, where there is one.
    Gap { why: String, then: Option<(u64, u64)> },
}

impl Reader {
    fn read(&mut self, spend: Spend, currency: Currency, stale_before_us: u64) -> Reading {
        let gap = |why: String| Reading::Gap { why, then: None };
        if spend.currency != currency.to_string() {
            return gap(format!("the meter counts in {}", short(&spend.currency)));
        }
        let Some(as_of_us) = spend.as_of_us else {
            return gap("the meter has read nothing yet".to_owned());
        };
        if as_of_us < stale_before_us {
            let behind = Duration::from_micros(stale_before_us - as_of_us);
            return gap(format!("the meter's sums are stale by {behind}"));
        }
        let micros = spend.spent_micro;
        let before = self.last.replace(spend);
        let spend = self.last.as_ref().expect("it was just put there");
        match before {
            Some(before) if before.instance != spend.instance || before.spent_micro > micros => {
                let why = "the meter began anew".to_owned();
                Reading::Gap { why, then: Some((micros, as_of_us)) }
            }
            Some(before) if before.as_of_us >= Some(as_of_us) => Reading::Known,
            Some(_) | None => Reading::Sum { micros, as_of_us },
        }
    }
}

impl Source for SpendFeed {
    fn signal(&self) -> &SignalId {
        &self.signal
    }

    fn run<'a>(&'a self, out: &'a dyn SignalSink, stop: &'a dyn Stop) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let clock = self.clock.as_ref();
            let outlet = Outlet { signal: &self.signal, clock, out };
            let begun = SharedInstant::now(clock);
            let mut reader = Reader::default();
            let mut stopped = stop.stopped();
            let mut ticks = tokio::time::interval(self.every.as_std());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                // A look that is given up has changed nothing: it takes all in at its end.
                let looked = async {
                    ticks.tick().await;
                    self.look().await
                };
                let answer = tokio::select! {
                    biased;
                    () = &mut stopped => return,
                    answer = looked => answer,
                };
                self.tell(&outlet, begun, &mut reader, answer);
            }
        })
    }
}

impl SpendFeed {
    async fn look(&self) -> Result<Spend, String> {
        let question = Ask {
            address: &self.meter,
            method: &Method::GET,
            path: PATH,
            body: None,
            within: LOOK_WITHIN,
        };
        ask(question).await.map_err(|error| error.to_string())?.json()
    }

    fn tell(
        &self,
        outlet: &Outlet<'_>,
        begun: SharedInstant,
        reader: &mut Reader,
        answer: Result<Spend, String>,
    ) {
        let now = outlet.now();
        let stale_us = self.every.times(4).max(STALE_MIN).micros();
        let stale_before_us = begun.monotonic_us(now).saturating_sub(stale_us);
        let value = |(micros, as_of_us): (u64, u64)| {
            let at: RunTime = begun.run_time(as_of_us, now);
            let value = micros as f64 / 1e6;
            let signal = self.signal.clone();
            outlet.put(SignalEvent::Observed(Observation::Value { signal, at, value }));
        };
        match answer.map(|spend| reader.read(spend, self.currency, stale_before_us)) {
            Ok(Reading::Known) => {}
            Ok(Reading::Sum { micros, as_of_us }) => value((micros, as_of_us)),
            Ok(Reading::Gap { why, then }) => {
                outlet.gap(why);
                then.map(value).unwrap_or_default();
            }
            Err(why) => outlet.gap(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(instance: &str, as_of_us: Option<u64>, spent_micro: u64) -> Spend {
        Spend { instance: instance.to_owned(), currency: "EUR".to_owned(), as_of_us, spent_micro }
    }

    #[test]
    fn new_sums_are_values_and_everything_else_is_a_gap() {
        let mut reader = Reader::default();
        let mut read = |spend| reader.read(spend, Currency::EUR, 1_000);
        let gap = |why: &str, then| Reading::Gap { why: why.to_owned(), then };
        assert_eq!(read(spend("a", None, 0)), gap("the meter has read nothing yet", None));
        let sum = Reading::Sum { micros: 7, as_of_us: 1_500 };
        assert_eq!(read(spend("a", Some(1_500), 7)), sum);
        assert_eq!(read(spend("a", Some(1_500), 7)), Reading::Known);
        let stale = gap("the meter's sums are stale by 1us", None);
        assert_eq!(read(spend("a", Some(999), 7)), stale);
        let anew = |then| gap("the meter began anew", Some(then));
        assert_eq!(read(spend("b", Some(1_600), 90)), anew((90, 1_600)), "however much it has");
        assert_eq!(read(spend("b", Some(1_700), 80)), anew((80, 1_700)));
        let mut dollars = spend("b", Some(1_800), 90);
        dollars.currency = "USD".to_owned();
        assert_eq!(read(dollars), gap("the meter counts in USD", None));
    }
}
