//! Rules asked about a plan, by the engine of `regorus`.

use std::num::NonZeroU32;
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};

use crate::{Answer, PolicyError, Question, Reason, Source};

/// All rules together must have answered within this time.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The time is looked at every so many steps.
const TIMER_STEPS: NonZeroU32 = NonZeroU32::new(1_000).expect("it is not zero");
/// Packages whose rules are asked begin so.
const PACKAGE: &str = "data.gameday";

/// An engine that knows these sources, and the packages of each file of rules.
pub(crate) fn engine(sources: &[Source]) -> Result<(Engine, Vec<Module>), PolicyError> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.set_execution_timer_config(ExecutionTimerConfig {
        limit: ANSWER_MAX,
        check_interval: TIMER_STEPS,
    });
    let mut modules = Vec::new();
    for source in sources {
        let failed = |error: &dyn std::fmt::Display| PolicyError::Rules {
            file: source.name.clone(),
            why: format!("{error:#}"),
        };
        if source.is_data() {
            let data = Value::from_json_str(&source.text).map_err(|error| failed(&error))?;
            engine.add_data(data).map_err(|error| failed(&error))?;
        } else {
            let package = engine.add_policy(source.name.clone(), source.text.clone());
            let package = package.map_err(|error| failed(&error))?;
            modules.push(Module { file: source.name.clone(), package });
        }
    }
    Ok((engine, modules))
}

/// One file of rules.
pub(crate) struct Module {
    pub(crate) file: String,
    /// `data.gameday`, ...
    pub(crate) package: String,
}

/// Asks all rules. An error is a refusal: nothing is known about the plan then.
pub fn ask(sources: &[Source], question: &Question<'_>) -> Result<Answer, PolicyError> {
    let (mut engine, modules) = engine(sources)?;
    let input = question.input().to_string();
    engine.set_input_json(&input).map_err(|error| PolicyError::Rules {
        file: "input".to_owned(),
        why: format!("{error:#}"),
    })?;
    let mut packages: Vec<&str> = Vec::new();
    for module in &modules {
        let below = module.package.strip_prefix(PACKAGE);
        if !below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
            return Err(PolicyError::Rules {
                file: module.file.clone(),
                why: format!("its package is {}, not at or below {PACKAGE}", module.package),
            });
        }
        if !packages.contains(&module.package.as_str()) {
            packages.push(&module.package);
        }
    }
    let mut answer = Answer::default();
    for package in packages {
        answer.deny.extend(reasons(&mut engine, &format!("{package}.deny"))?);
        answer.warn.extend(reasons(&mut engine, &format!("{package}.warn"))?);
    }
    for reasons in [&mut answer.deny, &mut answer.warn] {
        reasons.sort();
        reasons.dedup();
    }
    Ok(answer)
}

/// The value of a rule; `None` when it is undefined or not there.
pub(crate) fn value(engine: &mut Engine, rule: &str) -> Result<Option<Value>, PolicyError> {
    let asked = engine.eval_query(rule.to_owned(), false);
    let asked = asked.map_err(|error| PolicyError::Evaluation {
        rule: rule.to_owned(),
        why: format!("{error:#}"),
    })?;
    let first = asked.result.into_iter().next();
    let value = first.and_then(|row| Some(row.expressions.first()?.value.clone()));
    Ok(value.filter(|value| *value != Value::Undefined))
}

fn reasons(engine: &mut Engine, rule: &str) -> Result<Vec<Reason>, PolicyError> {
    let Some(value) = value(engine, rule)? else { return Ok(Vec::new()) };
    let wrong = |why: String| PolicyError::Reasons { rule: rule.to_owned(), why };
    let text = value.to_json_str().map_err(|error| wrong(error.to_string()))?;
    let json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let serde_json::Value::Array(items) = json else { return Err(wrong(text)) };
    items
        .into_iter()
        .map(|item| match item {
            serde_json::Value::String(because) => {
                Ok(Reason { rule: crate::unnamed(), because, hint: String::new() })
            }
            item => serde_json::from_value(item).map_err(|error| wrong(error.to_string())),
        })
        .collect()
}

#[cfg(test)]
mod tests;
