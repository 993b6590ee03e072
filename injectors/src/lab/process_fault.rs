//! The injector and the witness of every kind of fault that changes a live process and can change
//! it back: what must be known of the process is recorded, then the kernel is told.
//!
//! A kind says what is changed and how it shows; all else is here. Every change is a system call
//! of the calling thread, so a step that was cut off leaves nothing under way.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::join_all;
use harness_core::fault::{
    BlastRadius, Cx, Debt, Effect, FaultEntry, FaultError, Hold, Injector, Requirement,
    Reversibility, Reverted, Scope, Sighting, Touched, Witness,
};
use harness_core::system::BoxFuture;
use harness_core::topology::{ProcessIdentity, Topology};
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::radius;
use crate::cgroup::Seat;
use crate::process::{Presence, presence};
use crate::proxy::{Question, SILENCE, Says, Seen, look, look_on, read, sum_up};
use crate::standing::Standing;
use crate::targets::{Target, Targets, touched};

/// How often a process is looked at until a change has taken effect.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(1);

/// A process in a group of ours is under its effect, as long as it is there.
impl From<Option<Seat>> for Standing {
    fn from(seat: Option<Seat>) -> Self {
        match seat {
            Some(Seat::Own) => Self::Changed,
            Some(Seat::Origin) => Self::Before,
            Some(Seat::Elsewhere(group)) => Self::Other(format!("it is in the group {group}")),
            None => Self::Gone,
        }
    }
}

/// What a scenario says about a fault on live processes, and what is done to each of them.
pub(crate) trait ProcessSpec:
    Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
    /// The name in scenarios.
    const KIND: &'static str;
    /// One line for lists.
    const SUMMARY: &'static str;
    /// The mechanism, in a word or two.
    const MECHANISM: &'static str;
    /// How the witness looks, in a few words.
    const METHOD: &'static str;
    /// What no other fault may change beside it.
    const HOLDS: &'static [Hold];
    /// What must be known of a process to change it, and to change it back.
    type Change: Serialize + DeserializeOwned + fmt::Debug + Send + Sync;

    /// Which instances.
    fn targets(&self) -> Targets<'_>;
    /// Decides the change of one process. Reads only; `Err` says why it cannot be made. `name` is
    /// for objects of the kernel: no other fault and no other instance has it.
    fn decide(&self, process: &ProcessIdentity, name: &str) -> Result<Self::Change, String>;
    /// Makes it.
    fn make(process: &ProcessIdentity, change: &Self::Change) -> Result<(), String>;
    /// Makes it undone; only called on a changed process.
    fn unmake(process: &ProcessIdentity, change: &Self::Change) -> Result<(), String>;
    /// Called on a process that is not, or no more, changed: what is still on its way is called
    /// back, and what was made for the change is removed.
    fn clear(_process: &ProcessIdentity, _change: &Self::Change) -> Result<(), String> {
        Ok(())
    }
    /// Reads how the process stands.
    fn standing(process: &ProcessIdentity, change: &Self::Change) -> Result<Standing, String>;
    /// How many connections a look opens at once.
    fn connections(process: &ProcessIdentity, change: &Self::Change) -> Result<usize, String>;
    /// Whether the change itself has ended its process, by the kernel's word.
    fn ended(_change: &Self::Change) -> Result<bool, String> {
        Ok(false)
    }
    /// What the kernel counts of the effect: read before the connections are opened and after
    /// they are answered. `None` where nothing is counted.
    fn tally(_process: &ProcessIdentity, _change: &Self::Change) -> Result<Option<u64>, String> {
        Ok(None)
    }
    /// What the kernel's word, its two counts and those connections say together.
    fn says(standing: &Standing, tally: [Option<u64>; 2], seen: &[Seen]) -> Says;
}

/// One process of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Held<C> {
    /// The slot's name: `checkout-0`.
    pub(crate) instance: String,
    /// Its process.
    pub(crate) process: ProcessIdentity,
    /// What is changed, and to what it is changed back.
    pub(crate) change: C,
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ProcessDebt<C> {
    /// In the order of their slots.
    pub(crate) processes: Vec<Held<C>>,
}

/// The injector of one such kind.
pub(crate) struct ProcessFault<S>(PhantomData<fn() -> S>);

/// The registry's entry of a kind.
pub(crate) fn entry<S: ProcessSpec>(requires: Vec<Requirement>) -> FaultEntry {
    FaultEntry {
        injector: Arc::new(ProcessFault::<S>::INJECTOR),
        witness: Arc::new(ProcessWitness::<S>(PhantomData)),
        requires,
    }
}

impl<S: ProcessSpec> ProcessFault<S> {
    /// The injector; it has no state of its own.
    pub(crate) const INJECTOR: Self = Self(PhantomData);
}

impl<C> Held<C> {
    fn failed(&self, action: &str, why: String) -> FaultError {
        let action = format!("{action} process {} of {}", self.process.pid, self.instance);
        FaultError::Failed { action, why }
    }

    fn conflict(&self, why: String) -> FaultError {
        let what = format!("process {} of {}", self.process.pid, self.instance);
        FaultError::Conflict { what, why }
    }

    fn stands<S: ProcessSpec<Change = C>>(&self) -> Result<Standing, FaultError> {
        let standing = S::standing(&self.process, &self.change);
        match standing.map_err(|why| self.failed("look at", why))? {
            Standing::Gone if self.ended::<S>()? => Ok(Standing::Changed),
            standing => Ok(standing),
        }
    }

    fn ended<S: ProcessSpec<Change = C>>(&self) -> Result<bool, FaultError> {
        S::ended(&self.change).map_err(|why| self.failed("look at", why))
    }

    fn tally<S: ProcessSpec<Change = C>>(&self) -> Result<Option<u64>, FaultError> {
        S::tally(&self.process, &self.change).map_err(|why| self.failed("look at", why))
    }

    fn put_in_force<S: ProcessSpec<Change = C>>(&self) -> Result<(), FaultError> {
        match self.stands::<S>()? {
            Standing::Before => {}
            Standing::Changed => return Ok(()),
            Standing::Gone => return Err(self.conflict("it was gone already".to_owned())),
            Standing::Other(why) => return Err(self.conflict(why)),
        }
        S::make(&self.process, &self.change).map_err(|why| self.failed("change", why))
    }

    fn put_back<S: ProcessSpec<Change = C>>(&self) -> Result<Reverted, FaultError> {
        let standing = self.stands::<S>()?;
        let act = if standing == Standing::Changed { S::unmake } else { S::clear };
        act(&self.process, &self.change).map_err(|why| self.failed("change back", why))?;
        match standing {
            Standing::Changed => Ok(Reverted::PutBack),
            Standing::Gone | Standing::Before => Ok(Reverted::WasClean),
            Standing::Other(why) => Err(self.conflict(why)),
        }
    }
}

/// A change may show a moment after it was made.
async fn settled<S: ProcessSpec>(
    cx: &Cx<'_>,
    held: &Held<S::Change>,
    done: impl Fn(&Standing) -> bool + Send,
) -> Result<(), FaultError> {
    let until = cx.clock.now() + cx.deadline;
    loop {
        let standing = held.stands::<S>()?;
        if done(&standing) {
            return Ok(());
        }
        if cx.clock.now() >= until {
            return Err(held.failed("change", format!("it stays {standing:?}")));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

impl<S: ProcessSpec> Injector for ProcessFault<S> {
    const KIND: &'static str = S::KIND;
    const SUMMARY: &'static str = S::SUMMARY;
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    // What was changed of a process goes with it; its empty group is removed by the revert.
    const SCOPE: Scope = Scope::WithinSystem;
    type Spec = S;
    type Undo = ProcessDebt<S::Change>;

    fn blast_radius(spec: &S, topology: &Topology) -> Result<BlastRadius, FaultError> {
        radius(&spec.targets(), topology)
    }

    fn holds(_spec: &Self::Spec) -> Vec<Hold> {
        S::HOLDS.to_vec()
    }

    fn mechanism(_spec: &S) -> String {
        S::MECHANISM.to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &S) -> Result<Self::Undo, FaultError> {
        let targets = spec.targets();
        let service = targets.service_in(cx.topology)?;
        let hold = |Target { instance, process, .. }: Target| {
            let name = format!("{instance}-{}", cx.name());
            match spec.decide(&process, &name) {
                Ok(change) => Ok(Held { instance, process, change }),
                Err(why) => Err(FaultError::Conflict { what: instance, why }),
            }
        };
        let processes: Result<Vec<_>, FaultError> =
            targets.living(service, &cx.name())?.into_iter().map(hold).collect();
        Ok(ProcessDebt { processes: processes? })
    }

    fn touched(_spec: &S, undo: &Self::Undo, topology: &Topology) -> Touched {
        touched(topology, undo.processes.iter().map(|held| &held.process))
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        _spec: &S,
        undo: &Self::Undo,
    ) -> Result<Option<Self::Undo>, FaultError> {
        for held in &undo.processes {
            held.put_in_force::<S>()?;
        }
        for held in &undo.processes {
            settled::<S>(cx, held, |standing| *standing == Standing::Changed).await?;
        }
        Ok(None)
    }

    async fn verify(
        &self,
        _cx: &Cx<'_>,
        _spec: &S,
        undo: &Self::Undo,
    ) -> Result<Effect, FaultError> {
        for held in &undo.processes {
            if held.stands::<S>()? != Standing::Changed {
                return Ok(Effect::Absent);
            }
        }
        Ok(Effect::InPlace)
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &Self::Undo) -> Result<Reverted, FaultError> {
        // All are tried before the first failure is told.
        let tried: Vec<_> = undo.processes.iter().map(Held::put_back::<S>).collect();
        let mut how = Reverted::WasClean;
        for one in tried {
            if one? == Reverted::PutBack {
                how = Reverted::PutBack;
            }
        }
        for held in &undo.processes {
            let back = |standing: &Standing| *standing != Standing::Changed;
            settled::<S>(cx, held, back).await?;
        }
        Ok(how)
    }
}

/// Where the instances of the record listen, by their order there; kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Listening {
    addresses: Vec<String>,
}

/// Reads the kernel's view of the processes, and opens connections to them as a caller would.
pub(crate) struct ProcessWitness<S>(PhantomData<fn() -> S>);

impl<S: ProcessSpec> ProcessWitness<S> {
    pub(super) async fn before(cx: &Cx<'_>, undo: &Value) -> Result<Value, FaultError> {
        let debt: ProcessDebt<S::Change> = read("undo record", undo)?;
        let instances = || cx.topology.services.iter().flat_map(|service| &service.instances);
        let mut addresses = Vec::new();
        for held in &debt.processes {
            let found = instances().find(|one| one.process.as_ref() == Some(&held.process));
            let address = found.and_then(|one| one.address.clone()).ok_or_else(|| {
                FaultError::NoTarget { target: format!("an address of {}", held.instance) }
            })?;
            let seen = look(&address, question(cx.deadline), cx.clock).await;
            if !matches!(seen, Seen::Answered { status: 200, .. }) {
                let action = format!("see {} healthy at {address}", held.instance);
                return Err(FaultError::Failed { action, why: seen.to_string() });
            }
            addresses.push(address);
        }
        Ok(serde_json::to_value(Listening { addresses }).expect("plain data"))
    }

    pub(super) async fn see(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let undo: ProcessDebt<S::Change> = read("undo record", debt.undo)?;
        let Listening { addresses } = read("baseline", debt.baseline)?;
        let each = undo.processes.iter().zip(&addresses).map(async |(held, address)| {
            let connections = S::connections(&held.process, &held.change)
                .map_err(|why| held.failed("look at", why))?;
            let before = held.tally::<S>()?;
            let was = presence(&held.process);
            let seen = look_on(connections, address, question(cx.deadline), cx.clock).await;
            let standing = held.stands::<S>()?;
            let tally = [before, held.tally::<S>()?];
            let healthy = seen.iter().all(is_healthy);
            let says = match (was, presence(&held.process)) {
                (_, Presence::Alive) => S::says(&standing, tally, &seen),
                // Another process took its place.
                (Presence::Gone, Presence::Gone) if healthy => Says::NotInForce,
                (_, Presence::Gone) if !healthy && held.ended::<S>()? => Says::InForce,
                (_, Presence::Gone) => Says::Nothing,
            };
            let counted = tally[1].map_or_else(String::new, |count| format!(" ({count})"));
            let pid = held.process.pid;
            let words = format!("process {pid} is {standing:?}{counted}; {}", heard(&seen));
            Ok::<_, FaultError>((says, address.as_str(), words))
        });
        let said: Result<Vec<_>, FaultError> = join_all(each).await.into_iter().collect();
        Ok(sum_up(said?.into_iter()))
    }
}

/// An answer of a healthy instance.
pub(crate) fn is_healthy(seen: &Seen) -> bool {
    matches!(seen, Seen::Answered { status: 200, .. })
}

/// The first of what is not healthy, else the first.
fn heard(seen: &[Seen]) -> String {
    let first = seen.iter().find(|one| !is_healthy(one)).or(seen.first());
    first.map_or_else(String::new, ToString::to_string)
}

fn question(deadline: Duration) -> Question<'static> {
    // One silence for opening, one for the answer.
    Question::once(SILENCE.min(deadline.divided_by(2)))
}

impl<S: ProcessSpec> Witness for ProcessWitness<S> {
    fn method(&self) -> &'static str {
        S::METHOD
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(Self::before(cx, undo))
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::see(cx, debt).await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}
