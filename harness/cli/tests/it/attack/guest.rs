//! User-Mode Linux guests: another kernel, another boot, over one directory of this machine.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use rustix::system::{finit_module, uname};

use super::skip;
use crate::support::{Place, alone, until};

/// A guest has one slow processor, and its boot takes some seconds.
pub(super) const GUEST_MAX: Duration = Duration::from_secs(150);
/// The same for a whole test in it.
const TEST_MAX: Duration = Duration::from_mins(10);

/// Whether there can be guests here.
pub(super) fn can_be_had() -> bool {
    Command::new("linux.uml").arg("--version").output().is_ok()
}

/// Whether this process runs in one.
pub(super) fn is_one() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("User Mode Linux"))
}

/// Loads modules of the guest's kernel: `net/sched/sch_netem`.
pub(super) fn load(modules: &[&str]) {
    let kernel = uname();
    let release = kernel.release().to_str().unwrap();
    for module in modules {
        let path = format!("/usr/lib/uml/modules/{release}/kernel/{module}.ko");
        match finit_module(File::open(path).unwrap(), c"", 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => panic!("{module}: {error}"),
        }
    }
}

/// Runs the tests of this program whose names contain `filter` in a guest; left out by name where
/// there can be none.
#[expect(clippy::print_stdout, reason = "what was measured in the guest is the evidence")]
pub(super) fn run(test: &str, filter: &str) {
    if !can_be_had() {
        return skip(test, "there is no linux.uml here");
    }
    let _alone = alone();
    let place = Place::new();
    let program = std::env::current_exe().unwrap();
    // What the tests can keep is kept in the guest's directory, and shown.
    let words = format!(
        "GAMEDAY_FIGURES={0}/figures GAMEDAY_BLESS_UNDO={0} {1} {filter} --nocapture\n",
        place.path().display(),
        program.display()
    );
    let _guest = Guest::boot(&place, &words);
    let ended = until(TEST_MAX, || place.path().join("status").exists().then_some(()));
    let said = ["output", "figures", "packet-delay.json"].map(|name| read(&place, name)).join("\n");
    println!("{said}");
    assert!(ended.is_some(), "the guest ends: {said}\n{}", read(&place, "console"));
    assert_eq!(read(&place, "status").trim(), "0", "{said}\n{}", read(&place, "console"));
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
