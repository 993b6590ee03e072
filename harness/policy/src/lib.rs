//! Policy as code: rules in Rego over a plan, before it is run. A second line of defence behind the
//! typed limits of `harness_core::policy`, for what only an organisation knows: change freezes,
//! shares by environment, who must approve.
//!
//! A rule file is of a package at or below `gameday` and adds reasons to the sets `deny` and
//! `warn`. A rule that cannot be evaluated denies. It reads the files that it is given, and runs
//! nothing.

mod approvals;
mod files;
mod layers;
#[cfg(feature = "rego")]
mod rego;
#[cfg(feature = "rego")]
mod tested;
#[cfg(not(feature = "rego"))]
mod without;

pub use approvals::{ApprovalStore, ApprovalsError, FORMAT as APPROVAL_FORMAT};
pub use files::{Source, Tests, default_rules, read};
pub use layers::Layers;
#[cfg(feature = "rego")]
pub use rego::ask;
#[cfg(feature = "rego")]
pub use tested::test;
#[cfg(not(feature = "rego"))]
pub use without::{ask, test};

use std::io;
use std::path::PathBuf;

use harness_core::fault::Extent;
use harness_core::plan::Plan;
use harness_core::policy::{self, Approval};
use harness_core::time::WallTime;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The format of what the rules see as `input`.
pub const INPUT_FORMAT: &str = "gameday.policy-input/1";

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Now, by the wall clock.
    pub now: WallTime,
    /// Those consents that count now.
    pub approvals: &'a [&'a Approval],
}

impl Question<'_> {
    /// What the rules see as `input`.
    pub fn input(&self) -> Value {
        let nanos = self.now.0.saturating_mul(1_000_000);
        let arms = self.plan.arms.iter().map(|arm| {
            let Extent { instances, share, edges } = policy::extent(self.plan, arm);
            json!({"name": arm.name, "instances": instances, "share": share, "edges": edges})
        });
        json!({
            "format": INPUT_FORMAT,
            "plan": self.plan,
            "arms": arms.collect::<Vec<_>>(),
            "planSha256": self.plan.sha256(),
            "environment": self.plan.system.environment,
            "now": {"unixNanos": nanos, "text": self.now.to_string()},
            "approvals": self.approvals,
        })
    }
}

/// One reason of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reason {
    /// A stable word; `policy` where the rule says only a sentence.
    #[serde(default = "unnamed")]
    pub rule: String,
    /// One sentence without a full stop.
    pub because: String,
    /// How to mend it; may be empty.
    #[serde(default)]
    pub hint: String,
}

fn unnamed() -> String {
    "policy".to_owned()
}

/// What the rules say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Why the plan may not be run; empty when it may.
    pub deny: Vec<Reason>,
    /// What somebody should look at.
    pub warn: Vec<Reason>,
}

/// How one `test_` rule ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tested {
    /// Its file.
    pub file: String,
    /// Its name: `test_freeze_denies`.
    pub name: String,
    /// Why it failed; `None` when it passed.
    pub failed: Option<String>,
}

/// Why rules cannot be asked. Whoever asks must take it as a refusal.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file cannot be read.
    #[error("could not read the policy {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is neither rules nor data, or too large.
    #[error("{} {why}", path.display())]
    NotPolicy {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A file holds no rules that could be understood.
    #[error("could not understand the policy {file}: {why}")]
    Rules {
        /// Which.
        file: String,
        /// In the engine's words.
        why: String,
    },
    /// A rule cannot be evaluated.
    #[error("could not evaluate {rule}: {why}")]
    Evaluation {
        /// Which: `data.gameday.deny`.
        rule: String,
        /// In the engine's words.
        why: String,
    },
    /// A rule's reasons are not what they must be.
    #[error("{rule} must be a set of sentences, or of {{rule, because, hint}}: {why}")]
    Reasons {
        /// Which.
        rule: String,
        /// What it is instead.
        why: String,
    },
    /// This build has no Rego.
    #[error("this build of gameday cannot read policies: it was built without the feature `rego`")]
    Unsupported,
}
