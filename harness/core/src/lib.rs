//! The vocabulary of gameday and every decision it takes. Pure: no file, socket, clock,
//! environment, thread or randomness; the same input gives the same output.

pub mod conductor;
pub mod diag;
pub mod event;
pub mod evidence;
pub mod exit;
pub mod fault;
pub mod history;
pub mod ids;
pub mod journal;
pub mod judge;

pub mod load;
pub mod plan;
pub mod policy;
pub mod signal;
pub mod system;
pub mod time;
pub mod topology;
pub mod units;
pub mod verdict;
