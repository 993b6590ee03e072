//! User-Mode Linux guests: another kernel, another boot, over one directory of this machine.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::Place;

/// A guest has one slow processor, and its boot takes some seconds.
pub(super) const GUEST_MAX: Duration = Duration::from_secs(150);

/// Why there are no guests here; `None` where one runs.
pub(super) fn why_none() -> Option<String> {
    let probe = Command::new("sh").arg(recipe()).arg("--probe").output().unwrap();
    let why = String::from_utf8_lossy(&probe.stderr).trim().to_owned();
    (!probe.status.success()).then_some(why)
}

fn recipe() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/recipes/uml-guest.sh")
}

/// A guest that is under way.
pub(super) struct Guest(Child);

impl Guest {
    pub(super) fn boot(place: &Place, script: &str) -> Self {
        let name = place.write("guest-script.sh", script);
        let child = Command::new("sh")
            .arg(recipe())
            .arg(place.path())
            .arg(place.path().join(name))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Cuts its power.
    pub(super) fn cut(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        // It may have ended by itself.
        kill_process_group(group, Signal::KILL).unwrap_or_default();
        self.0.wait().unwrap();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.cut();
    }
}

/// What a guest has left in its directory.
pub(super) fn read(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path().join(name)).unwrap_or_default()
}
