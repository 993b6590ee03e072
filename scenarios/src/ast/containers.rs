//! `system: {containers: {...}}`: which containers a system consists of, and where it is asked.

use harness_core::diag::Span;

use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::{Node, Spanned};
use crate::read::{Fields, Section, list, name, named, text};

pub(crate) const CONTAINERS: Section = Section {
    name: "`containers`",
    keys: &["socket", "entry", "environment", "services"],
    kinds: &[],
};
pub(crate) const CONTAINER_SERVICE: Section =
    Section { name: "a service", keys: &["containers", "port"], kinds: &[] };

/// Containers of one system: each is asked for its state again and again.
const CONTAINERS_MAX: usize = 100;
/// A container's name is at most so long.
const NAME_BYTES_MAX: usize = 200;
/// The environment of the built-in lab, where the strictest rules do not hold.
const LABS_OWN: &str = "lab";

/// A system of containers as written.
#[derive(Debug, Clone)]
pub(crate) struct ContainersAst {
    /// The engine's socket.
    pub(crate) socket: Option<Spanned<String>>,
    /// Where load is sent.
    pub(crate) entry: Spanned<String>,
    pub(crate) environment: Spanned<String>,
    pub(crate) services: Vec<ContainerServiceAst>,
}

/// One service as written.
#[derive(Debug, Clone)]
pub(crate) struct ContainerServiceAst {
    pub(crate) name: Spanned<String>,
    pub(crate) containers: Vec<Spanned<String>>,
    pub(crate) port: u16,
}

impl ContainersAst {
    /// Reads what stands under `containers`.
    pub(crate) fn read(node: &Node, place: Span, findings: &mut Findings) -> Option<Self> {
        let fields = Fields::read(node, place, &CONTAINERS, findings)?;
        let before = findings.count();
        let socket = fields.text("socket", findings).and_then(|text| absolute(text, findings));
        let entry = fields.text("entry", findings).and_then(|text| origin(text, findings));
        let entry = fields.require("entry", entry, findings);
        let environment = fields.text("environment", findings);
        let environment = environment.and_then(|text| not_the_labs(text, findings));
        let environment = fields.require("environment", environment, findings);
        let services = fields.node("services", findings);
        let services = fields.require("services", services, findings);
        let services = services.map(|node| services_of(node, findings)).unwrap_or_default();
        let none_told = findings.count() == before;
        if services.is_empty() && none_told {
            findings.push(
                Finding::error(codes::MISSING_KEY, place, "`services` names no container")
                    .hint("write `services: {web: {containers: [web-1, web-2], port: 8080}}`"),
            );
        }
        let read = Self { socket, entry: entry?, environment: environment?, services };
        (findings.count() == before).then_some(read)
    }
}

fn absolute(socket: Spanned<String>, findings: &mut Findings) -> Option<Spanned<String>> {
    if socket.value.starts_with('/') {
        return Some(socket);
    }
    findings.push(
        Finding::error(codes::WRONG_TYPE, socket.span, "`socket` must be an absolute path")
            .hint("write `socket: /run/podman/podman.sock`, say"),
    );
    None
}

/// Scheme, host and port, and nothing after them.
fn origin(entry: Spanned<String>, findings: &mut Findings) -> Option<Spanned<String>> {
    let rest = entry.value.strip_prefix("http://").or(entry.value.strip_prefix("https://"));
    let is_origin = rest.is_some_and(|host| {
        let odd = |c: char| matches!(c, '/' | '?' | '#' | '@') || c.is_whitespace();
        !host.is_empty() && !host.contains(odd)
    });
    if is_origin {
        return Some(entry);
    }
    findings.push(
        Finding::error(codes::WRONG_TYPE, entry.span, "`entry` must be where requests are sent")
            .label("scheme, host and port, without a path")
            .hint("write `entry: http://127.0.0.1:8080`, say"),
    );
    None
}

/// Nobody's containers are the built-in lab, which the policy lets do more.
fn not_the_labs(said: Spanned<String>, findings: &mut Findings) -> Option<Spanned<String>> {
    let environment = name(said, "an environment", findings)?;
    if environment.value != LABS_OWN {
        return Some(environment);
    }
    findings.push(
        Finding::error(codes::ENVIRONMENT, environment.span, "`lab` is the built-in lab alone")
            .hint("call it `staging` or `dev`, say, and name that under `safety.environments`"),
    );
    None
}

fn services_of(node: &Node, findings: &mut Findings) -> Vec<ContainerServiceAst> {
    let mut services: Vec<ContainerServiceAst> = Vec::new();
    let mut total = 0;
    for entry in named(node, "services", findings) {
        let Some(name) = name(entry.key.clone(), "a service", findings) else { continue };
        let place = entry.key.span;
        let Some(fields) = Fields::read(&entry.node, place, &CONTAINER_SERVICE, findings) else {
            continue;
        };
        let containers = fields.node("containers", findings);
        let containers = fields.require("containers", containers, findings);
        let port = fields.whole("port", 1..=u64::from(u16::MAX), findings);
        let port = fields.require("port", port, findings);
        let (Some(node), Some(port)) = (containers, port) else { continue };
        let before = findings.count();
        let mut own: Vec<Spanned<String>> = Vec::new();
        for item in list(node, "containers", findings) {
            let Some(said) = text(item, "containers", findings) else { continue };
            let Some(said) = container_name(said, findings) else { continue };
            let taken = services.iter().flat_map(|service| &service.containers).chain(&own);
            if let Some(first) = taken.into_iter().find(|first| first.value == said.value) {
                findings.push(
                    Finding::error(
                        codes::DUPLICATE_NAME,
                        said.span,
                        format!("the container `{}` is named twice", said.value),
                    )
                    .label("again here")
                    .related(first.span, "first here"),
                );
                continue;
            }
            own.push(said);
        }
        total += own.len();
        if own.is_empty() && findings.count() == before {
            let message = format!("the service `{}` has no container", name.value);
            findings.push(
                Finding::error(codes::MISSING_KEY, node.span, message)
                    .hint("name them: `containers: [web-1, web-2]`"),
            );
        }
        let port = u16::try_from(port.value).expect("the reader keeps ports in their range");
        services.push(ContainerServiceAst { name, containers: own, port });
    }
    if total > CONTAINERS_MAX {
        let message = format!("more than {CONTAINERS_MAX} containers");
        findings.push(Finding::error(codes::TOO_LARGE, node.span, message));
    }
    services
}

/// What the engines take as a name.
fn container_name(said: Spanned<String>, findings: &mut Findings) -> Option<Spanned<String>> {
    let well_formed = said.value.len() <= NAME_BYTES_MAX
        && said.value.starts_with(|first: char| first.is_ascii_alphanumeric())
        && said.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if well_formed {
        return Some(said);
    }
    let message = format!("`{}` cannot be the name of a container", said.value);
    findings.push(
        Finding::error(codes::BAD_NAME, said.span, message)
            .hint("a letter or digit, then letters, digits, `_`, `.` and `-`"),
    );
    None
}
