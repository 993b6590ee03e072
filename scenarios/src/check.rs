//! The two steps of a scenario's life before a run: `check` its text, `plan` its run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use harness_core::diag::{Diagnostic, Span};
use harness_core::fault::{Capability, Registry};
use harness_core::plan::{Plan, TrialMode};
use harness_core::system::SystemKind;
use sha2::{Digest, Sha256};

use crate::ast::{self, Spec};
use crate::codes;
use crate::files::{self, ReadFile};
use crate::findings::{Finding, Findings};
use crate::node::Node;
use crate::plan::{Context, lower};
use crate::{source, vars};

/// What a scenario is checked against.
#[derive(Clone, Copy)]
pub struct CheckInput<'a> {
    /// `--set name=value`, in order.
    pub params_set: &'a [(String, String)],
    /// The kinds of faults.
    pub registry: &'a Registry,
    /// The kinds of systems.
    pub systems: &'a [SystemKind],
    /// Reads the files of data that the scenario names.
    pub files: &'a ReadFile<'a>,
}

/// What a plan is made from, beside the scenario.
#[derive(Clone, Copy)]
pub struct PlanInput<'a> {
    /// In place of the scenario's seed.
    pub seed: Option<u64>,
    /// In place of the scenario's number of trials per arm; placebo trials are at most as many.
    pub trials: Option<u32>,
    /// In place of the scenario's number of placebo trials.
    pub placebo: Option<u32>,
    /// In place of the scenario's mode.
    pub mode: Option<TrialMode>,
    /// `--with name=value`: defects of the system that are switched on.
    pub defects: &'a [(String, String)],
    /// The mechanisms of this machine. What is not in here counts as missing.
    pub capabilities: &'a BTreeMap<String, Capability>,
    /// The kinds of faults.
    pub registry: &'a Registry,
    /// The kinds of systems.
    pub systems: &'a [SystemKind],
}

/// A scenario without errors.
#[derive(Debug, Clone)]
pub struct Scenario {
    spec: Spec,
    sha256: String,
    params: BTreeMap<String, String>,
}

impl Scenario {
    /// `metadata.name`.
    pub fn name(&self) -> &str {
        &self.spec.metadata.name.value
    }

    /// `metadata.title`; may be empty.
    pub fn title(&self) -> &str {
        &self.spec.metadata.title
    }

    /// The socket of the container engine, where the scenario names one.
    pub fn engine(&self) -> Option<&str> {
        let system = self.spec.system.as_ref().filter(|one| one.kind.value == "containers")?;
        system.node.entry("socket")?.node.scalar()
    }

    /// Kind and name of the system: `lab`, `shop`. Containers have no name in the text.
    pub fn system(&self) -> (&str, &str) {
        let system = self.spec.system.as_ref().expect("check refuses a scenario without a system");
        (&system.kind.value, system.node.scalar().unwrap_or(""))
    }

    /// SHA-256 of the text, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// Reads a text and tells all that is wrong with it. The scenario is `None` when there is an error;
/// warnings leave it.
pub fn check(
    file_name: &str,
    text: &str,
    input: &CheckInput<'_>,
) -> (Option<Scenario>, Vec<Diagnostic>) {
    let mut findings = Findings::default();
    let scenario = read(file_name, text, input, &mut findings);
    if let Some(scenario) = &scenario {
        let context = Context {
            registry: input.registry,
            systems: input.systems,
            seed: None,
            trials: None,
            placebo: None,
            mode: None,
            defects: &[],
            capabilities: None,
            sha256: &scenario.sha256,
            params: &scenario.params,
        };
        drop(lower(&scenario.spec, &context, &mut findings));
    }
    let scenario = scenario.filter(|_| !findings.has_errors());
    (scenario, findings.into_sorted())
}

/// Makes the plan. The same scenario and input give the same plan, byte for byte.
pub fn plan(scenario: &Scenario, input: &PlanInput<'_>) -> Result<Plan, Vec<Diagnostic>> {
    let mut findings = Findings::default();
    let plan = lower(&scenario.spec, &context(scenario, input), &mut findings);
    plan.ok_or_else(|| findings.into_sorted())
}

/// What a plan with this input would be warned of: fewer trials than its claims need, say.
pub fn warnings(scenario: &Scenario, input: &PlanInput<'_>) -> Vec<Diagnostic> {
    let mut findings = Findings::default();
    drop(lower(&scenario.spec, &context(scenario, input), &mut findings));
    findings.into_sorted()
}

fn context<'a>(scenario: &'a Scenario, input: &PlanInput<'a>) -> Context<'a> {
    Context {
        registry: input.registry,
        systems: input.systems,
        seed: input.seed,
        trials: input.trials,
        placebo: input.placebo,
        mode: input.mode,
        defects: input.defects,
        capabilities: Some(input.capabilities),
        sha256: &scenario.sha256,
        params: &scenario.params,
    }
}

fn read(
    file_name: &str,
    text: &str,
    input: &CheckInput<'_>,
    findings: &mut Findings,
) -> Option<Scenario> {
    let documents = source::documents(text, findings);
    let mut document = only_document(file_name, documents, findings)?;
    let params = vars::apply(&mut document, input.params_set, findings);
    files::put_in(&mut document, input.files, findings);
    let spec = ast::read_document(&document, findings)?;
    Some(Scenario { spec, sha256: sha256(text), params })
}

/// The one document of a scenario's file.
pub(crate) fn only_document(
    file_name: &str,
    documents: Vec<Node>,
    findings: &mut Findings,
) -> Option<Node> {
    let mut documents = documents.into_iter().filter(|document| !document.is_nothing());
    let Some(first) = documents.next() else {
        if !findings.has_errors() {
            findings.push(
                Finding::error(
                    codes::NO_SCENARIO,
                    Span::default(),
                    format!("`{file_name}` holds no scenario"),
                )
                .label("nothing but space and comments")
                .hint("`gameday init` writes one to begin with"),
            );
        }
        return None;
    };
    if let Some(second) = documents.next() {
        let start = second.span.start;
        findings.push(
            Finding::error(
                codes::NO_SCENARIO,
                Span { start, end: start + 1 },
                "a second document begins here",
            )
            .hint("put each scenario into a file of its own"),
        );
    }
    Some(first)
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
        hex
    })
}
