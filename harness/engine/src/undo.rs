//! Paying what a ledger says is owed: newest first, each with its own deadline, each proven by its
//! witness. The same code serves the end of a run, the watchdog and `gameday undo`.
//!
//! An undo that raised is not done; one that was not seen is not done either. Nothing here reads
//! the plan or the live system's description: the record must be enough.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use harness_core::fault::{FaultEntry, FaultError, Registry, Reverted, Scope};
use harness_core::ids::RunId;
use harness_core::system::Host;
use harness_core::time::Clock;
use harness_core::units::Duration;
use tokio_util::sync::CancellationToken;

use crate::executor::{close, hurried, timed};
use crate::ledger::{
    Ledger, LedgerEntry, LedgerError, LedgerState, OwedFault, OwedSystem, PaidHow,
};
use crate::looks::{Around, Looker, Wanted, look_until};
use crate::storage::{FileStorage, Storage, Syncing};
use crate::store::{Lock, LockError, RunDir};

/// A revert that raised is tried so often in one round.
const REVERT_TRIES_MAX: u32 = 3;
/// Between two tries.
const REVERT_PAUSE: Duration = Duration::from_millis(200);
/// Somebody else who pays the same run is waited for so long.
pub const PAY_WAIT_MAX: Duration = Duration::from_secs(30);
const PAY_WAIT_LOOK: Duration = Duration::from_millis(100);

/// Why nothing was paid at all.
#[derive(Debug, thiserror::Error)]
pub enum PayError {
    /// The run is under way: it pays itself.
    #[error("the run {run} is still under way ({holder})")]
    Alive {
        /// Which run.
        run: RunId,
        /// Who holds its lock.
        holder: String,
    },
    /// Somebody else pays, and did not end in time.
    #[error("could not begin, somebody else puts things back")]
    Busy(#[source] LockError),
    /// A lock cannot be taken.
    #[error("could not take the run's lock")]
    Lock(#[source] LockError),
    /// The ledger cannot be read.
    #[error("could not read what is owed")]
    Ledger(#[from] LedgerError),
}

/// Who pays, which decides what must hold before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A person, with `gameday undo`: not while the run is under way.
    Person,
    /// The watchdog: also while the harness stands still.
    Watchdog,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::Person => "undo",
            Self::Watchdog => "watchdog",
        }
    }
}

/// Which faults are put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Those that are owed.
    Owed,
    /// All that were ever armed: a harness that stood still may have injected behind our back.
    All,
}

/// Gives the host for a kind of system, if there is one.
pub type HostFor = dyn Fn(&str) -> Option<Arc<dyn Host>> + Send + Sync;

/// What a payment needs of the outside.
pub struct Purse<'a> {
    /// The kinds of fault.
    pub registry: &'a Registry,
    /// The host for a kind of system.
    pub host: &'a HostFor,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Hears of each step, in words.
    pub observer: &'a (dyn Fn(&str) + Send + Sync),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PayReport {
    /// What was put back and proven, in words.
    pub paid: Vec<String>,
    /// What is still owed.
    pub owed: Vec<Owed>,
}

/// Something that is still owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// What.
    pub what: String,
    /// Why it could not be paid.
    pub why: String,
}

/// Pays what a run owes. `Ok` with something owed in it is no success.
pub async fn pay(
    run: &RunDir,
    purse: &Purse<'_>,
    who: Who,
    which: Which,
) -> Result<PayReport, PayError> {
    let _run_lock = match who {
        Who::Watchdog => None,
        Who::Person => Some(Lock::take(&run.lock_path()).map_err(|error| match error {
            LockError::Held { holder, .. } => PayError::Alive { run: run.id().clone(), holder },
            error @ (LockError::File { .. } | LockError::Owes { .. }) => PayError::Lock(error),
        })?),
    };
    let _pay_lock = wait_for_lock(run.pay_lock_path(), &*purse.clock).await?;
    // Asked before the ledger is read: who is dead then has written all that he ever will.
    let is_alive = who == Who::Watchdog && run.is_alive();
    let state = run.ledger()?;
    let path = run.ledger_path();
    let opened = if is_alive {
        FileStorage::join(&path)
    } else {
        FileStorage::open(&path, state.finished_bytes)
    };
    let storage: Box<dyn Storage> = match opened {
        Ok(storage) => Box::new(storage),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(PayReport::default());
        }
        Err(error) => Box::new(Unwritable(error.kind())),
    };
    let ledger = Ledger::resume(storage, state);
    let hurry = CancellationToken::new();
    Ok(pay_ledger(&ledger, run.id(), purse, who.name(), (which, &hurry)).await)
}

async fn wait_for_lock(path: PathBuf, clock: &dyn Clock) -> Result<Lock, PayError> {
    let until = clock.now() + PAY_WAIT_MAX;
    loop {
        match Lock::take(&path) {
            Ok(lock) => return Ok(lock),
            Err(error @ (LockError::File { .. } | LockError::Owes { .. })) => {
                return Err(PayError::Lock(error));
            }
            Err(error) if clock.now() >= until => return Err(PayError::Busy(error)),
            Err(LockError::Held { .. }) => tokio::time::sleep(PAY_WAIT_LOOK.as_std()).await,
        }
    }
}

/// A ledger that cannot be written: things are put back all the same, and stay owed on paper.
struct Unwritable(io::ErrorKind);

impl Storage for Unwritable {
    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Err(self.0.into())
    }

    fn syncing(&self) -> Syncing {
        let kind = self.0;
        Box::new(move || Err(kind.into()))
    }
}

/// Pays the ledger of a run that this process may pay. Once it must hurry, each step has only a
/// short time, and no lease is waited for.
pub(crate) async fn pay_ledger(
    ledger: &Ledger,
    run: &RunId,
    purse: &Purse<'_>,
    by: &str,
    (which, hurry): (Which, &CancellationToken),
) -> PayReport {
    let payment = Payment { ledger, run, purse, by, hurry };
    payment.go(ledger.state(), which).await
}

struct Payment<'a> {
    ledger: &'a Ledger,
    run: &'a RunId,
    purse: &'a Purse<'a>,
    by: &'a str,
    hurry: &'a CancellationToken,
}

/// A fault that a round could not prove to be gone.
struct Unproven {
    fault: OwedFault,
    why: String,
}

impl Payment<'_> {
    async fn go(&self, state: LedgerState, which: Which) -> PayReport {
        let mut report = PayReport::default();
        let system = state.system;
        let closed = |system: &OwedSystem| !system.owed;
        let again = |fault: &OwedFault| {
            let stopped = system.as_ref().is_some_and(closed);
            which == Which::All && !(stopped && self.ends_with(system.as_ref(), fault))
        };
        let faults = state.faults.into_iter().filter(|(fault, owed)| *owed || again(fault));
        let faults = faults.map(|(fault, _)| fault).collect();
        let unproven = self.round(faults, &mut report).await;

        let gone = match &system {
            Some(system) => closed(system) || self.close(system, &mut report).await,
            None => false,
        };
        let mut rest = Vec::new();
        for one in unproven {
            if gone && self.ends_with(system.as_ref(), &one.fault) {
                rest.extend(self.gone_with_its_system(one, &mut report).await);
            } else {
                rest.push(one);
            }
        }
        self.after_the_lease(rest, &mut report).await;

        for line in state.unreadable {
            let what = format!("unreadable ledger line {line}");
            let why = "what it recorded is not known".to_owned();
            report.owed.push(Owed { what, why });
        }
        report
    }

    /// Whether all that a fault does lies within the system that the run started.
    fn ends_with(&self, system: Option<&OwedSystem>, fault: &OwedFault) -> bool {
        let within = |entry: &FaultEntry| entry.injector.scope() == Scope::WithinSystem;
        self.entry(fault).is_ok_and(within)
            && system.is_some_and(|system| system.kind == fault.system)
    }

    /// The system of such a fault is gone, and what a witness would look at with it. The revert is
    /// asked once more, for what it removes beside the system; `Some` when it raises.
    async fn gone_with_its_system(
        &self,
        Unproven { fault, .. }: Unproven,
        report: &mut PayReport,
    ) -> Option<Unproven> {
        let reverted = match self.entry(&fault) {
            Ok(entry) => self.revert(entry, &fault).await,
            Err(why) => return Some(Unproven { fault, why }),
        };
        if let Err(error) = reverted {
            let why = format!("the system is gone, but {error}");
            return Some(Unproven { fault, why });
        }
        let seen = "the system that it was on is gone".to_owned();
        self.note_paid(&fault, PaidHow::SystemGone, seen, report).await;
        None
    }

    /// Puts each back, newest first, and looks.
    async fn round(&self, faults: Vec<OwedFault>, report: &mut PayReport) -> Vec<Unproven> {
        let mut unproven = Vec::new();
        for fault in faults {
            match self.put_back(&fault).await {
                Ok((how, seen)) => {
                    self.note_paid(&fault, PaidHow::Reverted(how), seen, report).await;
                }
                Err(why) => {
                    self.tell(&format!("fault {} is not proven gone: {why}", fault.label()));
                    unproven.push(Unproven { fault, why });
                }
            }
        }
        unproven
    }

    /// What cannot be proven now may end by itself with its lease: waits that out, and looks again.
    async fn after_the_lease(&self, unproven: Vec<Unproven>, report: &mut PayReport) {
        let Some(lease) = unproven.iter().map(|unproven| unproven.fault.lease).max() else {
            return;
        };
        self.tell(&format!("waiting {lease} for leases to end, then looking again"));
        self.hurry.run_until_cancelled(tokio::time::sleep(lease.as_std())).await;
        let faults = unproven.into_iter().map(|unproven| unproven.fault).collect();
        for Unproven { fault, why } in self.round(faults, report).await {
            report.owed.push(Owed { what: format!("fault {}", fault.label()), why });
        }
    }

    /// Reverts, and looks whether it is gone.
    async fn put_back(&self, fault: &OwedFault) -> Result<(Reverted, String), String> {
        let entry = self.entry(fault)?;
        let around = self.around(fault);
        self.tell(&format!("putting back fault {}", fault.label()));
        let reverted = self.revert(entry, fault).await;
        let plan = &fault.reverted;
        let looker = Looker::Witness(&*entry.witness, fault.debt());
        let within = self.hurried(plan.within);
        let row = look_until(&around, looker, plan, within, Wanted::Gone).await;
        match (reverted, row) {
            (Ok(how), Ok(row)) => Ok((how, row.seen)),
            (Err(error), Ok(_)) => Err(error.to_string()),
            (Ok(_), Err(seen)) => Err(format!("its witness says: {seen}")),
            (Err(error), Err(seen)) => Err(format!("{error}; its witness says: {seen}")),
        }
    }

    /// One round of tries. Every try has the fault's own deadline.
    async fn revert(&self, entry: &FaultEntry, fault: &OwedFault) -> Result<Reverted, FaultError> {
        let around = self.around(fault);
        let mut tried = 1;
        loop {
            let deadline = self.hurried(fault.revert);
            let cx = around.cx(deadline);
            let step = entry.injector.revert(&cx, &fault.undo);
            match timed("revert", deadline, step).await {
                Ok(how) => return Ok(how),
                Err(error) if tried == REVERT_TRIES_MAX => return Err(error),
                Err(_) => tried += 1,
            }
            tokio::time::sleep(REVERT_PAUSE.as_std()).await;
        }
    }

    fn hurried(&self, deadline: Duration) -> Duration {
        hurried(deadline, self.hurry.is_cancelled())
    }

    fn entry(&self, fault: &OwedFault) -> Result<&FaultEntry, String> {
        let entry = self.purse.registry.entry(&fault.kind, &fault.system);
        entry.ok_or_else(|| format!("this gameday knows no {} on {}", fault.kind, fault.system))
    }

    fn around(&self, fault: &OwedFault) -> Around {
        Around {
            run: self.run.clone(),
            trial: fault.trial,
            fault: fault.fault.clone(),
            topology: Arc::default(),
            lease: fault.lease,
            clock: Arc::clone(&self.purse.clock),
        }
    }

    /// Tells whether nothing of the system is left.
    async fn close(&self, system: &OwedSystem, report: &mut PayReport) -> bool {
        let what = format!("the {} that the run started", system.kind);
        let Some(host) = (self.purse.host)(&system.kind) else {
            let why = format!("this gameday knows no system of kind {}", system.kind);
            report.owed.push(Owed { what, why });
            return false;
        };
        self.tell(&format!("stopping {what}"));
        let clock = &*self.purse.clock;
        if let Err(why) = close(&*host, &system.record, self.hurried(system.close), clock).await {
            report.owed.push(Owed { what, why });
            return false;
        }
        let entry = LedgerEntry::SystemClosed { by: self.by.to_owned() };
        self.note(what, entry, report).await;
        true
    }

    async fn note_paid(
        &self,
        fault: &OwedFault,
        how: PaidHow,
        seen: String,
        report: &mut PayReport,
    ) {
        self.tell(&format!("fault {} is gone: {seen}", fault.label()));
        let entry = LedgerEntry::Paid {
            trial: fault.trial,
            fault: fault.fault.clone(),
            how,
            seen,
            by: self.by.to_owned(),
        };
        self.note(format!("fault {}", fault.label()), entry, report).await;
    }

    async fn note(&self, what: String, entry: LedgerEntry, report: &mut PayReport) {
        match self.ledger.write(entry).await {
            Ok(()) => report.paid.push(what),
            Err(error) => {
                let why = format!("it is put back, but the ledger cannot be written: {error}");
                report.owed.push(Owed { what, why });
            }
        }
    }

    fn tell(&self, words: &str) {
        (self.purse.observer)(words);
    }
}

#[cfg(test)]
mod tests;
