//! `collector`: pulls `/metrics` of every service over the `collector->*` edges, keeps the last
//! minute, and answers what it knows and how fresh that is.
//!
//! A scrape that fails is a sample `up 0`, never a missing one. Orders from outside can distort
//! what it tells, each until its lease ends.

mod ring;
mod told;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::{Method, StatusCode};
pub(super) use ring::SeriesView;
use ring::{Rings, view};
use serde::{Deserialize, Serialize};
pub(super) use told::REPLICA;
use told::{Distortion, Standing};

use super::Context;
use crate::clock::unix_ms;
use crate::http::{Call, Client, Outgoing, Reply, Service};
use crate::layout::EDGES;
use crate::metrics::{Labels, Sample, parse};
use crate::orders::Orders;

/// The time from one scrape of a target to the next.
const SCRAPE_EVERY: Duration = Duration::from_millis(200);
/// A slower scrape has failed.
const SCRAPE_LIMIT: Duration = Duration::from_millis(500);

/// One target and how fresh its data is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Freshness {
    pub(super) service: String,
    pub(super) slot: usize,
    address: SocketAddr,
    up: bool,
    last_success_unix_ms: Option<i64>,
    /// Since the last good scrape, or since the collector began when there was none.
    pub(super) age_ms: i64,
}

#[derive(Debug)]
struct Target {
    service: &'static str,
    slot: usize,
    client: Client,
    /// Whether the last scrape was good, and when the last good one was.
    state: Mutex<(bool, Option<i64>)>,
}

#[derive(Debug)]
struct Collector {
    context: Arc<Context>,
    began_unix_ms: i64,
    targets: Vec<Target>,
    rings: Mutex<Rings>,
    orders: Orders<Standing>,
}

/// What `GET /api/series` gives.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeriesAnswer {
    pub(super) name: String,
    pub(super) window_ms: i64,
    pub(super) now_unix_ms: i64,
    pub(super) series: Vec<SeriesView>,
}

/// What `GET /api/freshness` gives.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FreshnessAnswer {
    pub(super) targets: Vec<Freshness>,
}

impl FreshnessAnswer {
    /// Whether every target was scraped at least once.
    pub(super) fn all_seen(&self) -> bool {
        self.targets.iter().all(|target| target.last_success_unix_ms.is_some())
    }
}

pub(super) async fn run(context: Arc<Context>) -> std::io::Result<()> {
    let callees = EDGES.iter().filter(|(caller, _)| *caller == "collector");
    let targets = callees.flat_map(|(_, callee)| {
        let addresses = context.layout.dial("collector", callee).iter().enumerate();
        addresses.map(|(slot, at)| Target {
            service: callee,
            slot,
            client: Client::new(*at),
            state: Mutex::default(),
        })
    });
    let role = Arc::new(Collector {
        targets: targets.collect(),
        began_unix_ms: unix_ms(),
        rings: Mutex::default(),
        orders: Orders::new(),
        context: Arc::clone(&context),
    });
    let mut scraping = tokio::task::JoinSet::new();
    for at in 0..role.targets.len() {
        let role = Arc::clone(&role);
        scraping.spawn(async move { role.scrape(at).await });
    }
    // Dropping the set at the end stops all scraping.
    context.serve(role).await
}

impl Service for Collector {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::GET, "/metrics") => {
                Reply::metrics(self.rings().text(unix_ms(), &self.orders.live()))
            }
            (&Method::GET, "/api/freshness") => Reply::ok(&self.freshness()),
            (&Method::GET, "/api/series") => self.series(&call),
            (_, "/-/orders") => self.orders.answer(&call, |order| self.begin(order)),
            (&Method::GET, "/healthz") => self.context.healthy(),
            _ => Reply::not_found(),
        }
    }
}

impl Collector {
    /// An order that begins now.
    fn begin(&self, order: told::Order) -> Result<Standing, String> {
        order.check()?;
        let resets = order.distortion == Distortion::Reset {};
        let rings = self.rings();
        let bases = if resets { rings.counters() } else { std::collections::BTreeMap::new() };
        Ok(Standing { order, since: unix_ms(), bases })
    }

    fn rings(&self) -> std::sync::MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Scrapes one target for ever. Targets begin at different times, so that the collector
    /// works evenly.
    async fn scrape(&self, at: usize) {
        let target = &self.targets[at];
        let share = u32::try_from(self.targets.len()).unwrap_or(1).max(1);
        let place = u32::try_from(at).unwrap_or_default();
        tokio::time::sleep(SCRAPE_EVERY / share * place).await;
        let mut ticks = tokio::time::interval(SCRAPE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Each target has numbers of its own, so that a share of the scrapes is spread evenly.
        let mut scrape = place;
        loop {
            ticks.tick().await;
            scrape = scrape.wrapping_add(1);
            let answer = target.client.call(&Outgoing::get("/metrics"), SCRAPE_LIMIT).await;
            let good = answer.ok().filter(|answer| answer.status.is_success());
            let text = good.map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
            self.keep(target, scrape, text.as_deref());
        }
    }

    fn keep(&self, target: &Target, scrape: u32, text: Option<&str>) {
        let now = unix_ms();
        let own: Labels = [
            (String::from("service"), target.service.to_owned()),
            (String::from("slot"), target.slot.to_string()),
        ]
        .into();
        let mut rings = self.rings();
        for mut sample in parse(text.unwrap_or_default()) {
            sample.labels.extend(own.clone());
            rings.push(now, scrape, sample);
        }
        let value = if text.is_some() { 1.0 } else { 0.0 };
        rings.push(now, scrape, Sample { name: String::from("up"), labels: own, value });
        drop(rings);
        let mut state = target.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = text.is_some();
        if text.is_some() {
            state.1 = Some(now);
        }
    }

    fn freshness(&self) -> FreshnessAnswer {
        let now = unix_ms();
        let standing = self.orders.live();
        let told =
            if standing.is_empty() { Vec::new() } else { self.rings().told("up", now, &standing) };
        let one = |target: &Target| {
            let mut state = *target.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((up, seen)) = told::target(&told, target.service, target.slot) {
                state = (up, seen);
            }
            Freshness {
                service: target.service.to_owned(),
                slot: target.slot,
                address: target.client.address(),
                up: state.0,
                last_success_unix_ms: state.1,
                age_ms: now - state.1.unwrap_or(self.began_unix_ms),
            }
        };
        FreshnessAnswer { targets: self.targets.iter().map(one).collect() }
    }

    fn series(&self, call: &Call) -> Reply {
        let bad = |reason: &str| Reply::error(StatusCode::BAD_REQUEST, reason);
        let Some(name) = call.parameter("name") else { return bad("`name` is missing") };
        let window = call.parameter("window").unwrap_or_else(|| String::from("5s"));
        let Some(window_ms) = parse_window(&window) else {
            return bad("`window` is a whole number of ms or s, such as `500ms` or `5s`");
        };
        let labels: Vec<(String, String)> =
            call.parameters().filter(|(key, _)| key != "name" && key != "window").collect();
        let now_unix_ms = unix_ms();
        let told = self.rings().told(&name, now_unix_ms, &self.orders.live());
        let series = view(told, &labels, now_unix_ms - window_ms);
        Reply::ok(&SeriesAnswer { name, window_ms, now_unix_ms, series })
    }
}

fn parse_window(text: &str) -> Option<i64> {
    let (digits, factor) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s')?, 1_000),
    };
    let number: i64 = digits.parse().ok()?;
    (number >= 0).then(|| number.checked_mul(factor)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_a_unit() {
        for (text, expected) in [
            ("5s", Some(5_000)),
            ("250ms", Some(250)),
            ("5", None),
            ("-1s", None),
            ("1m", None),
            ("s", None),
        ] {
            assert_eq!(parse_window(text), expected, "{text}");
        }
    }
}
