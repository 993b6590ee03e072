//! The scenario language: from a text to a plan, with every complaint at its place.
//!
//! Pure: reads no file, asks no clock, draws no randomness of its own. Starts nothing.

mod ast;
pub mod catalogue;
mod check;
pub mod codes;
mod expectations;
mod files;
mod findings;
mod node;
mod plan;
mod read;
mod render;
mod schema;
mod source;
mod starter;
mod vars;

pub use check::{CheckInput, PlanInput, Scenario, check, plan, warnings};
pub use expectations::expectations;
pub use files::ReadFile;
pub use findings::FINDINGS_MAX;
pub use plan::{JITTER_MAX, SEED_DEFAULT, SPARE_PERCENT};
pub use render::render;
pub use schema::schema;
pub use source::{DEPTH_MAX, NODES_MAX, TEXT_BYTES_MAX};
pub use starter::starter;
pub use vars::{PARAMS_MAX, VALUE_BYTES_MAX};
