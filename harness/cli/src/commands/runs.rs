//! `gameday runs`: what is stored, newest first, with verdicts and debts.

use harness_core::exit;
use harness_core::verdict::Verdict;
use harness_engine::store::{RunDir, RunStore};
use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::Style as TableStyle;

use crate::args::{Global, Runs};
use crate::failure::Failure;
use crate::output;
use crate::style::Style;

/// One row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    run: String,
    scenario: String,
    state: String,
    exit_code: Option<u8>,
    because: String,
    directory: String,
}

pub(crate) fn run(global: &Global, arguments: &Runs) -> Result<u8, Failure> {
    let store = RunStore::new(&global.runs);
    let mut runs = store.list().map_err(|error| Failure::could_not("list the runs", &error))?;
    runs.reverse();
    let rows: Vec<_> = runs.iter().map(row).collect();
    if arguments.json {
        for row in &rows {
            output::say(&serde_json::to_string(row).expect("a row is plain data"));
        }
    } else if rows.is_empty() {
        output::say(&format!(
            "No runs in {} yet. `gameday run payments-outage` makes one.",
            store.root().display()
        ));
    } else {
        output::say(&table(&rows, Style::stdout(global.color)));
    }
    Ok(exit::PASS)
}

fn row(run: &RunDir) -> Row {
    let scenario = run.plan().map_or_else(|_| "?".to_owned(), |plan| plan.scenario.name);
    let verdict = std::fs::read(run.path().join("verdict.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Verdict>(&bytes).ok());
    let unpaid = run.ledger().is_ok_and(|ledger| ledger.is_unpaid());
    let (state, exit_code, because) = match verdict {
        _ if run.is_alive() => ("under way".to_owned(), None, String::new()),
        _ if unpaid => {
            let because = format!("owes something: gameday undo {}", run.id());
            ("UNPAID".to_owned(), Some(exit::LEFTOVERS), because)
        }
        Some(verdict) => {
            let state = match verdict.exit_code {
                exit::ABORTED => "ABORTED",
                exit::LEFTOVERS => "LEFTOVERS",
                exit::REFUSED => "REFUSED",
                _ => verdict.outcome.label(),
            };
            (state.to_owned(), Some(verdict.exit_code), verdict.because)
        }
        None => {
            let because = format!("broke off; gameday judge {}", run.id());
            ("no verdict".to_owned(), None, because)
        }
    };
    Row {
        run: run.id().to_string(),
        scenario,
        state,
        exit_code,
        because,
        directory: run.path().display().to_string(),
    }
}

fn table(rows: &[Row], style: Style) -> String {
    let mut builder = Builder::default();
    builder.push_record(["RUN", "VERDICT", "EXIT", "WHY"]);
    for row in rows {
        let code = row.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let why: String = row.because.chars().take(90).collect();
        builder.push_record([row.run.clone(), row.state.clone(), code, why]);
    }
    let mut table = builder.build();
    table.with(TableStyle::blank());
    let text = table.to_string();
    let mut lines = text.lines().map(|line| line.trim().to_owned());
    let head = lines.next().map(|line| style.bold(&line)).unwrap_or_default();
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}
