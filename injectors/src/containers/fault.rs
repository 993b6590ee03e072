//! The injector and the witness of every kind of fault that one order to the engine makes, and
//! another one takes back. A kind says which orders and how the container stands then; all else
//! is here.
//!
//! The engine knows nothing of faults: an order that was cut off may still be carried out. A
//! revert that finds nothing to put back therefore looks on for as long as one may be on its way.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use harness_core::fault::{
    BlastRadius, Cx, Debt, Effect, FaultEntry, FaultError, Hold, Injector, PROCESS, Requirement,
    Reversibility, Reverted, Sighting, Touched, Witness,
};
use harness_core::system::BoxFuture;
use harness_core::topology::{Instance, ProcessIdentity, Service, Topology};
use harness_core::units::Duration;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ENGINE;
use super::api::{Container, Engine, EngineError};
use super::kernel::is_ours;
use crate::proxy::{Question, SILENCE, Says, Seen, look, read, sum_up};
use crate::standing::Standing;
use crate::targets::{Target, Targets};

/// How often a container is looked at until an order has taken effect.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(20);
/// One question to the engine is answered within this time, or asked again.
const ASK_MAX: Duration = Duration::from_secs(2);

/// What a scenario says about a fault on containers, and which orders make it.
pub(crate) trait ContainerSpec:
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
    /// What must be known of a container to change it, and to change it back.
    type Change: Serialize + DeserializeOwned + fmt::Debug + Send + Sync;

    /// Which containers.
    fn targets(&self) -> Targets<'_>;
    /// Decides the change of one container. Reads only; `Err` says why it cannot be made.
    fn decide(&self, found: &Container, process: &ProcessIdentity) -> Result<Self::Change, String>;
    /// How a container stands that is still there.
    fn standing(held: &Held<Self::Change>, found: &Container) -> Standing;
    /// Gives the order.
    fn make(
        engine: &Engine,
        held: &Held<Self::Change>,
        within: Duration,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// Takes it back; only given to a changed container.
    fn unmake(
        engine: &Engine,
        held: &Held<Self::Change>,
        within: Duration,
    ) -> impl Future<Output = Result<(), EngineError>> + Send;
    /// So many containers are seen to at once.
    const AT_ONCE: usize = 64;
    /// How long an order that was cut off may still be on its way.
    fn on_its_way(change: &Self::Change) -> Duration;
    /// What the kernel's word and a connection say together, and the kernel's word.
    fn says(held: &Held<Self::Change>, seen: &Seen) -> (Says, String);
}

/// One container of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Held<C> {
    /// Its name, for people.
    pub(crate) container: String,
    /// Its id: another container of that name is not meant.
    pub(crate) id: String,
    /// When it was started last: a start since then is somebody else's.
    pub(crate) started_at: String,
    /// Its main process on this machine.
    pub(crate) process: ProcessIdentity,
    /// What is changed, and to what it is changed back.
    pub(crate) change: C,
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ContainerDebt<C> {
    /// The engine's socket.
    pub(crate) engine: PathBuf,
    /// In the order of their names.
    pub(crate) containers: Vec<Held<C>>,
}

/// The injector of one such kind.
pub(crate) struct ContainerFault<S>(PhantomData<fn() -> S>);

/// The registry's entry of a kind.
pub(crate) fn entry<S: ContainerSpec>(requires: Vec<Requirement>) -> FaultEntry {
    FaultEntry {
        injector: Arc::new(ContainerFault::<S>::INJECTOR),
        witness: Arc::new(ContainerWitness::<S>(PhantomData)),
        requires,
    }
}

impl<S: ContainerSpec> ContainerFault<S> {
    /// The injector; it has no state of its own.
    pub(crate) const INJECTOR: Self = Self(PhantomData);
}

/// The engine of a live system.
pub(crate) fn engine_of(topology: &Topology) -> Result<Engine, FaultError> {
    topology.controls.get(ENGINE).map(Engine::new).ok_or_else(|| FaultError::Unavailable {
        mechanism: "container engine".to_owned(),
        why: "the system names none".to_owned(),
    })
}

/// A chosen container as its engine tells it now; the same incarnation that was chosen.
pub(crate) async fn chosen(
    engine: &Engine,
    target: &Target,
    within: Duration,
) -> Result<Container, FaultError> {
    if is_ours(&target.uid) {
        return Err(FaultError::Conflict {
            what: target.instance.clone(),
            why: "gameday itself runs in it, and could put nothing back".to_owned(),
        });
    }
    let found = engine.inspect(&target.uid, within).await;
    let found = found.map_err(|error| error.failed(format!("look at {}", target.instance)))?;
    let same = found.filter(|one| one.process().as_ref() == Some(&target.process));
    same.ok_or_else(|| FaultError::NoTarget {
        target: format!("process {} of {}", target.process.pid, target.instance),
    })
}

impl<C> ContainerDebt<C> {
    /// What it touches, by the containers and the processes that it names.
    pub(super) fn touched(&self, topology: &Topology) -> Touched {
        let path = |held: &Held<C>| {
            let is_it = |_: &Service, one: &Instance| {
                one.uid.as_ref() == Some(&held.id) && one.process.as_ref() == Some(&held.process)
            };
            topology.path_where(is_it).unwrap_or_else(|| format!("container {}", held.id))
        };
        Touched::instances(self.containers.iter().map(path))
    }
}

impl<C> Held<C> {
    fn conflict(&self, why: String) -> FaultError {
        FaultError::Conflict { what: format!("container {}", self.container), why }
    }

    async fn stands<S: ContainerSpec<Change = C>>(
        &self,
        engine: &Engine,
        within: Duration,
    ) -> Result<Standing, EngineError> {
        let found = engine.inspect(&self.id, within.min(ASK_MAX)).await?;
        Ok(found.map_or(Standing::Gone, |found| S::standing(self, &found)))
    }

    async fn put_in_force<S: ContainerSpec<Change = C>>(
        &self,
        engine: &Engine,
        cx: &Cx<'_>,
    ) -> Result<(), FaultError> {
        let until = cx.clock.now() + cx.deadline;
        let failed = |error: EngineError| error.failed(format!("change {}", self.container));
        match self.stands::<S>(engine, cx.deadline).await.map_err(failed)? {
            Standing::Changed => return Ok(()),
            Standing::Before => {}
            Standing::Gone => {
                return Err(self.conflict("it is gone, or was started again".to_owned()));
            }
            Standing::Other(why) => return Err(self.conflict(why)),
        }
        let left = until.since(cx.clock.now());
        S::make(engine, self, left).await.map_err(failed)?;
        loop {
            let left = until.since(cx.clock.now());
            let standing = self.stands::<S>(engine, left).await.map_err(failed)?;
            if standing == Standing::Changed {
                return Ok(());
            }
            if left == Duration::ZERO {
                let action = format!("change {}", self.container);
                return Err(FaultError::Failed { action, why: format!("it stays {standing:?}") });
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn put_back<S: ContainerSpec<Change = C>>(
        &self,
        engine: &Engine,
        cx: &Cx<'_>,
    ) -> Result<Reverted, FaultError> {
        let until = cx.clock.now() + cx.deadline;
        let action = || format!("change {} back", self.container);
        let (mut was_put_back, mut before_since, mut refusal) = (false, None, None);
        loop {
            let now = cx.clock.now();
            let left = until.since(now);
            let standing = self.stands::<S>(engine, left).await;
            match standing.map_err(|error| error.failed(action()))? {
                // The one order that the record stands for has been carried out and taken back.
                Standing::Gone | Standing::Before if was_put_back => return Ok(Reverted::PutBack),
                Standing::Gone => return Ok(Reverted::WasClean),
                Standing::Other(why) => return Err(self.conflict(why)),
                Standing::Before => {
                    let since = *before_since.get_or_insert(now);
                    if now.since(since) >= S::on_its_way(&self.change) {
                        return Ok(Reverted::WasClean);
                    }
                }
                Standing::Changed => {
                    before_since = None;
                    match S::unmake(engine, self, left).await {
                        Ok(()) => was_put_back = true,
                        // It may stand otherwise by now; the next look tells.
                        Err(error) => refusal = Some(error.failed(action())),
                    }
                }
            }
            if left == Duration::ZERO {
                let step = action();
                let late = FaultError::TimedOut { step, within: cx.deadline };
                return Err(refusal.unwrap_or(late));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl<S: ContainerSpec> Injector for ContainerFault<S> {
    const KIND: &'static str = S::KIND;
    const SUMMARY: &'static str = S::SUMMARY;
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    type Spec = S;
    type Undo = ContainerDebt<S::Change>;

    fn blast_radius(spec: &S, topology: &Topology) -> Result<BlastRadius, FaultError> {
        spec.targets().radius(topology)
    }

    fn holds(_spec: &Self::Spec) -> Vec<Hold> {
        vec![Hold::Changed(PROCESS)]
    }

    fn mechanism(_spec: &S) -> String {
        S::MECHANISM.to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &S) -> Result<Self::Undo, FaultError> {
        let targets = spec.targets();
        let service = targets.service_in(cx.topology)?;
        let engine = engine_of(cx.topology)?;
        let mut containers = Vec::new();
        for target in targets.living(service, &cx.name())? {
            let found = chosen(&engine, &target, cx.deadline.min(ASK_MAX)).await?;
            let Target { instance, uid, process } = target;
            let change = spec.decide(&found, &process);
            let change =
                change.map_err(|why| FaultError::Conflict { what: instance.clone(), why })?;
            let started_at = found.state.started_at;
            containers.push(Held { container: instance, id: uid, started_at, process, change });
        }
        Ok(ContainerDebt { engine: engine.socket().to_owned(), containers })
    }

    fn touched(_spec: &S, undo: &Self::Undo, topology: &Topology) -> Touched {
        undo.touched(topology)
    }

    async fn inject(
        &self,
        cx: &Cx<'_>,
        _spec: &S,
        undo: &Self::Undo,
    ) -> Result<Option<Self::Undo>, FaultError> {
        let engine = Engine::new(&undo.engine);
        let each: Vec<_> =
            undo.containers.iter().map(|held| held.put_in_force::<S>(&engine, cx)).collect();
        let done: Vec<_> = stream::iter(each).buffered(S::AT_ONCE).collect().await;
        done.into_iter().collect::<Result<(), _>>()?;
        Ok(None)
    }

    async fn verify(
        &self,
        cx: &Cx<'_>,
        _spec: &S,
        undo: &Self::Undo,
    ) -> Result<Effect, FaultError> {
        let engine = Engine::new(&undo.engine);
        for held in &undo.containers {
            let standing = held.stands::<S>(&engine, cx.deadline).await;
            let failed = |error: EngineError| error.failed(format!("look at {}", held.container));
            if standing.map_err(failed)? != Standing::Changed {
                return Ok(Effect::Absent);
            }
        }
        Ok(Effect::InPlace)
    }

    async fn revert(&self, cx: &Cx<'_>, undo: &Self::Undo) -> Result<Reverted, FaultError> {
        let engine = Engine::new(&undo.engine);
        // All are tried before the first failure is told.
        let each: Vec<_> =
            undo.containers.iter().map(|held| held.put_back::<S>(&engine, cx)).collect();
        let mut how = Reverted::WasClean;
        let done: Vec<_> = stream::iter(each).buffered(S::AT_ONCE).collect().await;
        for one in done {
            if one? == Reverted::PutBack {
                how = Reverted::PutBack;
            }
        }
        Ok(how)
    }
}

/// Where the containers of the record listened, by their order there; kept in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Listening {
    pub(crate) addresses: Vec<String>,
}

impl Listening {
    /// Where the instances of these processes listen, each seen to answer.
    pub(crate) async fn seen(
        cx: &Cx<'_>,
        processes: impl Iterator<Item = &ProcessIdentity>,
    ) -> Result<Self, FaultError> {
        let instances = || cx.topology.services.iter().flat_map(|service| &service.instances);
        let mut addresses = Vec::new();
        for process in processes {
            let found = instances().find(|one| one.process.as_ref() == Some(process));
            let found = found.ok_or_else(|| FaultError::NoTarget {
                target: format!("the container of process {}", process.pid),
            })?;
            let address = found.address.clone().ok_or_else(|| FaultError::NoTarget {
                target: format!("an address of {}", found.name),
            })?;
            let seen = look(&address, question(cx.deadline), cx.clock).await;
            if !is_answer(&seen) {
                let action = format!("see {} answer HTTP at {address}", found.name);
                return Err(FaultError::Failed { action, why: seen.to_string() });
            }
            addresses.push(address);
        }
        Ok(Self { addresses })
    }
}

/// Where a container listens now: by its engine, as an engine may give it another address when it
/// starts again; where the engine tells none, as before.
pub(crate) async fn address_now(
    engine: &Engine,
    id: &str,
    before: &str,
    within: Duration,
) -> String {
    let port = before.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let found = engine.inspect(id, within.min(ASK_MAX).divided_by(4)).await;
    let now = found.ok().flatten().zip(port).and_then(|(found, port)| found.address(port));
    now.unwrap_or_else(|| before.to_owned())
}

/// Any HTTP answer: what a container serves at which path is its own affair.
pub(crate) fn is_answer(seen: &Seen) -> bool {
    matches!(seen, Seen::Answered { .. })
}

pub(crate) fn question(deadline: Duration) -> Question<'static> {
    // One silence for opening, one for the answer, and a rest for the engine.
    Question::once(SILENCE.min(deadline.divided_by(3)))
}

/// Reads the kernel's view of the containers' processes, and opens connections as a caller would.
pub(crate) struct ContainerWitness<S>(PhantomData<fn() -> S>);

impl<S: ContainerSpec> ContainerWitness<S> {
    async fn before(cx: &Cx<'_>, undo: &Value) -> Result<Value, FaultError> {
        let debt: ContainerDebt<S::Change> = read("undo record", undo)?;
        let processes = debt.containers.iter().map(|held| &held.process);
        let listening = Listening::seen(cx, processes).await?;
        Ok(serde_json::to_value(listening).expect("plain data"))
    }

    async fn see(cx: &Cx<'_>, debt: Debt<'_>) -> Result<Sighting, FaultError> {
        let undo: ContainerDebt<S::Change> = read("undo record", debt.undo)?;
        let Listening { addresses } = read("baseline", debt.baseline)?;
        let engine = Engine::new(&undo.engine);
        let each = undo.containers.iter().zip(&addresses).map(async |(held, before)| {
            let address = address_now(&engine, &held.id, before, cx.deadline).await;
            let seen = look(&address, question(cx.deadline), cx.clock).await;
            let (says, word) = S::says(held, &seen);
            (says, before.as_str(), format!("{} {word}; {seen}", held.container))
        });
        Ok(sum_up(join_all(each).await.into_iter()))
    }
}

impl<S: ContainerSpec> Witness for ContainerWitness<S> {
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
