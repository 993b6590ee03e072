"""What benchmarks share: quiet rounds, the table of goals, and what it ran on."""

import os
import platform
import statistics
import subprocess
import sys

import figures

# At most this many tries per wanted round.
TRIES = 3


class Rounds:
    """Rounds of a benchmark; one in which others used too much of a core says nothing."""

    def __init__(self, rounds, foreign_max):
        self.rounds, self.foreign_max = rounds, foreign_max
        self.table, self.rejected = Table(), 0

    def quiet(self, measure):
        """Results of quiet rounds; `measure` gives its result and the largest foreign share."""
        found = []
        for _ in range(self.rounds * TRIES):
            result, foreign = measure()
            if foreign > self.foreign_max:
                self.rejected += 1
            else:
                found.append(result)
            if len(found) == self.rounds:
                break
        return found


class Table:
    """Rows of the result."""

    def __init__(self):
        self.rows = []

    def goal(self, name, what, target, values, met):
        """`met` is asked with the median; no values leave the goal open."""
        if not values:
            self.open(name, what, target, "no quiet round")
            return
        verdict = "met" if met(statistics.median(values)) else "**open**"
        self.add(name, what, target, figures.spread(values), len(values), verdict)

    def open(self, name, what, target, why):
        self.add(name, what, target, "-", 0, f"**open**: {why}")

    def add(self, *cells):
        self.rows.append([str(cell) for cell in cells])
        print("  " + " | ".join(self.rows[-1]), file=sys.stderr, flush=True)

    def markdown(self):
        head = ["goal", "what", "target", "median (range)", "n", "verdict"]
        lines = [head, ["---"] * len(head), *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}"


def version(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError:
        return None
    text = (done.stdout + done.stderr).strip().splitlines()
    return text[0].strip() if text else None
