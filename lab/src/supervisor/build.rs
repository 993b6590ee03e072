//! Builds the fixed parts of a lab: addresses, layout, interposer routes, the first document.

use std::net::SocketAddr;

use serde::Serialize;

use super::ports::Claims;
use crate::clock::moment;
use crate::defects::Defect;
use crate::layout::{EDGES, Edge, Layout, SERVICES, edge_name};
use crate::process::{ProcessIdentity, boot_id};
use crate::settings::Settings;
use crate::state::{
    Deployment, Endpoints, LAB_FORMAT, LabState, Labels, PodTemplate, ProcessRecord, RestartPolicy,
    Service,
};
use crate::tls::authority_path;

/// `<state>/proxy.json`: what the interposer is told.
#[derive(Debug, Serialize)]
pub(super) struct ProxyConfig {
    format: &'static str,
    routes: Vec<Route>,
}

/// One way through the interposer.
#[derive(Debug, Serialize)]
struct Route {
    edge: String,
    listen: SocketAddr,
    upstream: SocketAddr,
}

fn replicas(service: &str) -> usize {
    SERVICES.iter().find(|one| one.name == service).map_or(0, |one| one.replicas)
}

/// How many addresses a lab needs: the supervisor's, one per slot, one per route.
pub(super) fn addresses_needed(settings: &Settings) -> usize {
    let slots: usize = SERVICES.iter().map(|service| service.replicas).sum();
    let routes: usize = EDGES.iter().map(|(_, callee)| replicas(callee)).sum();
    1 + slots + if settings.interposer.is_some() { routes } else { 0 }
}

/// Hands the addresses out; nothing when there are too few.
pub(super) fn layout(settings: &Settings, claims: &Claims) -> Option<Layout> {
    let mut free = claims.addresses.iter().copied();
    let supervisor = free.next()?;
    let mut take = |count: usize| -> Option<Vec<SocketAddr>> {
        let taken: Vec<SocketAddr> = free.by_ref().take(count).collect();
        (taken.len() == count).then_some(taken)
    };
    let mut services = std::collections::BTreeMap::new();
    for service in SERVICES {
        services.insert(service.name.to_owned(), take(service.replicas)?);
    }
    let mut edges = Vec::new();
    for (caller, callee) in EDGES {
        let upstreams = services.get(callee)?.clone();
        let addresses = match settings.interposer {
            Some(_) => take(upstreams.len())?,
            None => upstreams.clone(),
        };
        edges.push(Edge {
            name: edge_name(caller, callee),
            caller: caller.to_owned(),
            callee: callee.to_owned(),
            addresses,
            upstreams,
        });
    }
    Some(Layout { supervisor, services, edges, defects: settings.defects.clone() })
}

/// The routes of the interposer: one per edge and slot of the callee.
pub(super) fn proxy_config(layout: &Layout) -> ProxyConfig {
    let routes = layout.edges.iter().flat_map(|edge| {
        edge.addresses.iter().zip(&edge.upstreams).map(|(listen, upstream)| Route {
            edge: edge.name.clone(),
            listen: *listen,
            upstream: *upstream,
        })
    });
    ProxyConfig { format: "gameday.proxy/1", routes: routes.collect() }
}

/// The document of a lab in which nothing runs yet.
pub(super) fn first_document(settings: &Settings, layout: &Layout) -> LabState {
    let pid = std::process::id();
    let own = ProcessIdentity::of(pid).unwrap_or(ProcessIdentity { pid, start_time: 0 });
    let url = |service: &str| format!("http://{}", layout.service(service)[0]);
    LabState {
        format: LAB_FORMAT.to_owned(),
        system: String::from("shop"),
        state: settings.state.clone(),
        boot_id: boot_id(),
        started: moment(),
        supervisor: ProcessRecord {
            name: String::from("supervisor"),
            pid,
            start_time: own.start_time,
            restarts: 0,
        },
        interposer: None,
        endpoints: Endpoints {
            edge: url("edge"),
            collector: url("collector"),
            alerter: url("alerter"),
            store: url("store"),
            payments: url("payments"),
            jobs: url("jobs"),
            meter: url("meter"),
            cap: url("cap"),
            pager: url("pager"),
            supervisor: format!("http://{}", layout.supervisor),
        },
        deployments: SERVICES.iter().map(|one| deployment(settings, one.name)).collect(),
        services: SERVICES
            .iter()
            .map(|one| Service {
                name: one.name.to_owned(),
                selector: labels(one.name),
                addresses: layout.service(one.name).to_vec(),
            })
            .collect(),
        pods: Vec::new(),
        edges: layout.edges.clone(),
        authority: Some(authority_path(&settings.state)),
        defects: settings.defects.clone(),
    }
}

fn labels(service: &str) -> Labels {
    [(String::from("app"), service.to_owned()), (String::from("system"), String::from("shop"))]
        .into()
}

fn deployment(settings: &Settings, name: &str) -> Deployment {
    let mut args = settings.role_arguments.clone();
    args.extend([String::from("--role"), name.to_owned()]);
    let off = settings.defects.has(Defect::SupervisorOff);
    let hash = args
        .iter()
        .flat_map(|text| text.bytes())
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    Deployment {
        name: name.to_owned(),
        labels: labels(name),
        replicas: replicas(name),
        ready_replicas: 0,
        revision: 1,
        pod_template: PodTemplate {
            hash: format!("{hash:08x}"),
            args,
            restart_policy: if off { RestartPolicy::Never } else { RestartPolicy::Always },
        },
    }
}
