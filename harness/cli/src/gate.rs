//! Whether a plan may be run: the typed limits, the approvals, then the rules in Rego. What let it
//! pass is kept in the run's directory. Whatever cannot be asked refuses.

use std::path::{Path, PathBuf};

use harness_core::plan::Plan;
use harness_core::policy::{self, Approval, Refusal};
use harness_core::time::WallTime;
use harness_engine::store::RunDir;
use harness_policy::{ApprovalStore, Question, Reason, Source, Tests};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output;

/// The format of what is kept.
const FORMAT: &str = "gameday.gate/1";
/// The file in the run's directory.
const FILE: &str = "policy.json";

/// What the gate found.
pub(crate) struct Review {
    /// Why the plan may not be run; empty when it may.
    pub(crate) deny: Vec<Reason>,
    /// What somebody should look at.
    pub(crate) warn: Vec<Reason>,
    record: Value,
}

/// A plan may be run.
pub(crate) struct Passed {
    record: Value,
}

impl Passed {
    /// Keeps in the run's directory who approved, and which rules were asked.
    pub(crate) fn keep(&self, run: &RunDir) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(&self.record).expect("plain data") + "\n";
        run.write(FILE, text.as_bytes())
            .map_err(|error| Failure::could_not("keep what policy said", &error))
    }
}

/// Where approvals are kept.
pub(crate) fn approvals(runs: &Path) -> ApprovalStore {
    ApprovalStore::new(runs.join("approvals"))
}

/// Refuses, or lets pass; warnings are printed.
pub(crate) fn pass(
    runs: &Path,
    plan: &Plan,
    base: &Path,
    now: WallTime,
) -> Result<Passed, Failure> {
    let review = review(runs, plan, base, now)?;
    for warning in &review.warn {
        output::tell(&format!("gameday: warning ({}): {}", warning.rule, warning.because));
    }
    let Some((last, others)) = review.deny.split_last() else {
        return Ok(Passed { record: review.record });
    };
    for refusal in others {
        output::tell(&format!("gameday: refused ({}): {}", refusal.rule, refusal.because));
        output::tell(&format!("  hint: {}", refusal.hint));
    }
    Err(Failure::refused(format!("refused ({}): {}", last.rule, last.because))
        .hint(last.hint.clone()))
}

/// Asks everybody. An error is a refusal, too.
pub(crate) fn review(
    runs: &Path,
    plan: &Plan,
    base: &Path,
    now: WallTime,
) -> Result<Review, Failure> {
    let sha256 = plan.sha256();
    let all = approvals(runs)
        .of(&sha256)
        .map_err(|error| Failure::could_not("read the approvals", &error))?;
    let approvals = policy::valid_approvals(&sha256, &all, now);
    let typed = policy::review(plan);
    let typed = typed.into_iter().chain(policy::review_approvals(plan, &all, now));
    let mut deny: Vec<Reason> = typed.map(reason).collect();

    let sources = sources(plan, base)?;
    let question = Question { plan, now, approvals: &approvals };
    let answer = harness_policy::ask(&sources, &question).map_err(|error| {
        Failure::could_not("ask the policy, so the plan may not be run", &error)
    })?;
    // What a typed limit says already is not said twice.
    let known: Vec<String> = deny.iter().map(|reason| reason.rule.clone()).collect();
    deny.extend(answer.deny.into_iter().filter(|reason| !known.contains(&reason.rule)));
    let record = record(&sources, &approvals, now, &answer.warn);
    Ok(Review { deny, warn: answer.warn, record })
}

fn reason(refusal: Refusal) -> Reason {
    Reason { rule: refusal.rule.to_owned(), because: refusal.because, hint: refusal.hint }
}

/// The rules that come with gameday, and those that the scenario names.
fn sources(plan: &Plan, base: &Path) -> Result<Vec<Source>, Failure> {
    let paths: Vec<PathBuf> = plan.safety.policy.iter().map(|file| base.join(file)).collect();
    let mut sources = vec![harness_policy::default_rules()];
    let own = harness_policy::read(&paths, Tests::Without);
    sources.extend(own.map_err(|error| {
        Failure::could_not("ask the policy, so the plan may not be run", &error)
    })?);
    Ok(sources)
}

fn record(sources: &[Source], approvals: &[&Approval], now: WallTime, warn: &[Reason]) -> Value {
    let files = sources.iter().map(|one| json!({"name": one.name, "sha256": one.sha256()}));
    json!({
        "format": FORMAT,
        "at": now,
        "approvals": approvals,
        "files": files.collect::<Vec<_>>(),
        "warn": warn,
    })
}
