//! The arguments of a role's process. They are an interface between our own processes, so they
//! are strict and short; people never type them.

use std::path::PathBuf;

use thiserror::Error;

use crate::release::Release;

/// Which process of the shop to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleName {
    /// Starts and restarts all others.
    Supervisor,
    /// Becomes the program that stands on the edges.
    Interposer,
    /// The gateway.
    Edge,
    /// The business logic.
    Checkout,
    /// The third-party dependency.
    Payments,
    /// The durable orders.
    Store,
    /// Drains pending orders.
    Worker,
    /// Gathers metrics.
    Collector,
    /// Evaluates rules and pages.
    Alerter,
    /// Runs batch jobs.
    Jobs,
    /// The cost feed.
    Meter,
    /// Stops jobs that cost too much.
    Cap,
    /// Takes pages.
    Pager,
}

const ROLES: [(RoleName, &str); 13] = [
    (RoleName::Supervisor, "supervisor"),
    (RoleName::Interposer, "interposer"),
    (RoleName::Edge, "edge"),
    (RoleName::Checkout, "checkout"),
    (RoleName::Payments, "payments"),
    (RoleName::Store, "store"),
    (RoleName::Worker, "worker"),
    (RoleName::Collector, "collector"),
    (RoleName::Alerter, "alerter"),
    (RoleName::Jobs, "jobs"),
    (RoleName::Meter, "meter"),
    (RoleName::Cap, "cap"),
    (RoleName::Pager, "pager"),
];

impl RoleName {
    /// The name as it stands in arguments; for a service also the service's name.
    pub fn text(self) -> &'static str {
        ROLES
            .iter()
            .find(|(role, _)| *role == self)
            .map(|(_, text)| *text)
            .expect("every role stands in the table")
    }
}

/// What a role's process was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleArguments {
    /// `--role`: which one.
    pub role: RoleName,
    /// `--state`: the state directory of the lab.
    pub state: PathBuf,
    /// `--instance`: the name of the pod, which is also that of its log.
    pub instance: String,
    /// `--slot`: which replica, from 0.
    pub slot: usize,
    /// `--release`: what the process is built from, as JSON; the first release unless said.
    pub release: Release,
    /// `--parent`: the process to die with.
    pub parent: Option<u32>,
    /// What follows `--`: the interposer's program and its arguments.
    pub rest: Vec<String>,
}

/// Why arguments do not name a role.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArgumentError {
    /// An argument that does not exist.
    #[error("a lab role knows no argument `{0}`")]
    Unknown(String),
    /// An argument without its value, or a wrong one.
    #[error("`{0}` needs a proper value")]
    Value(String),
    /// A needed argument is missing.
    #[error("a lab role needs `{0}`")]
    Missing(&'static str),
}

impl RoleArguments {
    /// The name of the log: one per slot, so that restarts do not add files.
    pub(crate) fn log_name(&self) -> String {
        match self.role {
            RoleName::Supervisor | RoleName::Interposer => self.role.text().to_owned(),
            role => format!("{}-{}", role.text(), self.slot),
        }
    }

    /// Reads what follows the hidden subcommand.
    pub fn parse<T: AsRef<str>>(arguments: &[T]) -> Result<Self, ArgumentError> {
        let (mut role, mut state, mut instance, mut parent) = (None, None, None, None);
        let (mut slot, mut release) = (0, Release::first());
        let mut rest = Vec::new();
        let mut all = arguments.iter().map(AsRef::as_ref);
        while let Some(name) = all.next() {
            if name == "--" {
                rest = all.by_ref().map(str::to_owned).collect();
                break;
            }
            let wrong = || ArgumentError::Value(name.to_owned());
            let mut value = || all.next().ok_or_else(wrong);
            match name {
                "--role" => {
                    let text = value()?;
                    let found = ROLES.iter().find(|(_, known)| *known == text);
                    role = Some(found.ok_or_else(wrong)?.0);
                }
                "--state" => state = Some(PathBuf::from(value()?)),
                "--instance" => instance = Some(value()?.to_owned()),
                "--slot" => slot = value()?.parse().map_err(|_| wrong())?,
                "--release" => {
                    release = serde_json::from_str(value()?).map_err(|_| wrong())?;
                    release.check().map_err(|_| wrong())?;
                }
                "--parent" => parent = Some(value()?.parse().map_err(|_| wrong())?),
                other => return Err(ArgumentError::Unknown(other.to_owned())),
            }
        }
        Ok(Self {
            role: role.ok_or(ArgumentError::Missing("--role"))?,
            state: state.ok_or(ArgumentError::Missing("--state"))?,
            instance: instance.ok_or(ArgumentError::Missing("--instance"))?,
            slot,
            release,
            parent,
            rest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<RoleArguments, ArgumentError> {
        RoleArguments::parse(&line.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn a_full_line_is_read() {
        let line = "--role interposer --state /s --instance proxy --parent 7 -- a --b";
        let read = parse(line).unwrap();
        assert_eq!(read.role, RoleName::Interposer);
        assert_eq!((read.parent, read.slot), (Some(7), 0));
        assert_eq!(read.rest, ["a", "--b"]);
    }

    #[test]
    fn every_role_has_its_name() {
        for (role, text) in ROLES {
            assert_eq!(role.text(), text);
            let line = format!("--role {text} --state /s --instance i --slot 2");
            assert_eq!(parse(&line).unwrap().role, role);
        }
    }

    #[test]
    fn wrong_lines_are_refused() {
        for (line, expected) in [
            ("--role edge --instance i", ArgumentError::Missing("--state")),
            ("--role", ArgumentError::Value(String::from("--role"))),
            ("--role cache", ArgumentError::Value(String::from("--role"))),
            ("--slot x", ArgumentError::Value(String::from("--slot"))),
            ("--release 2", ArgumentError::Value(String::from("--release"))),
            ("--colour red", ArgumentError::Unknown(String::from("--colour"))),
        ] {
            assert_eq!(parse(line).unwrap_err(), expected, "{line}");
        }
    }
}
