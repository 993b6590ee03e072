//! The laws of an injector and its witness, checked on a real world.
//!
//! One suite for all kinds: a test brings a [`World`] in which the fault can be tried, and calls
//! [`check`]. Every record goes through JSON text, as through the ledger. It asserts nothing
//! itself: a broken law is an [`Err`] that names the law.

use std::sync::Arc;

use harness_core::fault::{
    BlastRadius, Cx, Debt, DynInjector, Effect, FaultError, Reversibility, Reverted, Sighting,
    Touched, Witness, look_deadline,
};
use harness_core::ids::{FaultId, RunId, TrialIndex};
use harness_core::system::BoxFuture;
use harness_core::time::Clock;
use harness_core::topology::Topology;
use harness_core::units::Duration;
use serde_json::Value;

/// Between two looks of a witness that does not agree yet.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(20);
/// An injection that was cut off shows within this time after its revert, if it ever does.
const SHOWS_WITHIN: Duration = Duration::from_secs(2);
/// The lease of a fault under test.
const LEASE: Duration = Duration::from_secs(60);

/// A system in which a fault can be tried, again and again.
pub trait World: Send + Sync {
    /// The system as it is now, healthy.
    fn topology(&self) -> BoxFuture<'_, Topology>;
    /// The clock.
    fn clock(&self) -> &dyn Clock;
    /// A fresh instance of the injector and its witness, as a new process would have them.
    fn fresh(&self) -> (Arc<dyn DynInjector>, Arc<dyn Witness>);
    /// A specification under test.
    fn spec(&self) -> Value;
    /// Whether an injection that was cut off may take effect later.
    fn late(&self) -> Late {
        Late::Possible
    }
    /// How long a step of the injector may take.
    fn step(&self) -> Duration {
        Duration::from_secs(10)
    }
    /// How long a witness may take to agree.
    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }
}

/// Whether an injection that was cut off may take effect later, and so after its own revert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// A request is on its way to another process: an injection after its own revert is refused.
    Possible,
    /// A request is on its way to a process that knows nothing of faults: a revert that finds
    /// nothing waits until none can be on its way any more, and nobody remembers it.
    Outwaited,
    /// It is nothing but system calls of the calling thread: what was cut off is not under way,
    /// and nobody remembers the revert.
    Never,
}

/// A law that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{law}: {found}")]
pub struct Broken {
    /// Which.
    pub law: &'static str,
    /// What was found instead.
    pub found: String,
}

/// Where the process that works on a fault dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// The record is on disk; nothing was injected.
    AfterArm,
    /// The injection was cut off at its beginning, and may still arrive.
    DuringInject,
    /// The injection was made; its amended record was not written.
    AfterInject,
    /// The revert was made; that was not written.
    AfterRevert,
}

const DEATHS: [Death; 4] =
    [Death::AfterArm, Death::DuringInject, Death::AfterInject, Death::AfterRevert];

/// Checks every law. `run` tells the tries of one test process apart.
pub async fn check(world: &dyn World, run: &str) -> Result<(), Broken> {
    let mut number = 0;
    let mut trial = || {
        number += 1;
        Trial { world, run: RunId::new(run), index: TrialIndex(number), fault: "fault".into() }
    };
    trial().between().await?;
    trial().reverts_from_the_record_alone().await?;
    for death in DEATHS {
        trial().is_repaid_after(death).await?;
    }
    Ok(())
}

/// One try of the fault.
struct Trial<'a> {
    world: &'a dyn World,
    run: RunId,
    index: TrialIndex,
    fault: FaultId,
}

/// The recorded facts, as they come back from disk.
struct Record {
    spec: Value,
    undo: Value,
    baseline: Value,
}

impl Record {
    fn debt(&self) -> Debt<'_> {
        Debt { spec: &self.spec, undo: &self.undo, baseline: &self.baseline }
    }
}

fn law<T>(law: &'static str, result: Result<T, FaultError>) -> Result<T, Broken> {
    result.map_err(|error| Broken { law, found: error.to_string() })
}

fn same<T: PartialEq + std::fmt::Debug>(
    law: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), Broken> {
    if found == expected {
        return Ok(());
    }
    Err(Broken { law, found: format!("{found:?} instead of {expected:?}") })
}

/// Through text and back.
fn through_text(value: &Value) -> Value {
    serde_json::from_str(&value.to_string()).expect("a value was written")
}

impl Trial<'_> {
    fn cx<'a>(&'a self, topology: &'a Topology, deadline: Duration) -> Cx<'a> {
        Cx {
            run: &self.run,
            trial: self.index,
            fault: &self.fault,
            topology,
            lease: LEASE,
            deadline,
            clock: self.world.clock(),
        }
    }

    /// Arms, and checks that it changed nothing.
    async fn arm(&self, topology: &Topology) -> Result<Record, Broken> {
        let (injector, witness) = self.world.fresh();
        let spec = injector.check(&self.world.spec()).map_err(|error| Broken {
            law: "a specification under test is right",
            found: error.to_string(),
        })?;
        let again = injector.check(&spec).map_err(|error| Broken {
            law: "a checked specification is right",
            found: error.to_string(),
        })?;
        same("defaults are written out once", &again, &spec)?;
        let radius = injector.blast_radius(&spec, &topology.declared());
        let radius = law("the declared topology gives a blast radius", radius)?;
        if radius == BlastRadius::default() {
            return Err(Broken { law: "a fault touches something", found: "nothing".into() });
        }
        let holds = law("a specification says what it holds", injector.holds(&spec))?;
        if holds.is_empty() && !radius.instances.is_empty() {
            let law = "a fault on instances has something of them for itself";
            return Err(Broken { law, found: "nothing".into() });
        }
        let cx = self.cx(topology, self.world.step());
        let undo = law("a healthy target can be armed", injector.arm(&cx, &spec).await)?;
        let touched = injector.touched(&spec, &undo, topology);
        let touched = law("a record says what it touches", touched)?;
        let nothing = touched == Touched::default();
        let beyond = nothing.then(|| "it names nothing".to_owned());
        if let Some(found) = beyond.or_else(|| radius.is_exceeded_by(&touched)) {
            return Err(Broken { law: "a record names no more than the plan", found });
        }
        let twice = law("arming changes nothing", injector.arm(&cx, &spec).await)?;
        same("arming twice gives the same record", &twice, &undo)?;
        let baseline = law("a baseline is seen", witness.baseline(&cx, &spec, &undo).await)?;
        let [spec, undo, baseline] = [&spec, &undo, &baseline].map(through_text);
        let record = Record { spec, undo, baseline };
        let effect = injector.verify(&cx, &record.spec, &record.undo).await;
        let effect = law("an armed fault can be verified", effect)?;
        same("verify is false before", &effect, &Effect::Absent)?;
        self.sees(&record, Wanted::Gone, "the witness sees nothing before").await?;
        Ok(record)
    }

    async fn inject(&self, topology: &Topology, record: &mut Record) -> Result<(), Broken> {
        let (injector, _) = self.world.fresh();
        let cx = self.cx(topology, self.world.step());
        let amended = injector.inject(&cx, &record.spec, &record.undo).await;
        if let Some(undo) = law("an armed fault can be injected", amended)? {
            record.undo = through_text(&undo);
        }
        Ok(())
    }

    /// Reverts as a fresh process does: without a topology, from the record alone.
    async fn revert(&self, record: &Record, name: &'static str) -> Result<Reverted, Broken> {
        let (injector, _) = self.world.fresh();
        let nothing = Topology::default();
        law(name, injector.revert(&self.cx(&nothing, self.world.step()), &record.undo).await)
    }

    async fn is_gone(&self, record: &Record) -> Result<(), Broken> {
        self.sees(record, Wanted::Gone, "the witness sees nothing after").await?;
        let (injector, _) = self.world.fresh();
        let nothing = Topology::default();
        let effect = injector
            .verify(&self.cx(&nothing, self.world.step()), &record.spec, &record.undo)
            .await;
        same("verify is false after", &law("verify answers after", effect)?, &Effect::Absent)
    }

    /// Looks with a fresh witness, and no topology, until it agrees.
    async fn sees(
        &self,
        record: &Record,
        wanted: Wanted,
        name: &'static str,
    ) -> Result<(), Broken> {
        let (injector, witness) = self.world.fresh();
        let heals = injector.reversibility() == Reversibility::SelfHealing;
        let nothing = Topology::default();
        let mut last = String::new();
        let until = self.world.clock().now() + self.world.patience();
        while self.world.clock().now() < until {
            let deadline = look_deadline(witness.look_takes(&record.spec));
            match (wanted, witness.look(&self.cx(&nothing, deadline), record.debt()).await) {
                (Wanted::InForce, Sighting::InForce(_))
                | (Wanted::Gone, Sighting::NotInForce(_)) => return Ok(()),
                (_, Sighting::Over(_)) if heals => return Ok(()),
                (_, other) => last = format!("{other:?}"),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err(Broken { law: name, found: last })
    }

    /// False before, true between, false after; and reverting twice is reverting once.
    async fn between(&self) -> Result<(), Broken> {
        let topology = self.world.topology().await;
        let mut record = self.arm(&topology).await?;
        self.inject(&topology, &mut record).await?;
        let (injector, _) = self.world.fresh();
        let cx = self.cx(&topology, self.world.step());
        let effect = injector.verify(&cx, &record.spec, &record.undo).await;
        same("verify is true between", &law("verify answers", effect)?, &Effect::InPlace)?;
        self.sees(&record, Wanted::InForce, "the witness sees it between").await?;
        law("a lease can be renewed", injector.renew(&cx, &record.undo).await)?;
        let how = self.revert(&record, "revert succeeds").await?;
        if injector.reversibility() == Reversibility::Reversible {
            same("the first revert puts something back", &how, &Reverted::PutBack)?;
        }
        let again = self.revert(&record, "a second revert succeeds").await?;
        same("the second revert finds nothing", &again, &Reverted::WasClean)?;
        self.is_gone(&record).await
    }

    async fn reverts_from_the_record_alone(&self) -> Result<(), Broken> {
        let record = {
            let topology = self.world.topology().await;
            let mut record = self.arm(&topology).await?;
            self.inject(&topology, &mut record).await?;
            record
        };
        self.sees(&record, Wanted::InForce, "the witness sees it between").await?;
        self.revert(&record, "a fresh process reverts from the record alone").await?;
        self.is_gone(&record).await
    }

    async fn is_repaid_after(&self, death: Death) -> Result<(), Broken> {
        let topology = self.world.topology().await;
        let mut record = self.arm(&topology).await?;
        match death {
            Death::AfterArm => {}
            Death::DuringInject => {
                let (injector, _) = self.world.fresh();
                let cx = self.cx(&topology, self.world.step());
                // One poll: whatever has left the process by then may still take effect.
                let inject = injector.inject(&cx, &record.spec, &record.undo);
                tokio::select! {
                    biased;
                    _ = inject => {}
                    () = std::future::ready(()) => {}
                }
            }
            // The record on disk is the one from before.
            Death::AfterInject => {
                let on_disk = record.undo.clone();
                self.inject(&topology, &mut record).await?;
                record.undo = on_disk;
            }
            Death::AfterRevert => {
                self.inject(&topology, &mut record).await?;
                self.revert(&record, "revert succeeds").await?;
            }
        }
        self.revert(&record, "what a dead process owes is repaid").await?;
        self.is_gone(&record).await?;
        if death == Death::DuringInject {
            if self.world.late() == Late::Outwaited {
                self.stays_gone(&record).await?;
            }
            self.stays_out(&topology, &record).await?;
        }
        Ok(())
    }

    /// Looks on: what was on its way must not arrive after its revert.
    async fn stays_gone(&self, record: &Record) -> Result<(), Broken> {
        let until = self.world.clock().now() + SHOWS_WITHIN;
        while self.world.clock().now() < until {
            let (injector, _) = self.world.fresh();
            let nothing = Topology::default();
            let cx = self.cx(&nothing, self.world.step());
            let effect = injector.verify(&cx, &record.spec, &record.undo).await;
            let name = "what was cut off does not arrive after its revert";
            same(name, &law(name, effect)?, &Effect::Absent)?;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// An injection that comes after its own revert must not take effect.
    async fn stays_out(&self, topology: &Topology, record: &Record) -> Result<(), Broken> {
        let (injector, _) = self.world.fresh();
        let cx = self.cx(topology, self.world.step());
        let late = injector.inject(&cx, &record.spec, &record.undo).await;
        let must_refuse = injector.reversibility() == Reversibility::Reversible
            && self.world.late() == Late::Possible;
        if must_refuse && late.is_ok() {
            return Err(Broken {
                law: "an injection after its own revert is refused",
                found: "it was accepted".to_owned(),
            });
        }
        self.revert(record, "and can be reverted again").await?;
        self.is_gone(record).await
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    InForce,
    Gone,
}

#[cfg(test)]
mod tests;
