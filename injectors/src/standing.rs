//! How what a fault changes stands to it, as a look finds it.

/// How a process, or a container, stands to a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As the fault leaves it.
    Changed,
    /// As it was before.
    Before,
    /// It is gone, and with it whatever was changed.
    Gone,
    /// Neither: somebody else changed it; the words say to what.
    Other(String),
}
