//! `gameday judge RUN`: the verdict again, from what is stored; also by other expectations.

use harness_core::judge::judge;
use harness_core::plan::Plan;

use crate::args::{Global, Judge};
use crate::failure::Failure;
use crate::output;
use crate::scenario;
use crate::stored::{self, Stored};
use crate::style::Style;

pub(crate) fn run(global: &Global, arguments: &Judge) -> Result<u8, Failure> {
    let stored = Stored::read(stored::find(&global.runs, &arguments.run.run)?)?;
    let plan = match &arguments.expect {
        None => stored.plan.clone(),
        Some(file) => {
            let expectations = scenario::expectations(file, &stored.plan, global.color)?;
            Plan { expectations, ..stored.plan.clone() }
        }
    };
    let verdict = judge(&plan, &stored.evidence);
    if arguments.expect.is_none() {
        stored.write_derived(&verdict)?;
    }
    if arguments.json {
        output::say(&serde_json::to_string_pretty(&verdict).expect("a verdict is plain data"));
    } else {
        output::say(&stored.text(&plan, &verdict, Style::stdout(global.color)));
    }
    Ok(verdict.exit_code)
}
