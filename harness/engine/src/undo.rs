//! Paying what a ledger says is owed: newest first, each with its own deadline, each proven by its
//! witness. The same code serves the end of a run, the watchdog and `gameday undo`.
//!
//! An undo that raised is not done; one that was not seen is not done either. Nothing here reads
//! the plan or the live system's description: the record must be enough.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use harness_core::fault::{FaultEntry, FaultError, Registry, Reverted};
use harness_core::ids::RunId;
use harness_core::system::Host;
use harness_core::time::Clock;
use harness_core::units::Duration;

use crate::executor::{close, timed};
use crate::ledger::{
    Ledger, LedgerEntry, LedgerError, LedgerState, OwedFault, OwedSystem, PaidHow,
};
use crate::looks::{Around, Looker, Wanted, look_until};
use crate::storage::{FileStorage, Storage};
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
    let state = run.ledger()?;
    let storage: Box<dyn Storage> =
        match FileStorage::open(&run.ledger_path(), state.finished_bytes) {
            Ok(storage) => Box::new(storage),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(PayReport::default());
            }
            Err(error) => Box::new(Unwritable(error.kind())),
        };
    let ledger = Ledger::resume(storage, state);
    Ok(pay_ledger(&ledger, run.id(), purse, who.name(), which).await)
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

    fn sync(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

/// Pays the ledger of a run that this process may pay.
pub(crate) async fn pay_ledger(
    ledger: &Ledger,
    run: &RunId,
    purse: &Purse<'_>,
    by: &str,
    which: Which,
) -> PayReport {
    let payment = Payment { ledger, run, purse, by };
    payment.go(ledger.state(), which).await
}

struct Payment<'a> {
    ledger: &'a Ledger,
    run: &'a RunId,
    purse: &'a Purse<'a>,
    by: &'a str,
}

/// A fault that a round could not prove to be gone.
struct Unproven {
    fault: OwedFault,
    why: String,
}

impl Payment<'_> {
    async fn go(&self, state: LedgerState, which: Which) -> PayReport {
        let mut report = PayReport::default();
        // What was on a system that the run has stopped is gone with it.
        let stopped = state.system.as_ref().is_some_and(|system| !system.owed);
        let all = which == Which::All && !stopped;
        let faults = state.faults.into_iter().filter(|(_, owed)| *owed || all);
        let unproven = self.round(faults.map(|(fault, _)| fault).collect(), &mut report).await;

        let system = state.system;
        let mut gone = false;
        if let Some(system) = system.as_ref().filter(|system| system.owed) {
            gone = self.close(system, &mut report).await;
        }
        let on_it = |fault: &OwedFault| {
            gone && system.as_ref().is_some_and(|system| system.kind == fault.system)
        };
        let mut rest = Vec::new();
        for Unproven { fault, why } in unproven {
            if on_it(&fault) {
                let seen = "the system that it was on is gone".to_owned();
                self.note_paid(&fault, PaidHow::SystemGone, seen, &mut report).await;
            } else {
                rest.push(Unproven { fault, why });
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
        tokio::time::sleep(lease.as_std()).await;
        let faults = unproven.into_iter().map(|unproven| unproven.fault).collect();
        for Unproven { fault, why } in self.round(faults, report).await {
            report.owed.push(Owed { what: format!("fault {}", fault.label()), why });
        }
    }

    async fn put_back(&self, fault: &OwedFault) -> Result<(Reverted, String), String> {
        let Some(entry) = self.purse.registry.entry(&fault.kind, &fault.system) else {
            return Err(format!("this gameday knows no {} on {}", fault.kind, fault.system));
        };
        let around = Around {
            run: self.run.clone(),
            trial: fault.trial,
            fault: fault.fault.clone(),
            topology: Arc::default(),
            lease: fault.lease,
            clock: Arc::clone(&self.purse.clock),
        };
        self.tell(&format!("putting back fault {}", fault.label()));
        let reverted = revert(entry, &around, fault).await;
        let plan = &fault.reverted;
        let looker = Looker::Witness(&*entry.witness, fault.debt());
        let row = look_until(&around, looker, plan, plan.within, Wanted::Gone).await;
        match (reverted, row) {
            (Ok(how), Ok(row)) => Ok((how, row.seen)),
            (Err(error), Ok(_)) => Err(error.to_string()),
            (Ok(_), Err(seen)) => Err(format!("its witness says: {seen}")),
            (Err(error), Err(seen)) => Err(format!("{error}; its witness says: {seen}")),
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
        if let Err(why) = close(&*host, &system.record, system.close, clock).await {
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

/// One round of tries. Every try has the fault's own deadline.
async fn revert(
    entry: &FaultEntry,
    around: &Around,
    fault: &OwedFault,
) -> Result<Reverted, FaultError> {
    let mut tried = 1;
    loop {
        let cx = around.cx(fault.revert);
        let step = entry.injector.revert(&cx, &fault.undo);
        match timed("revert", fault.revert, step).await {
            Ok(how) => return Ok(how),
            Err(error) if tried == REVERT_TRIES_MAX => return Err(error),
            Err(_) => tried += 1,
        }
        tokio::time::sleep(REVERT_PAUSE.as_std()).await;
    }
}

#[cfg(test)]
mod tests;
