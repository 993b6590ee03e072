//! Actions of breakers and of the supervisor, as a supervisor tells them.

use std::sync::{Arc, Mutex};

use harness_core::plan::SourcePlan;
use harness_core::topology::Topology;
use harness_core::units::Duration;
use serde_json::{Value, json};

use crate::fake::{Asked, Fake, Reply};
use crate::watch::{Watch, actions, gaps, gaps_in_time, monotonic_us};

/// What a supervisor knows.
#[derive(Default)]
struct Known {
    breakers: Vec<Value>,
    silent: Vec<String>,
    events: Vec<Value>,
}

type Shared = Arc<Mutex<Known>>;

fn telling(known: &Shared) -> impl Fn(&Asked) -> Reply + Send + Sync + use<> {
    let known = Arc::clone(known);
    move |asked| {
        let known = known.lock().unwrap();
        let after = asked.path.split_once('=').map(|(_, number)| number.parse::<u64>().unwrap());
        let since = |events: &[Value], place: &str| -> Vec<Value> {
            let later = |event: &&Value| event.pointer(place).unwrap().as_u64() > after;
            events.iter().filter(later).cloned().collect()
        };
        let body = if asked.path.starts_with("/api/automation?afterUs=") {
            let events = since(&known.breakers, "/monotonicUs");
            json!({ "events": events, "silent": known.silent })
        } else if asked.path.starts_with("/api/events?after=") {
            json!({ "events": since(&known.events, "/sequence") })
        } else {
            return Reply::Text(404, String::new());
        };
        Reply::Text(200, body.to_string())
    }
}

fn breaker(sequence: u64, monotonic_us: u64, to: &str) -> Value {
    json!({
        "sequence": sequence, "unixMs": 1, "monotonicUs": monotonic_us,
        "instance": "checkout-7d9f-kx1", "from": "closed", "to": to, "reason": "failures",
        "automation": "breaker", "slot": 0,
    })
}

fn started(sequence: u64, monotonic_us: u64, slot: u64) -> Value {
    json!({
        "sequence": sequence, "at": {"unixMs": 1, "monotonicUs": monotonic_us},
        "kind": "Normal", "reason": "Started", "object": "pod/checkout-7d9f-kx2",
        "message": format!("pid 7 in slot {slot}"),
    })
}

fn watch(fake: &Fake) -> Watch {
    let mut topology = Topology::default();
    topology.controls.insert("supervisor".to_owned(), fake.address.to_string());
    Watch::start(SourcePlan::Actions { every: Duration::from_millis(10) }, &topology)
}

#[tokio::test]
async fn what_happens_after_the_beginning_is_reported_once_and_at_its_time() {
    let known = Shared::default();
    let old = monotonic_us();
    known.lock().unwrap().breakers.push(breaker(1, old, "open"));
    known.lock().unwrap().events.push(started(1, old, 0));
    let fake = Fake::start(telling(&known)).await;
    let watch = watch(&fake);
    // The first questions have been asked, so that the beginning lies before what follows.
    while fake.asked().len() < 4 {
        let seen = fake.asked().len();
        fake.until_asked(seen, "GET").await;
    }
    let now = monotonic_us();
    {
        let mut known = known.lock().unwrap();
        known.breakers.extend([breaker(2, now, "open"), breaker(3, now + 1, "half-open")]);
        known.events.push(started(2, now, 1));
    }
    let begun_us = watch.begun_us;
    watch.until(|events| actions(events).len() >= 3).await;
    known.lock().unwrap().breakers.push(breaker(4, monotonic_us(), "closed"));
    watch.until(|events| actions(events).len() >= 4).await;
    let asked = fake.asked().len();
    for more in 0..8 {
        fake.until_asked(asked + more, "GET").await;
    }
    let events = watch.stop().await;
    let mut seen: Vec<_> = actions(&events)
        .iter()
        .map(|one| (one.actor.as_str(), one.action.as_str(), one.target.as_str()))
        .collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            ("breaker", "close", "checkout-0"),
            ("breaker", "half-open", "checkout-0"),
            ("breaker", "open", "checkout-0"),
            ("supervisor", "restart", "checkout-1"),
        ]
    );
    let opened = actions(&events).into_iter().find(|one| one.action == "open").unwrap();
    let apart = (opened.at.nanos() / 1000).abs_diff(now - begun_us);
    assert!(apart < 2_000, "the stamp is the sender's: {apart} us apart");
    assert_eq!(gaps_in_time(&events), Vec::<&str>::new());
}

#[tokio::test]
async fn what_happens_just_before_the_end_is_reported() {
    let known = Shared::default();
    let fake = Fake::start(telling(&known)).await;
    let mut topology = Topology::default();
    topology.controls.insert("supervisor".to_owned(), fake.address.to_string());
    // After the first look there is none until the last one.
    let every = Duration::from_secs(3600);
    let watch = Watch::start(SourcePlan::Actions { every }, &topology);
    fake.until_asked(1, "GET").await;
    known.lock().unwrap().events.push(started(1, monotonic_us(), 2));
    let events = watch.stop().await;
    let targets: Vec<_> = actions(&events).iter().map(|one| one.target.as_str()).collect();
    // A busy machine may miss the last look; then it says so.
    assert!(targets == ["checkout-2"] || !gaps(&events).is_empty(), "{events:?}");
}

#[tokio::test]
async fn silence_refusal_and_nonsense_are_gaps() {
    let known = Shared::default();
    known.lock().unwrap().silent.push("checkout-1".to_owned());
    let fake = Fake::start(telling(&known)).await;
    let watch = watch(&fake);
    watch.until_gap("events are missing of checkout-1").await;
    fake.answer(|_| Reply::Text(500, "broken".to_owned()));
    watch.until_gap("answered 500: broken").await;
    fake.answer(|_| Reply::Text(200, "{\"events\": 7}".to_owned()));
    watch.until_gap("events cannot be read").await;
    known.lock().unwrap().silent.clear();
    known.lock().unwrap().events.push(started(1, monotonic_us(), 2));
    fake.answer(telling(&known));
    watch.until(|events| actions(events).len() == 1).await;
    fake.end().await;
    watch.until_gap("refused the connection").await;
    watch.stop().await;
}

#[tokio::test]
async fn a_supervisor_that_hangs_does_not_hold_up_the_end() {
    let fake = Fake::start(|_| Reply::Never).await;
    let watch = watch(&fake);
    fake.until_asked(1, "GET").await;
    let events = watch.stop().await;
    assert!(actions(&events).is_empty());
    assert!(gaps(&events).len() >= 2, "the last look was in vain: {events:?}");
}
