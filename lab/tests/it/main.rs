//! The lab as a whole: real processes on loopback, real signals, bounded time.

mod defects;
mod faults;
mod life;
mod support;
