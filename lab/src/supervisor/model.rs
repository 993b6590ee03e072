//! The supervisor's model of the lab: deployments, pods, events. Pure: times are handed in.

use std::collections::VecDeque;

use crate::clock::Moment;
use crate::state::{
    EventKind, EventRecord, LabState, Pod, PodPhase, ProcessRecord, RestartPolicy, Termination,
};

/// Older events are forgotten.
const EVENTS_MAX: usize = 1_024;

/// The lab's document and its events; every change goes through a method.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) lab: LabState,
    events: VecDeque<EventRecord>,
    count: u64,
}

/// What a new pod is made from.
#[derive(Debug)]
pub(super) struct NewPod {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) pid: u32,
    pub(super) start_time: u64,
    /// The name of its release.
    pub(super) release: String,
}

impl Model {
    pub(super) fn new(lab: LabState) -> Self {
        Self { lab, events: VecDeque::new(), count: 0 }
    }

    pub(super) fn event(
        &mut self,
        at: Moment,
        kind: EventKind,
        reason: &str,
        object: String,
        message: String,
    ) {
        self.count += 1;
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        let reason = reason.to_owned();
        let sequence = self.count;
        self.events.push_back(EventRecord { sequence, at, kind, reason, object, message });
    }

    /// The events after the one numbered `after`, oldest first.
    pub(super) fn events(&self, after: u64) -> Vec<EventRecord> {
        self.events.iter().filter(|event| event.sequence > after).cloned().collect()
    }

    /// The pod in a slot, dead or alive.
    pub(super) fn pod(&self, deployment: &str, slot: usize) -> Option<&Pod> {
        self.lab.pods.iter().find(|pod| pod.deployment == deployment && pod.slot == slot)
    }

    fn pod_mut(&mut self, deployment: &str, slot: usize) -> Option<&mut Pod> {
        self.lab.pods.iter_mut().find(|pod| pod.deployment == deployment && pod.slot == slot)
    }

    /// Puts a started pod into its slot, in place of the dead one.
    pub(super) fn started(&mut self, at: Moment, deployment: &str, slot: usize, new: NewPod) {
        let old = self.pod(deployment, slot).cloned();
        let Some(owner) = self.lab.deployments.iter().find(|one| one.name == deployment) else {
            return;
        };
        let Some(service) = self.lab.services.iter().find(|one| one.name == deployment) else {
            return;
        };
        let pod = Pod {
            name: new.name.clone(),
            uid: new.uid,
            deployment: deployment.to_owned(),
            slot,
            labels: owner.labels.clone(),
            phase: PodPhase::Pending,
            ready: false,
            restart_policy: owner.pod_template.restart_policy,
            restarts: old.as_ref().map_or(0, |old| old.restarts + 1),
            last_state: old.and_then(|old| old.last_state),
            started_unix_ms: at.unix_ms,
            restart_unix_ms: None,
            pid: Some(new.pid),
            start_time: Some(new.start_time),
            address: service.addresses[slot],
            release: new.release,
        };
        match self.pod_mut(deployment, slot) {
            Some(place) => *place = pod,
            None => self.lab.pods.push(pod),
        }
        let message = format!("pid {} in slot {slot}", new.pid);
        self.event(at, EventKind::Normal, "Started", format!("pod/{}", new.name), message);
    }

    /// Records what the probes of a pod say; `true` when that is new.
    pub(super) fn probed(
        &mut self,
        at: Moment,
        deployment: &str,
        slot: usize,
        ready: bool,
    ) -> bool {
        let Some(pod) = self.pod_mut(deployment, slot) else { return false };
        if pod.ready == ready {
            return false;
        }
        pod.ready = ready;
        let object = format!("pod/{}", pod.name);
        if ready {
            pod.phase = PodPhase::Running;
            self.event(at, EventKind::Normal, "Ready", object, String::from("probes are answered"));
        } else {
            let message = String::from("probes are not answered");
            self.event(at, EventKind::Warning, "Unhealthy", object, message);
        }
        self.count_ready();
        true
    }

    /// Records that the process of a slot ended.
    pub(super) fn ended(
        &mut self,
        at: Moment,
        deployment: &str,
        slot: usize,
        exit_code: Option<i32>,
        signal: Option<i32>,
    ) {
        let Some(pod) = self.pod_mut(deployment, slot) else { return };
        pod.phase = PodPhase::Failed;
        pod.ready = false;
        pod.pid = None;
        pod.start_time = None;
        let name = pod.name.clone();
        let finished_unix_ms = at.unix_ms;
        pod.last_state =
            Some(Termination { pod: name.clone(), exit_code, signal, finished_unix_ms });
        let message = match (exit_code, signal) {
            (_, Some(signal)) => format!("ended by signal {signal}"),
            (code, None) => format!("left with code {}", code.unwrap_or_default()),
        };
        self.event(at, EventKind::Warning, "Terminated", format!("pod/{name}"), message);
        self.count_ready();
    }

    /// Records that a slot waits for its restart, or that it waits for ever.
    pub(super) fn backs_off(&mut self, at: Moment, deployment: &str, slot: usize, wait_ms: i64) {
        let Some(pod) = self.pod_mut(deployment, slot) else { return };
        let object = format!("pod/{}", pod.name);
        if pod.restart_policy == RestartPolicy::Never {
            let message = String::from("restarts are off");
            self.event(at, EventKind::Warning, "NotRestarted", object, message);
            return;
        }
        pod.restart_unix_ms = Some(at.unix_ms + wait_ms);
        let message = format!("restart in {wait_ms} ms");
        self.event(at, EventKind::Warning, "BackOff", object, message);
    }

    /// Records that a release is rolled out for good.
    pub(super) fn rolls_out(&mut self, at: Moment, deployment: &str, release: &str) {
        let found = self.lab.deployments.iter_mut().find(|one| one.name == deployment);
        let Some(owner) = found else { return };
        owner.revision += 1;
        let message = format!("revision {} is release {release}", owner.revision);
        let object = format!("deployment/{deployment}");
        self.event(at, EventKind::Normal, "RollsOut", object, message);
    }

    /// Records the process on the edges.
    pub(super) fn interposed(&mut self, at: Moment, pid: u32, start_time: u64) {
        let restarts = self.lab.interposer.as_ref().map_or(0, |old| old.restarts + 1);
        let name = String::from("interposer");
        self.lab.interposer = Some(ProcessRecord { name, pid, start_time, restarts });
        let kind = if restarts == 0 { EventKind::Normal } else { EventKind::Warning };
        let message = format!("pid {pid}, restarts {restarts}");
        self.event(at, kind, "Started", String::from("interposer"), message);
    }

    /// What is not ready, one sentence each.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for deployment in &self.lab.deployments {
            let (ready, all) = (deployment.ready_replicas, deployment.replicas);
            if ready < all {
                missing.push(format!("{ready} of {all} pods of {} are ready", deployment.name));
            }
        }
        missing
    }

    fn count_ready(&mut self) {
        for deployment in &mut self.lab.deployments {
            let own = self.lab.pods.iter().filter(|pod| pod.deployment == deployment.name);
            deployment.ready_replicas = own.filter(|pod| pod.ready).count();
        }
    }
}
