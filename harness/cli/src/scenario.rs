//! Scenarios named on the command line: a file, or one of the catalogue. Reads, checks, prints
//! what is wrong, makes the plan. Nothing is started here.

use std::path::{Path, PathBuf};

use harness_core::diag::{Diagnostic, Severity};
use harness_core::exit;
use harness_core::plan::{Expectation, LoadPlan, Plan, TrialMode};
use scenarios::{CheckInput, PlanInput, Scenario};

use crate::args::{self, Colour};
use crate::containers;
use crate::failure::Failure;
use crate::output;
use crate::ports;
use crate::style::Style;

/// A scenario's file is not larger than this, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A text and what it is called in messages.
pub(crate) struct Source {
    /// `payments-outage.yaml`.
    pub(crate) name: String,
    /// The whole text.
    pub(crate) text: String,
}

/// Reads a file, or a scenario of the catalogue.
pub(crate) fn source(name: &str) -> Result<Source, Failure> {
    let path = Path::new(name);
    if !path.exists()
        && let Some(entry) = scenarios::catalogue::find(name)
    {
        return Ok(Source { name: format!("{name}.yaml"), text: entry.text.to_owned() });
    }
    let could_not = |why: &dyn std::fmt::Display| {
        let hint = match scenarios::catalogue::nearest(name) {
            Some(entry) => format!("did you mean `{}`, of the catalogue?", entry.name),
            None => "give a file, or one of the catalogue: `gameday validate --list`".to_owned(),
        };
        Failure::usage(format!("could not read the scenario {name}: {why}")).hint(hint)
    };
    let size = std::fs::metadata(path).map_err(|error| could_not(&error))?.len();
    if size > FILE_BYTES_MAX {
        return Err(could_not(&format_args!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| could_not(&error))?;
    Ok(Source { name: name.to_owned(), text })
}

/// What paths in a scenario are relative to: its own directory; for one of the catalogue, the
/// working directory.
pub(crate) fn base(name: &str) -> PathBuf {
    let path = Path::new(name);
    path.parent().filter(|_| path.exists()).map(Path::to_owned).unwrap_or_default()
}

/// Checks a text; `Err` when it has errors, which are printed then. Warnings are printed, too.
pub(crate) fn check(
    source: &Source,
    set: &[(String, String)],
    colour: Colour,
) -> Result<Scenario, Failure> {
    let (scenario, diagnostics) = diagnose(source, set);
    tell(source, &diagnostics, colour);
    scenario.ok_or_else(|| Failure::said(exit::USAGE))
}

/// Reads a file of data that a scenario names; its path counts from the scenario's file.
fn data(scenario: &str, file: &str) -> Result<String, String> {
    let beside = Path::new(scenario).parent().unwrap_or(Path::new(""));
    let path = beside.join(file);
    let size = std::fs::metadata(&path).map_err(|error| error.to_string())?.len();
    if size > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(&path).map_err(|error| error.to_string())
}

/// Checks a text and gives what was found.
pub(crate) fn diagnose(
    source: &Source,
    set: &[(String, String)],
) -> (Option<Scenario>, Vec<Diagnostic>) {
    let (registry, systems) = (ports::registry(), ports::systems());
    let files = |file: &str| data(&source.name, file);
    let input =
        CheckInput { params_set: set, registry: &registry, systems: &systems, files: &files };
    scenarios::check(&source.name, &source.text, &input)
}

/// Makes the plan of a scenario with what the command line changes.
pub(crate) fn plan(arguments: &args::Scenario, colour: Colour) -> Result<Plan, Failure> {
    let source = source(&arguments.file)?;
    let scenario = check(&source, &arguments.set, colour)?;
    let (registry, systems) = (ports::registry(), ports::systems());
    let capabilities = containers::capabilities(scenario.engine());
    let input = PlanInput {
        seed: arguments.seed,
        trials: arguments.trials,
        placebo: arguments.placebo,
        mode: arguments.mode.map(|mode| match mode {
            args::Mode::Inferred => TrialMode::Inferred,
            args::Mode::Observed => TrialMode::Observed,
        }),
        defects: &arguments.with,
        capabilities: &capabilities,
        registry: &registry,
        systems: &systems,
    };
    scenarios::plan(&scenario, &input).map_err(|diagnostics| {
        tell(&source, &diagnostics, colour);
        Failure::said(exit::USAGE)
    })
}

/// The load of a scenario, without the rest of it.
pub(crate) fn load(file: &str, colour: Colour) -> Result<LoadPlan, Failure> {
    let arguments = args::Scenario {
        file: file.to_owned(),
        set: Vec::new(),
        with: Vec::new(),
        seed: None,
        trials: None,
        placebo: None,
        mode: None,
    };
    Ok(plan(&arguments, colour)?.load)
}

/// Expectations of another file, for a stored plan.
pub(crate) fn expectations(
    file: &Path,
    plan: &Plan,
    colour: Colour,
) -> Result<Vec<Expectation>, Failure> {
    let source = source(&file.display().to_string())?;
    scenarios::expectations(&source.name, &source.text, plan).map_err(|diagnostics| {
        tell(&source, &diagnostics, colour);
        Failure::said(exit::USAGE)
    })
}

/// Prints diagnostics to standard error.
pub(crate) fn tell(source: &Source, diagnostics: &[Diagnostic], colour: Colour) {
    if diagnostics.is_empty() {
        return;
    }
    let style = Style::stderr(colour);
    output::tell(&scenarios::render(&source.name, &source.text, diagnostics, style.colour));
    let errors = diagnostics.iter().filter(|one| one.severity == Severity::Error).count();
    if errors > 0 {
        let plural = if errors == 1 { "" } else { "s" };
        output::tell(&format!("{}: {errors} error{plural}; nothing was started", source.name));
    }
}
