//! What this machine can do, found by trying it: in throw-away namespaces, on throw-away objects,
//! each for a bounded time. Nothing is assumed and nothing is left behind.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness_core::fault::Capability;
use harness_core::topology::ProcessIdentity;
use harness_core::units::Size;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use rustix::process::{Pid, PidfdFlags, getpid, getuid, pidfd_open};
use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

use crate::cgroup::{self, Quota, Rule};
use crate::containers::well_known_sockets;
use crate::descriptors::{SoftLimit, set_soft_limit, soft_limit};
use crate::netns::{Door, Mechanism, attempt_queue, inode_of};
use crate::process::{boot_id, identity};

/// A program that has not ended after so many looks is killed and counts as missing.
const LOOKS_MAX: u32 = 300;
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Reading from, or writing to, a socket of a probe.
const SOCKET_LIMIT: Duration = Duration::from_secs(1);
/// So much of a program's last words is shown.
const WORDS_BYTES_MAX: usize = 200;
/// What a group with a quota is tried with; any would do.
const QUOTA: Quota = Quota { quota_us: 50_000, period_us: 100_000 };
/// What a group with a limit of memory is tried with; any that a sleeping process keeps would do.
const MEMORY: Size = Size::from_mib(64);

struct Probe {
    name: &'static str,
    /// `Ok` says how it was tried, `Err` why it does not work.
    attempt: fn() -> Result<String, String>,
    /// How to get it; may be empty.
    remedy: &'static str,
}

/// How to get an engine.
const START_ENGINE: &str = "start dockerd or `podman system service`, or name its socket";

/// In the order of their names.
const PROBES: [Probe; 21] = [
    probe("cgroup-cpu", cgroup_cpu, "needs root and a writable cgroup hierarchy with cpu"),
    probe("cgroup-freezer", cgroup_freezer, "needs root and a writable cgroup hierarchy"),
    probe("cgroup-memory", cgroup_memory, "needs root and a writable cgroup hierarchy with memory"),
    probe("container-engine", any_engine, START_ENGINE),
    probe("docker", docker, "start dockerd, and be allowed to use its socket"),
    probe(
        "enter-namespaces",
        enter_namespaces,
        "needs root, nsenter of util-linux, and ss of iproute2",
    ),
    probe("loopback", loopback, ""),
    probe("mount-namespaces", mount_namespaces, "needs root, and unshare and mount of util-linux"),
    probe("network-namespaces", network_namespaces, "needs root, or user namespaces"),
    probe("nfqueue", nfqueue, "needs root, the package iptables, and a kernel with NFQUEUE"),
    probe("nftables", nftables, "needs root and the package nftables"),
    probe(
        "packet-delay",
        packet_delay,
        "needs root, iproute2, and a kernel with sch_netem, sch_prio and cls_u32; or the package \
         nftables, and a kernel with nft_compat and xt_NFQUEUE",
    ),
    probe("pidfd", pidfd, "needs Linux 5.3 or newer"),
    probe("podman", podman, "run `podman system service`, and be allowed to use its socket"),
    probe("prlimit", prlimit, "be the user whose processes they are, or root"),
    probe("proc", proc, "mount /proc"),
    probe("tc-netem", netem, "needs root, the package iproute2, and a kernel with sch_netem"),
    probe("tc-tbf", tbf, "needs root, the package iproute2, and a kernel with sch_tbf"),
    probe("timerfd", timerfd, ""),
    probe("unix-sockets", unix_sockets, ""),
    probe(
        "user-namespaces",
        user_namespaces,
        "the system's administrator may have switched it off",
    ),
];

const fn probe(
    name: &'static str,
    attempt: fn() -> Result<String, String>,
    remedy: &'static str,
) -> Probe {
    Probe { name, attempt, remedy }
}

/// Tries everything, mechanism by mechanism. Blocks for well under a second as a rule, and for
/// some seconds per mechanism at worst.
pub fn capabilities() -> BTreeMap<String, Capability> {
    PROBES.iter().map(|probe| (probe.name.to_owned(), tried(probe))).collect()
}

/// Tries only what is named; an unknown name is missing.
pub fn capabilities_of<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<String, Capability> {
    let one = |name: &str| match PROBES.iter().find(|probe| probe.name == name) {
        Some(probe) => tried(probe),
        None => Capability::Missing("this version of gameday does not know it".to_owned()),
    };
    names.into_iter().map(|name| (name.to_owned(), one(name))).collect()
}

fn tried(probe: &Probe) -> Capability {
    match (probe.attempt)() {
        Ok(how) => Capability::Available(how),
        Err(why) if probe.remedy.is_empty() => Capability::Missing(why),
        Err(why) => Capability::Missing(format!("{why}; {}", probe.remedy)),
    }
}

fn loopback() -> Result<String, String> {
    let exchange = || -> std::io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut near = TcpStream::connect(listener.local_addr()?)?;
        let (mut far, _) = listener.accept()?;
        far.set_read_timeout(Some(SOCKET_LIMIT))?;
        near.write_all(&[7])?;
        far.read_exact(&mut [0])
    };
    exchange().map_err(|error| error.to_string())?;
    Ok("a byte went through 127.0.0.1".to_owned())
}

fn unix_sockets() -> Result<String, String> {
    let exchange = || -> std::io::Result<()> {
        // The kernel chooses a free abstract name, unix(7): probes may run side by side.
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &SocketAddrUnix::new_unnamed())?;
        listen(&socket, 1)?;
        let listener = UnixListener::from(socket);
        let mut near = UnixStream::connect_addr(&listener.local_addr()?)?;
        let (mut far, _) = listener.accept()?;
        far.set_read_timeout(Some(SOCKET_LIMIT))?;
        near.write_all(&[7])?;
        far.read_exact(&mut [0])
    };
    exchange().map_err(|error| error.to_string())?;
    Ok("a byte went through a Unix socket".to_owned())
}

fn pidfd() -> Result<String, String> {
    let own: Pid = getpid();
    pidfd_open(own, PidfdFlags::empty()).map_err(|error| error.to_string())?;
    Ok("pidfd_open of this process".to_owned())
}

/// Lowers and raises the soft limit of a child.
fn prlimit() -> Result<String, String> {
    on_child(|process| {
        let before = soft_limit(process)?.ok_or("the child is gone")?;
        set_soft_limit(process, SoftLimit::At(16))?;
        set_soft_limit(process, before).map(|()| "prlimit of a child".to_owned())
    })
}

/// Tries something on a process that is there for nothing else.
fn on_child(
    attempt: impl FnOnce(&ProcessIdentity) -> Result<String, String>,
) -> Result<String, String> {
    let mut child = Command::new("sleep")
        .arg("10")
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("sleep: {error}"))?;
    let tried = identity(child.id()).ok_or("the child is gone".to_owned());
    let tried = tried.and_then(|process| attempt(&process));
    // It is our own child; killing what has just ended is no error.
    child.kill().unwrap_or_default();
    child.wait().map(|_| ()).unwrap_or_default();
    tried
}

fn timerfd() -> Result<String, String> {
    timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)
        .map_err(|error| error.to_string())?;
    Ok("timerfd_create on the monotonic clock".to_owned())
}

fn proc() -> Result<String, String> {
    if boot_id().is_empty() {
        return Err("there is no /proc/sys/kernel/random/boot_id".to_owned());
    }
    // The words become part of plans: nothing in them may change from run to run.
    identity(std::process::id()).ok_or("there is no /proc/self/stat")?;
    Ok("start times of processes, and the boot's id".to_owned())
}

fn user_namespaces() -> Result<String, String> {
    run(&["unshare", "--user", "--map-root-user", "true"])
}

/// On a directory that is there on every machine; nobody else sees it.
fn mount_namespaces() -> Result<String, String> {
    run(&["unshare", "--mount", "mount", "-n", "-t", "tmpfs", "tmpfs", "/proc"])
}

fn network_namespaces() -> Result<String, String> {
    run(&["unshare", "--net", "true"])
}

fn enter_namespaces() -> Result<String, String> {
    run(&["nsenter", "--net=/proc/self/ns/net", "ss", "-H", "-l", "-t", "-n"])
}

fn nftables() -> Result<String, String> {
    run(&["unshare", "--net", "nft", "add", "table", "inet", "gameday_probe"])
}

fn netem() -> Result<String, String> {
    run(&["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"])
}

fn tbf() -> Result<String, String> {
    let shape = ["tbf", "rate", "1mbit", "burst", "10kb", "latency", "10ms"];
    run(&[&["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root"], &shape[..]].concat())
}

fn nfqueue() -> Result<String, String> {
    let rule = ["-A", "OUTPUT", "-j", "NFQUEUE", "--queue-num", "0", "--queue-bypass"];
    run(&[&["unshare", "--net", "iptables", "-w", "1"], &rule[..]].concat())
}

/// The tree that sends the packets of one address through a delay.
const NETEM_TREE: &str = "tc qdisc add dev lo root handle 1: prio && \
     tc qdisc add dev lo parent 1:3 netem delay 1ms && \
     tc filter add dev lo parent 1: protocol ip prio 1 u32 match ip dport 1 0xffff flowid 1:3";

fn packet_delay() -> Result<String, String> {
    packets_are_delayed_by().map(|mechanism| mechanism.to_string())
}

/// By what packets can be delayed here. What the kernel does by itself goes before what a process
/// of ours must be there for.
pub(crate) fn packets_are_delayed_by() -> Result<Mechanism, String> {
    let tree = run(&["unshare", "--net", "sh", "-c", NETEM_TREE]);
    let Err(no_netem) = tree else { return Ok(Mechanism::Netem) };
    let queue = in_a_namespace(|| {
        run(&["nft", "add table inet gameday_probe; add chain inet gameday_probe held"])?;
        attempt_queue("gameday_probe", "held").map_err(|error| error.to_string())
    });
    match queue {
        Ok(()) => Ok(Mechanism::Queue),
        Err(no_queue) => Err(format!("no tc netem: {no_netem}; no NFQUEUE: {no_queue}")),
    }
}

/// Tries something in a namespace that is there for nothing else, on a thread of its own; programs
/// that it calls are in there, too.
fn in_a_namespace<T: Send>(
    attempt: impl FnOnce() -> Result<T, String> + Send,
) -> Result<T, String> {
    let outside = inode_of(std::process::id()).map_err(|error| error.to_string())?;
    let mut child = Command::new("unshare")
        .args(["--net", "sleep", "10"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("unshare: {error}"))?;
    let pid = child.id();
    // It has entered when its namespace is another one; it has ended where it may not.
    let is_made = (0..LOOKS_MAX)
        .map_while(|_| matches!(child.try_wait(), Ok(None)).then(|| inode_of(pid)))
        .any(|inode| {
            let is_other = inode.is_ok_and(|inode| inode != outside);
            if !is_other {
                std::thread::sleep(LOOK_AGAIN);
            }
            is_other
        });
    let tried = if is_made {
        let door = Door::open(Path::new(&format!("/proc/{pid}/ns/net")));
        let door = door.map_err(|error| error.to_string());
        door.and_then(|door| door.within(attempt)).and_then(|tried| tried)
    } else {
        Err("no network namespace can be had".to_owned())
    };
    // It is our own child; killing what has just ended is no error.
    child.kill().unwrap_or_default();
    child.wait().map(|_| ()).unwrap_or_default();
    tried
}

fn cgroup_freezer() -> Result<String, String> {
    on_child(|child| cgroup::attempt(Rule::StandStill, child))
}

fn cgroup_cpu() -> Result<String, String> {
    on_child(|child| cgroup::attempt(Rule::Quota(QUOTA), child))
}

fn cgroup_memory() -> Result<String, String> {
    on_child(|child| cgroup::attempt(Rule::Memory(MEMORY), child))
}

fn any_engine() -> Result<String, String> {
    ping(&well_known_sockets(getuid().as_raw()))
}

/// Whether a container engine answers at this socket: the mechanism `container-engine`, for one
/// that is not where engines are as a rule.
pub fn engine(socket: &Path) -> Capability {
    match ping(&[socket.to_owned()]) {
        Ok(how) => Capability::Available(how),
        Err(why) => Capability::Missing(format!("{why}; {START_ENGINE}")),
    }
}

fn docker() -> Result<String, String> {
    ping(&[PathBuf::from("/run/docker.sock"), PathBuf::from("/var/run/docker.sock")])
}

fn podman() -> Result<String, String> {
    let own = format!("/run/user/{}/podman/podman.sock", getuid().as_raw());
    ping(&[PathBuf::from("/run/podman/podman.sock"), PathBuf::from(own)])
}

/// Asks a container engine whether it is there.
fn ping(sockets: &[PathBuf]) -> Result<String, String> {
    let ask = |path: &Path| -> std::io::Result<String> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(SOCKET_LIMIT))?;
        stream.set_write_timeout(Some(SOCKET_LIMIT))?;
        stream.write_all(b"GET /_ping HTTP/1.1\r\nhost: d\r\nconnection: close\r\n\r\n")?;
        let mut line = [0; 15];
        stream.read_exact(&mut line)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    };
    let mut why = Vec::new();
    for path in sockets {
        match ask(path) {
            Ok(line) if line.contains(" 200") => return Ok(path.display().to_string()),
            Ok(line) => why.push(format!("{}: {line}", path.display())),
            Err(error) => why.push(format!("{}: {error}", path.display())),
        }
    }
    Err(why.join(", "))
}

/// Runs a program that must succeed.
fn run(words: &[&str]) -> Result<String, String> {
    let text = words.join(" ");
    let [program, arguments @ ..] = words else { return Err("no program".to_owned()) };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => format!("{program} is not installed"),
            _ => format!("{program}: {error}"),
        })?;
    for _ in 0..LOOKS_MAX {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(format!("`{text}`")),
            Ok(Some(status)) => {
                let said = words_of(&mut child);
                let absent = said.strip_prefix("unshare: failed to execute ");
                if let Some((absent, _)) = absent.and_then(|rest| rest.split_once(':')) {
                    return Err(format!("{absent} is not installed"));
                }
                return Err(format!("`{text}` ended with {status}: {said}"));
            }
            Ok(None) => std::thread::sleep(LOOK_AGAIN),
            Err(error) => return Err(format!("`{text}`: {error}")),
        }
    }
    // It is our own child; killing what has just ended is no error.
    child.kill().unwrap_or_default();
    child.wait().map(|_| ()).unwrap_or_default();
    Err(format!("`{text}` did not end"))
}

fn words_of(child: &mut Child) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = child.stderr.take() {
        let limit = u64::try_from(WORDS_BYTES_MAX).unwrap_or(u64::MAX);
        stream.take(limit).read_to_end(&mut bytes).map(|_| ()).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skips::skip;

    #[test]
    fn the_probes_are_in_order_and_cover_what_every_fault_needs() {
        assert!(PROBES.is_sorted_by(|a, b| a.name < b.name));
        let registry = crate::registry();
        for (kind, _, entry) in registry.iter() {
            for requirement in &entry.requires {
                let known = PROBES.iter().any(|probe| probe.name == requirement.0);
                assert!(known, "{kind} needs {}, which nobody probes", requirement.0);
            }
        }
    }

    /// What a machine for tests may lack: the kinds that need it are refused there.
    const MAY_LACK: [&str; 3] = ["enter-namespaces", "nftables", "packet-delay"];

    #[test]
    fn what_the_faults_of_the_lab_need_is_here() {
        let registry = crate::registry();
        let on_lab = registry.iter().filter(|(_, system, _)| *system == crate::lab::LAB);
        let names = on_lab.flat_map(|(_, _, entry)| &entry.requires).map(|one| one.0);
        let names = names.filter(|name| !MAY_LACK.contains(name));
        for (name, state) in capabilities_of(names) {
            if let (Capability::Missing(why), true) = (&state, name.starts_with("cgroup-")) {
                skip(&format!("cgroup: {name}"), why);
                continue;
            }
            if let (Capability::Missing(why), "mount-namespaces") = (&state, name.as_str()) {
                skip(&format!("mount: {name}"), why);
                continue;
            }
            assert!(matches!(state, Capability::Available(_)), "{name}: {state:?}");
        }
    }

    #[test]
    fn everything_is_tried_and_what_is_missing_says_why() {
        let all = capabilities();
        assert_eq!(all.len(), PROBES.len());
        for (name, state) in all {
            let (Capability::Available(words) | Capability::Missing(words)) = state;
            assert!(!words.is_empty(), "{name}");
        }
        let unknown = capabilities_of(["warp-drive"]);
        assert!(matches!(unknown["warp-drive"], Capability::Missing(_)));
    }

    #[test]
    fn probes_do_not_disturb_one_another() {
        std::thread::scope(|scope| {
            let probes = (0..8).map(|_| {
                scope.spawn(|| (0..500).map(|_| unix_sockets()).collect::<Result<Vec<_>, _>>())
            });
            for probe in probes.collect::<Vec<_>>() {
                probe.join().unwrap().unwrap();
            }
        });
    }

    #[test]
    fn a_program_that_fails_or_is_not_there_is_missing() {
        assert!(run(&["true"]).is_ok());
        let failed = run(&["sh", "-c", "echo out of luck >&2; exit 5"]).unwrap_err();
        assert!(failed.contains("out of luck"), "{failed}");
        let absent = Err("gameday-no-such-program is not installed".to_owned());
        assert_eq!(run(&["gameday-no-such-program"]), absent);
        if run(&["unshare", "--net", "true"]).is_ok() {
            assert_eq!(run(&["unshare", "--net", "gameday-no-such-program"]), absent);
        }
        assert!(ping(&[PathBuf::from("/nonexistent/socket")]).is_err());
    }
}
