//! `lab/shop`: a miniature cloud system of ordinary local processes that talk HTTP/1.1 over
//! loopback, to try game days on. One edge, from the alerter to the pager, is encrypted.
//!
//! The library is linked by the one binary: [`up`] starts a supervisor as a detached process of
//! that binary, which starts everything else; [`run_role`] is what each of those processes runs.
//! It knows nothing of the harness: it is attacked over its sockets and pids like any system.
//! Linux only.

mod clock;
mod defects;
mod down;
mod http;
mod layout;
mod leases;
mod log;
mod logs;
mod measure;
mod metrics;
mod orders;
mod process;
mod ranges;
mod release;
mod roles;
mod settings;
mod state;
mod supervisor;
mod tls;
mod up;
mod volume;

pub use clock::{Moment, moment, monotonic_us, unix_ms};
pub use defects::{Defect, DefectError, Defects, KnownDefect};
pub use down::{Leave, Stopped, down};
pub use layout::Edge;
pub use logs::{LogFollower, LogText, logs};
pub use measure::{Measure, Orders, measure};
pub use process::{ProcessIdentity, boot_id};
pub use release::{Flaw, Release};
pub use roles::{ArgumentError, EXIT_ADDRESS_TAKEN, RoleArguments, RoleName, run_role};
pub use settings::Settings;
pub use state::{
    Deployment, Endpoints, EventKind, EventRecord, LAB_FORMAT, LabState, Labels, Pod, PodPhase,
    PodTemplate, ProcessRecord, RestartPolicy, Service, Steady, Termination,
};
pub use up::{LabError, LabStatus, status, up};

/// The defects of the worker touch one pending order in so many, beginning with the first.
pub const DEFECT_EVERY: u64 = 50;
