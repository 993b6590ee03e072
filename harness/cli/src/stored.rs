//! Stored runs: finding them, reading their evidence, judging and reporting them.

use std::path::Path;

use harness_core::conductor;
use harness_core::evidence::{Evidence, EvidenceBuilder};
use harness_core::exit;
use harness_core::ids::FaultId;
use harness_core::judge::judge;
use harness_core::plan::Plan;
use harness_core::verdict::Verdict;
use harness_engine::store::{RunDir, RunStore};
use reports::{Format, JunitInconclusive, Options, Report, RunFacts, TextStyle};

use crate::failure::Failure;
use crate::style::{self, Style};

/// A run with everything that follows from its ground data.
pub(crate) struct Stored {
    /// Its directory.
    pub(crate) run: RunDir,
    /// Its plan.
    pub(crate) plan: Plan,
    /// What its journal and samples say.
    pub(crate) evidence: Evidence,
    facts: RunFacts,
}

/// The run of this name, the beginning of a name, `latest`, or a directory.
pub(crate) fn find(runs: &Path, name: &str) -> Result<RunDir, Failure> {
    let as_path = Path::new(name);
    if as_path.is_dir()
        && let Some(run) = RunDir::at(as_path)
    {
        return Ok(run);
    }
    RunStore::new(runs).find(name).map_err(|error| {
        Failure::could_not("find the run", &error).hint("`gameday runs` lists them")
    })
}

impl Stored {
    /// Reads a run from its directory.
    pub(crate) fn read(run: RunDir) -> Result<Self, Failure> {
        let could_not = |error: &dyn std::error::Error| {
            Failure::could_not(&format!("read the run in {}", run.path().display()), error)
        };
        let plan = run.plan().map_err(|error| could_not(&error))?;
        let journal = run.journal().map_err(|error| could_not(&error))?;
        let mut builder = EvidenceBuilder::new();
        for entry in &journal.entries {
            builder.entry(entry);
        }
        let samples = run.samples().map_err(|error| could_not(&error))?;
        for window in samples {
            builder.samples(&window.map_err(|error| could_not(&error))?);
        }
        let mut evidence = builder.finish();
        evidence.history = run.history().map_err(|error| could_not(&error))?;
        settle_debts(&run, &mut evidence);
        let facts = RunFacts {
            run: run.id().clone(),
            started: evidence.started,
            gameday: journal.header.gameday.clone(),
            host: host(),
            repeat: repeat(&plan),
        };
        Ok(Self { run, plan, evidence, facts })
    }

    /// What the judge says of it.
    pub(crate) fn verdict(&self) -> Verdict {
        judge(&self.plan, &self.evidence)
    }

    /// The report of a verdict on it.
    pub(crate) fn report(&self, plan: &Plan, verdict: &Verdict) -> Report {
        Report::new(plan, &self.evidence, verdict, &self.facts)
    }

    /// Writes the verdict and the reports that the plan asks for, and `report.html` always.
    pub(crate) fn write_derived(&self, verdict: &Verdict) -> Result<(), Failure> {
        let could_not = |error| {
            Failure::could_not(&format!("write into {}", self.run.path().display()), &error)
        };
        let mut text = serde_json::to_string_pretty(verdict).expect("a verdict is plain data");
        text.push('\n');
        self.run.write("verdict.json", text.as_bytes()).map_err(could_not)?;
        let report = self.report(&self.plan, verdict);
        for format in Format::ALL {
            let asked = self.plan.reports.iter().any(|name| name == format.name());
            if asked || format == Format::Html {
                let text = reports::render(format, &report, &options(Style { colour: false }));
                self.run.write(format.file_name(), text.as_bytes()).map_err(could_not)?;
            }
        }
        Ok(())
    }

    /// The text report for a terminal, ending with where the page is.
    pub(crate) fn text(&self, plan: &Plan, verdict: &Verdict, style: Style) -> String {
        let page = self.run.path().join(Format::Html.file_name());
        let html_at = page.is_file().then(|| short(&page));
        let options = Options { html_at, ..options(style) };
        reports::render(Format::Text, &self.report(plan, verdict), &options)
    }
}

/// The ledger is the truth about what is owed: something may have been paid after the journal's
/// end, by the watchdog or by `gameday undo`.
fn settle_debts(run: &RunDir, evidence: &mut Evidence) {
    let Ok(ledger) = run.ledger() else { return };
    let owed = |trial, fault: &FaultId| {
        ledger.owed().any(|debt| debt.trial == trial && &debt.fault == fault)
    };
    let system = ledger.system.as_ref().is_some_and(|system| system.owed);
    let (left, late) =
        std::mem::take(&mut evidence.leftovers).into_iter().partition(|(trial, fault)| {
            owed(*trial, fault) || (system && fault.as_str() == conductor::SYSTEM)
        });
    (evidence.leftovers, evidence.put_back_late) = (left, late);
}

/// How reports are written here.
pub(crate) fn options(style: Style) -> Options {
    Options {
        width: style::width(),
        style: if style.colour { TextStyle::Ansi } else { TextStyle::Plain },
        html_at: None,
        junit_inconclusive: JunitInconclusive::Failure,
    }
}

/// A path as seen from the working directory.
pub(crate) fn short(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    relative.unwrap_or(path).display().to_string()
}

fn host() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = rustix::system::uname();
    let release = kernel.release().to_string_lossy();
    format!("{} {release}, {cores} cores", kernel.sysname().to_string_lossy())
}

/// The command line that runs the same plan again.
fn repeat(plan: &Plan) -> String {
    let mut words = vec!["gameday run".to_owned(), plan.scenario.name.clone()];
    words.extend(plan.scenario.params.iter().map(|(name, value)| format!("--set {name}={value}")));
    words.extend(plan.system.defects.iter().map(|(name, value)| format!("--with {name}={value}")));
    words.push(format!("--seed {}", plan.seed));
    words.join(" ")
}

/// The verdict in one line: `PASS: ...`.
pub(crate) fn sentence(verdict: &Verdict) -> String {
    let word = match verdict.exit_code {
        exit::ABORTED => "ABORTED",
        exit::LEFTOVERS => "LEFTOVERS",
        exit::REFUSED => "REFUSED",
        _ => verdict.outcome.label(),
    };
    format!("{word}: {}", verdict.because)
}

#[cfg(test)]
mod tests {
    use harness_core::fault::{Reversibility, Reverted};
    use harness_core::ids::TrialIndex;
    use harness_core::plan::WitnessPlan;
    use harness_core::units::Duration;
    use harness_engine::ledger::{Ledger, LedgerEntry, OwedFault, PaidHow};

    use super::*;

    fn armed(fault: &FaultId) -> LedgerEntry {
        LedgerEntry::Armed(Box::new(OwedFault {
            trial: TrialIndex(0),
            fault: fault.clone(),
            kind: "latency".to_owned(),
            system: "lab".to_owned(),
            spec: serde_json::Value::Null,
            undo: serde_json::Value::Null,
            baseline: serde_json::Value::Null,
            reversibility: Reversibility::Reversible,
            lease: Duration::from_secs(3),
            revert: Duration::from_secs(1),
            reverted: WitnessPlan {
                by: None,
                in_a_row: 2,
                every: Duration::from_millis(100),
                within: Duration::from_secs(2),
            },
        }))
    }

    #[test]
    fn what_was_paid_after_the_journals_end_needs_nobody_any_more() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(RunDir::PLAN), "{}").unwrap();
        let run = RunDir::at(directory.path()).unwrap();
        let ledger = Ledger::begin(run.files().unwrap().ledger, run.id()).unwrap();
        let (paid, owed) = (FaultId::new("paid"), FaultId::new("owed"));
        for fault in [&paid, &owed] {
            ledger.write_blocking(armed(fault)).unwrap();
        }
        let payment = LedgerEntry::Paid {
            trial: TrialIndex(0),
            fault: paid.clone(),
            how: PaidHow::Reverted(Reverted::PutBack),
            seen: String::new(),
            by: "run".to_owned(),
        };
        ledger.write_blocking(payment).unwrap();
        let mut evidence = EvidenceBuilder::new().finish();
        evidence.leftovers = [&paid, &owed].map(|fault| (TrialIndex(0), fault.clone())).to_vec();
        settle_debts(&run, &mut evidence);
        assert_eq!(evidence.leftovers, [(TrialIndex(0), owed)]);
        assert_eq!(evidence.put_back_late, [(TrialIndex(0), paid)]);
    }
}
