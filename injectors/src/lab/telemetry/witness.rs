//! Compares what the services expose themselves, asked directly, with what the collector tells of
//! them. It never asks the collector for its orders.

use std::collections::BTreeMap;
use std::marker::PhantomData;

use futures_util::future::join_all;
use harness_core::fault::{Cx, Debt, FaultError, Sighting, Witness};
use harness_core::system::BoxFuture;
use harness_core::units::Duration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exposition::{self, Key, Series};
use super::{Target, TelemetryDebt, TelemetrySpec};
use crate::lab::spend;
use crate::proxy::{read, sum_up};

/// What the collector tells of a target is of now when it is so young, in milliseconds.
pub(crate) const LIVE_MS: i64 = 1_000;
/// Where the scrapes are listed, as far back as thrice the longest gap that a kind makes.
const SCRAPES: &str = "/api/series?name=up&window=15s";
/// Between two looks at whether a target was scraped once more.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(20);

/// One target before the fault; kept in the ledger.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Before {
    /// Its largest counter, where it has counted anything.
    pub(crate) counter: Option<(Key, f64)>,
    /// From one scrape to the next, in milliseconds.
    pub(crate) step_ms: i64,
}

/// What is seen of one target.
#[derive(Debug)]
pub(crate) struct Sight<'a> {
    /// What it exposes itself.
    pub(crate) own: &'a [Series],
    /// The same a little later, where counters are compared.
    pub(crate) again: &'a [Series],
    /// What the collector tells of it: the newest value of each series.
    pub(crate) told: Vec<&'a Series>,
    /// When it was scraped, as the collector tells, oldest first.
    pub(crate) scrapes: &'a [i64],
    /// The collector's clock, in Unix milliseconds.
    pub(crate) now: i64,
    pub(crate) before: &'a Before,
}

/// What `GET /api/series?name=up` tells.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ups {
    now_unix_ms: i64,
    series: Vec<Up>,
}

#[derive(Debug, Deserialize)]
struct Up {
    labels: BTreeMap<String, String>,
    samples: Vec<(i64, f64)>,
}

/// Everything of one look.
struct Seen {
    own: Vec<Vec<Series>>,
    again: Vec<Vec<Series>>,
    told: Vec<Series>,
    ups: Ups,
}

/// The witness of one kind.
pub(super) struct TelemetryWitness<S>(PhantomData<fn() -> S>);

impl Ups {
    fn of(&self, target: &Target) -> Vec<i64> {
        let slot = target.slot.to_string();
        let is = |up: &Up, key: &str, value: &str| up.labels.get(key).is_some_and(|it| it == value);
        let own = |up: &&Up| is(up, "service", &target.service) && is(up, "slot", &slot);
        let samples = self.series.iter().filter(own).max_by_key(|up| up.samples.len());
        samples.map(|up| up.samples.iter().map(|(at, _)| *at).collect()).unwrap_or_default()
    }
}

impl Sight<'_> {
    /// How old the newest scrape is that the collector tells of.
    pub(crate) fn age_ms(&self) -> Option<i64> {
        self.scrapes.last().map(|at| self.now - at)
    }

    /// The told series that are of now and have this name and instance.
    pub(crate) fn live<'s>(&'s self, own: &'s Key) -> impl Iterator<Item = &'s Series> {
        self.told.iter().copied().filter(move |one| {
            one.key.name == own.name
                && one.key.label("instance") == own.label("instance")
                && one.at.is_some_and(|at| self.now - at <= LIVE_MS)
        })
    }
}

/// What the services expose themselves.
async fn own(debt: &TelemetryDebt, within: Duration) -> Result<Vec<Vec<Series>>, FaultError> {
    let ask = debt.targets.iter().map(|target| spend::metrics(&target.address, within));
    let texts = join_all(ask).await;
    texts.into_iter().map(|text| text.map(|text| exposition::read(&text))).collect()
}

async fn ups(debt: &TelemetryDebt, within: Duration) -> Result<Ups, FaultError> {
    debt.collector.get_at("list the scrapes", SCRAPES, within).await
}

/// Waits until every target was scraped once more, as the collector tells; `false` when that does
/// not come.
async fn scraped_again(
    cx: &Cx<'_>,
    debt: &TelemetryDebt,
    since: i64,
    within: Duration,
) -> Result<bool, FaultError> {
    let until = cx.clock.now() + within;
    while cx.clock.now() < until {
        let now = ups(debt, within).await?;
        let newest = debt.targets.iter().map(|target| now.of(target).last().copied());
        if newest.min().flatten().is_some_and(|at| at > since) {
            return Ok(true);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(false)
}

impl<S: TelemetrySpec> TelemetryWitness<S> {
    /// The witness; it has no state of its own.
    pub(super) const WITNESS: Self = Self(PhantomData);

    async fn see(cx: &Cx<'_>, debt: &TelemetryDebt) -> Result<Seen, FaultError> {
        let within = cx.deadline.divided_by(6);
        let own = own(debt, within).await?;
        if S::COUNTS {
            let since = ups(debt, within).await?.now_unix_ms;
            if !scraped_again(cx, debt, since, cx.deadline.divided_by(3)).await? {
                let action = "see every target scraped once more".to_owned();
                return Err(FaultError::Failed { action, why: "it was not".to_owned() });
            }
        }
        let told = exposition::read(&debt.collector.metrics(within).await?);
        let ups = ups(debt, within).await?;
        let again = if S::COUNTS { self::own(debt, within).await? } else { Vec::new() };
        Ok(Seen { own, again, told, ups })
    }

    fn sighting(spec: &S, debt: &TelemetryDebt, seen: &Seen, before: &[Before]) -> Sighting {
        let each = debt.targets.iter().zip(&seen.own).zip(before).enumerate();
        let said: Vec<_> = each
            .filter_map(|(at, ((target, own), before))| {
                let slot = target.slot.to_string();
                let is_own = |one: &&Series| {
                    one.key.label("service") == Some(&target.service)
                        && one.key.label("slot") == Some(&slot)
                };
                let sight = Sight {
                    own,
                    again: seen.again.get(at).map_or(&[], Vec::as_slice),
                    told: seen.told.iter().filter(is_own).collect(),
                    scrapes: &seen.ups.of(target),
                    now: seen.ups.now_unix_ms,
                    before,
                };
                let (says, words) = spec.says(&sight)?;
                let words = format!("of {}-{slot} {words}", target.service);
                Some((says, target.address.as_str(), words))
            })
            .collect();
        if said.is_empty() {
            return Sighting::Unknown("nothing is there to compare".to_owned());
        }
        sum_up(said.into_iter())
    }

    async fn before(cx: &Cx<'_>, spec: &Value, undo: &Value) -> Result<Value, FaultError> {
        let spec: S = read("specification", spec)?;
        let debt: TelemetryDebt = read("undo record", undo)?;
        let (mut before, mut sighting) = Self::at_first(cx, &spec, &debt).await?;
        if let Sighting::Unknown(_) = sighting {
            // What a service exposes for the first time is told after the next scrape.
            let since = ups(&debt, cx.deadline.divided_by(6)).await?.now_unix_ms;
            scraped_again(cx, &debt, since, cx.deadline.divided_by(6)).await?;
            (before, sighting) = Self::at_first(cx, &spec, &debt).await?;
        }
        sighting.none_before("see the collector tell what the services expose")?;
        Ok(serde_json::to_value(before).expect("plain data"))
    }

    /// What is to be kept of a look before the fault, and what that look says.
    async fn at_first(
        cx: &Cx<'_>,
        spec: &S,
        debt: &TelemetryDebt,
    ) -> Result<(Vec<Before>, Sighting), FaultError> {
        let seen = Self::see(cx, debt).await?;
        let targets = debt.targets.iter().zip(&seen.own);
        let kept = targets.map(|(target, own)| Before {
            counter: largest(own),
            step_ms: step_ms(&seen.ups.of(target)),
        });
        let before: Vec<Before> = kept.collect();
        let sighting = Self::sighting(spec, debt, &seen, &before);
        Ok((before, sighting))
    }

    async fn now(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let spec: S = read("specification", debt.spec)?;
        let record: TelemetryDebt = read("undo record", debt.undo)?;
        let before: Vec<Before> = read("baseline", debt.baseline)?;
        let seen = Self::see(cx, &record).await?;
        Ok(Self::sighting(&spec, &record, &seen, &before))
    }
}

fn largest(own: &[Series]) -> Option<(Key, f64)> {
    let counters = own.iter().filter(|one| one.key.is_counter());
    let largest = counters.max_by(|a, b| a.value.total_cmp(&b.value))?;
    Some((largest.key.clone(), largest.value))
}

/// The median time from one scrape to the next.
fn step_ms(scrapes: &[i64]) -> i64 {
    let mut steps: Vec<i64> = scrapes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(0)
}

impl<S: TelemetrySpec> Witness for TelemetryWitness<S> {
    fn method(&self) -> &'static str {
        S::METHOD
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
pub(crate) mod tests {
    use super::*;

    /// The collector's clock in tests.
    pub(crate) const NOW: i64 = 100_000;

    /// Series of one target, as lines without their common labels.
    pub(crate) fn series(lines: &str) -> Vec<Series> {
        exposition::read(lines)
    }

    /// What is seen of a target.
    pub(crate) fn sight<'a>(
        own: &'a [Series],
        told: &'a [Series],
        scrapes: &'a [i64],
        before: &'a Before,
    ) -> Sight<'a> {
        Sight { own, again: own, told: told.iter().collect(), scrapes, now: NOW, before }
    }

    #[test]
    fn before_a_fault_the_largest_counter_and_the_usual_step_are_kept() {
        let own = series("a_total{x=\"1\"} 5\nb_total{} 9\ngauge{} 50\n");
        assert!((largest(&own).unwrap().1 - 9.0).abs() < 1e-9);
        assert_eq!(largest(&series("gauge{} 50\n")), None);
        assert_eq!(step_ms(&[0, 200, 401, 1_000, 1_199]), 201);
        assert_eq!(step_ms(&[5]), 0);
    }

    #[test]
    fn a_target_is_told_by_its_service_and_slot() {
        let up = |service: &str, slot: &str, samples: &[(i64, f64)]| Up {
            labels: [("service", service), ("slot", slot)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            samples: samples.to_vec(),
        };
        let series = vec![up("edge", "0", &[(1, 1.0), (2, 0.0)]), up("store", "0", &[(3, 1.0)])];
        let ups = Ups { now_unix_ms: 9, series };
        let target = |service: &str, slot| Target {
            service: service.to_owned(),
            slot,
            address: String::new(),
        };
        assert_eq!(ups.of(&target("edge", 0)), [1, 2]);
        assert!(ups.of(&target("edge", 1)).is_empty());
    }
}
