//! `bad-release`: a release with a known flaw is rolled out to instances of a service, one after
//! the other, by the lab's supervisor.
//!
//! It holds there under a lease: without us the supervisor rolls back by itself. What somebody else
//! has rolled out meanwhile is theirs; it is neither replaced nor rolled back.

use std::num::NonZeroU32;

use harness_core::fault::{BlastRadius, Cx, FaultError, Hold, PROCESS, Touched};
use harness_core::ids::ServiceName;
use harness_core::topology::{ProcessIdentity, Topology};
use harness_core::units::{Duration, Ratio};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::leased::{Leased, LeasedSpec};
use super::spend::LabControl;
use crate::targets::{Targets, Which, touched};

/// Services that can be rolled out, each with a request that changes nothing in it.
const SERVICES: [(&str, &str); 2] =
    [("checkout", "/catalog"), ("payments", "/charges?prefix=nobody")];
/// Where the supervisor tells what each slot is to run, and runs.
const RELEASES: &str = "/api/releases";
/// How often a rollback is looked at.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(50);
const NAME_BYTES_MAX: usize = 40;
const ERRORS_MIN: Ratio = Ratio::from_percent(5);
const SLOW_MIN: Duration = Duration::from_millis(50);
const SLOW_MAX: Duration = Duration::from_millis(500);
/// A thousandth, in billionths.
const PERMILLE: u64 = 1_000_000;

/// What is wrong with the release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Flaw {
    /// So many requests are answered with 500, 5% to 100%.
    Errors(Ratio),
    /// Each request takes so much longer, 50 ms to 500 ms.
    Slow(Duration),
}

impl Flaw {
    fn check(self) -> Result<(), String> {
        match self {
            Self::Errors(share) if !(ERRORS_MIN..=Ratio::ONE).contains(&share) => {
                Err(format!("`errors` is from {ERRORS_MIN} to {}, not {share}", Ratio::ONE))
            }
            Self::Slow(by) if !(SLOW_MIN..=SLOW_MAX).contains(&by) => {
                Err(format!("`slow` is from {SLOW_MIN} to {SLOW_MAX}, not {by}"))
            }
            Self::Errors(_) | Self::Slow(_) => Ok(()),
        }
    }

    /// In the words of the lab.
    fn order(self) -> Value {
        match self {
            Self::Errors(share) => json!({ "errorsPermille": share.billionths() / PERMILLE }),
            Self::Slow(by) => json!({ "slowMs": by.millis() }),
        }
    }
}

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct BadReleaseSpec {
    pub(crate) service: ServiceName,
    pub(crate) count: NonZeroU32,
    pub(crate) which: Which,
    pub(crate) release: String,
    pub(crate) flaw: Flaw,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "BadReleaseSpec", description = "A release with a flaw is rolled out.")]
struct Written {
    /// The service: `checkout` or `payments`.
    service: ServiceName,
    /// How many of its instances.
    #[serde(default = "crate::targets::one")]
    count: NonZeroU32,
    /// Which of them.
    #[serde(default)]
    which: Which,
    /// The name of the release; `bad` unless said.
    #[serde(default = "bad")]
    release: String,
    /// What is wrong with it.
    flaw: Flaw,
}

fn bad() -> String {
    "bad".to_owned()
}

impl TryFrom<Written> for BadReleaseSpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { service, count, which, release, flaw } = written;
        if question(service.as_str()).is_none() {
            let known = SERVICES.map(|(name, _)| format!("`{name}`")).join(" or ");
            return Err(format!("`service` is {known}, not `{service}`"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if release.is_empty() || release.len() > NAME_BYTES_MAX || !release.bytes().all(plain) {
            let rule = format!("has 1 to {NAME_BYTES_MAX} letters, digits and . _ -");
            return Err(format!("`release` {rule}; `{release}` has not"));
        }
        flaw.check()?;
        Ok(Self { service, count, which, release, flaw })
    }
}

/// A request to a service that changes nothing in it.
pub(super) fn question(service: &str) -> Option<&'static str> {
    SERVICES.iter().find(|(name, _)| *name == service).map(|(_, path)| *path)
}

/// An instance as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Before {
    /// The slot's name: `checkout-0`.
    pub(crate) instance: String,
    /// The same as a number.
    pub(crate) slot: usize,
    /// The pod.
    pub(crate) uid: String,
    /// Its process.
    pub(crate) process: ProcessIdentity,
    /// The name of the release that it ran.
    pub(crate) release: String,
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BadReleaseDebt {
    /// Who rolls out and back.
    pub(crate) supervisor: LabControl,
    /// The name of our order there; used by no other fault, ever.
    pub(crate) name: String,
    /// The service.
    pub(crate) service: ServiceName,
    /// The name of our release.
    pub(crate) release: String,
    /// What is wrong with it.
    pub(crate) flaw: Flaw,
    /// The instances, and what they ran.
    pub(crate) before: Vec<Before>,
}

/// What `GET /api/releases` tells.
#[derive(Debug, Deserialize)]
struct Releases {
    releases: Vec<Place>,
}

/// What a slot is to run, and runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Place {
    deployment: String,
    slot: usize,
    wanted: String,
    /// Nothing where no process lives.
    running: Option<String>,
    ready: bool,
}

/// How far the recorded instances are on their way back.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Back {
    /// All are ready, with the release from before.
    There,
    /// None runs ours, but not all are ready.
    Gone,
    /// Some run ours.
    UnderWay,
}

/// What a slot of a service is to run, and runs.
fn find<'a>(slots: &'a [Place], service: &ServiceName, slot: usize) -> Option<&'a Place> {
    slots.iter().find(|one| one.deployment == service.as_str() && one.slot == slot)
}

impl BadReleaseDebt {
    async fn slots(control: &LabControl, within: Duration) -> Result<Vec<Place>, FaultError> {
        let told: Releases = control.get_at("list the releases", RELEASES, within).await?;
        Ok(told.releases)
    }

    /// How far they are; a conflict when somebody else has released one of them meanwhile.
    fn back(&self, slots: &[Place]) -> Result<Back, FaultError> {
        let mut back = Back::There;
        for before in &self.before {
            let Some(now) = find(slots, &self.service, before.slot) else { continue };
            if now.wanted != before.release {
                return Err(FaultError::Conflict {
                    what: format!("the release of {}", before.instance),
                    why: format!("somebody else has rolled out {} meanwhile", now.wanted),
                });
            }
            if now.running.as_ref() == Some(&self.release) {
                return Ok(Back::UnderWay);
            }
            if now.running.as_ref() != Some(&now.wanted) || !now.ready {
                back = Back::Gone;
            }
        }
        Ok(back)
    }
}

impl Leased for BadReleaseDebt {
    const PATH: &'static str = "/-/releases";

    fn control(&self) -> &LabControl {
        &self.supervisor
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn body(&self) -> Value {
        let slots = self
            .before
            .iter()
            .map(|it| json!({ "slot": it.slot, "uid": it.uid, "release": it.release }));
        let release = json!({ "name": self.release, "flaw": self.flaw.order() });
        json!({ "name": self.name, "order": {
            "deployment": self.service, "release": release, "slots": slots.collect::<Vec<_>>(),
        }})
    }

    /// Waits for the rollback.
    async fn settle(&self, cx: &Cx<'_>) -> Result<(), FaultError> {
        let until = cx.clock.now() + cx.deadline.times(3).divided_by(5);
        loop {
            let slots = match Self::slots(&self.supervisor, cx.deadline.divided_by(5)).await {
                Err(_) if self.supervisor.is_lab_gone() => return Ok(()),
                slots => slots?,
            };
            let back = self.back(&slots)?;
            if back == Back::There || (back == Back::Gone && cx.clock.now() >= until) {
                return Ok(());
            }
            if cx.clock.now() >= until {
                let step = format!("the rollback of {}", self.service);
                return Err(FaultError::TimedOut { step, within: cx.deadline });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl LeasedSpec for BadReleaseSpec {
    const KIND: &'static str = "bad-release";
    const SUMMARY: &'static str = "a release with a flaw is rolled out to instances of a service";
    const MECHANISM: &'static str = "rollout by the supervisor";
    const CONTROL: &'static str = "supervisor";
    const HOLDS: &'static [Hold] = &[Hold::Changed(PROCESS)];
    type Order = BadReleaseDebt;

    fn radius(&self, topology: &Topology) -> Result<BlastRadius, FaultError> {
        self.targets().radius(topology)
    }

    fn touched(order: &BadReleaseDebt, topology: &Topology) -> Touched {
        let mut touched = touched(topology, order.before.iter().map(|before| &before.process));
        let service = &order.service;
        let slots = order.before.iter().map(|before| before.slot);
        touched.instances.extend(slots.map(|slot| format!("{service}/{service}-{slot}")));
        touched
    }

    async fn order(
        &self,
        cx: &Cx<'_>,
        supervisor: LabControl,
        name: String,
    ) -> Result<BadReleaseDebt, FaultError> {
        let targets = self.targets();
        let chosen = targets.living(targets.service_in(cx.topology)?, &cx.name())?;
        let slots = BadReleaseDebt::slots(&supervisor, cx.deadline.divided_by(2)).await?;
        let before: Result<Vec<Before>, FaultError> = chosen
            .into_iter()
            .map(|one| {
                let number = one.instance.rsplit_once('-').and_then(|(_, it)| it.parse().ok());
                let slot = number.and_then(|slot| find(&slots, &self.service, slot));
                let slot = slot.ok_or_else(|| FaultError::NoTarget {
                    target: format!("a release of {}", one.instance),
                })?;
                self.may_replace(slot, &one.instance)?;
                let (slot, release) = (slot.slot, slot.wanted.clone());
                let (instance, uid, process) = (one.instance, one.uid, one.process);
                Ok(Before { instance, slot, uid, process, release })
            })
            .collect();
        let (service, release) = (self.service.clone(), self.release.clone());
        Ok(BadReleaseDebt { supervisor, name, service, release, flaw: self.flaw, before: before? })
    }
}

impl BadReleaseSpec {
    fn targets(&self) -> Targets<'_> {
        Targets { service: &self.service, count: self.count, which: self.which }
    }

    /// Only an instance at rest, with another release than ours.
    fn may_replace(&self, slot: &Place, instance: &str) -> Result<(), FaultError> {
        let conflict = |why: String| {
            Err(FaultError::Conflict { what: format!("the release of {instance}"), why })
        };
        if slot.running.as_ref() != Some(&slot.wanted) {
            return conflict(format!("{} is being rolled out", slot.wanted));
        }
        if slot.wanted == self.release {
            return conflict(format!("it runs {} already", slot.wanted));
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use harness_core::fault::DynInjector as _;

    use super::super::leased::LeasedFault;
    use super::*;

    const INJECTOR: LeasedFault<BadReleaseSpec> = LeasedFault::INJECTOR;

    pub(crate) fn debt() -> BadReleaseDebt {
        let before = |slot: usize| {
            json!({
                "instance": format!("checkout-{slot}"), "slot": slot, "uid": "u", "release": "1",
                "process": {"bootId": "b", "pid": 1, "startTicks": 1},
            })
        };
        serde_json::from_value(json!({
            "supervisor": {"address": "127.0.0.1:1", "supervisor": null}, "name": "n",
            "service": "checkout", "release": "bad", "flaw": {"errors": "50%"},
            "before": [before(0), before(2)],
        }))
        .unwrap()
    }

    fn slot(slot: usize, wanted: &str, running: Option<&str>, ready: bool) -> Place {
        let running = running.map(str::to_owned);
        Place { deployment: "checkout".to_owned(), slot, wanted: wanted.to_owned(), running, ready }
    }

    #[test]
    fn defaults_are_written_out_and_bounds_are_kept() {
        let check = |service: &str, flaw: Value| {
            let checked = INJECTOR.check(&json!({"service": service, "flaw": flaw}));
            checked.map_err(|error| error.message)
        };
        assert_eq!(
            check("checkout", json!({"errors": "50%"})).unwrap(),
            json!({
                "service": "checkout", "count": 1, "which": "random", "release": "bad",
                "flaw": {"errors": "50%"},
            })
        );
        assert!(check("payments", json!({"slow": "200ms"})).is_ok());
        let error = |service: &str, flaw: Value| check(service, flaw).unwrap_err();
        let store = error("store", json!({"slow": "200ms"}));
        assert!(store.contains("`checkout` or `payments`"), "{store}");
        assert!(error("checkout", json!({"errors": "4%"})).contains("from 5% to 100%"));
        assert!(error("checkout", json!({"slow": "501ms"})).contains("from 50ms to 500ms"));
        let named = json!({"service": "checkout", "flaw": {"errors": "9%"}, "release": "a b"});
        assert!(INJECTOR.check(&named).unwrap_err().message.contains("letters, digits"));
    }

    #[test]
    fn the_order_names_each_instance_as_it_was() {
        let body = debt().body();
        assert_eq!(
            body["order"]["release"],
            json!({
                "name": "bad", "flaw": {"errorsPermille": 500},
            })
        );
        let first = json!({"slot": 0, "uid": "u", "release": "1"});
        assert_eq!(body["order"]["slots"][0], first);
    }

    #[test]
    fn a_rollback_is_over_when_all_are_ready_again() {
        let back = |other: Place| debt().back(&[slot(0, "1", Some("1"), true), other]).unwrap();
        assert_eq!(back(slot(2, "1", Some("1"), true)), Back::There);
        assert_eq!(back(slot(2, "1", Some("1"), false)), Back::Gone);
        assert_eq!(back(slot(2, "1", None, false)), Back::Gone);
        assert_eq!(back(slot(2, "1", Some("bad"), true)), Back::UnderWay);
    }

    #[test]
    fn what_somebody_else_has_released_is_theirs() {
        let slots = [slot(0, "1", Some("1"), true), slot(2, "3", Some("bad"), true)];
        let refused = debt().back(&slots);
        assert!(matches!(refused, Err(FaultError::Conflict { .. })), "{refused:?}");
        let same = [slot(0, "1", Some("1"), true), slot(1, "3", Some("3"), true)];
        assert_eq!(debt().back(&same), Ok(Back::There), "an instance that was never ours");
    }

    #[test]
    fn only_an_instance_at_rest_is_replaced() {
        let spec: BadReleaseSpec =
            serde_json::from_value(json!({"service": "checkout", "flaw": {"errors": "50%"}}))
                .unwrap();
        let may = |slot: Place| spec.may_replace(&slot, "checkout-0");
        assert_eq!(may(slot(0, "1", Some("1"), true)), Ok(()));
        for other in [slot(0, "2", Some("1"), true), slot(0, "bad", Some("bad"), true)] {
            assert!(matches!(may(other), Err(FaultError::Conflict { .. })));
        }
    }
}
