//! One question to one program: one JSON value in, one JSON value out, within a deadline.

use std::path::Path;

use harness_core::fault::{Cx, FaultError};
use harness_core::topology::Topology;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::FORMAT;
use crate::program::Call;

/// A question to a program.
pub(super) struct Ask<'a> {
    cx: &'a Cx<'a>,
    program: &'a Path,
    verb: &'static str,
    said: Map<String, Value>,
}

/// What a program answers when it could not do what it was asked.
#[derive(serde::Deserialize)]
struct Refused {
    error: String,
}

impl<'a> Ask<'a> {
    pub(super) fn new(cx: &'a Cx<'a>, program: &'a Path, verb: &'static str) -> Self {
        let millis = |duration: harness_core::units::Duration| duration.micros() / 1000;
        let said = json!({
            "format": FORMAT,
            "verb": verb,
            "run": cx.run,
            "trial": cx.trial,
            "fault": cx.fault,
            "name": cx.name(),
            "leaseMs": millis(cx.lease),
            "deadlineMs": millis(cx.deadline),
        });
        let Value::Object(said) = said else { unreachable!("it was written as an object") };
        Self { cx, program, verb, said }
    }

    fn and(mut self, key: &str, value: Value) -> Self {
        self.said.insert(key.to_owned(), value);
        self
    }

    pub(super) fn with(self, with: &Value) -> Self {
        self.and("with", with.clone())
    }

    pub(super) fn undo(self, record: &Value) -> Self {
        self.and("undo", record.clone())
    }

    pub(super) fn baseline(self, baseline: &Value) -> Self {
        self.and("baseline", baseline.clone())
    }

    pub(super) fn topology(self, topology: &Topology) -> Self {
        self.and("topology", serde_json::to_value(topology).expect("plain data"))
    }

    /// Runs the program. Dropped before its end, or at its deadline, it is killed with its group.
    pub(super) async fn ask<T: DeserializeOwned>(self) -> Result<T, FaultError> {
        let wrong = |why: &str| failed(self.verb, self.program, why);
        let question = Value::Object(self.said.clone()).to_string();
        let within = self.cx.deadline;
        let answered = tokio::time::timeout(within.as_std(), self.exchange(&question)).await;
        let (answer, words) = match answered {
            Ok(Ok(answered)) => answered,
            Ok(Err(why)) => return Err(wrong(&why)),
            Err(_) => {
                let step = format!("{} of {}", self.verb, self.program.display());
                return Err(FaultError::TimedOut { step, within });
            }
        };
        if let Ok(Refused { error }) = serde_json::from_slice(&answer) {
            return Err(wrong(&error));
        }
        serde_json::from_slice(&answer)
            .map_err(|error| wrong(&format!("its answer is not understood: {error}{words}")))
    }

    /// What it said on standard output; and on standard error, as words to go on with.
    async fn exchange(&self, question: &str) -> Result<(Vec<u8>, String), String> {
        let name = self.cx.name();
        let call = Call { program: self.program, arguments: &[], fault: &name, verb: self.verb };
        let said = call.exchange(question).await?;
        if said.has_succeeded() || serde_json::from_slice::<Refused>(&said.answer).is_ok() {
            return Ok((said.answer, said.words));
        }
        Err(said.how_it_ended())
    }
}

pub(super) fn failed(verb: &str, program: &Path, why: &str) -> FaultError {
    let action = format!("{verb} by {}", program.display());
    FaultError::Failed { action, why: why.to_owned() }
}
