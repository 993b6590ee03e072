//! Soon.
use harness_core::fault::Registry;
/// Soon.
pub fn schema(_: &Registry) -> serde_json::Value { serde_json::Value::Null }
