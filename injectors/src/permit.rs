//! Permits to inject: one empty file per fault, in this user's own place.
//!
//! Arming makes the permit, and so proves that there can be one while nothing is changed yet. A
//! revert takes it away before anything else, which also a full disk lets it do; from then on no
//! process injects that fault any more, however late it goes on. A permit that got lost forbids.

use std::fs::{File, remove_file};
use std::io;
use std::path::PathBuf;

use harness_core::fault::FaultError;

use crate::own_place::own_place;

/// A fault's name is made of the run's, the trial's and the scenario's own: no slash is in it.
pub(crate) fn path(name: &str) -> io::Result<PathBuf> {
    Ok(own_place()?.join(format!("permit-{}", name.replace('/', "_"))))
}

/// Whether there can be permits here. Asked before a run begins.
pub(crate) fn ready() -> Result<(), FaultError> {
    own_place().map(drop).map_err(|error| unavailable(&error))
}

/// Lets a fault be injected, until it is reverted.
pub(crate) fn grant(name: &str) -> Result<(), FaultError> {
    let made = path(name).and_then(|path| File::options().create(true).append(true).open(path));
    made.map(drop).map_err(|error| unavailable(&error))
}

/// Whether a fault may be injected: it was armed, and not reverted since.
pub(crate) fn is_granted(name: &str) -> bool {
    path(name).is_ok_and(|path| path.exists())
}

/// No process injects the fault from now on. Where this cannot be said, what is there is put back
/// all the same: an injection that comes even later is then left to the engine, which fences a
/// harness that stood still, and pays again.
pub(crate) fn withdraw(name: &str) {
    match path(name).and_then(remove_file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, fault = name, "could not take away the permit to inject");
        }
        Ok(()) | Err(_) => {}
    }
}

fn unavailable(error: &io::Error) -> FaultError {
    let mechanism = "a permit to inject, which the revert takes away,".to_owned();
    FaultError::Unavailable { mechanism, why: error.to_string() }
}
