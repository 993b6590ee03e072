//! Tests of rules: every rule `test_...` at the beginning of a line must be true.

use crate::rego::{engine, value};
use crate::{PolicyError, Source, Tested};

const PREFIX: &str = "test_";

/// Runs every test of these sources. An error means that not even their files are understood; a
/// test that cannot be evaluated has failed.
pub fn test(sources: &[Source]) -> Result<Vec<Tested>, PolicyError> {
    let (mut engine, modules) = engine(sources)?;
    let mut tested = Vec::new();
    for module in &modules {
        let source = sources.iter().find(|source| source.name == module.file);
        for name in source.iter().flat_map(|source| names(&source.text)) {
            let failed = match value(&mut engine, &format!("{}.{name}", module.package)) {
                Ok(Some(regorus::Value::Bool(true))) => None,
                Ok(Some(value)) => Some(format!("it is {value}")),
                Ok(None) => Some("it is not true".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            tested.push(Tested { file: module.file.clone(), name, failed });
        }
    }
    Ok(tested)
}

/// Names of tests, each once, in the order of the file.
fn names(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with(PREFIX)) {
        let name: String =
            line.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
