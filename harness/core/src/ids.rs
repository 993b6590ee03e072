//! Names of things, each a type of its own so that none is taken for another.
//!
//! Does not decide which names exist: `scenarios::check` does.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes a name that was checked, or made, by the caller.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.to_owned())
            }
        }
    };
}

name! {
    /// One run of one plan, and the name of its directory: `20261122-144602-payments-outage-3f2a`.
    RunId
}
name! {
    /// A fault of a scenario: `down`.
    FaultId
}
name! {
    /// An expectation of a scenario: `successRate`, or what the scenario calls it.
    ExpectationId
}
name! {
    /// A named source of observations: `load`, `sentinel`, `alerts`.
    SignalId
}
name! {
    /// A declared caller->dependency connection: `checkout->payments`.
    EdgeName
}
name! {
    /// A service of the system under test: `checkout`.
    ServiceName
}
name! {
    /// One of the several requests of a load mix: `POST /checkout`.
    RequestKind
}
name! {
    /// A variant of the trial: `fault`, or `placebo`.
    ArmName
}

/// Which trial of the run, counted from 0 in the order of execution.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct TrialIndex(pub u32);

impl TrialIndex {
    /// As people count, from 1. Files and names keep the index, from 0.
    pub const fn number(self) -> u32 {
        self.0 + 1
    }
}

impl fmt::Display for TrialIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Which command of the run, counted from 0; a completion names the command that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub u64);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
