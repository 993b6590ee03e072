//! The command from outside: real processes on loopback, bounded in time and load.

mod catalogue;
mod commands;
mod help;
mod killed;
mod stalled;
mod support;
