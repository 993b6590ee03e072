"""The machine of the load benchmark: the target, pinned clients, and who else used the cores."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

TARGET_CPU, CLIENT_CPU = 0, 1
PORT, STATUS_PORT = 18480, 18481
URL = f"http://127.0.0.1:{PORT}/"
# A round in which others used more of a core than this says nothing.
FOREIGN_MAX = 0.03
TICK = 1 / os.sysconf("SC_CLK_TCK")
# The process that starts all threads of the kernel.
KERNEL_THREADS = 2

NGINX = """
daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/errors warn;
events {{ worker_connections 4096; multi_accept on; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 3600s;
  server_tokens off; tcp_nodelay on; client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{ listen 127.0.0.1:{status}; location / {{ stub_status; }} }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type text/plain; return 200 "ok\\n"; }} }}
}}
"""


@dataclass
class Ran:
    """One client's run, counted from outside."""

    out: str
    requests: int
    seconds: float
    cpu_seconds: float
    rss_mib: float
    foreign: float

    def rate(self, seconds):
        return self.requests / seconds

    def cpu_us(self):
        return 1e6 * self.cpu_seconds / max(1, self.requests)


def pin(cpu, priority):
    """What a child does before it begins. `throughput`: realtime, so that rounds are not cut up;
    `timing`: high but not realtime, since realtime at a full core is throttled once a second."""

    def begin():
        os.sched_setaffinity(0, {cpu})
        try:
            if priority == "throughput":
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(20))
            elif priority == "timing":
                os.setpriority(os.PRIO_PROCESS, 0, -20)
        except PermissionError:
            pass

    return begin


def end_orderly():
    """Also when it is told to end, this process stops what it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Target:
    """nginx with one worker on its own core; stopped at the end of a `with`."""

    def __init__(self, priority):
        self.priority = priority

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="gameday-bench-")
        config = os.path.join(self.dir, "nginx.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(NGINX.format(dir=self.dir, port=PORT, status=STATUS_PORT))
        for port in (PORT, STATUS_PORT):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    raise SystemExit(f"port {port} is in use")
        self.master = subprocess.Popen(
            ["nginx", "-c", config, "-e", os.path.join(self.dir, "errors")],
            preexec_fn=pin(TARGET_CPU, self.priority),
        )
        for _ in range(200):
            try:
                self.served()
                break
            except OSError:
                time.sleep(0.02)
        else:
            raise SystemExit("nginx does not answer")
        children = f"/proc/{self.master.pid}/task/{self.master.pid}/children"
        with open(children, encoding="utf-8") as file:
            self.worker = int(file.read().split()[0])
        return self

    def __exit__(self, *_):
        if self.master.poll() is None:
            os.kill(self.worker, signal.SIGCONT)
        self.master.terminate()
        self.master.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def served(self):
        """Requests that nginx has seen, without those that ask for it."""
        return self.counts()[1]

    def counts(self):
        """Connections and requests that nginx has seen, without those that ask for it."""
        with socket.create_connection(("127.0.0.1", STATUS_PORT), 2) as status:
            status.sendall(b"GET / HTTP/1.0\r\n\r\n")
            text = b"".join(iter(lambda: status.recv(4096), b"")).decode()
        accepted, _handled, requests = text.splitlines()[-2].split()
        self.asked = getattr(self, "asked", 0) + 1
        return int(accepted) - self.asked, int(requests) - self.asked

    def cpu_seconds(self):
        with open(f"/proc/{self.worker}/schedstat", encoding="utf-8") as file:
            return int(file.read().split()[0]) / 1e9


def descendants(pid):
    """A process and all that it started."""
    found = [pid]
    for one in found:
        try:
            with open(f"/proc/{one}/task/{one}/children", encoding="utf-8") as file:
                found.extend(int(word) for word in file.read().split())
        except OSError:
            pass
    return found


def run_seconds(pid):
    """How long each thread of a process has run so far."""
    found = {}
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="utf-8") as file:
                found[int(thread)] = int(file.read().split()[0]) / 1e9
    except OSError:
        pass
    return found


def stolen_seconds():
    """Of all cores, by the host."""
    with open("/proc/stat", encoding="utf-8") as file:
        return int(file.readline().split()[8]) * TICK


class Foreign:
    """How much of a core others used during a `with`: every process but this one and what it
    started, and the host. Kernel threads are not among them: what they do, a measurement of the
    network has asked for. By run times, not by the kernel's count of ticks: what works in step
    with the ticks has all of them or none, so that a second of it is off by tens of per cent. A
    process that ends meanwhile is not counted."""

    def __enter__(self):
        self.began, self.before, self.stolen = time.monotonic(), self.tasks(), stolen_seconds()
        return self

    def __exit__(self, *_):
        after, stolen = self.tasks(), stolen_seconds() - self.stolen
        others = sum(used - self.before.get(task, 0) for task, used in after.items())
        self.share = (others + stolen) / (time.monotonic() - self.began)

    @staticmethod
    def tasks():
        not_others = {*descendants(os.getpid()), *descendants(KERNEL_THREADS)}
        found = {}
        for name in os.listdir("/proc"):
            if name.isdecimal() and int(name) not in not_others:
                found.update(run_seconds(name))
        return found


class Memory(threading.Thread):
    """Follows a process's peak memory. The kernel's own figure at the end of a child would hold
    the memory of this program, from before it became another."""

    EVERY_SECONDS = 0.05

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak_mib = pid, 0.0

    def run(self):
        while True:
            try:
                with open(f"/proc/{self.pid}/status", encoding="utf-8") as file:
                    lines = [line for line in file if line.startswith("VmHWM:")]
            except OSError:
                return
            if not lines:
                return
            self.peak_mib = max(self.peak_mib, int(lines[0].split()[1]) / 1024)
            time.sleep(self.EVERY_SECONDS)


def run(target, command, priority, during=None):
    """Runs one client to its end; `during` is called with its pid beside it."""
    out = tempfile.TemporaryFile()
    served = target.served()
    with Foreign() as foreign:
        began = time.monotonic()
        child = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, preexec_fn=pin(CLIENT_CPU, priority)
        )
        memory = Memory(child.pid)
        memory.start()
        if during:
            during(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
    out.seek(0)
    text = out.read().decode(errors="replace")
    if child.returncode not in (0, 2, 3):
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}:\n{text}")
    return Ran(
        out=text,
        requests=target.served() - served,
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        rss_mib=memory.peak_mib,
        foreign=foreign.share,
    )


def bare_sleep(rate, seconds, priority):
    """Lateness in seconds of a process that does nothing but sleep until each instant of an even
    schedule, on the client's core and with its priority."""
    script = (
        "import time\n"
        "begin = time.monotonic() + 0.1\n"
        f"for place in range({rate * seconds}):\n"
        f"    due = begin + place / {rate}\n"
        "    while (left := due - time.monotonic()) > 0: time.sleep(left)\n"
        "    print(time.monotonic() - due)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
                          check=True, preexec_fn=pin(CLIENT_CPU, priority))
    return [float(line) for line in done.stdout.split()]


class Wire:
    """Times at which requests reach the target's port, by the kernel: tcpdump on loopback."""

    def __enter__(self):
        self.out = tempfile.TemporaryFile()
        match = f"tcp dst port {PORT} and tcp[tcpflags] & tcp-push != 0"
        command = ["tcpdump", "-i", "lo", "-B", "65536", "-tt", "--nano", "-n", "-q", match]
        self.tcpdump = subprocess.Popen(
            command, stdout=self.out, stderr=subprocess.PIPE, preexec_fn=pin(TARGET_CPU, None)
        )
        # It says that it listens, or why it cannot.
        line = self.tcpdump.stderr.readline()
        while line and b"listening on" not in line and self.tcpdump.poll() is None:
            line = self.tcpdump.stderr.readline()
        if b"listening on" not in line:
            raise PermissionError("tcpdump may not listen here")
        return self

    def __exit__(self, *_):
        if self.tcpdump.poll() is None:
            self.tcpdump.terminate()
        self.said = self.tcpdump.communicate()[1].decode(errors="replace")

    def times(self):
        """In seconds, ascending; after the end."""
        if " 0 packets dropped by kernel" not in " " + self.said.replace("\n", " "):
            raise ValueError("the kernel dropped packets")
        self.out.seek(0)
        lines = self.out.read().decode(errors="replace").splitlines()
        return sorted(float(line.split(" ", 1)[0]) for line in lines if " IP " in line)
