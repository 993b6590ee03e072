//! The watchdog as a real process: its session, its pipes, its lease.

use std::path::Path;

use agent::watchdog::HarnessProcess;
use harness_core::units::Duration;
use harness_engine::store::RunDir;
use harness_engine::watchdog::{WatchdogError, WatchdogLink, WatchdogStart};

fn start_for(run: &Path, lease: Duration) -> WatchdogStart {
    let own = HarnessProcess::own().unwrap();
    let words = [
        env!("CARGO_BIN_EXE_agent-watchdog").to_owned(),
        "--run".to_owned(),
        run.display().to_string(),
        "--lease".to_owned(),
        lease.to_string(),
        "--harness".to_owned(),
        own.to_string(),
    ];
    let argv = words.into_iter().map(Into::into).collect();
    WatchdogStart { argv, lease, fence: run.join("fence") }
}

/// Process group and session of a process: fields 5 and 6 of its `stat`.
fn group_and_session(pid: u32) -> (u32, u32) {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = text.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = rest.split(' ').collect();
    (fields[2].parse().unwrap(), fields[3].parse().unwrap())
}

#[tokio::test]
async fn it_has_a_session_of_its_own_and_takes_over_when_nobody_renews() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(RunDir::PLAN), "{}").unwrap();
    let run = RunDir::at(directory.path()).unwrap();
    let lease = Duration::from_millis(400);
    let link = WatchdogLink::start(start_for(run.path(), lease)).await.unwrap();
    let pid = link.pid().unwrap();
    assert_eq!(group_and_session(pid), (pid, pid));
    assert!(!run.fence_path().exists());
    // This process lives, but says nothing.
    for _ in 0..1_000 {
        if run.fence_path().exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10).as_std()).await;
    }
    let log = std::fs::read_to_string(run.watchdog_log_path()).unwrap();
    assert!(log.contains("taking over: the lease ended"), "{log}");
    link.leave().await;
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "it leaves when it is told to");
}

#[tokio::test]
async fn a_program_that_is_no_watchdog_is_found_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut start = start_for(directory.path(), Duration::from_secs(3));
    let error = WatchdogLink::start(start.clone()).await.err().unwrap();
    assert!(matches!(error, WatchdogError::NotReady { .. }), "no run there: {error}");
    start.argv[0] = "/nowhere/watchdog".into();
    let error = WatchdogLink::start(start).await.err().unwrap();
    assert!(matches!(error, WatchdogError::Start { .. }), "{error}");
}
