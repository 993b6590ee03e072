//! The whole gate, the same here and in every pipeline: `cargo ci`. Runs other tools, prints what
//! it runs and how long each step took; does not test anything itself.

#![expect(clippy::print_stdout, reason = "a command for people")]

mod failures;
mod skips;
mod step;

use std::process::ExitCode;

use clap::Parser;

/// Formatting, lints, tests, documentation, licences.
#[derive(Debug, Parser)]
#[command(name = "cargo ci", max_term_width = 100)]
struct Arguments {
    /// `gate` is what every change passes; `full` adds the catalogue, inferred, in release mode
    #[arg(default_value = "gate", value_parser = ["gate", "full"])]
    level: String,
    /// List the steps and what they run
    #[arg(long)]
    list: bool,
    /// Run only the steps of these names
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Tests, or groups of them, that may be skipped here because what they need cannot be had
    #[arg(long, value_name = "TEST|GROUP", value_delimiter = ',')]
    may_skip: Vec<String>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut steps = step::gate();
    if arguments.level == "full" {
        steps.extend(step::full());
    }
    if !arguments.only.is_empty() {
        steps.retain(|step| arguments.only.iter().any(|name| name == step.name));
    }
    if arguments.list {
        for step in &steps {
            println!("{:<10} {}", step.name, step.command_line());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let skips = skips::SkipFile::fresh()?;
    let mut table = Vec::new();
    let mut failed = false;
    let mut said = Vec::new();
    for step in &steps {
        println!("\n== {}: {}", step.name, step.command_line());
        let done = step.run(skips.path())?;
        failed |= done.outcome == step::Outcome::Failed;
        table.push((step.name, done.outcome, done.seconds));
        said.extend_from_slice(done.failures.lines());
    }
    failed |= skips.report(&arguments.may_skip)?;
    print_table(&table);
    if !said.is_empty() {
        println!("\nwhat failed tests said:\n{}", said.join("\n"));
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print_table(table: &[(&'static str, step::Outcome, f64)]) {
    println!("\n{:<10} {:<8} {:>8}", "step", "result", "seconds");
    for (name, result, seconds) in table {
        println!("{name:<10} {:<8} {seconds:>8.1}", result.label());
    }
}

/// The steps of `gate`, as documented in CONTRIBUTING.md.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn names_of_steps_are_unique() {
        let mut names: Vec<_> = step::gate().iter().chain(&step::full()).map(|s| s.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_gate_runs_the_test_command_of_the_readme() {
        let tests = step::gate().into_iter().find(|s: &step::Step| s.name == "test").unwrap();
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&tests.command_line()), "{}", tests.command_line());
    }
}
