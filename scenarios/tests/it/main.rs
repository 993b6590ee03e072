//! Tests of the scenario language, all in one binary.

mod cases;
mod catalogue;
mod expectations;
mod families;
mod language;
mod properties;
mod schema;
mod world;
