//! The frame of a document: version, kind, metadata, and the sections of `spec`.

use harness_core::diag::Span;

use crate::codes;
use crate::findings::{Finding, Findings, did_you_mean, listed};
use crate::node::{Node, Spanned};
use crate::read::{Fields, Section, list, name, named, not_supported, text};

use super::{
    ClaimsAst, FaultAst, LoadAst, PhasesAst, SafetyAst, SignalAst, SteadyAst, SystemAst, TrialsAst,
};

/// The version of the language.
pub(crate) const API_VERSION: &str = "gameday.dev/v1alpha1";

pub(crate) const DOCUMENT: Section =
    Section { name: "a document", keys: &["apiVersion", "kind", "metadata", "spec"], kinds: &[] };

pub(crate) const METADATA: Section = Section {
    name: "`metadata`",
    keys: &["name", "title", "owner", "labels", "description"],
    kinds: &[],
};

pub(crate) const SPEC: Section = Section {
    name: "`spec`",
    keys: &[
        "params",
        "system",
        "signals",
        "load",
        "steadyState",
        "phases",
        "faults",
        "expect",
        "safety",
        "trials",
        "report",
        "slis",
        "slos",
        "automation",
    ],
    kinds: &[],
};

/// Kinds of documents.
const KINDS: [&str; 4] = ["Scenario", "Suite", "Policy", "Schedule"];

/// Formats of reports.
pub(crate) const REPORT_FORMATS: [&str; 4] = ["html", "markdown", "junit", "json"];

pub(crate) const REPORT: Section = Section { name: "`report`", keys: &["formats"], kinds: &[] };

/// Who and what a scenario is.
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    pub(crate) name: Spanned<String>,
    pub(crate) title: String,
    pub(crate) owner: String,
    pub(crate) description: String,
}

/// One scenario as it was written. `None` where a section is absent or cannot be read.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) metadata: Metadata,
    pub(crate) system: Option<SystemAst>,
    pub(crate) signals: Vec<SignalAst>,
    pub(crate) load: Option<LoadAst>,
    pub(crate) steady: SteadyAst,
    pub(crate) phases: PhasesAst,
    pub(crate) faults: Vec<FaultAst>,
    pub(crate) claims: ClaimsAst,
    pub(crate) safety: SafetyAst,
    pub(crate) trials: TrialsAst,
    pub(crate) reports: Vec<String>,
}

/// Reads one document. `None` when its frame cannot be read.
pub(crate) fn read(node: &Node, findings: &mut Findings) -> Option<Spec> {
    let place = node.entry("apiVersion").map_or(first_line(node), |entry| entry.key.span);
    let document = Fields::read(node, place, &DOCUMENT, findings)?;
    version_and_kind(&document, findings)?;
    let metadata = document.node("metadata", findings);
    let metadata = document.require("metadata", metadata, findings);
    let metadata = metadata.and_then(|node| {
        let place = document.entry("metadata").map_or(place, |entry| entry.key.span);
        read_metadata(node, place, findings)
    });
    let spec = document.node("spec", findings);
    let spec = document.require("spec", spec, findings)?;
    let place = document.entry("spec").map_or(place, |entry| entry.key.span);
    let spec = Fields::read(spec, place, &SPEC, findings)?;
    let sections = read_sections(&spec, metadata.as_ref(), findings);
    metadata.map(|metadata| Spec { metadata, ..sections })
}

fn first_line(node: &Node) -> Span {
    Span { start: node.span.start, end: node.span.start }
}

fn version_and_kind(document: &Fields<'_>, findings: &mut Findings) -> Option<()> {
    let version = document.text("apiVersion", findings);
    let version = document.require("apiVersion", version, findings);
    let kind = document.text("kind", findings);
    let kind = document.require("kind", kind, findings)?;
    let version = version?;
    if version.value != API_VERSION {
        findings.push(
            Finding::error(
                codes::UNKNOWN_DOCUMENT,
                version.span,
                format!("this build does not read `{}`", version.value),
            )
            .hint(format!("write `{API_VERSION}`")),
        );
        return None;
    }
    if kind.value == KINDS[0] {
        return Some(());
    }
    if KINDS.contains(&kind.value.as_str()) {
        findings.push(not_supported(&kind, "this build reads `kind: Scenario`"));
    } else {
        let message = format!("`{}` is not a kind of document", kind.value);
        findings.push(
            Finding::error(codes::UNKNOWN_DOCUMENT, kind.span, message)
                .hint(did_you_mean(&kind.value, KINDS)),
        );
    }
    None
}

fn read_metadata(node: &Node, place: Span, findings: &mut Findings) -> Option<Metadata> {
    let fields = Fields::read(node, place, &METADATA, findings)?;
    let said = fields.text("name", findings);
    let said = fields.require("name", said, findings);
    let optional = |key: &str, findings: &mut Findings| {
        fields.text(key, findings).map_or_else(String::new, |text| text.value)
    };
    let title = optional("title", findings);
    let owner = optional("owner", findings);
    let description = optional("description", findings);
    if let Some(labels) = fields.node("labels", findings) {
        for label in named(labels, "labels", findings) {
            // Labels are for people and tools around; nothing here depends on them.
            drop(text(&label.node, &label.key.value, findings));
        }
    }
    let name = name(said?, "a scenario", findings)?;
    Some(Metadata { name, title, owner, description })
}

fn read_sections(spec: &Fields<'_>, metadata: Option<&Metadata>, findings: &mut Findings) -> Spec {
    let section = |key: &str, findings: &mut Findings| {
        let node = spec.node(key, findings)?;
        Some((node, spec.entry(key)?.key.span))
    };
    let system = section("system", findings);
    let system = spec.require("system", system, findings);
    let system = system.and_then(|(node, place)| SystemAst::read(node, place, findings));
    let load = section("load", findings);
    let load = spec.require("load", load, findings);
    let load = load.and_then(|(node, place)| LoadAst::read(node, place, findings));
    // What automation must do is a claim, too.
    let claimed = spec.entry("expect").or(spec.entry("automation"));
    spec.require("expect", claimed, findings);
    let claims = ClaimsAst::read(section, findings);
    let nothing = Span::default();
    let metadata = metadata.cloned().unwrap_or_else(|| Metadata {
        name: Spanned::new(String::new(), nothing),
        title: String::new(),
        owner: String::new(),
        description: String::new(),
    });
    Spec {
        metadata,
        system,
        load,
        claims,
        signals: section("signals", findings)
            .map_or_else(Vec::new, |(node, _)| SignalAst::read_all(node, findings)),
        steady: SteadyAst::read(section("steadyState", findings), findings),
        phases: PhasesAst::read(section("phases", findings), findings),
        faults: section("faults", findings)
            .map_or_else(Vec::new, |(node, _)| FaultAst::read_all(node, findings)),
        safety: SafetyAst::read(section("safety", findings), findings),
        trials: TrialsAst::read(section("trials", findings), findings),
        reports: read_reports(section("report", findings), findings),
    }
}

fn read_reports(section: Option<(&Node, Span)>, findings: &mut Findings) -> Vec<String> {
    let default = || REPORT_FORMATS.map(str::to_owned).to_vec();
    let Some((node, place)) = section else { return default() };
    let Some(fields) = Fields::read(node, place, &REPORT, findings) else { return default() };
    let Some(formats) = fields.node("formats", findings) else { return default() };
    let mut chosen = Vec::new();
    for format in list(formats, "formats", findings) {
        let Some(word) = text(format, "formats", findings) else { continue };
        if REPORT_FORMATS.contains(&word.value.as_str()) {
            if !chosen.contains(&word.value) {
                chosen.push(word.value);
            }
            continue;
        }
        findings.push(
            Finding::error(
                codes::UNKNOWN_WORD,
                word.span,
                format!("`{}` is not a format of reports", word.value),
            )
            .label(format!("not one of {}", listed(&REPORT_FORMATS)))
            .hint(did_you_mean(&word.value, REPORT_FORMATS)),
        );
    }
    chosen
}
