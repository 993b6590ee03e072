//! Whether a plan may be run: the typed limits, the approvals, then the rules in Rego. What let it
//! pass is kept in the run's directory. Whatever cannot be asked refuses.

use std::path::{Path, PathBuf};

use harness_core::plan::Plan;
use harness_core::policy::{self, Approval, Refusal};
use harness_core::time::WallTime;
use harness_engine::store::RunDir;
use harness_policy::{ApprovalStore, Layers, Question, Reason, Source, Tests};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::Organisation;
use crate::failure::Failure;
use crate::output;
use crate::scenario;

/// The format of what is kept.
const FORMAT: &str = "gameday.gate/1";
/// Paths of rules and data of the organisation, with `:` between them.
const VARIABLE: &str = "GAMEDAY_POLICY";
/// The file in the run's directory.
const FILE: &str = "policy.json";

/// What the gate found.
pub(crate) struct Review {
    /// Why the plan may not be run; empty when it may.
    pub(crate) deny: Vec<Reason>,
    /// What somebody should look at.
    pub(crate) warn: Vec<Reason>,
    /// Which rules and data were asked.
    pub(crate) files: Vec<Asked>,
    record: Value,
}

/// One file that was asked.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Asked {
    /// What it is called.
    pub(crate) name: String,
    /// Which text it was.
    pub(crate) sha256: String,
    /// Whose it is.
    pub(crate) of: Owner,
}

/// Who says that a file is asked.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Owner {
    /// It comes with gameday.
    Gameday,
    /// Whoever runs gameday here; no scenario can leave it out.
    Organisation,
    /// The scenario.
    Scenario,
}

impl Owner {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Gameday => "of gameday",
            Self::Organisation => "of the organisation",
            Self::Scenario => "of the scenario",
        }
    }
}

/// Where rules are found.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Those that no scenario can leave out.
    organisation: Vec<PathBuf>,
    /// Those that a scenario names are found from here.
    base: PathBuf,
}

impl Rules {
    /// Those of the environment, of the command line, and of this scenario.
    #[expect(clippy::disallowed_methods, reason = "the cli reads the environment")]
    pub(crate) fn of(organisation: &Organisation, scenario: &str) -> Self {
        let named = std::env::var_os(VARIABLE).unwrap_or_default();
        let named = std::env::split_paths(&named).filter(|path| !path.as_os_str().is_empty());
        let organisation = named.chain(organisation.policy.iter().cloned()).collect();
        Self { organisation, base: scenario::base(scenario) }
    }

    fn read(&self, plan: &Plan) -> Result<Layers, Failure> {
        let own: Vec<PathBuf> =
            plan.safety.policy.iter().map(|file| self.base.join(file)).collect();
        let read = |paths: &[PathBuf]| {
            harness_policy::read(paths, Tests::Without).map_err(|error| {
                Failure::could_not("ask the policy, so the plan may not be run", &error)
            })
        };
        Ok(Layers { organisation: read(&self.organisation)?, scenario: read(&own)? })
    }
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
    rules: &Rules,
    now: WallTime,
) -> Result<Passed, Failure> {
    let review = review(runs, plan, rules, now)?;
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
    rules: &Rules,
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

    let layers = rules.read(plan)?;
    let question = Question { plan, now, approvals: &approvals };
    let answer = layers.ask(&question).map_err(|error| {
        Failure::could_not("ask the policy, so the plan may not be run", &error)
    })?;
    // What a typed limit says already is not said twice.
    let known: Vec<String> = deny.iter().map(|reason| reason.rule.clone()).collect();
    deny.extend(answer.deny.into_iter().filter(|reason| !known.contains(&reason.rule)));
    let files = asked(&layers);
    let record = record(&files, &approvals, now, &answer.warn);
    Ok(Review { deny, warn: answer.warn, files, record })
}

fn reason(refusal: Refusal) -> Reason {
    Reason { rule: refusal.rule.to_owned(), because: refusal.because, hint: refusal.hint }
}

/// All files that are asked, in the order of their weight.
fn asked(layers: &Layers) -> Vec<Asked> {
    let of = |of: Owner, sources: &[Source]| -> Vec<Asked> {
        let asked = |one: &Source| Asked { name: one.name.clone(), sha256: one.sha256(), of };
        sources.iter().map(asked).collect()
    };
    let mut files = of(Owner::Gameday, &[harness_policy::default_rules()]);
    files.extend(of(Owner::Organisation, &layers.organisation));
    files.extend(of(Owner::Scenario, &layers.scenario));
    files
}

fn record(files: &[Asked], approvals: &[&Approval], now: WallTime, warn: &[Reason]) -> Value {
    json!({
        "format": FORMAT,
        "at": now,
        "approvals": approvals,
        "files": files,
        "warn": warn,
    })
}
