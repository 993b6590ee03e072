//! Steady state, reset and what the automations did: whether a trial may start, how to get
//! there, and what happened in it.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::Value;

use super::Supervisor;
use crate::clock::moment;
use crate::http::{Answer, Client, Outgoing};
use crate::roles::OWN_GROUP;
use crate::state::{EventKind, Steady};

/// One question to a role.
const ASK_LIMIT: Duration = Duration::from_millis(500);
/// A reset that takes longer has failed.
const RESET_LIMIT: Duration = Duration::from_secs(10);
/// A deployment that is not back in this time stays away.
const RESTORE_LIMIT: Duration = Duration::from_secs(8);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// The automations of the lab, each with the service whose instances it acts in.
const AUTOMATIONS: [(&str, &str); 3] =
    [("breaker", "checkout"), ("cap", "cap"), ("alerter", "alerter")];

#[derive(Deserialize)]
struct CheckoutState {
    breaker: String,
    waiting: usize,
}

#[derive(Deserialize)]
struct StoreState {
    pending: usize,
}

#[derive(Deserialize)]
struct AlerterState {
    waiting: usize,
}

#[derive(Deserialize)]
struct JobsState {
    groups: Vec<JobGroup>,
}

#[derive(Deserialize)]
struct JobGroup {
    label: String,
    running: usize,
    pending: usize,
}

#[derive(Deserialize)]
struct CapState {
    stopped: Vec<String>,
}

#[derive(Deserialize)]
struct FiringAlert {
    labels: std::collections::BTreeMap<String, String>,
}

/// Asks everybody.
pub(super) async fn steady(lab: &Supervisor) -> Steady {
    let mut missing = lab.read(super::model::Model::missing);
    for (slot, client) in lab.clients("checkout").enumerate() {
        match ask(client, "/state").await.and_then(|answer| answer.json::<CheckoutState>()) {
            Some(state) if state.breaker != "closed" => {
                missing.push(format!("the breaker of checkout {slot} is {}", state.breaker));
            }
            Some(state) if state.waiting > 0 => {
                missing.push(format!("{} orders wait in checkout {slot}", state.waiting));
            }
            Some(_) => {}
            None => missing.push(format!("checkout {slot} does not answer")),
        }
    }
    for client in lab.clients("store") {
        match ask(client, "/state").await.and_then(|answer| answer.json::<StoreState>()) {
            Some(state) if state.pending > 0 => {
                missing.push(format!("{} orders are pending", state.pending));
            }
            Some(_) => {}
            None => missing.push(String::from("the store does not answer")),
        }
    }
    missing.extend(super::releases::missing(lab));
    missing.extend(alerting(lab).await);
    missing.extend(spending(lab).await);
    Steady { ready: missing.is_empty(), missing }
}

/// What fires, and what was not delivered.
async fn alerting(lab: &Supervisor) -> Vec<String> {
    let mut missing = Vec::new();
    for client in lab.clients("alerter") {
        match ask(client, "/api/v2/alerts").await.and_then(|answer| answer.json()) {
            Some::<Vec<FiringAlert>>(alerts) => missing.extend(alerts.iter().map(|alert| {
                let name = alert.labels.get("alertname").map_or("an alert", String::as_str);
                format!("{name} fires")
            })),
            None => missing.push(String::from("the alerter does not answer")),
        }
    }
    for client in lab.clients("alerter") {
        let state = ask(client, "/state").await.and_then(|answer| answer.json::<AlerterState>());
        if let Some(AlerterState { waiting: 1.. }) = state {
            missing.push(String::from("a page is not delivered"));
        }
    }
    missing
}

/// What runs or is stopped beyond the shop's own jobs.
async fn spending(lab: &Supervisor) -> Vec<String> {
    let mut missing = Vec::new();
    for client in lab.clients("jobs") {
        match ask(client, "/jobs").await.and_then(|answer| answer.json::<JobsState>()) {
            Some(state) => missing.extend(state.groups.iter().filter_map(|group| {
                let jobs = group.running + group.pending;
                let own = group.label == OWN_GROUP;
                (!own && jobs > 0).then(|| format!("{jobs} jobs of {} run or wait", group.label))
            })),
            None => missing.push(String::from("the jobs do not answer")),
        }
    }
    for client in lab.clients("cap") {
        match ask(client, "/state").await.and_then(|answer| answer.json::<CapState>()) {
            Some(state) => missing
                .extend(state.stopped.iter().map(|label| format!("the cap holds {label} back"))),
            None => missing.push(String::from("the cost cap does not answer")),
        }
    }
    missing
}

/// Closes breakers, lets a store write again, forgets back-offs, brings replicas back and waits for
/// steady state, for a bounded time.
pub(super) async fn reset(lab: &Supervisor) -> Steady {
    let begun = Instant::now();
    let mut broken_before = true;
    for control in &lab.slots {
        control.forget_back_off();
    }
    for client in lab.clients("store") {
        // One that does not answer begins anew, and writes.
        client.call(&Outgoing::post("/reset", &()), ASK_LIMIT).await.ok();
    }
    loop {
        if broken_before {
            for client in lab.clients("checkout") {
                // One that does not answer is not ready, and found missing below.
                client.call(&Outgoing::post("/reset", &()), ASK_LIMIT).await.ok();
            }
        }
        for control in &lab.slots {
            lab.restore_if_missing(control);
        }
        let now = steady(lab).await;
        if now.ready || begun.elapsed() > RESET_LIMIT {
            let kind = if now.ready { EventKind::Normal } else { EventKind::Warning };
            let message = if now.ready {
                format!("steady after {} ms", begun.elapsed().as_millis())
            } else {
                now.missing.join("; ")
            };
            lab.change(|model| {
                model.event(moment(), kind, "Reset", String::from("lab"), message);
            });
            return now;
        }
        broken_before = now.missing.iter().any(|text| text.contains("breaker"));
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Brings the missing replicas of one deployment back at once; `None` when there is no such
/// deployment, else what is still missing after a bounded time.
pub(super) async fn restore(lab: &Supervisor, deployment: &str) -> Option<Steady> {
    lab.slots.iter().find(|control| control.deployment == deployment)?;
    let begun = Instant::now();
    loop {
        for control in lab.slots.iter().filter(|control| control.deployment == deployment) {
            lab.restore_if_missing(control);
        }
        let missing: Vec<String> = lab
            .read(super::model::Model::missing)
            .into_iter()
            .filter(|text| text.contains(&format!(" {deployment} ")))
            .collect();
        if missing.is_empty() || begun.elapsed() > RESTORE_LIMIT {
            return Some(Steady { ready: missing.is_empty(), missing });
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What the automations of the lab did after an instant of `CLOCK_MONOTONIC`, in order of time: the
/// breakers' changes, the cost cap's acts, and what the alerter handed to the pager. An instance
/// that does not answer is named, for its events are missing.
pub(super) async fn automation(lab: &Supervisor, after_us: u64) -> Value {
    let (mut events, mut silent) = (Vec::new(), Vec::new());
    let clients: Vec<(&str, &str, usize, &Client)> = AUTOMATIONS
        .into_iter()
        .flat_map(|(automation, service)| {
            let clients = lab.clients(service).enumerate();
            clients.map(move |(slot, client)| (automation, service, slot, client))
        })
        .collect();
    // Side by side, so that those that are silent are waited for only once.
    let answers = join_all(clients.iter().map(|(.., client)| ask(client, "/events"))).await;
    for ((automation, service, slot, _), answer) in clients.into_iter().zip(answers) {
        let answer = answer.and_then(|answer| answer.json::<Value>());
        let Some(Value::Array(all)) = answer.map(|mut answer| answer["events"].take()) else {
            silent.push(format!("{service}-{slot}"));
            continue;
        };
        for mut event in all {
            event["automation"] = Value::from(automation);
            event["slot"] = Value::from(slot);
            events.push(event);
        }
    }
    let at = |event: &Value| event["monotonicUs"].as_u64().unwrap_or_default();
    events.retain(|event| at(event) > after_us);
    events.sort_by_key(at);
    serde_json::json!({ "events": events, "silent": silent })
}

async fn ask(client: &Client, path: &str) -> Option<Answer> {
    client.call(&Outgoing::get(path), ASK_LIMIT).await.ok()
}
