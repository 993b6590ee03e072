//! Which kinds of fault there are, by kind and system, with their witness and what they need.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{DynInjector, Witness};

/// A mechanism of the machine that a fault needs: `proxy`, `signals`, `nftables`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Requirement(pub &'static str);

/// Whether a mechanism is there, as a probe of this machine found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Capability {
    /// It works; the words say which version or how it was tried.
    Available(String),
    /// It does not; the words say why and, where known, how to get it.
    Missing(String),
}

/// One kind of fault on one kind of system.
#[derive(Clone)]
pub struct FaultEntry {
    /// Arm, inject, verify, revert.
    pub injector: Arc<dyn DynInjector>,
    /// Who is believed.
    pub witness: Arc<dyn Witness>,
    /// What it needs of this machine. A missing one refuses the plan.
    pub requires: Vec<Requirement>,
}

/// All kinds of fault, keyed by (kind, system): `("pod-kill", "lab")`.
#[derive(Clone, Default)]
pub struct Registry {
    entries: BTreeMap<(String, String), FaultEntry>,
}

impl Registry {
    /// Adds a kind for a system. A bug if it is there already.
    pub fn register(&mut self, system: &str, entry: FaultEntry) {
        let key = (entry.injector.kind().to_owned(), system.to_owned());
        let before = self.entries.insert(key, entry);
        assert!(before.is_none(), "a kind of fault is registered once per system");
    }

    /// The entry for a kind on a system.
    pub fn entry(&self, kind: &str, system: &str) -> Option<&FaultEntry> {
        self.entries.get(&(kind.to_owned(), system.to_owned()))
    }

    /// All entries in order: kind, system, entry.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &FaultEntry)> {
        self.entries.iter().map(|((kind, system), entry)| (kind.as_str(), system.as_str(), entry))
    }

    /// The kinds that exist on a system, in order.
    pub fn kinds_on<'a>(&'a self, system: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(_, on, _)| *on == system).map(|(kind, _, _)| kind)
    }
}
