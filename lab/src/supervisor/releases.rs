//! Which release each slot is to run: what was rolled out for good, and what holds under a lease.
//!
//! A release under a lease ends when it is taken back or when nobody renews it; the slot then gets
//! back what it was to run without it. A rollout for good ends it, too: the slot is no longer its.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Supervisor;
use crate::clock::moment;
use crate::http::{Call, Reply};
use crate::layout::SERVICES;
use crate::orders::Orders;
use crate::release::Release;
use crate::state::EventKind;

/// How often a rollout looks for the next instance.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// A rollout goes on to the next instance when one is not ready after so long.
const READY_LIMIT: Duration = Duration::from_secs(5);

/// What an order under a lease says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Order {
    deployment: String,
    release: Release,
    slots: Vec<Known>,
}

/// An instance as whoever orders knows it; another one is refused.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Known {
    slot: usize,
    /// The pod in it.
    uid: String,
    /// The name of the release that it runs.
    release: String,
}

/// What `POST /api/deployments/NAME/release` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rollout {
    release: Release,
    /// All of them where none are named.
    slots: Option<Vec<usize>>,
}

/// An order that was taken.
#[derive(Debug, Clone)]
struct Held {
    deployment: String,
    release: Release,
    /// How many rollouts each slot had seen; one more, and the slot is not the order's any longer.
    rollouts: BTreeMap<usize, u64>,
}

/// What was rolled out for good in one slot.
#[derive(Debug, Clone)]
struct Standing {
    release: Release,
    rollouts: u64,
}

/// The releases of one lab.
#[derive(Debug)]
pub(super) struct Releases {
    orders: Orders<Held>,
    standing: Mutex<BTreeMap<(String, usize), Standing>>,
}

impl Releases {
    pub(super) fn new() -> Self {
        let first = Standing { release: Release::first(), rollouts: 0 };
        let slots = SERVICES.iter().flat_map(|service| {
            (0..service.replicas).map(move |slot| (service.name.to_owned(), slot))
        });
        let standing = slots.map(|slot| (slot, first.clone())).collect();
        Self { orders: Orders::new(), standing: Mutex::new(standing) }
    }

    fn standing(&self) -> MutexGuard<'_, BTreeMap<(String, usize), Standing>> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stands(&self, deployment: &str, slot: usize) -> Option<Standing> {
        self.standing().get(&(deployment.to_owned(), slot)).cloned()
    }

    /// The release under a lease that holds for a slot.
    fn leased(&self, deployment: &str, slot: usize, rollouts: u64) -> Option<Release> {
        let live = self.orders.live().into_iter();
        let mut own = live.filter(|held| held.deployment == deployment);
        own.find(|held| held.rollouts.get(&slot) == Some(&rollouts)).map(|held| held.release)
    }

    /// What a slot is to run.
    pub(super) fn wanted(&self, deployment: &str, slot: usize) -> Release {
        let standing = self.stands(deployment, slot);
        let Some(Standing { release, rollouts }) = standing else { return Release::first() };
        self.leased(deployment, slot, rollouts).unwrap_or(release)
    }

    /// Whether a slot is to run what was rolled out for good.
    fn is_settled(&self, deployment: &str, slot: usize) -> bool {
        let standing = self.stands(deployment, slot);
        standing.is_none_or(|it| self.leased(deployment, slot, it.rollouts).is_none())
    }

    /// Takes an order, if it knows the instances that it is for.
    fn begin(
        &self,
        order: Order,
        running: impl Fn(&str, usize) -> Option<(String, String)>,
    ) -> Result<Held, String> {
        let Order { deployment, release, slots } = order;
        release.check()?;
        if slots.is_empty() {
            return Err(String::from("`slots` names no instance"));
        }
        let mut rollouts = BTreeMap::new();
        for Known { slot, uid, release: known } in slots {
            let name = format!("{deployment}-{slot}");
            let standing =
                self.stands(&deployment, slot).ok_or_else(|| format!("there is no {name}"))?;
            if self.leased(&deployment, slot, standing.rollouts).is_some() {
                return Err(format!("{name} has a release under a lease already"));
            }
            if running(&deployment, slot) != Some((uid, known.clone())) {
                return Err(format!("{name} is not the instance with release {known} any more"));
            }
            if standing.release.name != known || known == release.name {
                return Err(format!("{name} is to run release {}", standing.release.name));
            }
            rollouts.insert(slot, standing.rollouts);
        }
        Ok(Held { deployment, release, rollouts })
    }

    /// Rolls a release out for good; the slots that it is for.
    fn roll_out(&self, deployment: &str, rollout: Rollout) -> Result<Vec<usize>, String> {
        rollout.release.check()?;
        let mut standing = self.standing();
        let all = standing.keys().filter(|(name, _)| name == deployment).map(|(_, slot)| *slot);
        let all: Vec<usize> = all.collect();
        let slots = rollout.slots.unwrap_or_else(|| all.clone());
        if let Some(unknown) = slots.iter().find(|slot| !all.contains(slot)) {
            return Err(format!("there is no {deployment}-{unknown}"));
        }
        for slot in &slots {
            let place = standing.get_mut(&(deployment.to_owned(), *slot));
            let place = place.expect("the slots were checked");
            *place = Standing { release: rollout.release.clone(), rollouts: place.rollouts + 1 };
        }
        Ok(slots)
    }
}

/// Answers what is asked of releases under a lease.
pub(super) fn answer(lab: &Supervisor, call: &Call) -> Reply {
    let running = |deployment: &str, slot: usize| {
        lab.read(|model| {
            let pod = model.pod(deployment, slot)?;
            Some((pod.uid.clone(), pod.release.clone()))
        })
    };
    lab.releases.answer(call, running)
}

impl Releases {
    fn answer(
        &self,
        call: &Call,
        running: impl Fn(&str, usize) -> Option<(String, String)>,
    ) -> Reply {
        self.orders.answer(call, |order: Order| self.begin(order, running))
    }
}

/// Rolls a release out for good, instance by instance.
pub(super) fn deploy(lab: &Supervisor, deployment: &str, call: &Call) -> Reply {
    if !lab.slots.iter().any(|control| control.deployment == deployment) {
        return Reply::error(StatusCode::NOT_FOUND, "no such deployment");
    }
    let rollout: Rollout = match call.json() {
        Ok(rollout) => rollout,
        Err(reply) => return reply,
    };
    let name = rollout.release.name.clone();
    match lab.releases.roll_out(deployment, rollout) {
        Ok(slots) => {
            lab.change(|model| model.rolls_out(moment(), deployment, &name));
            Reply::ok(&json!({ "release": name, "slots": slots }))
        }
        Err(reason) => Reply::error(StatusCode::BAD_REQUEST, &reason),
    }
}

/// What each slot is to run and what it runs.
pub(super) fn list(lab: &Supervisor) -> Value {
    let each = lab.slots.iter().map(|control| {
        let (deployment, slot) = (control.deployment, control.slot);
        let pod = lab.read(|model| model.pod(deployment, slot).cloned());
        let pod = pod.filter(|pod| pod.pid.is_some());
        json!({
            "deployment": deployment,
            "slot": slot,
            "wanted": lab.releases.wanted(deployment, slot).name,
            "running": pod.as_ref().map(|pod| pod.release.clone()),
            "ready": pod.is_some_and(|pod| pod.ready),
        })
    });
    json!({ "releases": each.collect::<Vec<_>>() })
}

/// What does not run what was rolled out for good, one sentence each.
pub(super) fn missing(lab: &Supervisor) -> Vec<String> {
    let each = lab.slots.iter().filter_map(|control| {
        let (deployment, slot) = (control.deployment, control.slot);
        let wanted = lab.releases.wanted(deployment, slot).name;
        if !lab.releases.is_settled(deployment, slot) {
            return Some(format!("{deployment}-{slot} has release {wanted} under a lease"));
        }
        outdated(lab, deployment, slot)
            .map(|_| format!("{deployment}-{slot} does not run release {wanted} yet"))
    });
    each.collect()
}

/// The uid of the pod in a slot, where it is alive and runs another release than it is to run.
fn outdated(lab: &Supervisor, deployment: &str, slot: usize) -> Option<String> {
    let wanted = lab.releases.wanted(deployment, slot).name;
    lab.read(|model| {
        let pod = model.pod(deployment, slot)?;
        (pod.pid.is_some() && pod.release != wanted).then(|| pod.uid.clone())
    })
}

/// Replaces one process after the other until each runs the release that it is to run; never ends.
pub(super) async fn keep(lab: Arc<Supervisor>) {
    let mut ticks = tokio::time::interval(LOOK_AGAIN);
    loop {
        ticks.tick().await;
        let next = lab.slots.iter().find_map(|control| {
            outdated(&lab, control.deployment, control.slot).map(|uid| (control, uid))
        });
        let Some((control, uid)) = next else { continue };
        control.replace(&uid);
        let begun = Instant::now();
        let is_there = || {
            lab.read(|model| {
                let pod = model.pod(control.deployment, control.slot);
                pod.is_some_and(|pod| pod.uid != uid && pod.ready)
            })
        };
        while !is_there() && begun.elapsed() < READY_LIMIT {
            ticks.tick().await;
        }
        let (name, slot) = (control.deployment, control.slot);
        let how = if is_there() { "is rolled out" } else { "is rolled out, but not ready" };
        lab.log.line(&format!("{name}-{slot} {how}"));
        lab.change(|model| {
            let message = format!("slot {slot} {how}");
            let object = format!("deployment/{name}");
            model.event(moment(), EventKind::Normal, "RolledOut", object, message);
        });
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, Method};

    use super::*;

    fn ask(releases: &Releases, method: Method, query: &str, body: &Value) -> u16 {
        let call = Call {
            method,
            path: String::from("/-/releases"),
            query: query.to_owned(),
            headers: HeaderMap::new(),
            body: body.to_string().into(),
        };
        let running = |_: &str, slot: usize| Some((format!("u{slot}"), String::from("1")));
        releases.answer(&call, running).status.as_u16()
    }

    fn place(releases: &Releases, name: &str, slot: usize, known: &str) -> u16 {
        let order = json!({
            "deployment": "checkout", "release": {"name": "2", "flaw": {"slowMs": 5}},
            "slots": [{"slot": slot, "uid": "u1", "release": known}],
        });
        let body = json!({"name": name, "leaseMs": 60_000, "order": order});
        ask(releases, Method::PUT, "", &body)
    }

    fn roll_out(releases: &Releases, name: &str, slots: Option<Vec<usize>>) -> bool {
        let release = Release { name: name.to_owned(), flaw: None };
        releases.roll_out("checkout", Rollout { release, slots }).is_ok()
    }

    #[test]
    fn a_release_under_a_lease_goes_as_it_came() {
        let releases = Releases::new();
        let wanted = |slot: usize| releases.wanted("checkout", slot).name;
        assert_eq!(place(&releases, "a", 1, "1"), 200);
        assert_eq!([wanted(0), wanted(1)], ["1", "2"]);
        assert!(releases.is_settled("checkout", 0) && !releases.is_settled("checkout", 1));
        assert_eq!(place(&releases, "a", 1, "1"), 200, "it is renewed");
        assert_eq!(place(&releases, "b", 1, "1"), 400, "the slot is taken");
        assert_eq!(ask(&releases, Method::DELETE, "name=a", &Value::Null), 200);
        assert_eq!((wanted(1), place(&releases, "a", 1, "1")), (String::from("1"), 409));
    }

    #[test]
    fn an_instance_that_is_not_as_it_was_known_is_refused() {
        let releases = Releases::new();
        assert_eq!(place(&releases, "a", 2, "1"), 400, "another pod");
        assert_eq!(place(&releases, "b", 1, "0"), 400, "another release");
        assert_eq!(place(&releases, "c", 9, "1"), 400, "no such slot");
        assert!(roll_out(&releases, "3", Some(vec![1])));
        assert_eq!(place(&releases, "d", 1, "1"), 400, "it is about to be replaced");
        assert!(!roll_out(&releases, "4", Some(vec![3])));
    }

    #[test]
    fn a_rollout_for_good_wins_even_back_to_the_same_name() {
        let releases = Releases::new();
        assert_eq!(place(&releases, "a", 1, "1"), 200);
        assert!(roll_out(&releases, "1", None));
        assert_eq!(releases.wanted("checkout", 1).name, "1");
        assert_eq!(place(&releases, "a", 1, "1"), 200, "a renewal does not bring it back");
        assert_eq!(releases.wanted("checkout", 1).name, "1");
    }
}
