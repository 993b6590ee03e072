//! `gameday report RUN`: a stored run in any format.

use harness_core::exit;
use reports::Format;

use crate::args::{self, Global, Report};
use crate::failure::Failure;
use crate::output;
use crate::stored::{self, Stored};
use crate::style::Style;

pub(crate) fn run(global: &Global, arguments: &Report) -> Result<u8, Failure> {
    let stored = Stored::read(stored::find(&global.runs, &arguments.run.run)?)?;
    let verdict = stored.verdict();
    let format = format(arguments.format);
    let style = match &arguments.output {
        Some(_) => Style { colour: false },
        None => Style::stdout(global.color),
    };
    let text = if format == Format::Text {
        stored.text(&stored.plan, &verdict, style)
    } else {
        let report = stored.report(&stored.plan, &verdict);
        reports::render(format, &report, &stored::options(style))
    };
    match &arguments.output {
        None => output::say(&text),
        Some(file) => std::fs::write(file, text)
            .map_err(|error| Failure::could_not(&format!("write {}", file.display()), &error))?,
    }
    Ok(exit::PASS)
}

const fn format(format: args::Format) -> Format {
    match format {
        args::Format::Text => Format::Text,
        args::Format::Json => Format::Json,
        args::Format::Junit => Format::Junit,
        args::Format::Markdown => Format::Markdown,
        args::Format::Html => Format::Html,
    }
}
