//! The steps of the gate: a name and a command each.

use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context;

use crate::failures::Failures;

/// One step.
#[derive(Debug)]
pub(crate) struct Step {
    /// Its name, for `--only`.
    pub(crate) name: &'static str,
    command: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
    /// Left out, with a word, when this program is missing.
    needs: Option<&'static str>,
    /// Its output is the test harness's: what failed tests said is told again at the end.
    tests: bool,
}

/// What came of a step.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) outcome: Outcome,
    pub(crate) seconds: f64,
    pub(crate) failures: Failures,
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
        Step { tests: true, ..step("test", &["cargo", "test", "--workspace", "--no-fail-fast"]) },
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
    Step { name, command, variables: &[], needs: None, tests: false }
}

impl Step {
    /// As it would be typed.
    pub(crate) fn command_line(&self) -> String {
        let variables = self.variables.iter().map(|(name, value)| format!("{name}='{value}' "));
        variables.collect::<String>() + &self.command.join(" ")
    }

    /// Runs it, with its output going where ours goes.
    pub(crate) fn run(&self, skips: &Path) -> anyhow::Result<Done> {
        if let Some(program) = self.needs
            && Command::new(program).arg("--version").output().is_err()
        {
            let (outcome, failures) = (Outcome::LeftOut, Failures::default());
            return Ok(Done { outcome, seconds: 0.0, failures });
        }
        let began = Instant::now();
        let (program, arguments) = self.command.split_first().context("a step has a command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .envs(self.variables.iter().copied())
            .env("GAMEDAY_SKIPS", skips)
            .stdout(if self.tests { Stdio::piped() } else { Stdio::inherit() })
            .spawn()
            .with_context(|| format!("could not run `{}`", self.command_line()))?;
        let failures = child.stdout.take().map_or_else(
            || Ok(Failures::default()),
            |output| Failures::copy(BufReader::new(output), std::io::stdout().lock()),
        )?;
        let outcome = if child.wait()?.success() { Outcome::Passed } else { Outcome::Failed };
        Ok(Done { outcome, seconds: began.elapsed().as_secs_f64(), failures })
    }
}
