//! How often the judge is wrong when the truth is known: the long calibration, as a table.
//!
//! `cargo run --release -p harness-core --example calibration [RUNS [SEED [LAW]]]` runs every study
//! so often (10,000 unless said) and prints Markdown; with `LAW` only those whose words hold it, so
//! that a long table can be made in parts. What is done is told on standard error. It ends with 1
//! when a rate is above its limit.
//! `... --example calibration speed` measures how long the judge takes for a long run instead;
//! nothing fails when a machine is slow.

mod world;

use std::process::ExitCode;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use harness_core::judge::judge;
use harness_core::plan::StopRule;
use world::{Ends, Expectation, Sizes, Study, long_run, studies};

const RUNS: u64 = 10_000;
const SEED: u64 = 1;
/// Studies at once.
const THREADS: usize = 2;
/// The sizes for which the method promises its power.
const SIZES: Sizes = Sizes { fixed: 44, sequential: 55, together: 70 };

#[expect(clippy::disallowed_methods, reason = "an example is a program of its own, not the core")]
fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "speed") {
        speed();
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: u64| {
        words.get(place).map_or(Ok(default), |word| word.parse::<u64>())
    };
    let (Ok(runs @ 1..), Ok(seed), 0..=3) = (number(0, RUNS), number(1, SEED), words.len()) else {
        print("usage: calibration [speed | RUNS [SEED [LAW]]]");
        return ExitCode::FAILURE;
    };
    let law = words.get(2).map_or("", String::as_str);
    let mut broken = Vec::new();
    for mut group in studies(SIZES) {
        group.studies.retain(|study| study.words.contains(law));
        if group.studies.is_empty() {
            continue;
        }
        let runs = runs.div_ceil(group.one_run_in);
        print(&format!("\n### {}\n\n{runs} runs of each.\n", group.heading));
        print("| law of a trial | true share | trials | pass | fail | mean trials | must be |");
        print("|---|---:|---:|---:|---:|---:|---|");
        for (study, ends) in group.studies.iter().zip(run(&group.studies, runs, seed)) {
            let found = study.broken(ends);
            print(&row(study, ends, found.is_some()));
            broken.extend(found);
        }
    }
    for one in &broken {
        print(&format!("\nBroken: {one}"));
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Judges a run of 1,000 trials with 600 windows each, several times.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn speed() {
    const TRIALS: u32 = 1000;
    const WINDOWS: u32 = 600;
    const ROUNDS: usize = 7;
    let (plan, evidence) = long_run(TRIALS, WINDOWS);
    let mut rounds = [0.0; ROUNDS];
    for round in &mut rounds {
        let began = Instant::now();
        let verdict = judge(&plan, &evidence);
        *round = began.elapsed().as_secs_f64();
        assert_eq!(verdict.trials.len(), evidence.trials.len(), "every trial is in the verdict");
    }
    rounds.sort_by(f64::total_cmp);
    let (median, count) = (rounds[ROUNDS / 2], plan.expectations.len());
    let [least, most] = [rounds[0], rounds[ROUNDS - 1]];
    print(&format!(
        "{TRIALS} trials of {WINDOWS} windows, {count} expectations: median {median:.3} s of \
         {ROUNDS} rounds ({least:.3} to {most:.3} s)"
    ));
}

/// Runs the studies, several at once; the order of the ends is that of the studies.
fn run(studies: &[Study], runs: u64, seed: u64) -> Vec<Ends> {
    let ends: Vec<OnceLock<Ends>> = studies.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(place) = Some(next.fetch_add(1, Ordering::Relaxed))
                    && let Some(study) = studies.get(place)
                {
                    ends[place].get_or_init(|| study.run(runs, seed));
                    let (done, all) = (place + 1, studies.len());
                    tell(&format!("{done} of {all}: {} ({runs} runs)", study.words));
                }
            });
        }
    });
    ends.into_iter().map(|one| one.into_inner().expect("every study was run")).collect()
}

fn row(study: &Study, ends: Ends, is_broken: bool) -> String {
    let share = |count: u64| format!("{:.2} %", 100.0 * count as f64 / ends.runs as f64);
    let fail = match study.expected {
        Expectation::NamingWrong => share(ends.named),
        _ => share(ends.fail),
    };
    let is_sequential = study.stop == StopRule::Sequential;
    let trials = if study.looks() || !is_sequential {
        format!("{:.1}", ends.cases as f64 / ends.runs as f64)
    } else {
        String::new()
    };
    let most = study.trials;
    let size = if is_sequential { format!("up to {most}") } else { most.to_string() };
    let mark = if is_broken { " **broken**" } else { "" };
    let (words, truth, wanted) = (&study.words, truth(study), wanted(study.expected));
    let pass = share(ends.pass);
    format!("| {words} | {truth} | {size} | {pass} | {fail} | {trials} | {wanted}{mark} |")
}

fn truth(study: &Study) -> String {
    let mut all: Vec<String> =
        study.truths.iter().map(|(_, truth)| format!("{:.0} %", 100.0 * truth)).collect();
    all.sort();
    all.dedup();
    all.join(", ")
}

fn wanted(expected: Expectation) -> String {
    let share = |chance: f64| format!("{:.1} %", 100.0 * chance);
    match expected {
        Expectation::BothWrong => "pass ≤ 5 %, fail ≤ 5 %".to_owned(),
        Expectation::PassWrong => "pass ≤ 5 %".to_owned(),
        Expectation::NamingWrong => "wrongly named ≤ 5 %".to_owned(),
        Expectation::Power(exact) => format!("pass = {}", share(exact)),
        Expectation::PowerAtLeast(least) => format!("pass ≥ {}", share(least)),
        Expectation::FailAtLeast(least) => format!("fail ≥ {}", share(least)),
    }
}

#[expect(clippy::print_stderr, reason = "who waits wants to know how far it is")]
fn tell(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn print(line: &str) {
    println!("{line}");
}
