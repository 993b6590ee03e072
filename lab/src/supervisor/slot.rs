//! One slot of a deployment: starts its process, probes it, and replaces it when it ends.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::Supervisor;
use super::backoff::{BackOff, INITIAL, INITIAL_SLOW};
use super::model::NewPod;
use crate::clock::moment;
use crate::defects::Defect;
use crate::http::{Client, Outgoing};
use crate::log::Log;
use crate::process::ProcessIdentity;
use crate::roles::EXIT_ADDRESS_TAKEN;

/// How often a pod is probed before and after it is ready.
const PROBE_STARTING: Duration = Duration::from_millis(50);
const PROBE_READY: Duration = Duration::from_millis(200);
const PROBE_LIMIT: Duration = Duration::from_millis(300);
/// So many unanswered probes make a ready pod unready.
const PROBES_MISSED_MAX: u32 = 3;
/// A pod that was told to stop is killed after so long.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// What the API can ask of a slot.
#[derive(Debug)]
pub(super) struct SlotControl {
    pub(super) deployment: &'static str,
    pub(super) slot: usize,
    /// Each change starts a missing pod at once and forgets the back-off.
    pub(super) restore: watch::Sender<u64>,
    /// The uid of the pod that is to make room for one with another release.
    pub(super) replaced: watch::Sender<String>,
}

/// Why a process is not watched any longer.
#[derive(Debug)]
enum End {
    /// It has ended, or the lab stops.
    Ended(Option<ExitStatus>),
    /// It is to make room for another release.
    Replaced,
}

impl SlotControl {
    /// Ends the wait of a slot that waits; one that does not starts again from the first wait.
    pub(super) fn forget_back_off(&self) {
        self.restore.send_modify(|times| *times += 1);
    }

    /// Ends the pod with this uid in good order, and starts the next one at once.
    pub(super) fn replace(&self, uid: &str) {
        self.replaced.send_replace(uid.to_owned());
    }
}

/// Keeps one slot filled until the lab stops.
pub(super) async fn keep(lab: Arc<Supervisor>, at: usize) {
    let control = &lab.slots[at];
    let slow = lab.settings.defects.has(Defect::RestartSlow);
    let mut back_off = BackOff::new(if slow { INITIAL_SLOW } else { INITIAL });
    let mut restore = control.restore.subscribe();
    while !lab.stop.is_cancelled() {
        let begun = Instant::now();
        if let Some((mut child, uid)) = start(&lab, control) {
            let end = watch_over(&lab, control, &mut child, &uid).await;
            if lab.stop.is_cancelled() {
                stop_child(&mut child).await;
                return;
            }
            match end {
                End::Ended(status) => ended(&lab, control, status),
                End::Replaced => {
                    let status = stop_child(&mut child).await;
                    ended(&lab, control, status);
                    continue;
                }
            }
        }
        if restore.has_changed().unwrap_or_default() {
            // A reset while the pod lived: its back-off is forgotten, its death is not undone.
            back_off.clear();
            restore.mark_unchanged();
        }
        let wait = back_off.wait(begun.elapsed());
        let wait_ms = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        lab.change(|model| model.backs_off(moment(), control.deployment, control.slot, wait_ms));
        let never = lab.settings.defects.has(Defect::SupervisorOff);
        tokio::select! {
            () = lab.stop.cancelled() => return,
            () = tokio::time::sleep(wait), if !never => {}
            // The sender lives as long as the supervisor.
            _ = restore.changed() => back_off.clear(),
        }
    }
}

/// Starts the process of a slot; the child, and the uid of its pod.
fn start(lab: &Supervisor, control: &SlotControl) -> Option<(Child, String)> {
    let (deployment, slot) = (control.deployment, control.slot);
    let (uid, suffix) = lab.fresh_names();
    let template = lab.read(|model| {
        let found = model.lab.deployments.iter().find(|one| one.name == deployment);
        found.map(|one| one.pod_template.clone())
    })?;
    let name = format!("{deployment}-{}-{suffix}", template.hash);
    let release = lab.releases.wanted(deployment, slot);
    let text = serde_json::to_string(&release).expect("plain data with string keys");
    let mut command = Command::new(&lab.settings.program);
    command.args(&template.args);
    command.arg("--state").arg(&lab.settings.state);
    command.args(["--instance", &name, "--slot", &slot.to_string(), "--release", &text]);
    command.args(["--parent", &std::process::id().to_string()]);
    let child = spawn(lab, command, &format!("{deployment}-{slot}"))?;
    let identity = child.id().and_then(ProcessIdentity::of)?;
    let ProcessIdentity { pid, start_time } = identity;
    let new = NewPod { name, uid: uid.clone(), pid, start_time, release: release.name };
    lab.change(|model| model.started(moment(), deployment, slot, new));
    Some((child, uid))
}

/// Starts a process whose output goes to its log.
pub(super) fn spawn(lab: &Supervisor, mut command: Command, log: &str) -> Option<Child> {
    let path = Log::path(&lab.settings.state, log);
    let output = OpenOptions::new().create(true).append(true).open(path).ok();
    let output = || {
        let file = output.as_ref().and_then(|file| file.try_clone().ok());
        file.map_or_else(Stdio::null, Stdio::from)
    };
    command.stdin(Stdio::null()).stdout(output()).stderr(output()).kill_on_drop(true);
    match command.spawn() {
        Ok(child) => Some(child),
        Err(error) => {
            lab.log.line(&format!("cannot start {log}: {error}"));
            None
        }
    }
}

/// Probes the child until it ends, by itself or by an order, or the lab stops.
async fn watch_over(lab: &Supervisor, control: &SlotControl, child: &mut Child, uid: &str) -> End {
    let process = child.id().and_then(ProcessIdentity::of);
    let mut replaced = control.replaced.subscribe();
    tokio::select! {
        () = lab.stop.cancelled() => End::Ended(None),
        status = child.wait() => End::Ended(status.ok()),
        () = probe(lab, control) => End::Ended(None),
        () = crash(lab, control, process) => End::Ended(None),
        // The sender lives as long as the supervisor.
        _ = replaced.wait_for(|it| it == uid) => End::Replaced,
    }
}

/// Kills a process that has to crash; never ends.
async fn crash(lab: &Supervisor, control: &SlotControl, process: Option<ProcessIdentity>) {
    let (deployment, slot) = (control.deployment, control.slot);
    if let (Some(process), Some(after)) = (process, lab.crashes.after(deployment, slot)) {
        tokio::time::sleep(after).await;
        // It may have been taken back meanwhile.
        if lab.crashes.is_due(deployment, slot) {
            lab.log.line(&format!("{deployment}-{slot} crashes by order"));
            process.kill();
        }
    }
    std::future::pending::<()>().await;
}

/// Probes for ever.
async fn probe(lab: &Supervisor, control: &SlotControl) {
    let address = lab.layout.service(control.deployment)[control.slot];
    let client = Client::new(address);
    let mut missed = 0;
    let mut ready = false;
    loop {
        tokio::time::sleep(if ready { PROBE_READY } else { PROBE_STARTING }).await;
        let answer = client.call(&Outgoing::get("/healthz"), PROBE_LIMIT).await;
        let good = answer.is_ok_and(|answer| answer.status.is_success());
        missed = if good { 0 } else { missed + 1 };
        let now_ready = good || (ready && missed < PROBES_MISSED_MAX);
        if now_ready != ready {
            ready = now_ready;
            lab.change(|model| {
                model.probed(moment(), control.deployment, control.slot, ready);
            });
        }
    }
}

fn ended(lab: &Supervisor, control: &SlotControl, status: Option<ExitStatus>) {
    let code = status.and_then(|status| status.code());
    let signal = status.and_then(|status| status.signal());
    lab.log.line(&format!(
        "{}-{} ended, code {code:?}, signal {signal:?}",
        control.deployment, control.slot
    ));
    lab.change(|model| model.ended(moment(), control.deployment, control.slot, code, signal));
    if code == Some(i32::from(EXIT_ADDRESS_TAKEN)) {
        lab.address_taken();
    }
}

/// Asks a child to stop, and kills it when it does not; how it ended.
pub(super) async fn stop_child(child: &mut Child) -> Option<ExitStatus> {
    if let Some(identity) = child.id().and_then(ProcessIdentity::of) {
        identity.terminate();
    }
    if let Ok(status) = tokio::time::timeout(STOP_LIMIT, child.wait()).await {
        return status.ok();
    }
    // It may have ended just now; then there is nothing to kill.
    child.kill().await.unwrap_or_default();
    child.wait().await.ok()
}
