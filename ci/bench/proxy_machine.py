"""The machine of the proxy benchmark: the proxies, where they run, and what they use."""

import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

from bench_machine import PORT, descendants, pin, run_seconds

ALONE_CPU, OTHERS_CPU = 1, 0
BULK_PORT, ECHO_PORT = 18491, 18492
UPSTREAMS = {"http": PORT, "bulk": BULK_PORT, "echo": ECHO_PORT}
PORTS = itertools.cycle(range(18500, 30000))
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  option splice-auto
"""
NGINX = """
daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/errors warn;
load_module {module};
events {{ worker_connections 4096; multi_accept on; }}
stream {{ tcp_nodelay on; proxy_timeout 600s; {servers} }}
"""


def cpu_seconds(pid):
    """Of a process and all that it started, so far; the living ones."""
    return sum(sum(run_seconds(one).values()) for one in descendants(pid))


def resident_kib(pid):
    total = 0
    for one in descendants(pid):
        with open(f"/proc/{one}/status", encoding="utf-8") as file:
            line = next(line for line in file if line.startswith("VmRSS:"))
        total += int(line.split()[1])
    return total


def place(pid, cpu):
    for one in descendants(pid):
        for thread in os.listdir(f"/proc/{one}/task"):
            os.sched_setaffinity(int(thread), {cpu})


def await_port(port, process):
    """Looks without connecting: a connection would count, and disturb some servers."""
    for _ in range(500):
        if process.poll() is not None:
            raise SystemExit(f"{process.args[0]} ended with {process.returncode}")
        if is_listening(port):
            return
        time.sleep(0.01)
    raise SystemExit(f"{process.args[0]} does not listen on {port}")


def sockets():
    """The local port and the state of every TCP socket."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="utf-8") as file:
            for line in file.readlines()[1:]:
                row = line.split()
                yield int(row[1].split(":")[1], 16), row[3]


def is_listening(port):
    return (port, "0A") in sockets()


def free_ports(count):
    """That no socket has: also a connection that winds up keeps a port from being taken."""
    taken = {port for port, _ in sockets()}
    return list(itertools.islice((port for port in PORTS if port not in taken), count))


class Proxy:
    """A proxy in front of the upstreams; stopped at the end of a `with`."""

    def __init__(self, priority):
        # sockperf, which answers pings, cannot take a port on which a connection winds up.
        self.upstreams = UPSTREAMS | {"ping": free_ports(1)[0]}
        self.ports = dict(zip(self.upstreams, free_ports(len(self.upstreams))))
        self.priority = priority

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="gameday-bench-")
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=pin(ALONE_CPU, self.priority),
        )
        self.ready()
        return self

    def ready(self):
        for port in self.ports.values():
            await_port(port, self.process)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def pid(self):
        return self.process.pid

    def file(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def command(self):
        raise NotImplementedError

    def routes(self):
        return [(name, self.ports[name], port) for name, port in self.upstreams.items()]


class Ours(Proxy):
    """The proxy of this repository."""

    name = "gameday"

    def command(self):
        routes = [
            {"edge": f"bench->{name}", "listen": f"127.0.0.1:{listen}",
             "upstream": f"127.0.0.1:{upstream}"}
            for name, listen, upstream in self.routes()
        ]
        config = self.file("proxy.json", json.dumps({"format": "gameday.proxy/1",
                                                     "routes": routes}))
        self.socket = os.path.join(self.dir, "socket")
        return [os.environ["PROXY"], "--config", config, "--socket", self.socket]

    def ask(self, method, path, body=None):
        control = http.client.HTTPConnection("proxy", timeout=5)
        control.sock = socket.socket(socket.AF_UNIX)
        control.sock.settimeout(5)
        control.sock.connect(self.socket)
        text = None if body is None else json.dumps(body)
        control.request(method, path, text, {"Connection": "close"})
        answer = control.getresponse()
        found = json.loads(answer.read())
        control.close()
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer.status} {found}")
        return found

    def delay(self, name, micros, edge="bench->echo"):
        effect = {"latency": {"delay": f"{micros}us", "jitter": "0us"}}
        body = {"edge": edge, "effect": effect, "leaseMs": 600_000}
        self.ask("PUT", f"/v1/faults/{name}", body)

    def restore(self, name):
        self.ask("DELETE", f"/v1/faults/{name}")


class Haproxy(Proxy):
    """haproxy in TCP mode, one thread, splicing where it thinks fit."""

    name = "haproxy"

    def command(self):
        parts = [
            f"listen {name}\n  bind 127.0.0.1:{listen} backlog 4096\n"
            f"  server one 127.0.0.1:{upstream}\n"
            for name, listen, upstream in self.routes()
        ]
        return ["haproxy", "-db", "-f", self.file("haproxy.cfg", HAPROXY + "".join(parts))]


class Nginx(Proxy):
    """nginx's stream module, one worker."""

    name = "nginx stream"

    def command(self):
        servers = " ".join(
            f"server {{ listen 127.0.0.1:{listen} backlog=4096; "
            f"proxy_pass 127.0.0.1:{upstream}; }}"
            for _, listen, upstream in self.routes()
        )
        text = NGINX.format(dir=self.dir, module=STREAM_MODULE, servers=servers)
        errors = os.path.join(self.dir, "errors")
        return ["nginx", "-c", self.file("nginx.conf", text), "-e", errors]


class Noxious(Proxy):
    """The proxy core of noxious, a Toxiproxy in Rust, as `ci/bench/noxious` makes it a process."""

    name = "noxious"

    def command(self):
        self.control = free_ports(len(self.upstreams) + 1)[-1]
        routes = [f"{name}=127.0.0.1:{listen}=127.0.0.1:{upstream}"
                  for name, listen, upstream in self.routes()]
        return [noxious(), f"127.0.0.1:{self.control}", *routes]

    def order(self, line):
        with socket.create_connection(("127.0.0.1", self.control), timeout=5) as control:
            control.sendall(f"{line}\n".encode())
            answer = control.recv(16)
        if answer != b"ok\n":
            raise SystemExit(f"noxious: {line}: {answer}")

    def delay(self, name, micros):
        self.order(f"delay echo {micros // 1000}")

    def restore(self, name):
        self.order("restore echo")


def noxious():
    return os.environ.get("NOXIOUS")


def known():
    """The proxies that are here, ours first, and the names of those that are not."""
    there, missing = [Ours], []
    for proxy, is_here in (
        (Haproxy, shutil.which("haproxy")),
        (Nginx, shutil.which("nginx") and os.path.exists(STREAM_MODULE)),
        (Noxious, noxious()),
    ):
        if is_here:
            there.append(proxy)
        else:
            missing.append(proxy.name)
    return there, missing


def start(command, cpu, priority, port=None):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               preexec_fn=pin(cpu, priority))
    if port:
        await_port(port, process)
    return process


def stop(process):
    process.terminate()
    process.wait()


def output(command, cpu, priority):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60,
                          preexec_fn=pin(cpu, priority))
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n"
                         f"{done.stdout}{done.stderr}")
    return done.stdout
