//! A world that the engine can be run against: it keeps the truth about every fault, takes its
//! time, and lies as often as it is told to. Only witnesses do not lie; they may see nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use harness_core::time::{Clock, RunTime};
use harness_core::units::Duration;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use crate::ledger::LedgerState;
use crate::storage::memory::Memory;

/// What the names of rules begin with that outlive the system.
pub(crate) const BEYOND: &str = "beyond-";

/// What kind of world a seed makes.
#[derive(Debug, Clone)]
pub(crate) struct Nature {
    /// Of so many of 1000 calls the world does not do what it says.
    pub(crate) lies: u32,
    /// Reverts never have an effect.
    pub(crate) stuck: bool,
    /// Faults end by themselves with their lease.
    pub(crate) leases: bool,
    /// The system is started by the run.
    pub(crate) owned: bool,
}

/// What the world does with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Honest,
    SuccessWithoutEffect,
    ErrorWithEffect,
    ErrorWithoutEffect,
    HangWithEffect,
    HangWithoutEffect,
}

#[derive(Debug)]
struct Truth {
    random: ChaCha8Rng,
    nature: Nature,
    /// Rules in force and when their lease ends.
    rules: BTreeMap<String, Option<RunTime>>,
    is_open: bool,
    violations: Vec<String>,
    injections: u32,
    /// Faults that were reverted after their lease had ended.
    lapsed: u32,
    habits: Vec<Habit>,
}

/// Something that the world always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Injections have their effect and never answer.
    InjectionsHang,
    /// Closing the system never ends.
    ClosingHangs,
    /// Reverts have no effect and never answer.
    RevertsHang,
    /// Reverts have their effect and then raise.
    RevertsRaise,
    /// Renewals raise.
    RenewalsRaise,
    /// The fault `slow` chooses another target than it has planned.
    ArmsElsewhere,
}

/// The world as one process sees it. Once that process is dead, nothing that it does has an effect.
#[derive(Clone)]
pub(crate) struct World {
    truth: Arc<Mutex<Truth>>,
    clock: Arc<dyn Clock>,
    ledger: Memory,
    /// The ledger is not on the simulated disk.
    trusting: bool,
}

impl World {
    pub(crate) fn new(seed: u64, nature: Nature, clock: Arc<dyn Clock>, ledger: Memory) -> Self {
        let truth = Truth {
            random: ChaCha8Rng::seed_from_u64(seed),
            is_open: !nature.owned,
            nature,
            rules: BTreeMap::new(),
            violations: Vec::new(),
            injections: 0,
            lapsed: 0,
            habits: Vec::new(),
        };
        Self { truth: Arc::new(Mutex::new(truth)), clock, ledger, trusting: false }
    }

    /// The same world, which does not look whether there is a record.
    pub(crate) fn trusting(self) -> Self {
        Self { trusting: true, ..self }
    }

    /// From now on the world always does this.
    pub(crate) fn take_up(&self, habit: Habit) {
        self.truth().habits.push(habit);
    }

    pub(crate) fn has(&self, habit: Habit) -> bool {
        self.truth().habits.contains(&habit)
    }

    /// How many faults were reverted after their lease had ended.
    pub(crate) fn lapsed(&self) -> u32 {
        self.truth().lapsed
    }

    /// The same world for a new process that writes another disk.
    pub(crate) fn for_process(&self, ledger: Memory) -> Self {
        Self { ledger, ..self.clone() }
    }

    pub(crate) fn nature(&self) -> Nature {
        self.truth().nature.clone()
    }

    /// Broken laws that the world itself has seen.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.truth().violations.clone()
    }

    pub(crate) fn injections(&self) -> u32 {
        self.truth().injections
    }

    /// Puts a rule in force behind everybody's back.
    pub(crate) fn put_in_force(&self, rule: &str) {
        let until = self.nature().leases.then(|| self.clock.now() + Duration::from_secs(3));
        self.truth().rules.insert(rule.to_owned(), until);
    }

    /// What is in force now.
    pub(crate) fn rules(&self) -> Vec<String> {
        let now = self.clock.now();
        let truth = self.truth();
        let in_force = |until: &Option<RunTime>| until.is_none_or(|until| now < until);
        truth
            .rules
            .iter()
            .filter(|(_, until)| in_force(until))
            .map(|(rule, _)| rule.clone())
            .collect()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.truth().is_open
    }

    pub(crate) fn random(&self, below: u32) -> u32 {
        self.truth().random.random_range(0..below)
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap()
    }

    /// One call that should have this effect.
    async fn call(&self, effect: impl FnOnce(&mut Truth)) -> Result<(), String> {
        let (deed, delay) = {
            let mut truth = self.truth();
            let deed = truth.deed();
            (deed, Duration::from_millis(truth.random.random_range(0..30)))
        };
        tokio::time::sleep(delay.as_std()).await;
        let has_effect =
            matches!(deed, Deed::Honest | Deed::ErrorWithEffect | Deed::HangWithEffect);
        if has_effect && !self.ledger.is_crashed() {
            effect(&mut self.truth());
        }
        match deed {
            Deed::Honest | Deed::SuccessWithoutEffect => Ok(()),
            Deed::ErrorWithEffect | Deed::ErrorWithoutEffect => Err("the world says no".into()),
            Deed::HangWithEffect | Deed::HangWithoutEffect => std::future::pending().await,
        }
    }

    /// A look at something: the truth, or an error, or nothing for ever.
    pub(crate) async fn look(&self) -> Result<(), String> {
        self.call(|_| ()).await
    }

    pub(crate) async fn inject(&self, rule: &str, lease: Duration) -> Result<(), String> {
        if !self.ledger.is_crashed() {
            self.check_record(rule);
        }
        let until = self.nature().leases.then(|| self.clock.now() + lease);
        self.call(|truth| {
            truth.rules.insert(rule.to_owned(), until);
        })
        .await?;
        if self.has(Habit::InjectionsHang) { std::future::pending().await } else { Ok(()) }
    }

    /// Nothing may be injected whose record would not survive a loss of power.
    fn check_record(&self, rule: &str) {
        let bytes = self.ledger.bytes();
        let synced = LedgerState::from_bytes(&bytes[..self.ledger.synced()]).unwrap();
        let recorded = synced.owed().any(|owed| owed.undo["rule"] == rule);
        let mut truth = self.truth();
        truth.injections += 1;
        if !recorded && !self.trusting {
            truth.violations.push(format!("{rule} is injected without its record"));
        }
    }

    pub(crate) async fn renew(&self, rule: &str, lease: Duration) -> Result<(), String> {
        if self.has(Habit::RenewalsRaise) {
            return Err("no such rule".into());
        }
        let until = self.clock.now() + lease;
        self.call(|truth| {
            if let Some(Some(old)) = truth.rules.get_mut(rule) {
                *old = until;
            }
        })
        .await
    }

    pub(crate) async fn revert(&self, rule: &str) -> Result<(), String> {
        if self.has(Habit::RevertsHang) {
            std::future::pending::<()>().await;
        }
        let (stuck, now) = (self.nature().stuck, self.clock.now());
        self.call(|truth| {
            if !stuck && let Some(Some(until)) = truth.rules.remove(rule) {
                truth.lapsed += u32::from(until < now);
            }
        })
        .await?;
        if self.has(Habit::RevertsRaise) { Err("a bad end".into()) } else { Ok(()) }
    }

    pub(crate) async fn open(&self) -> Result<(), String> {
        if !self.ledger.is_crashed() {
            let bytes = self.ledger.bytes();
            let synced = LedgerState::from_bytes(&bytes[..self.ledger.synced()]).unwrap();
            if !self.trusting
                && self.nature().owned
                && synced.system.is_none_or(|system| !system.owed)
            {
                self.truth().violations.push("a system is started without its record".into());
            }
        }
        self.call(|truth| truth.is_open = true).await
    }

    /// Faults within the system end with it.
    pub(crate) async fn close(&self) -> Result<(), String> {
        if self.has(Habit::ClosingHangs) {
            std::future::pending::<()>().await;
        }
        self.call(|truth| {
            truth.is_open = false;
            truth.rules.retain(|rule, _| rule.starts_with(BEYOND));
        })
        .await
    }
}

impl Truth {
    fn deed(&mut self) -> Deed {
        if self.random.random_range(0..1000) >= self.nature.lies {
            return Deed::Honest;
        }
        match self.random.random_range(0..5) {
            0 => Deed::SuccessWithoutEffect,
            1 => Deed::ErrorWithEffect,
            2 => Deed::ErrorWithoutEffect,
            3 => Deed::HangWithEffect,
            _ => Deed::HangWithoutEffect,
        }
    }
}
