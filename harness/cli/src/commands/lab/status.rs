//! `gameday lab status`: deployments, pods, edges, alerts, at a glance.

use std::path::Path;

use harness_core::exit;
use lab::{LabStatus, Pod, PodPhase};
use tabled::builder::Builder;
use tabled::settings::Style as TableStyle;

use super::failure;
use crate::failure::Failure;
use crate::output;
use crate::style::Style;

pub(super) fn run(state: &Path, json: bool, style: Style) -> Result<u8, Failure> {
    let status = lab::status(state).map_err(|error| failure("read the lab's state", &error))?;
    if json {
        let text = serde_json::to_string_pretty(&status).expect("a status is plain data");
        output::say(&text);
    } else {
        output::say(&text(&status, lab::unix_ms(), style));
    }
    Ok(if status.running { exit::PASS } else { exit::REFUSED })
}

/// The whole status as text; `now_ms` is the wall clock in Unix milliseconds.
fn text(status: &LabStatus, now_ms: i64, style: Style) -> String {
    let lab = &status.lab;
    let mut out = String::new();
    let state = match (status.running, &status.steady) {
        (false, _) => style.bad("not running"),
        (true, Some(steady)) if steady.ready => style.good("steady"),
        (true, _) => style.warn("not steady"),
    };
    out += &format!("lab/{} in {}: {state}\n", lab.system, lab.state.display());
    for missing in status.steady.iter().flat_map(|steady| &steady.missing) {
        out += &format!("  {missing}\n");
    }
    for defect in lab.defects.texts() {
        out += &format!("  {}\n", style.warn(&format!("defect {defect}")));
    }
    out += &format!("\n{}\n", pods(status, now_ms));
    out += &format!("\n{}\n", edges(status));
    out += &format!("\nshop {}   alerts {}", lab.endpoints.edge, lab.endpoints.alerter);
    out
}

fn pods(status: &LabStatus, now_ms: i64) -> String {
    let mut builder = Builder::default();
    builder.push_record(["POD", "READY", "STATUS", "RESTARTS", "AGE", "PID", "ADDRESS"]);
    for pod in &status.lab.pods {
        builder.push_record([
            pod.name.clone(),
            if pod.ready { "1/1" } else { "0/1" }.to_owned(),
            phase(pod, now_ms),
            pod.restarts.to_string(),
            age(now_ms - pod.started_unix_ms),
            pod.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            pod.address.to_string(),
        ]);
    }
    table(builder)
}

fn phase(pod: &Pod, now_ms: i64) -> String {
    match (pod.phase, pod.restart_unix_ms) {
        (PodPhase::Failed, Some(at)) => format!("BackOff ({} left)", age(at - now_ms)),
        (PodPhase::Failed, None) => "Failed".to_owned(),
        (PodPhase::Pending, _) => "Pending".to_owned(),
        (PodPhase::Running, _) if pod.ready => "Running".to_owned(),
        (PodPhase::Running, _) => "Unready".to_owned(),
    }
}

fn edges(status: &LabStatus) -> String {
    let mut builder = Builder::default();
    builder.push_record(["EDGE", "DIALS"]);
    for edge in &status.lab.edges {
        let addresses: Vec<_> = edge.addresses.iter().map(ToString::to_string).collect();
        builder.push_record([edge.name.clone(), addresses.join(" ")]);
    }
    table(builder)
}

fn table(builder: Builder) -> String {
    let mut table = builder.build();
    table.with(TableStyle::blank());
    let lines: Vec<_> = table.to_string().lines().map(|line| line.trim().to_owned()).collect();
    lines.join("\n")
}

/// Milliseconds as kubectl tells ages: `350ms`, `12s`, `4m10s`, `2h05m`.
fn age(millis: i64) -> String {
    let millis = millis.max(0);
    let secs = millis / 1000;
    match secs {
        0 => format!("{millis}ms"),
        1..60 => format!("{secs}s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::age;

    #[test]
    fn ages_are_short() {
        assert_eq!(
            [-5, 350, 12_000, 250_000, 7_500_000].map(age),
            ["0ms", "350ms", "12s", "4m10s", "2h05m"]
        );
    }
}
