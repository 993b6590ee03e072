//! What the command line may say. Typed, documented here, and meant elsewhere: each command has a
//! file of its own that turns its arguments into work.

use std::net::SocketAddr;
use std::path::PathBuf;

use agent::watchdog::HarnessProcess;
use clap::{Args, Parser, Subcommand, ValueEnum};
use harness_core::units::Duration;

use crate::values::{pair, whole};

/// Game days with evidence: load, faults and expectations in one file; a statistical verdict.
#[derive(Debug, Parser)]
#[command(
    name = "gameday",
    version,
    about,
    long_about = "Runs a scenario (load + faults + expectations) in repeated trials against a \
                  system, puts everything back whatever happens, and says with confidence whether \
                  the expectations hold: pass, fail or inconclusive.",
    after_help = AFTER_HELP,
    max_term_width = 100,
    arg_required_else_help = true,
    propagate_version = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
First steps:
  gameday run payments-outage     run a scenario of the catalogue on the built-in lab
  gameday init                    write a commented scenario to start from
  gameday plan my.yaml            show everything that a run would do; touches nothing

Exit codes:
  0 pass   1 fail   2 inconclusive   3 aborted, all put back   4 leftovers: a person is needed
  64 wrong usage or scenario   69 not ready, or refused   70 a defect of gameday";

/// Understood by every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Where runs are kept
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "GAMEDAY_RUNS",
        default_value = ".gameday/runs",
        help_heading = "Global options"
    )]
    pub(crate) runs: PathBuf,
    /// When to use colours; `auto` respects `NO_COLOR` and pipes
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(crate) color: Colour,
    /// Say more about what is done; twice for everything
    #[arg(
        short,
        long,
        global = true,
        action = clap::ArgAction::Count,
        help_heading = "Global options"
    )]
    pub(crate) verbose: u8,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colour {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a commented scenario to start from
    Init(Init),
    /// Check scenarios; show every mistake with its place and how to mend it
    Validate(Validate),
    /// Show everything that a run would do, and what its trials can show; touches nothing
    Plan(Plan),
    /// Run a scenario and judge it
    Run(Run),
    /// Run placebo trials only: what the expectations show when nothing is wrong
    Calibrate(crate::commands::Calibrate),
    /// Judge a stored run again, also with other expectations
    Judge(Judge),
    /// Feed a run's journal to a new conductor; it must decide the same
    Replay(OneRun),
    /// Write a stored run's report in another format
    Report(Report),
    /// List stored runs
    Runs(Runs),
    /// Put back what a killed run still owes, and prove it
    Undo(Undo),
    /// Stop a run that is under way; it reverts everything
    Abort(Abort),
    /// Put an honest open-loop load on one URL and measure it
    Load(Box<crate::commands::load::Load>),
    /// The built-in lab: a miniature shop of real local processes
    Lab(Lab),
    /// Print the JSON Schema of scenarios, for editors
    Schema,
    /// Print a shell's completion script
    Completions(Completions),
    /// Show which mechanisms and servers this machine has
    Doctor(Doctor),
    /// Consent to a plan that somebody else is going to run
    Approve(Approve),
    /// Rules over plans: test them, or ask them about a scenario
    Policy(crate::commands::Policy),
    /// List the kinds of fault, or try an injector of your own
    Injectors(crate::commands::Injectors),
    /// One process of a lab
    #[command(hide = true, name = "lab-role")]
    LabRole(Rest),
    /// The proxy that stands on a lab's edges
    #[command(hide = true, name = "agent-proxy")]
    AgentProxy(AgentProxy),
    /// The watchdog that holds a run's lease
    #[command(hide = true, name = "agent-watchdog")]
    AgentWatchdog(AgentWatchdog),
    /// The process whose users walk the journeys of one load
    #[command(hide = true, name = "agent-journeys")]
    AgentJourneys,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The file to write
    #[arg(default_value = "scenario.yaml")]
    pub(crate) file: PathBuf,
    /// Overwrite it
    #[arg(long)]
    pub(crate) force: bool,
}

/// A scenario and what may be changed from outside.
#[derive(Debug, Clone, Args)]
pub(crate) struct Scenario {
    /// A scenario file, or the name of one of the catalogue (see `gameday validate --list`)
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
    /// Give a parameter a value
    #[arg(long = "set", value_name = "PARAM=VALUE", value_parser = pair)]
    pub(crate) set: Vec<(String, String)>,
    /// Switch on a defect of the lab (see `gameday lab defects`)
    #[arg(long = "with", value_name = "DEFECT=VALUE", value_parser = pair)]
    pub(crate) with: Vec<(String, String)>,
    /// Trials with the fault, in place of what the scenario says
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=10_000))]
    pub(crate) trials: Option<u32>,
    /// Trials without a fault, in place of what the scenario says; 0 for a quick look
    #[arg(long, value_name = "N", value_parser = whole::<u32>(0..=10_000))]
    pub(crate) placebo: Option<u32>,
    /// `observed` compares plainly, without a confidence statement
    #[arg(long, value_name = "MODE")]
    pub(crate) mode: Option<Mode>,
    /// The seed of all random choices
    #[arg(long, value_name = "N", value_parser = whole::<u64>(0..=u64::MAX))]
    pub(crate) seed: Option<u64>,
}

/// How trials are judged together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// With confidence, over trials
    Inferred,
    /// Plainly, as seen
    Observed,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Scenario files, or names of the catalogue
    #[arg(value_name = "FILE", required_unless_present = "list")]
    pub(crate) files: Vec<String>,
    /// Give a parameter a value
    #[arg(long = "set", value_name = "PARAM=VALUE", value_parser = pair)]
    pub(crate) set: Vec<(String, String)>,
    /// List the catalogue
    #[arg(long)]
    pub(crate) list: bool,
    /// Print diagnostics as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) scenario: Scenario,
    /// Print the plan as JSON, byte for byte what a run stores
    #[arg(long)]
    pub(crate) json: bool,
}

/// Rules that no scenario can leave out.
#[derive(Debug, Clone, Args)]
pub(crate) struct Organisation {
    /// Rules or data that every scenario must keep to, whatever it names itself; may be said again.
    /// Those of the environment variable `GAMEDAY_POLICY` (paths with `:` between them) count, too
    #[arg(long = "policy", value_name = "PATH")]
    pub(crate) policy: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) scenario: Scenario,
    #[command(flatten)]
    pub(crate) organisation: Organisation,
    /// Use the lab of this state directory (`gameday lab up`) and leave it running
    #[arg(long, value_name = "DIR")]
    pub(crate) lab: Option<PathBuf>,
    /// Abort when this file appears, too; beside the run's own switch
    #[arg(long, value_name = "FILE")]
    pub(crate) abort_file: Option<PathBuf>,
    /// Listen on this loopback address for `POST /abort`; the token is in the run's directory
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) abort_http: Option<SocketAddr>,
    /// Print events as JSON lines, the verdict last
    #[arg(long)]
    pub(crate) json: bool,
    /// Print only the verdict
    #[arg(short, long, conflicts_with = "json")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OneRun {
    /// A run: its name, the beginning of it, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(crate) run: String,
}

#[derive(Debug, Args)]
pub(crate) struct Judge {
    #[command(flatten)]
    pub(crate) run: OneRun,
    /// Judge by the expectations of this file: a scenario, or only its `expect:` section
    #[arg(long, value_name = "FILE")]
    pub(crate) expect: Option<PathBuf>,
    /// Print the verdict as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) run: OneRun,
    /// The format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Formats of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a terminal
    Text,
    /// For machines
    Json,
    /// For test dashboards of pipelines
    Junit,
    /// For pull requests and wikis
    Markdown,
    /// One self-contained page with charts
    Html,
}

#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// Print as JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Undo {
    /// A run; without it, every run that owes something
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Show what is owed; change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Abort {
    #[command(flatten)]
    pub(crate) run: OneRun,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The hash of the plan, as `gameday plan` prints it
    #[arg(value_name = "PLAN-SHA256")]
    pub(crate) plan: String,
    /// Who consents
    #[arg(long, value_name = "NAME")]
    pub(crate) by: String,
    /// For how long it counts
    #[arg(long = "for", value_name = "DURATION", default_value = "24h")]
    pub(crate) lasts: Duration,
    /// Why, or under which conditions
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) note: String,
}

#[derive(Debug, Args)]
pub(crate) struct Lab {
    #[command(subcommand)]
    pub(crate) command: LabCommand,
}

/// Where a lab lives.
#[derive(Debug, Clone, Args)]
pub(crate) struct LabState {
    /// The lab's state directory; another one is another lab
    #[arg(long, value_name = "DIR", default_value = ".gameday/lab")]
    pub(crate) state: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Start a lab and wait until it is ready
    Up {
        #[command(flatten)]
        state: LabState,
        /// Switch on a defect
        #[arg(long = "with", value_name = "DEFECT=VALUE", value_parser = pair)]
        with: Vec<(String, String)>,
    },
    /// Show services, pods, edges and alerts
    Status {
        #[command(flatten)]
        state: LabState,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what the lab's processes logged
    Logs {
        #[command(flatten)]
        state: LabState,
        /// Only this process: `checkout-0`
        process: Option<String>,
        /// The last lines of each
        #[arg(
            long,
            value_name = "N",
            default_value_t = 20,
            value_parser = whole::<usize>(0..=usize::MAX)
        )]
        tail: usize,
    },
    /// Send orders for a while and show what the lab itself costs
    Measure {
        #[command(flatten)]
        state: LabState,
        /// Orders per second
        #[arg(
            long,
            value_name = "N",
            default_value_t = 400,
            value_parser = whole::<u32>(1..=2000)
        )]
        rate: u32,
        /// For so many seconds
        #[arg(
            long,
            value_name = "SECONDS",
            default_value_t = 10,
            value_parser = whole::<u64>(1..=60)
        )]
        seconds: u64,
    },
    /// Stop a lab; leaves no process, port or file behind
    Down {
        #[command(flatten)]
        state: LabState,
    },
    /// List the defects that can be switched on
    Defects,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments that are another parser's business.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Rest {
    /// Passed on as they are
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AgentProxy {
    /// The routes
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// The control socket
    #[arg(long)]
    pub(crate) socket: PathBuf,
    /// The log file
    #[arg(long)]
    pub(crate) log: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AgentWatchdog {
    /// The run's directory
    #[arg(long)]
    pub(crate) run: PathBuf,
    /// Without a renewal for this long, it takes over
    #[arg(long)]
    pub(crate) lease: Duration,
    /// Whom it watches, as PID:START
    #[arg(long)]
    pub(crate) harness: HarnessProcess,
}
