//! The rules of an organisation and those of a scenario, asked so that the second can only be
//! stricter than the first.
//!
//! The organisation's are asked alone. Then all are asked together, with the scenario's data in the
//! place of the organisation's where both say something. What either denies is denied: so of two
//! shares the smaller counts, of two numbers of approvals the larger, and every freeze.

use serde_json::{Map, Value};

use crate::{Answer, PolicyError, Question, Source, ask, default_rules};

/// All rules that are asked, beside those that come with gameday.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layers {
    /// Of the organisation: no scenario can leave them out.
    pub organisation: Vec<Source>,
    /// Named by the scenario.
    pub scenario: Vec<Source>,
}

impl Layers {
    /// Asks all rules. An error is a refusal: nothing is known about the plan then.
    pub fn ask(&self, question: &Question<'_>) -> Result<Answer, PolicyError> {
        let together = ask(&self.together()?, question)?;
        if self.organisation.is_empty() || self.scenario.is_empty() {
            return Ok(together);
        }
        let alone = [vec![default_rules()], self.organisation.clone()].concat();
        let mut answer = ask(&alone, question)?;
        answer.deny.extend(together.deny);
        answer.warn.extend(together.warn);
        for reasons in [&mut answer.deny, &mut answer.warn] {
            reasons.sort();
            reasons.dedup();
        }
        Ok(answer)
    }

    fn together(&self) -> Result<Vec<Source>, PolicyError> {
        let own: Vec<Value> =
            self.scenario.iter().filter(|one| one.is_data()).map(data).collect::<Result<_, _>>()?;
        let mut sources = vec![default_rules()];
        for source in &self.organisation {
            if !source.is_data() {
                sources.push(source.clone());
                continue;
            }
            let mut theirs = data(source)?;
            for own in &own {
                leave_out(&mut theirs, own);
            }
            sources.push(Source { name: source.name.clone(), text: theirs.to_string() });
        }
        // A file that both name is asked once. Where the scenario's own files contradict each
        // other, the engine says so.
        let is_new = |one: &&Source| self.organisation.iter().all(|other| other.text != one.text);
        let rules = self.scenario.iter().filter(|one| one.is_data() || is_new(one));
        sources.extend(rules.cloned());
        Ok(sources)
    }
}

fn data(source: &Source) -> Result<Value, PolicyError> {
    serde_json::from_str(&source.text)
        .map_err(|error| PolicyError::Rules { file: source.name.clone(), why: error.to_string() })
}

/// Leaves out of one tree what another one says.
fn leave_out(tree: &mut Value, other: &Value) {
    let (Value::Object(tree), Value::Object(other)) = (tree, other) else { return };
    let said: Map<String, Value> = std::mem::take(tree);
    for (key, mut value) in said {
        match other.get(&key) {
            None => {
                tree.insert(key, value);
            }
            Some(inner) if value.is_object() && inner.is_object() => {
                leave_out(&mut value, inner);
                tree.insert(key, value);
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_other_says_is_left_out_and_nothing_else() {
        let mut tree = json!({"a": {"x": 1, "y": 2}, "b": [1], "c": {"z": 3}});
        leave_out(&mut tree, &json!({"a": {"x": 9}, "b": [], "c": 4, "d": 5}));
        assert_eq!(tree, json!({"a": {"y": 2}}));
    }
}
