//! The alerting rules. Pure: what the collector answered goes in, conditions come out.
//!
//! The windows are compressed so that a game day of seconds behaves as an incident of hours
//! would: the service level objective is 99 % at the edge.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::roles::collector::{Freshness, REPLICA, SeriesView};

/// The long window of the burn rate.
const LONG_MS: i64 = 3_000;
/// How far back the rules ask: data may be late, and are counted from the sample before a window.
pub(super) const ASK_BACK_MS: i64 = LONG_MS + STALE_MS + 1_000;
const SHORT_MS: i64 = 1_000;
/// 1 % may fail; 14.4 times that, in both windows, pages (the factor of the SRE workbook).
const BURN_LIMIT: f64 = 0.01 * 14.4;
/// Fewer requests in the long window say nothing.
const REQUESTS_MIN: f64 = 20.0;
/// An instance that is down for less is not worth a page.
const DOWN_FOR_MS: i64 = 300;
/// A breaker's gauge older than this is that of a dead instance.
const GAUGE_AGE_MAX_MS: i64 = 1_000;
/// So many breakers that are not closed mean that payments is gone, not one instance unwell.
const BREAKERS_MIN: usize = 2;
/// The window for charges.
const CHARGES_MS: i64 = 2_000;
/// So many failed charges within their window, and more than half of all, mean the same.
const FAILED_CHARGES_MIN: f64 = 10.0;
/// What a naive reader believes of a counter that fell.
const RUNS_OVER_AT: f64 = 4_294_967_296.0;
/// The label that says how a request ended.
const CODE: &str = "code";
/// Telemetry of a service older than this is stale.
const STALE_MS: i64 = 2_000;
/// When no target at all was scraped for so long, it is the collector that cannot see.
const BLIND_MS: i64 = 450;
/// When it can see again, targets come back within this time.
const SIGHT_RETURNS_MS: i64 = 400;

/// What is made of metrics that do not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Silence {
    /// One is blind: instances are not known to be down, and that is told.
    #[default]
    Blindness,
    /// With a defect only: everything is down.
    Outage,
    /// With a defect only: everything is fine.
    Health,
}

/// How it reads what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Manner {
    pub(super) silence: Silence,
    /// With a defect only: windows end now and hold at least two samples, or nothing grew.
    pub(super) narrow: bool,
    /// With a defect only: a counter that fell ran over at 2^32, and copies of a series count.
    pub(super) naive: bool,
}

/// What the collector knows.
#[derive(Debug, Default)]
pub(super) struct Observations {
    pub(super) now: i64,
    /// `requests_total` of the edge.
    pub(super) requests: Vec<SeriesView>,
    /// `up` of checkout.
    pub(super) up: Vec<SeriesView>,
    /// `breaker_state` of checkout.
    pub(super) breakers: Vec<SeriesView>,
    /// `payment_calls_total` of checkout.
    pub(super) payment_calls: Vec<SeriesView>,
    pub(super) freshness: Vec<Freshness>,
    /// Until when no target at all could be seen.
    pub(super) blind_until: i64,
    /// How long the collector has not answered.
    pub(super) collector_silent_ms: i64,
}

/// Something that is wrong now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) alertname: Cow<'static, str>,
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) summary: String,
    /// When it began, as far as is known.
    pub(super) since: i64,
    /// How long it must last before it fires.
    pub(super) for_ms: i64,
}

/// All rules over one set of observations.
pub(super) fn evaluate(seen: &Observations, manner: Manner) -> Vec<Condition> {
    let silence = manner.silence;
    let mut found = match silence {
        Silence::Blindness | Silence::Health if is_blind(seen) => Vec::new(),
        Silence::Blindness | Silence::Health => {
            instances_down(seen, seen.blind_until + SIGHT_RETURNS_MS)
        }
        Silence::Outage => instances_down(seen, 0),
    };
    found.extend(burn_rate(seen, manner));
    found.extend(payments_unavailable(seen, manner));
    if silence != Silence::Health {
        found.extend(stale(seen));
        found.extend(incomplete(seen));
    }
    found
}

/// One of each series of which there are copies, as two collectors of the same targets make them.
fn distinct(series: &[SeriesView], manner: Manner) -> Vec<&SeriesView> {
    if manner.naive {
        return series.iter().collect();
    }
    let bare = |one: &SeriesView| {
        let mut labels = one.labels.clone();
        labels.remove(REPLICA);
        labels
    };
    let by_labels: BTreeMap<_, _> = series.iter().rev().map(|one| (bare(one), one)).collect();
    by_labels.into_values().collect()
}

/// When the newest sample was taken: what comes late is looked at as of its own time.
fn as_of(series: &[SeriesView], now: i64, manner: Manner) -> i64 {
    let newest = series.iter().filter_map(|one| one.samples.last()).map(|(at, _)| *at).max();
    match newest {
        Some(newest) if !manner.narrow => newest.min(now),
        Some(_) | None => now,
    }
}

/// Whether no target at all was scraped lately.
pub(super) fn is_blind(seen: &Observations) -> bool {
    let mut ages = seen.freshness.iter().map(|target| target.age_ms);
    !seen.freshness.is_empty() && ages.all(|age| age > BLIND_MS)
}

fn burn_rate(seen: &Observations, manner: Manner) -> Option<Condition> {
    let end = as_of(&seen.requests, seen.now, manner);
    if seen.now - end > STALE_MS {
        return None;
    }
    let requests = distinct(&seen.requests, manner);
    let grown = |window: i64| -> (f64, f64) {
        // What cannot be read is a failure to an alarmist, and nothing to others.
        let unread = manner.silence == Silence::Outage;
        let failed =
            |one: &SeriesView| one.labels.get(CODE).map_or(unread, |it| it.starts_with('5'));
        let since = end - window;
        (
            grown_since(&requests, since, manner, failed),
            grown_since(&requests, since, manner, |_| true),
        )
    };
    let (failed, all) = grown(LONG_MS);
    let (failed_short, all_short) = grown(SHORT_MS);
    let burns = all >= REQUESTS_MIN
        && failed > BURN_LIMIT * all
        && all_short > 0.0
        && failed_short > BURN_LIMIT * all_short;
    burns.then(|| Condition {
        alertname: Cow::Borrowed("CheckoutBurnRate"),
        labels: vec![("service", String::from("edge"))],
        summary: format!("{:.1} % of requests fail at the edge", 100.0 * failed / all),
        since: seen.now,
        for_ms: 0,
    })
}

/// How much the chosen counters grew since an instant, counted from the last sample before it. A
/// counter that fell began again from zero.
fn grown_since(
    series: &[&SeriesView],
    since: i64,
    manner: Manner,
    choose: impl Fn(&SeriesView) -> bool,
) -> f64 {
    let mut sum = 0.0;
    for one in series.iter().filter(|one| choose(one)) {
        let first = one.samples.partition_point(|(at, _)| *at < since);
        let begin = if manner.narrow { first } else { first.saturating_sub(1) };
        for pair in one.samples[begin..].windows(2) {
            let (before, after) = (pair[0].1, pair[1].1);
            sum += match after >= before {
                true => after - before,
                false if manner.naive => RUNS_OVER_AT - before + after,
                false => after,
            };
        }
    }
    sum
}

/// The number of failed requests is read from a label: without it nobody knows how the shop is.
fn incomplete(seen: &Observations) -> Option<Condition> {
    let end = as_of(&seen.requests, seen.now, Manner::default());
    let is_live = |one: &&SeriesView| one.samples.last().is_some_and(|(at, _)| *at == end);
    let live: Vec<&SeriesView> = seen.requests.iter().filter(is_live).collect();
    let lost = !live.is_empty() && live.iter().all(|one| !one.labels.contains_key(CODE));
    lost.then(|| Condition {
        alertname: Cow::Borrowed("TelemetryIncomplete"),
        labels: vec![("service", String::from("edge"))],
        summary: format!("the requests of the edge come without `{CODE}`"),
        since: seen.now,
        for_ms: 0,
    })
}

/// Instances that are down, and have been since this time at the earliest.
fn instances_down(seen: &Observations, earliest: i64) -> Vec<Condition> {
    let down_since = |one: &SeriesView| {
        let down = one.samples.iter().rev().take_while(|(_, value)| *value < 1.0);
        down.last().map(|(at, _)| *at)
    };
    seen.up
        .iter()
        .filter_map(|one| {
            let since = down_since(one)?.max(earliest);
            let slot = one.labels.get("slot").cloned().unwrap_or_default();
            Some(Condition {
                alertname: Cow::Borrowed("CheckoutInstanceDown"),
                summary: format!("instance {slot} of checkout does not answer"),
                labels: vec![("service", String::from("checkout")), ("slot", slot)],
                since,
                for_ms: DOWN_FOR_MS,
            })
        })
        .collect()
}

fn payments_unavailable(seen: &Observations, manner: Manner) -> Option<Condition> {
    // A restarted instance has a new series; the newest one of a slot counts.
    let mut newest: BTreeMap<&str, (i64, f64)> = BTreeMap::new();
    for one in &seen.breakers {
        let Some(last) = one.samples.last() else { continue };
        let slot = one.labels.get("slot").map_or("", String::as_str);
        let kept = newest.entry(slot).or_insert(*last);
        if last.0 >= kept.0 {
            *kept = *last;
        }
    }
    let end = as_of(&seen.breakers, seen.now, manner);
    let open =
        newest.values().filter(|(at, value)| *value > 0.0 && end - at <= GAUGE_AGE_MAX_MS).count();
    let calls = distinct(&seen.payment_calls, manner);
    let end = as_of(&seen.payment_calls, seen.now, manner);
    let grown = |ends: &[&str]| -> f64 {
        grown_since(&calls, end - CHARGES_MS, manner, |one| {
            one.labels.get("end").is_some_and(|end| ends.contains(&end.as_str()))
        })
    };
    let failed = grown(&["failed"]);
    let made = grown(&["failed", "good", "slow"]);
    let failing = failed >= FAILED_CHARGES_MIN && failed * 2.0 > made;
    (open >= BREAKERS_MIN || failing).then(|| Condition {
        alertname: Cow::Borrowed("PaymentsUnavailable"),
        labels: vec![("service", String::from("payments"))],
        summary: format!("{open} breakers are not closed, {failed:.0} of {made:.0} charges failed"),
        since: seen.now,
        for_ms: 0,
    })
}

/// A service is stale when none of its instances was scraped lately.
fn stale(seen: &Observations) -> Vec<Condition> {
    let mut freshest: BTreeMap<&str, i64> = BTreeMap::new();
    for target in &seen.freshness {
        let age = freshest.entry(&target.service).or_insert(target.age_ms);
        *age = target.age_ms.min(*age);
    }
    if seen.collector_silent_ms > 0 {
        freshest.insert("collector", seen.collector_silent_ms);
    }
    freshest
        .into_iter()
        .filter(|(_, age)| *age > STALE_MS)
        .map(|(service, age)| Condition {
            alertname: Cow::Borrowed("CollectorStale"),
            labels: vec![("service", service.to_owned())],
            summary: format!("the metrics of {service} are {age} ms old"),
            since: seen.now,
            for_ms: 0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 100_000;

    fn view(labels: &[(&str, &str)], samples: &[(i64, f64)], increase: f64) -> SeriesView {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let samples = samples.iter().map(|(ago, value)| (NOW - ago, *value)).collect();
        SeriesView { labels, samples, increase }
    }

    fn names(seen: &Observations) -> Vec<String> {
        let found = evaluate(seen, Manner::default());
        found.into_iter().map(|condition| condition.alertname.into_owned()).collect()
    }

    fn seen() -> Observations {
        Observations { now: NOW, ..Observations::default() }
    }

    #[test]
    fn nothing_seen_is_nothing_wrong() {
        assert!(names(&seen()).is_empty());
    }

    #[test]
    fn the_burn_rate_needs_both_windows_and_enough_requests() {
        let good = |long, short| {
            view(&[("code", "200")], &[(2_900, 0.0), (1_150, long), (100, long + short)], 0.0)
        };
        let bad = |long, short| {
            view(&[("code", "503")], &[(2_900, 0.0), (1_150, long), (100, long + short)], 0.0)
        };
        let requests = |requests| Observations { requests, ..seen() };
        assert_eq!(names(&requests(vec![good(50.0, 50.0), bad(20.0, 20.0)])), ["CheckoutBurnRate"]);
        assert!(names(&requests(vec![good(50.0, 90.0), bad(40.0, 0.0)])).is_empty(), "it is over");
        assert!(names(&requests(vec![good(2.0, 2.0), bad(4.0, 4.0)])).is_empty(), "too few");
        assert!(names(&requests(vec![good(90.0, 90.0), bad(10.0, 10.0)])).is_empty());
    }

    #[test]
    fn an_instance_is_down_since_its_first_bad_scrape() {
        let up = vec![
            view(&[("slot", "0")], &[(600, 1.0), (400, 1.0), (200, 0.0), (50, 0.0)], 0.0),
            view(&[("slot", "1")], &[(400, 0.0), (200, 1.0)], 0.0),
        ];
        let found = evaluate(&Observations { up, ..seen() }, Manner::default());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].since, found[0].for_ms), (NOW - 200, DOWN_FOR_MS));
        assert!(found[0].labels.contains(&("slot", String::from("0"))));
    }

    #[test]
    fn two_open_breakers_or_failing_charges_mean_payments_is_gone() {
        let breaker = |slot, ago, value| view(&[("slot", slot)], &[(ago, value)], 0.0);
        let breakers = |breakers| Observations { breakers, ..seen() };
        let open = vec![breaker("0", 100, 2.0), breaker("1", 100, 1.0), breaker("2", 100, 0.0)];
        assert_eq!(names(&breakers(open)), ["PaymentsUnavailable"]);
        assert!(names(&breakers(vec![breaker("0", 100, 2.0)])).is_empty());
        let dead = vec![breaker("0", 100, 2.0), breaker("1", 1_500, 2.0)];
        assert!(names(&breakers(dead)).is_empty(), "a dead instance's breaker says nothing");
        let replaced = vec![breaker("0", 900, 2.0), breaker("0", 10, 0.0), breaker("1", 10, 2.0)];
        assert!(names(&breakers(replaced)).is_empty(), "the newest series of a slot counts");
        let calls = |failed, good| Observations {
            payment_calls: vec![
                view(&[("end", "failed")], &[(2_500, 0.0), (1_000, 0.0), (10, failed)], 0.0),
                view(&[("end", "good")], &[(2_500, 0.0), (1_000, 0.0), (10, good)], 0.0),
            ],
            ..seen()
        };
        assert_eq!(names(&calls(30.0, 5.0)), ["PaymentsUnavailable"]);
        assert!(names(&calls(30.0, 40.0)).is_empty());
        assert!(names(&calls(9.0, 0.0)).is_empty());
    }

    #[test]
    fn a_service_is_stale_when_all_its_targets_are() {
        let target = |service: &str, age: i64| -> Freshness {
            let text = format!(
                r#"{{"service":"{service}","slot":0,"address":"127.0.0.1:1","up":true,
                    "lastSuccessUnixMs":null,"ageMs":{age}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let freshness = |freshness| Observations { freshness, ..seen() };
        let half = vec![target("checkout", 3_000), target("checkout", 100)];
        assert!(names(&freshness(half)).is_empty());
        let whole = vec![target("checkout", 3_000), target("checkout", 2_001)];
        assert_eq!(names(&freshness(whole)), ["CollectorStale"]);
        let silent = Observations { collector_silent_ms: 2_500, ..seen() };
        assert_eq!(names(&silent), ["CollectorStale"]);
    }

    #[test]
    fn what_cannot_be_seen_is_blindness_and_not_an_outage() {
        let freshness = |service: &str, age_ms: i64| -> Freshness {
            serde_json::from_value(serde_json::json!({
                "service": service, "slot": 0, "address": "127.0.0.1:1", "up": age_ms < 300,
                "lastSuccessUnixMs": NOW - age_ms, "ageMs": age_ms,
            }))
            .unwrap()
        };
        let down = view(&[("slot", "0")], &[(700, 1.0), (500, 0.0), (100, 0.0)], 0.0);
        let seen = |edge_age: i64, blind_until: i64| Observations {
            now: NOW,
            up: vec![down.clone()],
            freshness: vec![freshness("checkout", 700), freshness("edge", edge_age)],
            blind_until,
            ..Observations::default()
        };
        let fires = |seen: &Observations, silence| {
            let found = evaluate(seen, Manner { silence, ..Manner::default() });
            found
                .iter()
                .any(|one| one.alertname == "CheckoutInstanceDown" && NOW - one.since >= one.for_ms)
        };
        assert!(fires(&seen(100, 0), Silence::Blindness), "the edge is seen, checkout is down");
        assert!(!fires(&seen(600, 0), Silence::Blindness), "nothing is seen");
        assert!(fires(&seen(600, 0), Silence::Outage));
        assert!(!fires(&seen(100, NOW - 50), Silence::Blindness), "one was blind just now");
        let dark = seen(2_500, 0);
        let dark = Observations { freshness: vec![freshness("edge", 2_500)], ..dark };
        assert_eq!(names(&dark), ["CollectorStale"]);
        let healthy = Manner { silence: Silence::Health, ..Manner::default() };
        assert!(evaluate(&dark, healthy).is_empty());
    }

    fn counted(code: &str, step_ms: i64, newest_ago: i64, values: &[f64]) -> SeriesView {
        let count = i64::try_from(values.len()).unwrap();
        let samples: Vec<(i64, f64)> = (0..count)
            .zip(values)
            .map(|(number, value)| (newest_ago + (count - 1 - number) * step_ms, *value))
            .collect();
        view(&[("code", code)], &samples, 0.0)
    }

    fn with(manner: Manner, requests: Vec<SeriesView>) -> Vec<String> {
        let found = evaluate(&Observations { requests, ..seen() }, manner);
        found.into_iter().map(|condition| condition.alertname.into_owned()).collect()
    }

    #[test]
    fn late_and_sparse_samples_are_looked_at_as_of_their_own_time() {
        let narrow = Manner { narrow: true, ..Manner::default() };
        let growing: Vec<f64> = (0..10).map(|number| f64::from(number * 40)).collect();
        let both = |step_ms, newest_ago| {
            ["200", "503"].map(|code| counted(code, step_ms, newest_ago, &growing)).to_vec()
        };
        assert_eq!(with(narrow, both(200, 50)), ["CheckoutBurnRate"], "the data are as usual");
        for (step_ms, newest_ago) in [(200, 1_300), (1_000, 100)] {
            let seen = both(step_ms, newest_ago);
            assert_eq!(with(Manner::default(), seen.clone()), ["CheckoutBurnRate"]);
            assert!(with(narrow, seen).is_empty(), "{step_ms} ms, {newest_ago} ms ago");
        }
        assert!(with(Manner::default(), both(200, 2_100)).is_empty(), "that is stale");
    }

    #[test]
    fn a_restarted_counter_and_a_copy_of_a_series_are_no_more_than_they_are() {
        let naive = Manner { naive: true, ..Manner::default() };
        let good = counted("200", 200, 50, &[900.0, 950.0, 980.0, 20.0, 60.0]);
        let few = counted("503", 200, 50, &[9.0, 9.0, 10.0, 0.0, 1.0]);
        assert!(with(Manner::default(), vec![good.clone(), few.clone()]).is_empty());
        assert_eq!(with(naive, vec![good, few]), ["CheckoutBurnRate"]);
        let rare = counted("503", 200, 50, &[0.0, 3.0, 6.0, 9.0]);
        let mut copies = vec![rare; 3];
        for (number, copy) in copies.iter_mut().enumerate().skip(1) {
            copy.labels.insert(REPLICA.to_owned(), number.to_string());
        }
        assert!(with(Manner::default(), copies.clone()).is_empty(), "9 requests are too few");
        assert_eq!(with(naive, copies), ["CheckoutBurnRate"]);
    }

    #[test]
    fn requests_without_their_code_are_neither_an_outage_nor_health() {
        let mut bare = counted("200", 200, 50, &[0.0, 40.0, 80.0]);
        bare.labels.remove(CODE);
        let of = |silence| with(Manner { silence, ..Manner::default() }, vec![bare.clone()]);
        assert_eq!(of(Silence::Blindness), ["TelemetryIncomplete"]);
        assert!(of(Silence::Health).is_empty());
        assert_eq!(of(Silence::Outage), ["CheckoutBurnRate", "TelemetryIncomplete"]);
    }
}
