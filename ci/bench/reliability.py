"""Makes docs/reliability.md of the figures that the attack tests have kept: one line of JSON each.

    reliability.py ROUNDS FIGURES SKIPS >docs/reliability.md
"""
import collections
import datetime
import json
import os
import platform
import subprocess
import sys


def quantile(values, share):
    """The smallest value that so large a share of all is at most."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(len(ordered) * share * 1000) // 1000) - 1)]


def row(name, figures):
    times = [figure["to_safe_ms"] for figure in figures]
    named = sum(figure["named"] for figure in figures)
    middle, high, most = quantile(times, 0.5), quantile(times, 0.99), max(times)
    return f"| {name} | {len(times)} | {middle:.0f} | {high:.0f} | {most:.0f} | {named} |"


HEAD = """# Reliability: what happens when gameday itself is attacked
Written by `ci/bench/reliability.sh {rounds}`. In each attack a fault is in force on a lab of real \
processes; then the harness, its watchdog, its proxy, its disk or its machine is attacked. **Time \
to safe** is from the attack until nothing is in force any more, seen by a witness or by orders \
that work again; the lease of these runs is 2 s unless the attack needs a longer one. **Named** \
counts leftovers that gameday named with exit code 4, and that were paid when it could be. After an \
attack that leaves anything else in force, the command fails and writes nothing.

{date}, commit {commit}; {machine}.

| attack | tried | p50 ms | p99 ms | max ms | named |
|---|---|---|---|---|---|"""


def grouped(figures, key):
    groups = collections.defaultdict(list)
    for figure in figures:
        groups[figure[key]].append(figure)
    return sorted(groups.items())


def main():
    rounds, path, skips = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        figures = [json.loads(line) for line in file]
    if not figures:
        sys.exit("no attack has left figures")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    machine = f"{os.cpu_count()} cores, Linux {platform.release()}"
    date = datetime.date.today().isoformat()
    print(HEAD.format(rounds=rounds, date=date, commit=commit, machine=machine))
    for name, group in grouped(figures, "attack"):
        print(row(name, group))
    print(row("**all**", figures))
    print("\n`kill -9` of the harness at each ledger line, by kind of fault:\n")
    print("| kind | tried | p50 ms | p99 ms | max ms | named |")
    print("|---|---|---|---|---|---|")
    killed = [figure for figure in figures if figure["attack"].startswith("kill -9 at ledger")]
    for name, group in grouped(killed, "kind"):
        print(row(f"`{name}`", group))
    with open(skips, encoding="utf-8") as file:
        left_out = sorted(set(file.read().splitlines()))
    if left_out:
        print("\nNot tried on this machine: " + "; ".join(left_out) + ".")


if __name__ == "__main__":
    main()
