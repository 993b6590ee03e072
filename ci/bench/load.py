"""The load benchmark: alternating rounds of `gameday load` and its peers, and the table of goals.

Only ratios within one round mean anything: machines drift between minutes. A round in which
others used too much of a core is thrown away and tried again. Started by load.sh."""

import argparse
import datetime
import fcntl
import json
import os
import shlex
import shutil
import signal
import statistics
import sys
import time
from itertools import pairwise

import figures
from bench_machine import FOREIGN_MAX, PORT, URL, Target, Wire, bare_sleep, end_orderly, run
from bench_report import Rounds, machine, version

GAMEDAY = os.environ["GAMEDAY"]
# goose is a library; ours is the smallest program around it.
GOOSE = os.environ.get("GOOSE", "")
RESULT = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "benchmarks-load.md")
CONNECTIONS = 50
PARTS = (
    "closed", "memory", "ceiling", "even", "poisson", "stall", "pause", "overhead", "stop",
)
# Our closed rate must be at least so many times theirs.
PEER_GOALS = (("wrk", 0.85), ("oha", 1.0), ("goose", 2.0), ("hey", 2.5))


def gameday(*words):
    return [GAMEDAY, "load", URL, "--json", "--connections", str(CONNECTIONS), *words]


def peers(seconds):
    """Closed-loop commands of one thread and the same connections, of the peers that are there."""
    known = {
        "wrk": f"wrk -t1 -c{CONNECTIONS} -d{seconds}s {URL}",
        "oha": f"oha -z {seconds}s -c {CONNECTIONS} --no-tui --worker-threads 1 {URL}",
        "hey": f"hey -z {seconds}s -c {CONNECTIONS} -cpus 1 {URL}",
    }
    there = {name: shlex.split(text) for name, text in known.items() if shutil.which(name)}
    known["goose"] = f"{GOOSE} {URL} {CONNECTIONS} {seconds}"
    if os.access(GOOSE, os.X_OK):
        there["goose"] = shlex.split(known["goose"])
    return there, [name for name in known if name not in there]


class Bench(Rounds):
    def __init__(self, arguments, target):
        super().__init__(arguments.rounds, FOREIGN_MAX)
        self.seconds = arguments.seconds
        self.priority = None if arguments.gentle else "throughput"
        self.timing = None if arguments.gentle else "timing"
        self.target = target
        self.peers, self.missing = peers(self.seconds)

    def run(self, command, priority, during=None):
        return run(self.target, command, priority, during)

    # Closed loop: L1, L2, L3.

    def closed(self):
        ours = gameday("--closed", "--for", f"{self.seconds}s")
        names = ["gameday", *self.peers]
        commands = {"gameday": ours, **self.peers}
        self.run(self.peers["wrk"], self.priority)  # warm

        def one_round():
            # The order turns, so that nobody always comes first.
            names.append(names.pop(0))
            ran = {name: self.run(commands[name], self.priority) for name in names}
            return ran, max(one.foreign for one in ran.values())

        rounds = self.quiet(one_round)
        for name, least in PEER_GOALS:
            unit = "requests per second of processor" if name == "goose" else "requests/s"
            what, goal = f"closed loop, {unit}, of {name}", f">= {least}x"
            if name in self.missing:
                self.table.open("L1", what, goal, f"{name} is not installed here")
                continue
            # goose starts its users over a second of its own, so it is compared by what a core
            # could do: requests per second of processor time, where both use all of one.
            of = figures.per_core if name == "goose" else figures.per_round
            ratios = [of(one["gameday"]) / of(one[name]) for one in rounds]
            self.table.goal("L1", what, goal, ratios, lambda ratio, least=least: ratio >= least)
        ratios = [one["gameday"].cpu_us() / one["wrk"].cpu_us() for one in rounds]
        self.table.goal("L2", "CPU per request, of wrk", "<= 1.15x", ratios, lambda x: x <= 1.15)
        memory = [one["gameday"].rss_mib for one in rounds]
        self.table.goal("L3", "peak memory, MiB", "<= 16", memory, lambda x: x <= 16)
        for name in names:
            costs = [one[name].cpu_us() for one in rounds]
            if costs:
                self.table.add("", f"CPU us per request of {name}", "", figures.spread(costs),
                               len(costs), "")

    def memory(self):
        """Growth of memory from 10^5 to 10^6 requests, by rate so that both are known."""
        sizes = []
        for seconds in (5, 50):
            ran = self.run(gameday("--rate", "20000/s", "--for", f"{seconds}s"), self.timing)
            sizes.append(ran.rss_mib)
        self.table.goal("L3", "growth from 10^5 to 10^6 requests, MiB", "<= 1",
                        [sizes[1] - sizes[0]], lambda x: x <= 1)

    def ceiling(self):
        """The highest rate, as a share of wrk's closed rate just before, that leaves in time."""

        def one_round():
            wrk = self.run(self.peers["wrk"], self.timing)
            foreign, best = wrk.foreign, 0.0
            for percent in range(90, 35, -5):
                rate = int(wrk.rate(self.seconds) * percent / 100)
                ran = self.run(gameday("--rate", f"{rate}/s", "--for", f"{self.seconds}s"),
                               self.timing)
                report = json.loads(ran.out)["open"]
                foreign = max(foreign, ran.foreign)
                if report["sent"] == report["due"] and (report["lagUs"]["p99"] or 0) <= 3000:
                    best = percent / 100
                    break
            return best, foreign

        self.table.goal("L4", "open loop with lag p99 <= 3 ms, of wrk's closed rate", ">= 0.60x",
                        self.quiet(one_round), lambda x: x >= 0.60)

    # The schedule as it arrives at the target: S1, S2, S3.

    def arrivals(self, command, rate):
        """Without those of the first second at this rate."""
        with Wire() as wire:
            ran = self.run(command, self.timing)
            # The kernel hands a capture over once a second at the latest.
            time.sleep(1.5)
        return figures.settled(wire.times(), rate), ran.foreign

    def even(self):
        if not shutil.which("tcpdump"):
            self.table.open("S1", "arrivals at 2,000/s", "", "tcpdump is not installed here")
            self.table.open("S2", "arrivals at 10,000/s", "", "tcpdump is not installed here")
            return
        seconds = max(3, self.seconds)
        for goal, rate, limits in (("S1", 2000, (None, 250)), ("S2", 10000, (60, 300))):
            def one_round(rate=rate):
                command = gameday("--rate", f"{rate}/s", "--for", f"{seconds}s")
                times, foreign = self.arrivals(command, rate)
                found = figures.evenness(times, rate)
                # No client is more punctual than a process that only sleeps: the machine's part.
                bare = bare_sleep(rate, seconds, self.timing)
                found["bare_us_p99"] = 1e6 * figures.quantile(sorted(bare), 0.99)
                found["bare_cv"] = rate * statistics.pstdev(b - a for a, b in pairwise(bare))
                if rate == 2000 and "oha" in self.peers:
                    oha = f"oha -z {seconds}s -q {rate} -c {CONNECTIONS} --no-tui {URL}"
                    times, other = self.arrivals(shlex.split(oha), rate)
                    found["oha"] = figures.evenness(times, rate)["lag_us_p99"]
                    foreign = max(foreign, other)
                return found, foreign

            rounds = self.quiet(one_round)
            at = f"at {rate:,}/s, by the wire"
            if goal == "S1":
                errors = [100 * abs(one["rate_error"]) for one in rounds]
                self.table.goal(goal, f"rate error in %, {at}", "<= 0.05", errors,
                                lambda x: x <= 0.05)
                self.table.goal(goal, f"CV of gaps, {at}", "<= 0.10",
                                [one["gap_cv"] for one in rounds], lambda x: x <= 0.10)
            for name, what in (("bare_us_p99", "p99 lateness of a bare sleep at {}/s, us"),
                               ("bare_cv", "CV of the gaps of a bare sleep at {}/s")):
                self.table.add("", f"the machine: {what.format(f'{rate:,}')}", "",
                               figures.spread([one[name] for one in rounds]), len(rounds), "")
            for name, limit in zip(("lag_us_p50", "lag_us_p99"), limits):
                if limit:
                    self.table.goal(goal, f"{name}, {at}", f"<= {limit}",
                                    [one[name] for one in rounds],
                                    lambda x, limit=limit: x <= limit)
            if goal == "S1":
                what, bound = "lag p99, of oha -q", "<= 0.1x"
                if "oha" in self.missing:
                    self.table.open(goal, what, bound, "oha is not installed here")
                else:
                    ratios = [one["lag_us_p99"] / one["oha"] for one in rounds]
                    self.table.goal(goal, what, bound, ratios, lambda x: x <= 0.1)

    def poisson(self):
        """20,000 gaps. A late wake-up of this machine moves an arrival by some 20 to 100 us whatever
        the rate, so the rate is low: the question is the distribution, not the lateness."""
        if not shutil.which("tcpdump"):
            self.table.open("S3", "Poisson arrivals", "", "tcpdump is not installed here")
            return
        rate, seconds, again_seconds = 200, 102, 20

        def command(seconds):
            return gameday("--rate", f"{rate}/s", "--for", f"{seconds}s", "--arrivals", "poisson",
                           "--seed", "7", "--timer", "exact")

        times, _ = self.arrivals(command(seconds), rate)
        distance, bound, variation = figures.exponential_distance(times, rate)
        count = len(times) - 1
        at = f"at {rate}/s, exact timer, by the wire"
        self.table.goal("S3", f"CV of {count:,} Poisson gaps {at}", "0.97..1.03",
                        [variation], lambda x: 0.97 <= x <= 1.03)
        self.table.goal("S3", "KS distance from the exponential", f"< {bound:.4f} (1 %)",
                        [distance], lambda x: x < bound)
        again, _ = self.arrivals(command(again_seconds), rate)
        self.table.goal("S3", f"same seed again for {again_seconds} s: p99 of the difference, us",
                        "<= 500", [figures.same_schedule(times, again)], lambda x: x <= 500)

    # What the target does, and what that costs: C1, H1, H2.

    def stall(self):
        """The target stands still for 2 s of 20 s; every percentile is known beforehand."""
        length, stall = 20, 2

        def hold(_):
            time.sleep(9)
            os.kill(self.target.worker, signal.SIGSTOP)
            time.sleep(stall)
            os.kill(self.target.worker, signal.SIGCONT)

        command = gameday("--rate", "1000/s", "--for", f"{length}s", "--timeout", "30s")
        ran = self.run(command, self.timing, hold)
        report = json.loads(ran.out)["open"]
        latency = report["total"]["latencyUs"]
        for name, expected in figures.stall_expected(stall, length).items():
            self.table.goal("C1", f"{name} in ms under a stall of 2 s",
                            f"{expected:.0f} +-3 % (+30)", [latency[name] / 1000],
                            lambda x, e=expected: e * 0.97 <= x <= e * 1.03 + 30)
        ended = sum(report["total"]["outcomes"].values())
        lost = max(abs(20_000 - count) for count in (report["due"], ended, ran.requests))
        self.table.goal("C1", "requests not accounted for, of 20,000", "0", [lost],
                        lambda x: x == 0)

    def pause(self):
        """The client itself stands still for 1 s: its own fault, and it says so."""
        command = gameday("--rate", "1000/s", "--for", "6s")
        good = json.loads(self.run(command, self.timing).out)

        def hold(pid):
            time.sleep(3)
            os.kill(pid, signal.SIGSTOP)
            time.sleep(1)
            os.kill(pid, signal.SIGCONT)

        held = json.loads(self.run(command, self.timing, hold).out)
        report = held["open"]
        self.table.goal("C2", "windows marked, client stopped for 1 s of 6 s", "10..25",
                        [report["windowsPaused"]], lambda x: 10 <= x <= 25)
        self.table.goal("C2", "largest send lag in ms, the same", ">= 900",
                        [(report["lagUs"]["max"] or 0) / 1000], lambda x: x >= 900)
        self.table.goal("S4", "measurements called invalid: stopped, and not stopped", "1",
                        [(not held["valid"]) / (1 + (not good["valid"]))], lambda x: x == 1)

    def overhead(self):
        for rate, timer, cores in ((10000, "relaxed", 0.20), (10000, "precise", 0.55),
                                   (1000, "precise", 0.10)):
            command = gameday("--rate", f"{rate}/s", "--for", f"{self.seconds}s", "--timer", timer)

            def one_round(command=command):
                ran = self.run(command, self.timing)
                return (ran.cpu_seconds / ran.seconds, ran.rss_mib), ran.foreign

            rounds = self.quiet(one_round)
            self.table.goal("H1", f"cores at {rate:,}/s, {timer} timer", f"<= {cores:.2f}",
                            [one[0] for one in rounds], lambda x, cores=cores: x <= cores)
            self.table.goal("H1", f"peak memory at {rate:,}/s, {timer} timer, MiB", "<= 32",
                            [one[1] for one in rounds], lambda x: x <= 32)

    def stop(self):
        """An interrupt while the target hangs, up to the end of the process."""
        times = []
        for _ in range(self.rounds):
            pulled = []

            def hold(pid, pulled=pulled):
                time.sleep(1.0)
                os.kill(self.target.worker, signal.SIGSTOP)
                time.sleep(0.5)
                pulled.append(time.monotonic())
                os.kill(pid, signal.SIGINT)
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
                pulled.append(time.monotonic())
                os.kill(self.target.worker, signal.SIGCONT)

            self.run(gameday("--rate", "2000/s", "--for", "60s"), self.timing, hold)
            times.append(1000 * (pulled[1] - pulled[0]))
        self.table.goal("H2", "interrupt to end, target stalled, ms", "<= 100", times,
                        lambda x: x <= 100)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="quiet rounds of each comparison")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, of: {', '.join(PARTS)}")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks-load.md")
    parser.add_argument("--gentle", action="store_true", help="no priority over other programs")
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if wrong := [part for part in parts if part not in PARTS]:
        parser.error(f"no such part: {', '.join(wrong)}")
    for tool in ("nginx", "wrk"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is needed and not installed")
    if os.cpu_count() < 2:
        sys.exit("target and client need a core each")
    figures.self_test()
    end_orderly()
    with open(f"/tmp/gameday-bench-{PORT}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with Target(None if arguments.gentle else "throughput") as target:
            bench = Bench(arguments, target)
            for part in parts:
                print(part, file=sys.stderr, flush=True)
                getattr(bench, part)()
    told = tell(bench)
    print(told)
    if arguments.write:
        with open(RESULT, "w", encoding="utf-8") as file:
            file.write(f"# Load benchmark\nMade by the command below; see load.md.\n\n{told}\n")


def tell(bench):
    """Date, machine, command, versions and the table."""
    today = datetime.date.today().isoformat()
    command = " ".join(["ci/bench/load.sh", *map(shlex.quote, sys.argv[1:])])
    tools = [version([GAMEDAY, "--version"]), version(["nginx", "-v"]), version(["wrk", "-v"])]
    if "oha" in bench.peers:
        tools.append(version(["oha", "--version"]))
    lines = [
        f"{today}, {machine()}; `{command}`.",
        "; ".join(tool for tool in tools if tool) + f"; {bench.rejected} noisy rounds rejected.",
    ]
    if bench.missing:
        missing = ", ".join(bench.missing)
        lines.append(f"Not installed here, so their goals stay open: {missing}.")
    return "\n".join(lines) + "\n\n" + bench.table.markdown()


if __name__ == "__main__":
    main()
