//! `gameday schema`: the JSON Schema of scenarios, made from the same readers that check them.

use harness_core::exit;

use crate::failure::Failure;
use crate::output;
use crate::ports;

pub(crate) fn run() -> Result<u8, Failure> {
    let schema = scenarios::schema(&ports::registry());
    output::say(&serde_json::to_string_pretty(&schema).expect("a schema is plain data"));
    Ok(exit::PASS)
}
