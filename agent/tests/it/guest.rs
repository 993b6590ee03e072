//! Tests in another kernel: this very program once more, in a User-Mode Linux guest, which can load
//! what this machine's kernel may lack.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use rustix::system::{finit_module, uname};
use tokio::process::Command;

use crate::world::skip;

/// A guest has one slow processor, and its boot takes some seconds.
const GUEST_MAX: Duration = Duration::from_mins(5);

/// Whether this process runs in one.
pub(crate) fn is_one() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("User Mode Linux"))
}

/// Loads modules of the guest's kernel: `net/sched/sch_netem`.
pub(crate) fn load(modules: &[&str]) {
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

/// Runs the tests whose names contain `filter` in a guest, and shows what they say; left out by
/// name where no guest runs.
#[expect(clippy::print_stdout, reason = "what was measured in the guest is the evidence")]
pub(crate) async fn run(test: &str, filter: &str) {
    let probe = Command::new("sh").arg(recipe()).arg("--probe").output().await.unwrap();
    if !probe.status.success() {
        let why = String::from_utf8_lossy(&probe.stderr);
        return skip(&format!("guest: {test}"), why.trim());
    }
    let place = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let program = program.display();
    let script = place.path().join("script.sh");
    let words = format!("uname -r\n{program} {filter} --nocapture --test-threads 1\n");
    File::create(&script).unwrap().write_all(words.as_bytes()).unwrap();
    let mut guest = Command::new("sh")
        .arg(recipe())
        .args([place.path(), &script])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let group = guest.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).unwrap();
    let ended = tokio::time::timeout(GUEST_MAX, guest.wait()).await;
    // It may have ended by itself.
    kill_process_group(group, Signal::KILL).unwrap_or_default();
    guest.wait().await.unwrap();
    let read = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap_or_default();
    let (output, status) = (read("output"), read("status"));
    println!("{output}");
    assert!(ended.is_ok(), "the guest ends: {output}\n{}", read("console"));
    assert_eq!(status.trim(), "0", "{output}\n{}", read("console"));
}

fn recipe() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/recipes/uml-guest.sh")
}
