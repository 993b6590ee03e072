//! What the tests share: the command, its directory, and waiting for a state.

use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that one command of a test may take.
const COMMAND_MAX: Duration = Duration::from_mins(4);
/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(5);

/// Held while a test runs a lab: two at once would disturb each other's load on two cores.
pub(crate) struct Room {
    _file: File,
}

/// Waits until no other test runs a lab, in this process or another.
pub(crate) fn alone() -> Room {
    let file = room();
    file.lock().unwrap();
    Room { _file: file }
}

/// Waits until no test is alone. For a test whose claims hold on a busy machine too: that all is
/// put back, and not how well the system did.
pub(crate) fn beside_others() -> Room {
    let file = room();
    file.lock_shared().unwrap();
    Room { _file: file }
}

fn room() -> File {
    let path = std::env::temp_dir().join("gameday-tests-alone.lock");
    File::options().create(true).truncate(false).write(true).open(path).unwrap()
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A directory in which commands are run.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file and gives its name.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path().join(name), text).unwrap();
        name.to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gameday"));
        command.args(arguments).current_dir(self.path());
        command.env_remove("GAMEDAY_RUNS").env_remove("GAMEDAY_POLICY");
        command.env("NO_COLOR", "1").env("COLUMNS", "100");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn gameday(&self, arguments: &[&str]) -> Said {
        self.start(arguments).end()
    }

    /// The same with a variable of the environment.
    pub(crate) fn gameday_with(&self, name: &str, value: &str, arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        command.env(name, value);
        self.spawn(command).end()
    }

    /// Starts a command, in a process group of its own as a shell does.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.spawn(self.command(arguments))
    }

    /// Starts a command by way of another one, which must become it: `nsenter ... gameday ...`;
    /// directly without one.
    pub(crate) fn start_by(&self, way: &[String], arguments: &[&str]) -> Running {
        let Some((program, before)) = way.split_first() else { return self.start(arguments) };
        let inner = self.command(arguments);
        let mut command = Command::new(program);
        command.args(before).arg(inner.get_program()).args(inner.get_args());
        command.current_dir(self.path()).stdin(Stdio::null());
        command.env_remove("GAMEDAY_RUNS").env_remove("GAMEDAY_POLICY");
        command.env("NO_COLOR", "1").env("COLUMNS", "100");
        self.spawn(command)
    }

    fn spawn(&self, mut command: Command) -> Running {
        let out = self.path().join(format!("out-{}", fastrand()));
        let err = out.with_extension("err");
        let child = command
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        Running { child, out, err }
    }

    /// The directory of the only run.
    pub(crate) fn only_run(&self) -> Option<PathBuf> {
        let entries = std::fs::read_dir(self.path().join(".gameday/runs")).ok()?;
        let mut runs: Vec<_> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.join("plan.json").is_file())
            .collect();
        assert!(runs.len() < 2, "one run is expected: {runs:?}");
        runs.pop()
    }

    /// Processes whose arguments name this directory.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let needle = self.path().display().to_string();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
            let Ok(bytes) = std::fs::read(entry.path().join("cmdline")) else { continue };
            let words = String::from_utf8_lossy(&bytes).replace('\0', " ");
            if words.contains(&needle) && pid != std::process::id() {
                found.push((pid, words));
            }
        }
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            signal(pid, "KILL");
        }
    }
}

fn fastrand() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// A command under way.
pub(crate) struct Running {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Said {
        let ended = until(COMMAND_MAX, || self.child.try_wait().unwrap());
        let Some(status) = ended else {
            self.child.kill().unwrap();
            let said = self.said(-1);
            panic!("the command did not end within {COMMAND_MAX:?}: {said:?}");
        };
        self.said(status.code().unwrap_or(-1))
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(mut self) -> Said {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said(-9)
    }

    fn said(&self, code: i32) -> Said {
        let read = |path: &Path| {
            let mut text = String::new();
            File::open(path).unwrap().read_to_string(&mut text).unwrap();
            text
        };
        Said { code, out: read(&self.out), err: read(&self.err) }
    }
}

/// Looks until there is something, at most so long.
pub(crate) fn until<T>(most: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if began.elapsed() > most {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}

/// Sends a signal to all processes of a command's own group, as a terminal does.
pub(crate) fn signal_group(leader: u32, name: &str) {
    Command::new("kill").args([&format!("-{name}"), "--", &format!("-{leader}")]).output().unwrap();
}

/// Sends a signal to one process of ours.
pub(crate) fn signal(pid: u32, name: &str) {
    Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).output().unwrap();
}

/// A run that the machine disturbed is measured again, at most so often in all.
pub(crate) const MEASURED_MAX: u32 = 4;
/// How a verdict says that the machine, and not the system under test, spoilt a trial.
const DISTURBED: [&str; 4] = ["stood still", "sent late", "baselineNotSteady", "loadLate"];

/// Runs a command whose verdict needs an undisturbed machine. With two trials a single one that a
/// busy neighbour spoils leaves the run inconclusive, as it must: that says nothing about the
/// system, so it is measured again in a place of its own.
pub(crate) fn run_undisturbed(arguments: &[&str]) -> (Place, Said) {
    run_undisturbed_by(&[], arguments)
}

/// The same by way of another command.
pub(crate) fn run_undisturbed_by(way: &[String], arguments: &[&str]) -> (Place, Said) {
    let _alone = alone();
    for _ in 1..MEASURED_MAX {
        let place = Place::new();
        let said = place.start_by(way, arguments).end();
        let disturbed = place.only_run().is_some_and(|run| is_disturbed(&run));
        if said.code != 2 || !disturbed {
            return (place, said);
        }
    }
    let place = Place::new();
    let said = place.start_by(way, arguments).end();
    (place, said)
}

/// Whether a run's verdict says that the machine spoilt a trial.
pub(crate) fn is_disturbed(run: &Path) -> bool {
    let verdict = std::fs::read_to_string(run.join("verdict.json")).unwrap_or_default();
    DISTURBED.iter().any(|words| verdict.contains(words))
}

/// A scenario for tests: one short trial of a blackhole, no placebo.
pub(crate) fn short_scenario(lease: &str, lasts: &str) -> String {
    format!(
        "apiVersion: gameday.dev/v1alpha1
kind: Scenario
metadata: {{name: short, title: A short outage}}
spec:
  system: {{lab: shop}}
  load: {{open: {{rate: 50/s, mix: [{{weight: 1, post: /checkout}}]}}}}
  phases: {{warmup: 300ms, baseline: 500ms, settle: 200ms}}
  faults:
    - {{id: down, dependency-outage: {{edge: edge->checkout, mode: blackhole}}, for: {lasts}}}
  expect:
    - invariant: {{noneLost: true, noneTwice: true}}
  safety: {{lease: {lease}}}
  trials: {{count: 1, placebo: 0, mode: observed, seed: 1}}
"
    )
}
