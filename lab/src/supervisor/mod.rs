//! `supervisor`: starts every process of the lab, restarts the dead with back-off as a kubelet
//! does, and answers what there is. It is the only process that the others die with.

mod backoff;
mod build;
mod crashes;
mod interposer;
mod model;
mod ports;
mod releases;
mod slot;
mod steady;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crashes::Crashes;
use hyper::{Method, StatusCode};
use model::Model;
use releases::Releases;
use rustix::process::setsid;
use slot::SlotControl;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::monotonic_us;
use crate::http::{Call, Client, Reply, Service, serve};
use crate::layout::{Layout, SERVICES};
use crate::log::Log;
use crate::roles::EXIT_ADDRESS_TAKEN;
use crate::settings::Settings;
use crate::state::{LabState, write_document};
use crate::tls;

/// `lab.json` is written at most so often.
const WRITE_EVERY: Duration = Duration::from_millis(50);

/// The supervisor of one lab.
#[derive(Debug)]
struct Supervisor {
    settings: Settings,
    layout: Layout,
    log: Log,
    stop: CancellationToken,
    /// Cancelled when all pods have ended.
    pods_stopped: CancellationToken,
    slots: Vec<SlotControl>,
    clients: BTreeMap<&'static str, Vec<Client>>,
    crashes: Crashes,
    releases: Releases,
    model: Mutex<Model>,
    changed: Notify,
    names: AtomicU64,
    address_taken: AtomicBool,
}

/// Runs the supervisor until it is told to stop; all children end before it does.
pub(crate) async fn run(state: &Path, log: Log, stop: CancellationToken) -> Result<(), ExitCode> {
    // Fails only when this process leads a group already, and then it has what it needs.
    setsid().map(|_| ()).unwrap_or_default();
    let failed = |log: &Log, text: &str| {
        log.line(text);
        ExitCode::FAILURE
    };
    let settings = match read_settings(state) {
        Ok(settings) => settings,
        Err(text) => return Err(failed(&log, &text)),
    };
    // Held until the end: they keep other labs away from the ports.
    let claims = ports::claim(build::addresses_needed(&settings));
    let Some(layout) = build::layout(&settings, &claims) else {
        return Err(failed(&log, "there are too few free ports"));
    };
    let document = build::first_document(&settings, &layout);
    let proxy = settings.interposer.is_some().then(|| build::proxy_config(&layout));
    let written = tls::make(state)
        .and_then(|()| write_document(&Layout::path(state), &layout))
        .and_then(|()| proxy.map_or(Ok(()), |it| write_document(&state.join("proxy.json"), &it)))
        .and_then(|()| write_document(&LabState::path(state), &document));
    if let Err(error) = written {
        return Err(failed(&log, &format!("cannot write to {}: {error}", state.display())));
    }
    let lab = Arc::new(Supervisor::new(settings, layout, log, stop, document));
    lab.log.line(&format!("supervises {} slots", lab.slots.len()));
    let result = lab.clone().supervise().await;
    drop(claims);
    result
}

fn read_settings(state: &Path) -> Result<Settings, String> {
    let path = state.join("settings.json");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{} is broken: {error}", path.display()))
}

impl Supervisor {
    fn new(
        settings: Settings,
        layout: Layout,
        log: Log,
        stop: CancellationToken,
        document: LabState,
    ) -> Self {
        let slots = SERVICES.iter().flat_map(|service| {
            (0..service.replicas).map(|slot| SlotControl {
                deployment: service.name,
                slot,
                restore: watch::Sender::new(0),
                replaced: watch::Sender::new(String::new()),
            })
        });
        let clients = SERVICES.iter().map(|service| {
            let all = layout.service(service.name).iter();
            (service.name, all.map(|address| Client::new(*address)).collect())
        });
        Self {
            slots: slots.collect(),
            clients: clients.collect(),
            pods_stopped: CancellationToken::new(),
            crashes: Crashes::new(),
            releases: Releases::new(),
            model: Mutex::new(Model::new(document)),
            changed: Notify::new(),
            names: AtomicU64::new(0),
            address_taken: AtomicBool::new(false),
            settings,
            layout,
            log,
            stop,
        }
    }

    async fn supervise(self: Arc<Self>) -> Result<(), ExitCode> {
        let api = tokio::spawn({
            let lab = Arc::clone(&self);
            let (at, stop) = (lab.layout.supervisor, lab.stop.clone());
            async move { serve(at, lab, stop, None).await }
        });
        let mut standing = JoinSet::new();
        if self.settings.interposer.is_some() {
            match interposer::start(&self).await {
                Some(child) => {
                    standing.spawn(interposer::keep(Arc::clone(&self), child));
                }
                None => self.stop.cancel(),
            }
        }
        let writing = tokio::spawn(Arc::clone(&self).write_documents());
        let mut pods = JoinSet::new();
        for at in 0..self.slots.len() {
            pods.spawn(slot::keep(Arc::clone(&self), at));
        }
        let rollouts = tokio::spawn(releases::keep(Arc::clone(&self)));
        let served = api.await;
        self.stop.cancel();
        rollouts.abort();
        pods.join_all().await;
        self.pods_stopped.cancel();
        standing.join_all().await;
        writing.abort();
        self.log.line("all processes have ended");
        let bound = matches!(served, Ok(Ok(())));
        if self.address_taken.load(Ordering::Relaxed) || !bound {
            return Err(ExitCode::from(EXIT_ADDRESS_TAKEN));
        }
        Ok(())
    }

    fn read<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.model.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, act: impl FnOnce(&mut Model)) {
        act(&mut self.model.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Writes `lab.json` after each change; never ends.
    async fn write_documents(self: Arc<Self>) {
        loop {
            self.changed.notified().await;
            let document = self.read(|model| model.lab.clone());
            if let Err(error) = write_document(&LabState::path(&self.settings.state), &document) {
                self.log.line(&format!("cannot write lab.json: {error}"));
            }
            tokio::time::sleep(WRITE_EVERY).await;
        }
    }

    fn clients(&self, service: &str) -> impl Iterator<Item = &Client> {
        self.clients.get(service).into_iter().flatten()
    }

    /// A uid and a suffix that no other pod has.
    fn fresh_names(&self) -> (String, String) {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        let now = monotonic_us();
        let pid = std::process::id();
        let mixed =
            (now ^ (number << 48) ^ (u64::from(pid) << 24)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let digits = mixed.to_string().into_bytes();
        let letters = b"bcdfghjklmnpqrstvwxz";
        let suffix = digits.iter().rev().take(4).map(|digit| {
            char::from(
                letters[usize::from(digit - b'0') * 2 + usize::from(number.is_multiple_of(2))],
            )
        });
        let suffix: String = suffix.collect();
        (format!("{pid:08x}-{:04x}-{now:016x}", number & 0xffff), format!("{suffix}{number}"))
    }

    /// Starts a slot whose pod is missing, at once.
    fn restore_if_missing(&self, control: &SlotControl) {
        let alive = self.read(|model| {
            let pod = model.pod(control.deployment, control.slot);
            pod.is_some_and(|pod| pod.pid.is_some())
        });
        if !alive {
            control.forget_back_off();
        }
    }

    /// A port that was free is not: the lab cannot be whole, so it ends.
    fn address_taken(&self) {
        self.log.line("an address is taken by another program");
        self.address_taken.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }
}

impl Service for Supervisor {
    async fn answer(self: Arc<Self>, call: Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::GET, "/healthz") => Reply::ok(&serde_json::json!({ "status": "ok" })),
            (&Method::GET, "/api/topology") => self.read(|model| Reply::ok(&model.lab)),
            (&Method::GET, "/api/pods") => {
                self.read(|model| Reply::ok(&serde_json::json!({ "pods": model.lab.pods })))
            }
            (&Method::GET, "/api/events") => {
                let after = call.parameter("after").and_then(|text| text.parse().ok());
                let events = self.read(|model| model.events(after.unwrap_or(0)));
                Reply::ok(&serde_json::json!({ "events": events }))
            }
            (&Method::GET, "/api/automation") => {
                let after = call.parameter("afterUs").and_then(|text| text.parse().ok());
                Reply::ok(&steady::automation(&self, after.unwrap_or(0)).await)
            }
            (_, "/-/crashes") => self.crashes.answer(&call),
            (_, "/-/releases") => releases::answer(&self, &call),
            (&Method::GET, "/api/releases") => Reply::ok(&releases::list(&self)),
            (&Method::GET, "/api/steady") => Reply::ok(&steady::steady(&self).await),
            (&Method::POST, "/api/reset") => verdict(&steady::reset(&self).await),
            (&Method::POST, "/api/stop") => {
                self.stop.cancel();
                Reply::json(StatusCode::ACCEPTED, &serde_json::json!({ "stopping": true }))
            }
            (&Method::POST, path) => {
                let inner = path.strip_prefix("/api/deployments/");
                match inner.and_then(|rest| rest.rsplit_once('/')) {
                    Some((name, "restore")) => match steady::restore(&self, name).await {
                        Some(result) => verdict(&result),
                        None => Reply::error(StatusCode::NOT_FOUND, "no such deployment"),
                    },
                    Some((name, "release")) => releases::deploy(&self, name, &call),
                    Some(_) | None => Reply::not_found(),
                }
            }
            _ => Reply::not_found(),
        }
    }
}

fn verdict(result: &crate::state::Steady) -> Reply {
    let status = if result.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Reply::json(status, result)
}
