//! Compares what was calculated with what was expected, under the tolerances of a vector.
//!
//! Everything that is expected must be there; more than that is not looked at.

use serde_json::{Number, Value};

/// Every difference, each with the place where it is; none when both agree.
pub(crate) fn differences(expected: &Value, found: &Value, tolerance: &Value) -> Vec<String> {
    let mut all = Vec::new();
    walk("", expected, Some(found), tolerance, &mut all);
    all
}

fn walk(
    place: &str,
    expected: &Value,
    found: Option<&Value>,
    tolerance: &Value,
    all: &mut Vec<String>,
) {
    match (expected, found) {
        (Value::Object(fields), Some(Value::Object(_))) => {
            for (name, field) in fields {
                let below = found.and_then(|found| found.get(name));
                walk(&format!("{place}.{name}"), field, below, tolerance, all);
            }
        }
        (Value::Array(items), Some(Value::Array(others))) if items.len() == others.len() => {
            for (index, (item, other)) in items.iter().zip(others).enumerate() {
                walk(&format!("{place}[{index}]"), item, Some(other), tolerance, all);
            }
        }
        (Value::Number(expected), Some(Value::Number(found))) => {
            let whole = expected.is_i64() || expected.is_u64();
            let number = |number: &Number| number.as_f64().expect("a JSON number is a double");
            let (expected, found) = (number(expected), number(found));
            if !agree(expected, found, whole, tolerance) {
                all.push(format!("{place} is {found:e}, expected {expected:e}"));
            }
        }
        (expected, Some(found)) if expected == found => {}
        (expected, found) => all.push(format!("{place} is {found:?}, expected {expected}")),
    }
}

fn agree(expected: f64, found: f64, whole: bool, tolerance: &Value) -> bool {
    let error = (found - expected).abs();
    let within = |name: &str, scale: f64| {
        tolerance.get(name).and_then(Value::as_f64).is_some_and(|limit| error <= limit * scale)
    };
    error <= 0.0
        || !whole
            && (within("rel", expected.abs())
                || within("abs", 1.0)
                || within("rel_to_distance_from_edge", expected.min(1.0 - expected)))
}
