"""Measures the goals T1 to T4: time to safe after an abort, after `kill -9`, after a guardrail.

    safety.py GAMEDAY TIME_TO_SAFE ROUNDS >docs/benchmarks-safety.md

Everything is read from journals (the run's own clock) but for T1, which is measured at the callee's
connections, and T3, which is measured around processes.
"""
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

STEP_MAX_S = 60.0
SCENARIO = """apiVersion: gameday.dev/v1alpha1
kind: Scenario
metadata: {{name: bench, title: A fault that is ended early}}
spec:
  system: {{lab: shop}}
  load: {{open: {{rate: 100/s, mix: [{{weight: 1, post: /checkout}}]}}}}
  phases: {{warmup: 200ms, baseline: 500ms, settle: 100ms}}
  faults:
{faults}
  expect:
    - invariant: {{noneLost: true, noneTwice: true}}
  safety: {{lease: 15s, guardrails: [{guardrails}]}}
  trials: {{count: 1, placebo: 0, mode: observed, seed: 1}}
"""
OUTAGE = "    - {{id: f{n}, dependency-outage: {{edge: '{edge}', mode: blackhole}}, for: 30s}}"
SHOP_EDGE = OUTAGE.format(n=0, edge="edge->checkout")
LASTING_MS = 500
# Edges whose callees go on running.
CUT = ("checkout->payments", "checkout->store", "edge->checkout", "worker->payments")


class Lab:
    """A lab in a directory of its own, with the runs on it."""

    def __init__(self, gameday, namespace=None):
        self.gameday = [gameday]
        if namespace:
            # `ip netns exec` would hide the cgroups.
            self.gameday = ["nsenter", f"--net=/run/netns/{namespace}", gameday]
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)
        self.number = 0

    def __enter__(self):
        self.call("lab", "up", "--state", "shop")
        return self

    def __exit__(self, *_):
        self.call("lab", "down", "--state", "shop")
        self.folder.cleanup()

    def call(self, *words, codes=(0,)):
        done = subprocess.run(
            [*self.gameday, *words], cwd=self.path, capture_output=True, text=True, timeout=STEP_MAX_S
        )
        if done.returncode not in codes:
            sys.exit(f"gameday {' '.join(words)} ended with {done.returncode}: {done.stderr}")
        return done

    def start(self, faults, guardrails=""):
        self.number += 1
        runs = f"runs-{self.number}"
        text = SCENARIO.format(faults=faults, guardrails=guardrails)
        (self.path / "bench.yaml").write_text(text, encoding="utf-8")
        words = [*self.gameday, "run", "bench.yaml", "--lab", "shop", "--runs", runs, "--quiet"]
        child = subprocess.Popen(
            words, cwd=self.path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        return Run(self, child, self.path / runs)


class Run:
    def __init__(self, lab, child, runs):
        self.lab, self.child, self.runs = lab, child, runs

    def entries(self):
        for path in self.runs.glob("*/journal.jsonl"):
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            return [json.loads(line.split(" ", 1)[1]) for line in lines if line.endswith("\n")]
        return []

    def until_in_force(self, count):
        until = time.monotonic() + STEP_MAX_S
        while time.monotonic() < until:
            if sum(1 for entry in self.entries() if outcome(entry, "effective")) >= count:
                return
            if self.child.poll() is not None:
                sys.exit(f"the run ended early: {self.child.stderr.read()}")
            time.sleep(0.02)
        sys.exit("the faults were not seen in force")

    def end(self, codes):
        self.child.wait(STEP_MAX_S)
        if self.child.returncode not in codes:
            sys.exit(f"the run ended with {self.child.returncode}: {self.child.stderr.read()}")


def outcome(entry, kind):
    done = entry["what"].get("event", {})
    done = done.get("done") if isinstance(done, dict) else None
    answer = done["outcome"] if done else None
    return answer.get(kind) if isinstance(answer, dict) else None


def event(entry, kind):
    found = entry["what"].get("event", {})
    return found.get(kind) if isinstance(found, dict) else None


def command(entry, kind):
    issued = entry["what"].get("command", {})
    found = issued.get("command") if isinstance(issued, dict) else None
    return found.get(kind) if isinstance(found, dict) else None


def at_ms(entry):
    return entry["at"] / 1e6


def time_to_off(lab, faults, count):
    """From the abort in the journal to the last revert that was done, and to the last proof."""
    run = lab.start(faults)
    run.until_in_force(count)
    run.child.send_signal(signal.SIGINT)
    run.end((3,))
    entries = run.entries()
    began = next(at_ms(entry) for entry in entries if event(entry, "abort"))
    off = [at_ms(entry) - began for entry in entries if outcome(entry, "reverted")]
    proven = [at_ms(entry) - began for entry in entries if outcome(entry, "provenReverted")]
    if len(off) < count or len(proven) < count:
        sys.exit(f"{len(off)} of {count} faults were reverted, {len(proven)} proven")
    return max(off), max(proven)


def after_kill(lab):
    """`kill -9` of watchdog and harness; from the start of a cold `undo` to verified clean."""
    run = lab.start(SHOP_EDGE)
    run.until_in_force(1)
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"agent-watchdog" in words and any(str(run.runs).encode() in word for word in words):
            os.kill(int(path.parent.name), signal.SIGKILL)
    run.child.kill()
    run.child.wait()
    began = time.monotonic()
    lab.call("undo", "--runs", str(run.runs))
    return (time.monotonic() - began) * 1e3


def after_guardrail(lab):
    """From the moment at which the breach had lasted long enough to the first revert command."""
    run = lab.start(SHOP_EDGE, f"'success < 50% for {LASTING_MS}ms'")
    run.end((3,))
    since = None
    for entry in run.entries():
        tick = event(entry, "load")
        if tick and tick["good"] + tick["bad"] > 0:
            breached = tick["good"] * 2 < tick["good"] + tick["bad"]
            since = (since or at_ms(entry)) if breached else None
        if command(entry, "revert"):
            if since is None:
                sys.exit("the first revert came without a breach")
            return at_ms(entry) - since - LASTING_MS
    sys.exit("the guardrail did not trip")


def quantiles(values):
    ordered = sorted(values)
    pick = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]
    return f"{pick(0.5):.1f} | {pick(0.99):.1f} | {ordered[-1]:.1f}"


def aside(name, values):
    """A row that has no goal of its own."""
    return f"| {name} | {len(values)} | {quantiles(values)} | | |"


def line(name, values, goal):
    held = "yes" if sorted(values)[min(len(values) - 1, int(0.99 * len(values)))] <= goal else "**no**"
    return f"| {name} | {len(values)} | {quantiles(values)} | {goal} | {held} |"


HEAD = """# How fast gameday is safe
Written by `ci/bench/safety.sh {rounds}`, {date}; {cores} cores, Linux {kernel}, load average before \
{load}. Times in ms; the goal is held against the p99.

| what | rounds | p50 | p99 | max | goal | held |
|---|---|---|---|---|---|---|"""

TAIL = """
T1: 20 edges of one proxy process are black holes, each of 1,000 connections has a request held \
back, and the clock runs from the interrupt to the last of these requests at the callee, which \
answers them only then. Callers, callee, proxy and harness share the cores. \
T2 takes eight services of the lab, each with a limit on descriptors under a stop, by SIGSTOP or by \
the freezer, and four edges that rules of the kernel cut. What a supervisor must start again takes its \
own time and is not among them. It runs from the abort's entry in the journal to the answer of the last revert; its proof by the \
witness, which looks 3 times in a row every 50 ms, comes later and is shown apart. T3 starts a cold \
`gameday undo` after watchdog and harness were both killed with `kill -9`; it ends when the witness \
has proven the fault gone. T4 runs from the moment at which a breach had lasted as long as the \
guardrail says, to the command that reverts; load is judged every 100 ms."""


def main():
    gameday, time_to_safe, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    gameday = os.path.abspath(gameday)
    print(
        HEAD.format(
            rounds=rounds,
            date=datetime.date.today().isoformat(),
            cores=os.cpu_count(),
            kernel=platform.release(),
            load=f"{os.getloadavg()[0]:.1f}",
        )
    )
    what = "interrupt, until the callee has what 20 faults in the proxy held back"
    callee, callers = proxy_off(time_to_safe, rounds, "open")
    print(line(f"T1: {what}, of 1,000 connections", callee, 50))
    print(aside("the same, until the callers have all answers", callers), flush=True)
    callee, _ = proxy_off(time_to_safe, rounds, "opened-under-fault")
    print(aside("the same, of 1,000 connections that the proxy has yet to dial", callee), flush=True)
    with Namespace() as namespace, Lab(gameday, namespace) as lab:
        faults, count = os_faults(namespace)
        pairs = [time_to_off(lab, faults, count) for _ in range(rounds)]
        kinds = "stops, freezes, limits and cuts by nftables" if namespace else "stops and limits"
        name = f"T2: abort, until {count} {kinds} are reverted"
        print(line(name, [off for off, _ in pairs], 250))
        print(line("T2, proven by witnesses", [proven for _, proven in pairs], 1000), flush=True)
    with Lab(gameday) as lab:
        cold = [after_kill(lab) for _ in range(rounds)]
        print(line("T3: `kill -9`, then a cold `undo` to verified clean", cold, 500), flush=True)
        trips = [after_guardrail(lab) for _ in range(rounds)]
        print(line("T4: guardrail breached, until the abort is issued", trips, 150))
    print(TAIL)


def proxy_off(time_to_safe, rounds, opened):
    """Milliseconds from the interrupt, for each round: to the callee, and to the callers."""
    words = [time_to_safe, str(rounds), opened]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    pairs = [[float(word) for word in pair.split()] for pair in done.stdout.splitlines()]
    return zip(*pairs)


def os_faults(namespace):
    """Faults in the kernel, twenty of them: on each of eight services a limit of descriptors, and a
    second later it stands still, by SIGSTOP or by the freezer; and four edges are cut by nftables,
    where there is a network namespace for it, else two more services have both."""
    services = "worker jobs meter pager collector alerter cap edge".split()
    lines = []
    if namespace:
        for number, edge in enumerate(CUT):
            spec = f"{{namespace: {namespace}, edge: '{edge}', mode: drop}}"
            lines.append(f"    - {{id: cut-{number}, partition: {spec}, for: 30s}}")
    else:
        services += ["payments", "store"]
    for name in services:
        limit = f"fd-limit: {{service: {name}, room: 4}}"
        lines.append(f"    - {{id: short-{name}, {limit}, for: 30s}}")
    for number, name in enumerate(services):
        kind = "process-freeze" if namespace and number % 2 else "process-pause"
        lines.append(f"    - {{id: still-{name}, {kind}: {{service: {name}}}, at: 1s, for: 29s}}")
    return "\n".join(lines), len(lines)


class Namespace:
    """A network namespace of our own, for rules of the kernel; `None` where it cannot be had."""

    def __enter__(self):
        self.name = f"gameday-bench-{os.getpid()}"
        tried = (
            f"ip netns add {self.name}",
            f"ip -n {self.name} link set lo up",
            f"ip netns exec {self.name} nft add table inet probe",
            f"ip netns exec {self.name} nft delete table inet probe",
        )
        works = os.geteuid() == 0 and shutil.which("nft") and shutil.which("nsenter")
        works = works and all(
            subprocess.run(words.split(), capture_output=True, check=False).returncode == 0
            for words in tried
        )
        return self.name if works else None

    def __exit__(self, *_):
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)


if __name__ == "__main__":
    main()
