//! The lab as a whole.
