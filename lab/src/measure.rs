//! A short look at a lab under load: success, latency and the processors it uses.
//!
//! For the lab's own tests and for the question "does this machine carry it". It is no load
//! engine: one thread, constant arrivals, every latency kept.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::{HeaderName, HeaderValue};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::http::{Client, Outgoing};
use crate::process;
use crate::state::LabState;

/// No answer within this time counts as status 0.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// More requests are not sent.
const REQUESTS_MAX: u64 = 1_000_000;
/// Clock ticks per second in `/proc`; the kernel's interface fixes it.
const TICKS_PER_SECOND: f64 = 100.0;

/// Orders at a constant rate.
#[derive(Debug, Clone)]
pub struct Orders {
    /// The keys are `<prefix>-<number>`, from 1.
    pub prefix: String,
    /// Arrivals per second; at least 1.
    pub per_second: u32,
    /// For how long orders are sent.
    pub lasting: Duration,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measure {
    /// Requests that were sent.
    pub sent: u64,
    /// Answers by status; 0 is no answer.
    pub by_status: BTreeMap<u16, u64>,
    /// Latency from the intended send time, in milliseconds: the median.
    pub latency_ms_p50: f64,
    /// The 99th percentile of the same.
    pub latency_ms_p99: f64,
    /// The longest of the same.
    pub latency_ms_max: f64,
    /// Processor time of all processes of the lab per wall time; 1.0 is one core. What a
    /// process used that ended meanwhile is not in it.
    pub cores: f64,
    /// The numbers of the orders that were accepted (200 or 202), ascending.
    pub accepted: Vec<u64>,
}

impl Measure {
    /// The share of requests that were accepted.
    pub fn success(&self) -> f64 {
        self.accepted.len() as f64 / (self.sent.max(1)) as f64
    }
}

/// Sends orders through the edge, open loop. Blocks; builds its own runtime.
pub fn measure(lab: &LabState, orders: &Orders) -> std::io::Result<Measure> {
    let edge: SocketAddr = lab
        .endpoints
        .edge
        .trim_start_matches("http://")
        .parse()
        .map_err(|_| std::io::Error::other("the edge has no address"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (before, begun) = (ticks_of(lab), Instant::now());
    let mut answers = runtime.block_on(send(edge, orders));
    let ticks: u64 = ticks_of(lab)
        .into_iter()
        .map(|(pid, after)| after.saturating_sub(before.get(&pid).copied().unwrap_or_default()))
        .sum();
    let cores = ticks as f64 / TICKS_PER_SECOND / begun.elapsed().as_secs_f64();
    answers.sort_by_key(|answer| answer.latency);
    let latency_ms_at = |share: f64| {
        let last = answers.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a count is within the count"
        )]
        let at = (share * last as f64).round() as usize;
        answers.get(at).map_or(0.0, |answer| answer.latency.as_secs_f64() * 1_000.0)
    };
    let mut by_status = BTreeMap::new();
    for answer in &answers {
        *by_status.entry(answer.status).or_default() += 1;
    }
    let accepted = answers.iter().filter(|answer| matches!(answer.status, 200 | 202));
    let mut accepted: Vec<u64> = accepted.map(|answer| answer.number).collect();
    accepted.sort_unstable();
    Ok(Measure {
        sent: answers.len() as u64,
        by_status,
        latency_ms_p50: latency_ms_at(0.5),
        latency_ms_p99: latency_ms_at(0.99),
        latency_ms_max: latency_ms_at(1.0),
        cores,
        accepted,
    })
}

struct Answered {
    number: u64,
    status: u16,
    latency: Duration,
}

async fn send(edge: SocketAddr, orders: &Orders) -> Vec<Answered> {
    let client = Arc::new(Client::new(edge));
    let gap = Duration::from_secs(1) / orders.per_second.max(1);
    let begun = tokio::time::Instant::now();
    let mut under_way = JoinSet::new();
    let mut answers = Vec::new();
    for number in 1..=REQUESTS_MAX {
        let intended = begun + gap.saturating_mul(u32::try_from(number - 1).unwrap_or(u32::MAX));
        if intended - begun >= orders.lasting {
            break;
        }
        tokio::time::sleep_until(intended).await;
        let client = Arc::clone(&client);
        let key = format!("{}-{number}", orders.prefix);
        under_way.spawn(async move {
            let status = order(&client, &key).await;
            Answered { number, status, latency: intended.elapsed() }
        });
        while let Some(done) = under_way.try_join_next() {
            answers.extend(done);
        }
    }
    while let Some(done) = under_way.join_next().await {
        answers.extend(done);
    }
    answers
}

async fn order(client: &Client, key: &str) -> u16 {
    let Ok(key) = HeaderValue::from_str(key) else { return 0 };
    let headers = [(HeaderName::from_static("idempotency-key"), key)];
    let request = Outgoing { headers: &headers, ..Outgoing::post("/checkout", &()) };
    client.call(&request, ANSWER_LIMIT).await.map_or(0, |answer| answer.status.as_u16())
}

/// Processor ticks that each live process of the lab has used, by pid.
fn ticks_of(lab: &LabState) -> BTreeMap<u32, u64> {
    process::of_state(&lab.state).into_iter().map(|one| (one.pid, one.ticks())).collect()
}
