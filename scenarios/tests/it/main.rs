//! Tests of the scenario language, all in one binary.

mod catalogue;
mod world;
