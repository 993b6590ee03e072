//! The process that stands on the edges: started first, and again at once when it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::Supervisor;
use super::slot::{spawn, stop_child};
use crate::clock::moment;
use crate::process::ProcessIdentity;
use crate::roles::EXIT_ADDRESS_TAKEN;

/// Its addresses accept within this time, or the lab does not start.
const START_LIMIT: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// One that lived for less is started again only after a pause.
const SHORT_LIFE: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(250);

/// Starts it and waits until all its addresses accept; nothing when it ends or they do
/// not in time.
pub(super) async fn start(lab: &Arc<Supervisor>) -> Option<Child> {
    let mut child = launch(lab)?;
    let begun = Instant::now();
    for address in lab.layout.edges.iter().flat_map(|edge| &edge.addresses) {
        while TcpStream::connect(address).await.is_err() {
            let ended = child.try_wait().ok().flatten();
            if ended.is_some_and(|it| it.code() == Some(i32::from(EXIT_ADDRESS_TAKEN))) {
                lab.address_taken();
                return None;
            }
            if ended.is_some() || begun.elapsed() > START_LIMIT {
                let how = ended.map_or_else(String::new, |status| format!(", it ended: {status}"));
                lab.log.line(&format!("the interposer does not listen on {address}{how}"));
                return None;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
    Some(child)
}

/// Keeps it running until the lab stops. It ends after the pods, whose calls lead through it.
pub(super) async fn keep(lab: Arc<Supervisor>, mut child: Child) {
    let mut begun = Instant::now();
    loop {
        tokio::select! {
            () = lab.pods_stopped.cancelled() => {
                stop_child(&mut child).await;
                return;
            }
            status = child.wait() => lab.log.line(&format!("the interposer ended: {status:?}")),
        }
        while !lab.pods_stopped.is_cancelled() {
            if begun.elapsed() < SHORT_LIFE {
                tokio::time::sleep(PAUSE).await;
            }
            begun = Instant::now();
            if let Some(next) = launch(&lab) {
                child = next;
                break;
            }
        }
    }
}

/// Starts it through a role of ours, which orders the kernel to kill it with the supervisor.
fn launch(lab: &Arc<Supervisor>) -> Option<Child> {
    let state = &lab.settings.state;
    let mut command = Command::new(&lab.settings.program);
    command.args(&lab.settings.role_arguments);
    command.args(["--role", "interposer", "--instance", "interposer", "--state"]).arg(state);
    command.args(["--parent", &std::process::id().to_string(), "--"]);
    command.args(lab.settings.interposer.as_deref().unwrap_or_default());
    command.arg("--config").arg(state.join("proxy.json"));
    command.arg("--socket").arg(state.join("proxy.sock"));
    command.arg("--log").arg(state.join("logs").join("proxy.log"));
    let child = spawn(lab, command, "interposer")?;
    // One that has ended already has no identity any more; who waits for it is told how it ended.
    if let Some(ProcessIdentity { pid, start_time }) = child.id().and_then(ProcessIdentity::of) {
        lab.change(|model| model.interposed(moment(), pid, start_time));
    }
    Some(child)
}
