//! The steps of the gate: a name and a command each.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;

/// One step.
#[derive(Debug)]
pub(crate) struct Step {
    /// Its name, for `--only`.
    pub(crate) name: &'static str,
    command: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
    /// Left out, with a word, when this program is missing.
    needs: Option<&'static str>,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// The tool that it needs is not installed.
    LeftOut,
}

impl Outcome {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::LeftOut => "left out",
        }
    }
}

/// What every change passes.
pub(crate) fn gate() -> Vec<Step> {
    vec![
        step("fmt", &["cargo", "fmt", "--all", "--check"]),
        step(
            "clippy",
            &["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        ),
        step("test", &["cargo", "test", "--workspace", "--no-fail-fast"]),
        Step {
            variables: &[("RUSTDOCFLAGS", "-D warnings")],
            ..step("docs", &["cargo", "doc", "--workspace", "--no-deps"])
        },
        Step {
            needs: Some("cargo-deny"),
            ..step("deny", &["cargo", "deny", "--offline", "check", "bans", "licenses", "sources"])
        },
    ]
}

/// What takes longer: every catalogue scenario, inferred, on the healthy lab and on its defect.
pub(crate) fn full() -> Vec<Step> {
    vec![
        step("release", &["cargo", "build", "--release"]),
        step("catalogue", &["sh", "ci/catalogue.sh"]),
    ]
}

const fn step(name: &'static str, command: &'static [&'static str]) -> Step {
    Step { name, command, variables: &[], needs: None }
}

impl Step {
    /// As it would be typed.
    pub(crate) fn command_line(&self) -> String {
        let variables = self.variables.iter().map(|(name, value)| format!("{name}='{value}' "));
        variables.collect::<String>() + &self.command.join(" ")
    }

    /// Runs it, with its output going where ours goes.
    pub(crate) fn run(&self, skips: &Path) -> anyhow::Result<(Outcome, f64)> {
        if let Some(program) = self.needs
            && Command::new(program).arg("--version").output().is_err()
        {
            return Ok((Outcome::LeftOut, 0.0));
        }
        let began = Instant::now();
        let (program, arguments) = self.command.split_first().context("a step has a command")?;
        let status = Command::new(program)
            .args(arguments)
            .envs(self.variables.iter().copied())
            .env("GAMEDAY_SKIPS", skips)
            .status()
            .with_context(|| format!("could not run `{}`", self.command_line()))?;
        let outcome = if status.success() { Outcome::Passed } else { Outcome::Failed };
        Ok((outcome, began.elapsed().as_secs_f64()))
    }
}
