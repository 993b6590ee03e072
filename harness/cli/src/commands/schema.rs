//! `gameday schema`: the JSON Schema of scenarios, made from the same readers that check them.

use harness_core::exit;

use crate::output;
use crate::ports;

pub(crate) fn run() -> u8 {
    let schema = scenarios::schema(&ports::registry());
    output::say(&serde_json::to_string_pretty(&schema).expect("a schema is plain data"));
    exit::PASS
}
