"""The proxy benchmark: alternating rounds of our proxy and its peers, and the table of goals.

Only ratios within one round mean anything: machines drift between minutes. A round in which
others used too much of a core is thrown away and tried again. Started by proxy.sh."""

import argparse
import contextlib
import datetime
import fcntl
import json
import os
import re
import resource
import selectors
import shlex
import shutil
import socket
import statistics
import sys
import time

import echo
import figures
from bench_machine import FOREIGN_MAX, PORT, Foreign, Target, end_orderly, pin
from bench_report import Rounds, machine, version
from proxy_machine import (
    ALONE_CPU, BULK_PORT, ECHO_PORT, OTHERS_CPU, Haproxy, Noxious, Ours, cpu_seconds, free_ports,
    known, output, place, resident_kib, start, stop,
)

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ("through", "memory", "single", "loaded", "pipelined", "safe")
# Of requests in one round, each through every proxy in turn.
PASSES = 3
# Asked delays in us, messages per second so that one is under way at a time, and seconds: more
# than a hundred messages, of which a 99th percentile is not the worst.
SINGLE = ((1_000, 200, 2), (10_000, 40, 3), (100_000, 9, 12))
PIPELINED = ((100_000, 50, 3), (10_000, 200, 3))
FAULTS, CONNECTIONS = 20, 1000
# After this line a file holds the last measurement.
MEASURED = "<!-- measured -->"


class Bench(Rounds):
    def __init__(self, arguments, target):
        super().__init__(arguments.rounds, arguments.noise / 100)
        self.seconds, self.target = arguments.seconds, target
        self.priority = None if arguments.gentle else "timing"
        self.proxies, self.missing = known()

    # Without a fault: P1, P2, P3.

    def through(self):
        order = list(self.proxies)

        def one_round():
            # The order turns, so that nobody always comes first.
            order.append(order.pop(0))
            requests, worst = self.requests(order)
            found = {}
            for kind in order:
                with kind(self.priority) as proxy:
                    found[kind.name], foreign = self.measure(proxy)
                found[kind.name] |= requests[kind.name]
                worst = max(worst, foreign)
            return found, worst

        rounds = self.quiet(one_round)
        for goal, key, what, target, met in (
            ("P1", "cpu_us", "CPU per request", "<= 1.0x", lambda x: x <= 1.0),
            ("P1", "rtt_p50", "added round trip p50", "<= 1.0x", lambda x: x <= 1.0),
            ("P1", "rtt_p99", "added round trip p99", "<= 1.2x", lambda x: x <= 1.2),
            ("P2", "gbit", "bulk Gbit/s", ">= 1.0x", lambda x: x >= 1.0),
            ("P2", "cpu_gb", "bulk CPU s per GB", "<= 1.0x", lambda x: x <= 1.0),
            ("P2", "cpu_gb", "stretch: bulk CPU s per GB", "<= 0.6x", lambda x: x <= 0.6),
            ("P3", "connections", "connections/s", ">= 0.9x", lambda x: x >= 0.9),
        ):
            if Haproxy.name in self.missing:
                self.table.open(goal, f"{what}, of haproxy", target, "haproxy is not installed")
                continue
            ratios = [one[Ours.name][key] / one[Haproxy.name][key] for one in rounds]
            self.table.goal(goal, f"{what}, of haproxy", target, ratios, met)
        for key, what in (("cpu_us", "CPU us per request"), ("rtt_p50", "added round trip p50, us"),
                          ("rtt_p99", "added round trip p99, us"), ("gbit", "bulk Gbit/s"),
                          ("cpu_gb", "bulk CPU s per GB"), ("connections", "connections/s")):
            for kind in self.proxies:
                if values := [one[kind.name][key] for one in rounds]:
                    self.table.add("", f"{what} of {kind.name}", "", figures.spread(values),
                                   len(values), "")

    def requests(self, order):
        """What each proxy adds to a round trip in us, its CPU us per request, and the foreign
        share. In passes, so short that the machine is the same for all in one; of the passes the
        medians."""
        took = {kind.name: [] for kind in order}
        with contextlib.ExitStack() as stack, Foreign() as foreign:
            proxies = [stack.enter_context(kind(self.priority)) for kind in order]
            here = free_ports(1)[0]
            for port in (here, *(proxy.upstreams["ping"] for proxy in proxies)):
                serve = ["sockperf", "sr", "--tcp", "-i", "127.0.0.1", "-p", str(port)]
                stack.enter_context(Server(self, serve, port))
            for _ in range(PASSES):
                direct = self.ping(here)
                proxies.append(proxies.pop(0))
                for proxy in proxies:
                    took[proxy.name].append(self.request(proxy, direct))
        return {
            name: {key: statistics.median(one[key] for one in passes) for key in passes[0]}
            for name, passes in took.items()
        }, foreign.share

    def request(self, proxy, direct):
        # All on one core: what is added is the proxy's own cost, and no wake-up of a core.
        place(proxy.pid, OTHERS_CPU)
        ping = self.ping(proxy.ports["ping"])
        place(proxy.pid, ALONE_CPU)
        # Against the usual direct way: the difference of two tails would be noise alone.
        found = {f"rtt_{name}": ping[name] - direct["p50"] for name in ping}
        url = f"http://127.0.0.1:{proxy.ports['http']}/"
        counts, cpu, _ = self.wrk(proxy, ["wrk", "-t1", "-c50", "-d1s", url])
        return found | {"cpu_us": 1e6 * cpu / counts[1]}

    def measure(self, proxy):
        found = {}
        url = f"http://127.0.0.1:{proxy.ports['http']}/"
        close = ["wrk", "-t1", "-c20", f"-d{self.seconds}s", "-H", "Connection: close", url]
        accepted, _, worst = self.wrk(proxy, close)
        found["connections"] = accepted[0] / self.seconds
        with Server(self, ["iperf3", "-s", "-B", "127.0.0.1", "-p", str(BULK_PORT)],
                    BULK_PORT):
            before = cpu_seconds(proxy.pid)
            with Foreign() as foreign:
                text = output(["iperf3", "-c", "127.0.0.1", "-p", str(proxy.ports["bulk"]), "-t",
                               str(self.seconds), "-J"], OTHERS_CPU, self.priority)
            cpu = cpu_seconds(proxy.pid) - before
        received = json.loads(text)["end"]["sum_received"]
        found["gbit"] = received["bits_per_second"] / 1e9
        found["cpu_gb"] = cpu / (received["bytes"] / 1e9)
        return found, max(worst, foreign.share)

    def ping(self, port):
        """Round trips in us."""
        text = output(["sockperf", "pp", "--tcp", "-i", "127.0.0.1", "-p", str(port), "-t", "1",
                       "--mps", "1000", "--full-rtt", "-m", "64"], OTHERS_CPU, self.priority)
        found = dict(re.findall(r"percentile (\d+\.\d+)\s*=\s*([\d.]+)", text))
        return {"p50": float(found["50.000"]), "p99": float(found["99.000"])}

    def wrk(self, proxy, command):
        """Connections and requests, the proxy's CPU seconds, and the foreign share."""
        before, cpu = self.target.counts(), cpu_seconds(proxy.pid)
        with Foreign() as foreign:
            output(command, OTHERS_CPU, self.priority)
        after = self.target.counts()
        counts = [late - early for late, early in zip(after, before)]
        return counts, cpu_seconds(proxy.pid) - cpu, foreign.share

    # P4.

    def memory(self):
        with Ours(self.priority) as proxy:
            peers = []
            for count in (50, 1000):
                while len(peers) < count:
                    peer = echo.connect(proxy.ports["http"])
                    peer.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    peer.recv(4096)
                    peers.append(peer)
                limit = 8 + 40 * count / 1024
                self.table.goal("P4", f"memory at {count:,} connections, MiB", f"<= {limit:.1f}",
                                [resident_kib(proxy.pid) / 1024], lambda x, most=limit: x <= most)
            for peer in peers:
                peer.close()

    # Injected latency: D1, D2, D3.

    def delayed(self, micros, connections, rate, seconds):
        """Errors in us of each injector against the direct way, ascending, in quiet rounds."""
        injectors = [kind for kind in self.proxies if kind in (Ours, Noxious)]
        serve = [sys.executable, os.path.join(HERE, "echo.py"), str(ECHO_PORT)]

        def one_round():
            found = {}
            with Server(self, serve, ECHO_PORT, ALONE_CPU):
                with Foreign() as foreign:
                    direct = echo.round_trips(ECHO_PORT, connections, rate, seconds / 2)
                worst = foreign.share
                for kind in injectors:
                    with kind(self.priority) as proxy:
                        proxy.delay("bench", micros)
                        with Foreign() as foreign:
                            took = echo.round_trips(proxy.ports["echo"], connections, rate,
                                                    seconds)
                    worst = max(worst, foreign.share)
                    usual = figures.quantile(direct, 0.5)
                    found[kind.name] = {
                        "early": took[0] - micros,
                        "p50": figures.quantile(took, 0.5) - micros - usual,
                        "p99": figures.quantile(took, 0.99) - micros - usual,
                        "direct": figures.quantile(direct, 0.99) - usual,
                    }
            return found, worst

        rounds = self.quiet(one_round)
        return {kind.name: [one[kind.name] for one in rounds] for kind in injectors}

    def errors(self, goal, how, found, limits):
        ours = found[Ours.name]
        for name, limit in limits:
            self.table.goal(goal, f"error {name} in us, {how}", f"<= {limit}",
                            [one[name] for one in ours], lambda x, most=limit: x <= most)
        self.table.goal(goal, f"the earliest minus asked, us, {how}", ">= 0",
                        [min(one["early"] for one in ours)] if ours else [], lambda x: x >= 0)
        # What the machine does to a 99th percentile without any proxy.
        tails = [one["direct"] for one in ours]
        self.table.add("", f"p99 less p50 in us of the direct way, at the pace of {how}", "",
                       figures.spread(tails), len(tails), "")
        theirs = found.get(Noxious.name)
        if theirs:
            for name in ("p50", "p99"):
                self.table.add("", f"error {name} in us of noxious, {how}", "",
                               figures.spread([one[name] for one in theirs]), len(theirs), "")

    def single(self):
        for micros, rate, seconds in SINGLE:
            how = f"{micros // 1000} ms asked, one message at a time"
            found = self.delayed(micros, 1, rate, seconds)
            self.errors("D1", how, found, (("p50", 300), ("p99", 750)))
            if Noxious.name in found:
                pairs = zip(found[Ours.name], found[Noxious.name])
                ratios = [ours["p50"] / theirs["p50"] for ours, theirs in pairs]
                self.table.goal("D1", f"error p50, of noxious, {how}", "<= 0.35x", ratios,
                                lambda x: x <= 0.35)
            else:
                self.table.open("D1", f"error p50, of noxious, {how}", "<= 0.35x",
                                "noxious could not be built here")

    def loaded(self):
        found = self.delayed(10_000, 100, 3000, 3)
        self.errors("D2", "10 ms asked, 3,000/s over 100 connections", found,
                    (("p50", 150), ("p99", 300)))

    def pipelined(self):
        for micros, rate, seconds in PIPELINED:
            found = self.delayed(micros, 1, rate, seconds)
            for name, rounds in found.items():
                shares = [100 * abs(one["p50"]) / micros for one in rounds]
                what = (f"p50 off by %, {micros // 1000} ms asked, {rate} messages/s on one "
                        f"connection, {name}")
                if name == Ours.name:
                    self.table.goal("D3", what, "<= 1", shares, lambda x: x <= 1)
                else:
                    self.table.add("", what, "", figures.spread(shares), len(shares), "")

    # T1.

    def safe(self):
        times, lost = [], 0
        for _ in range(4 * self.rounds):
            with Edges(self.priority) as edges:
                took, gone = edges.heal()
            times.append(1000 * took)
            lost += gone
        what = f"{FAULTS} faults, {CONNECTIONS:,} connections"
        self.table.goal("T1", f"first DELETE to all held bytes at the callee, ms, {what}", "<= 50",
                        times, lambda x: x <= 50)
        times.sort()
        self.table.goal("T1", f"the same, p99 of {len(times)}", "<= 50",
                        [figures.quantile(times, 0.99)], lambda x: x <= 50)
        self.table.goal("T1", "connections that were dropped", "0", [lost], lambda x: x == 0)


class Edges(Ours):
    """Our proxy with as many edges as faults, and every caller and callee in this process."""

    MESSAGE = bytes(64)

    def __init__(self, priority):
        super().__init__(priority)
        self.ports = {f"edge-{at}": port for at, port in enumerate(free_ports(FAULTS))}
        self.callee = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)

    def routes(self):
        upstream = self.callee.getsockname()[1]
        return [(name, port, upstream) for name, port in self.ports.items()]

    def heal(self):
        """Seconds from the first order to put back to the last held byte at the callee, and how
        many connections did not live on."""
        ports = list(self.ports.values())
        callers, callees = [], []
        for at in range(CONNECTIONS):
            callers.append(echo.connect(ports[at % FAULTS]))
            callees.append(self.callee.accept()[0])
        for at, name in enumerate(self.ports):
            if at % 2 == 0:
                self.delay(name, 600_000_000, f"bench->{name}")
            else:
                body = {"edge": f"bench->{name}", "effect": "blackhole", "leaseMs": 600_000}
                self.ask("PUT", f"/v1/faults/{name}", body)
        for caller in callers:
            caller.sendall(self.MESSAGE)
        held = CONNECTIONS // 2 * len(self.MESSAGE)
        while sum(one["heldBytes"] for one in self.ask("GET", "/v1/routes")["routes"]) < held:
            time.sleep(0.01)
        began = time.monotonic()
        for name in reversed(self.ports):
            self.restore(name)
        receive_all(callees, len(self.MESSAGE))
        took = time.monotonic() - began
        lost = 0
        for caller in callers:
            try:
                caller.sendall(self.MESSAGE)
            except OSError:
                lost += 1
        if not lost:
            receive_all(callees, len(self.MESSAGE))
        for peer in callers + callees + [self.callee]:
            peer.close()
        return took, lost


def receive_all(peers, length):
    """So many bytes from each; an end or 10 s without any is an error."""
    with selectors.EpollSelector() as ready:
        left = dict.fromkeys(peers, length)
        for peer in peers:
            ready.register(peer, selectors.EVENT_READ)
        while left:
            events = ready.select(10)
            if not events:
                raise TimeoutError(f"{len(left)} connections got nothing")
            for key, _ in events:
                peer = key.fileobj
                data = peer.recv(left[peer])
                if not data:
                    raise ConnectionError("a connection was closed")
                left[peer] -= len(data)
                if not left[peer]:
                    ready.unregister(peer)
                    del left[peer]


class Server:
    """A server of one measurement; stopped at the end of a `with`."""

    def __init__(self, bench, command, port, cpu=OTHERS_CPU):
        self.command, self.port, self.cpu, self.priority = command, port, cpu, bench.priority

    def __enter__(self):
        self.process = start(self.command, self.cpu, self.priority, self.port)
        return self.process

    def __exit__(self, *_):
        stop(self.process)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5, help="quiet rounds of each comparison")
    parser.add_argument("--seconds", type=int, default=3, help="length of one run")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts, of: {', '.join(PARTS)}")
    parser.add_argument("--gentle", action="store_true", help="no priority over other programs")
    parser.add_argument("--noise", type=float, default=100 * FOREIGN_MAX, metavar="PERCENT",
                        help="of a core that others may use in a round; above it says nothing")
    parser.add_argument("--write", metavar="FILE",
                        help=f"puts the result in place of what follows `{MEASURED}` in it")
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if wrong := [part for part in parts if part not in PARTS]:
        parser.error(f"no such part: {', '.join(wrong)}")
    for tool in ("nginx", "wrk", "sockperf", "iperf3"):
        if not shutil.which(tool):
            sys.exit(f"{tool} is needed and not installed")
    if os.cpu_count() < 2:
        sys.exit("proxy and client need a core each")
    figures.self_test()
    end_orderly()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pin(OTHERS_CPU, None if arguments.gentle else "timing")()
    with open(f"/tmp/gameday-bench-{PORT}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with Target(None if arguments.gentle else "timing") as target:
            bench = Bench(arguments, target)
            for part in parts:
                print(part, file=sys.stderr, flush=True)
                getattr(bench, part)()
    text = report(bench, arguments)
    print(text, end="")
    if arguments.write:
        with open(arguments.write, encoding="utf-8") as file:
            kept = file.read().partition(MEASURED)[0]
        with open(arguments.write, "w", encoding="utf-8") as file:
            file.write(f"{kept}{MEASURED}\n{text}")


def report(bench, arguments):
    today = datetime.date.today().isoformat()
    command = " ".join(["ci/bench/proxy.sh", *map(shlex.quote, sys.argv[1:])])
    tools = [["haproxy", "-v"], ["nginx", "-v"], ["wrk", "-v"], ["sockperf", "--version"],
             ["iperf3", "--version"]]
    tools = [text for text in map(version, tools) if text]
    lines = [
        f"{today}, {machine()}; `{command}`.",
        f"{'; '.join(tools)}; {bench.rejected} noisy rounds rejected.",
    ]
    if bench.missing:
        lines.append(f"Not installed here: {', '.join(bench.missing)}.")
    if arguments.noise > 100 * FOREIGN_MAX:
        lines.append(f"**Others used up to {arguments.noise:.0f} % of a core: the tails are "
                     "theirs as much as ours.**")
    return "\n".join([*lines, "", bench.table.markdown(), ""])


if __name__ == "__main__":
    main()
