//! A load's result for people. Pure.

use std::collections::BTreeMap;

use harness_core::load::RequestOutcome;
use harness_core::plan::{Arrivals, LoadPlan, Shape, TimerMode};
use harness_core::units::Duration;
use load::{ClosedReport, LoadReport, Percentiles};
use tabled::builder::Builder;
use tabled::settings::object::Columns;
use tabled::settings::{Alignment, Padding, Style as TableStyle};

use super::{Measured, Outcome, meaning};
use crate::style::Style;

/// What stands where a percentile lies among requests that never ended well.
const NEVER: &str = "never";

/// The whole result.
pub(super) fn render(outcome: &Outcome<'_>, length: Duration, style: Style) -> String {
    let plan = outcome.plan;
    let what = match plan.mix.as_slice() {
        [only] => only.method.clone(),
        several => format!("{} requests at", several.len()),
    };
    let mut out = format!("{}\n", style.bold(&format!("{what} {}", outcome.target)));
    match &outcome.measured {
        Measured::Open(report) => {
            out += &format!("{}\n\n", open_head(plan, length, outcome.seed));
            out += &open(plan, report);
        }
        Measured::Closed(report) => {
            out += &format!("closed loop, {length}, {}\n\n", connections(plan));
            out += &closed(plan, report);
        }
    }
    out += "\n";
    out += &last_lines(outcome, style);
    out
}

fn open_head(plan: &LoadPlan, length: Duration, seed: u64) -> String {
    let rate = match &plan.shape {
        Shape::Constant { rate } => rate.to_string(),
        Shape::Ramp { from, to, .. } => format!("{from} to {to}"),
        Shape::Steps { steps } => format!("{} steps", steps.len()),
        Shape::Spike { base, peak, .. } => format!("{base} with a spike of {peak}"),
        Shape::Recorded { offsets_us } => format!("{} recorded arrivals", offsets_us.len()),
        Shape::Journeys(journeys) => {
            let users = journeys.users;
            return format!(
                "closed model: {users} users for {length}, who wait for their answers, seed {seed}"
            );
        }
    };
    let arrivals = match plan.arrivals {
        Arrivals::Constant => "evenly",
        Arrivals::Poisson => "Poisson",
    };
    let timer = match plan.timer {
        TimerMode::Relaxed => "relaxed",
        TimerMode::Precise => "precise",
        TimerMode::Exact => "exact",
    };
    format!("{rate} {arrivals} for {length}, {}, {timer} timer, seed {seed}", connections(plan))
}

fn connections(plan: &LoadPlan) -> String {
    let plural = |count: u32, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let protocol = if plan.http2 { "HTTP/2" } else { "HTTP/1.1" };
    format!(
        "{} over {protocol}, {}",
        plural(plan.connections_max, "connection"),
        plural(plan.workers, "thread")
    )
}

fn open(plan: &LoadPlan, report: &LoadReport) -> String {
    let mut rates = Builder::default();
    let share = |count: u64| percent(count, report.due);
    let row = |name: &str, rate: f64, count: u64, note: String| {
        [name.to_owned(), format!("{rate:.1}/s"), count.to_string(), note]
    };
    rates.push_record(row("asked", report.rate_asked, report.due, "requests due".to_owned()));
    rates.push_record(row("achieved", report.rate_achieved, report.sent, share(report.sent)));
    let good = report.total.good;
    rates.push_record(row("good", good as f64 / report.seconds, good, share(good)));
    let mut times = Builder::default();
    times.push_record(["", "p50", "p90", "p95", "p99", "p99.9", "max", ""]);
    times.push_record(time_row("latency", &report.total.latency_us, "from the intended send time"));
    let service = "from the real send time, of the good ones";
    times.push_record(time_row("service time", &report.total.service_us, service));
    times.push_record(time_row("send lag", &report.lag_us, "the client's own lateness"));
    let mut out = table(rates, &[1, 2]) + "\n";
    out += &(outcomes(plan, &report.total.outcomes, report.due) + "\n");
    out += &table(times, &[1, 2, 3, 4, 5, 6]);
    if [report.total.latency_us.p999, report.total.latency_us.max].contains(&None) {
        out += "  never: the percentile lies among requests that did not end well\n";
    }
    out + &format!("\n  CPU of the client {:.2} cores\n", report.cpu_cores)
}

fn closed(plan: &LoadPlan, report: &ClosedReport) -> String {
    let mut rates = Builder::default();
    rates.push_record([
        "ended".to_owned(),
        format!("{:.1}/s", report.rate),
        report.requests.to_string(),
        format!("requests in {:.2} s", report.seconds),
    ]);
    let mut times = Builder::default();
    times.push_record(["", "p50", "p90", "p95", "p99", "p99.9", "max", ""]);
    times.push_record(time_row("service time", &report.service_us, "hides every stall"));
    let micros_each = report.cpu_cores * report.seconds * 1e6 / report.requests.max(1) as f64;
    table(rates, &[1, 2])
        + "\n"
        + &outcomes(plan, &report.outcomes, report.requests)
        + "\n"
        + &table(times, &[1, 2, 3, 4, 5, 6])
        + &format!(
            "\n  CPU of the client {:.2} cores, {micros_each:.2} us per request\n",
            report.cpu_cores
        )
}

fn outcomes(plan: &LoadPlan, outcomes: &BTreeMap<RequestOutcome, u64>, all: u64) -> String {
    let mut rows = Builder::default();
    rows.push_record(["outcome", "", "", ""]);
    for (outcome, count) in outcomes {
        let good = matches!(outcome, RequestOutcome::Status(status) if plan.is_good(*status));
        rows.push_record([
            outcome.to_string(),
            count.to_string(),
            percent(*count, all),
            meaning(*outcome, good).to_owned(),
        ]);
    }
    table(rows, &[1, 2])
}

fn last_lines(outcome: &Outcome<'_>, style: Style) -> String {
    let mut out = String::new();
    if outcome.interrupted {
        out += &format!("{}\n", style.warn("INTERRUPTED: this is what was measured until then"));
    }
    match &outcome.measured {
        Measured::Closed(_) => {
            out += "For benchmarks only: a closed loop slows down with its target.\n";
        }
        Measured::Open(_) if outcome.problems.is_empty() => {
            let bound = micros(outcome.lag_us_bound);
            let text = format!("valid: send lag p99 is within {bound}, and the client never stood");
            out += &format!("{} still\n", style.good(&text));
        }
        Measured::Open(_) => {
            for problem in &outcome.problems {
                out += &format!("{}\n", style.bad(&format!("NOT VALID: {problem}")));
            }
            out += "These figures are not the target's alone.\n";
        }
    }
    out
}

fn time_row(name: &str, times: &Percentiles, note: &str) -> [String; 8] {
    let [p50, p90, p95, p99, p999, max] =
        [times.p50, times.p90, times.p95, times.p99, times.p999, times.max]
            .map(|value| value.map_or_else(|| NEVER.to_owned(), micros));
    [name.to_owned(), p50, p90, p95, p99, p999, max, note.to_owned()]
}

fn table(rows: Builder, right: &[usize]) -> String {
    let mut table = rows.build();
    table.with(TableStyle::empty()).with(Padding::new(2, 0, 0, 0));
    for column in right {
        table.modify(Columns::one(*column), Alignment::right());
    }
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

/// A part of a whole, never rounded up to all or down to nothing.
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let exact = 100.0 * part as f64 / whole as f64;
    if part == whole {
        "100 %".to_owned()
    } else if exact > 99.99 {
        ">99.99 %".to_owned()
    } else if part > 0 && exact < 0.01 {
        "<0.01 %".to_owned()
    } else {
        format!("{exact:.2} %")
    }
}

/// Microseconds with three digits: `84 us`, `1.23 ms`, `12.3 s`.
pub(super) fn micros(micros: u64) -> String {
    let scaled = |value: f64, unit: &str| {
        let places = match value {
            ..10.0 => 2,
            10.0..100.0 => 1,
            _ => 0,
        };
        format!("{value:.places$} {unit}")
    };
    match micros {
        0..1_000 => format!("{micros} us"),
        1_000..1_000_000 => scaled(micros as f64 / 1e3, "ms"),
        _ => scaled(micros as f64 / 1e6, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_three_digits() {
        for (value, text) in [
            (0, "0 us"),
            (84, "84 us"),
            (1_234, "1.23 ms"),
            (50_000, "50.0 ms"),
            (250_000, "250 ms"),
            (12_340_000, "12.3 s"),
        ] {
            assert_eq!(micros(value), text);
        }
    }

    #[test]
    fn shares_are_never_rounded_to_all_or_nothing() {
        for (part, whole, text) in [
            (1_000_000, 1_000_000, "100 %"),
            (999_999, 1_000_000, ">99.99 %"),
            (1, 1_000_000, "<0.01 %"),
            (0, 10, "0.00 %"),
            (1, 3, "33.33 %"),
            (0, 0, "-"),
        ] {
            assert_eq!(percent(part, whole), text);
        }
    }
}
