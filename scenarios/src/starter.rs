//! The scenario that `gameday init` writes: small, complete, and commented.

/// A commented scenario that passes `check` and runs on the lab as it is.
pub fn starter() -> &'static str {
    include_str!("starter.yaml")
}
