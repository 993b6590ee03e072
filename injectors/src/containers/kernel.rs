//! What the kernel tells about a container's main process: whose it is and whether it is frozen.
//! Nothing here asks the engine.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use harness_core::topology::ProcessIdentity;

use crate::process::{Presence, identity, presence};

/// Where cgroup hierarchies are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";
/// An id that is shorter could stand in a path by chance.
const ID_CHARS_MIN: usize = 12;

/// The live process of this number, if its cgroup is that of the container.
pub(crate) fn process_of(pid: u32, id: &str) -> Option<ProcessIdentity> {
    let process = identity(pid)?;
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    // Looked at afterwards: what was read is not of a later process with that number.
    (is_in(&groups, id) && presence(&process) == Presence::Alive).then_some(process)
}

/// Whether this very process, and so gameday, runs in the container: without it nothing could be
/// put back.
pub(crate) fn is_ours(id: &str) -> bool {
    fs::read_to_string("/proc/self/cgroup").is_ok_and(|groups| is_in(&groups, id))
}

/// Whether what `/proc/PID/cgroup` says names a container.
fn is_in(groups: &str, id: &str) -> bool {
    id.len() >= ID_CHARS_MIN && groups.contains(id)
}

/// Whether that very process is frozen by its cgroup; `None` when it is gone, or the kernel does
/// not tell.
pub(crate) fn is_frozen(process: &ProcessIdentity) -> Option<bool> {
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).ok()?;
    let state = groups.lines().find_map(|line| freezer_of(line, Path::new(CGROUPS)));
    (presence(process) == Presence::Alive).then_some(state).flatten()
}

/// The addresses that this very process has of its own in its network; `None` when it is gone, or
/// the kernel does not tell.
pub(crate) fn own_addresses(process: &ProcessIdentity) -> Option<Vec<Ipv4Addr>> {
    let routes = fs::read_to_string(format!("/proc/{}/net/fib_trie", process.pid)).ok()?;
    (presence(process) == Presence::Alive).then(|| local_addresses(&routes))
}

/// The addresses that stand in a routing trie as a host's own: each is followed by its kind.
fn local_addresses(routes: &str) -> Vec<Ipv4Addr> {
    let leaves = routes.lines().zip(routes.lines().skip(1));
    let own = leaves.filter(|(_, kind)| kind.contains("host LOCAL"));
    own.filter_map(|(leaf, _)| leaf.trim().strip_prefix("|-- ")?.parse().ok()).collect()
}

/// What one line of `/proc/PID/cgroup` leads to: `6:freezer:/a` of version 1, `0::/a` of version 2.
fn freezer_of(line: &str, root: &Path) -> Option<bool> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, group) = rest.split_once(':')?;
    let group = group.trim_start_matches('/');
    if controllers.split(',').any(|one| one == "freezer") {
        let state = fs::read_to_string(root.join("freezer").join(group).join("freezer.state"));
        // FREEZING is neither.
        return match state.ok()?.trim() {
            "FROZEN" => Some(true),
            "THAWED" => Some(false),
            _ => None,
        };
    }
    if !controllers.is_empty() {
        return None;
    }
    let events = fs::read_to_string(root.join(group).join("cgroup.events")).ok()?;
    let frozen = events.lines().find_map(|line| line.strip_prefix("frozen "))?;
    match frozen.trim() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_the_freezer_are_read() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("freezer/a/b/freezer.state", "FROZEN\n");
        write("freezer/c/freezer.state", "FREEZING\n");
        write("freezer/d/freezer.state", "THAWED\n");
        write("e/cgroup.events", "populated 1\nfrozen 1\n");
        write("f/cgroup.events", "populated 1\nfrozen 0\n");
        let read = |line: &str| freezer_of(line, root.path());
        assert_eq!(read("6:freezer:/a/b"), Some(true));
        assert_eq!(read("6:freezer:/c"), None);
        assert_eq!(read("6:freezer:/d"), Some(false));
        assert_eq!(read("0::/e"), Some(true));
        assert_eq!(read("0::/f"), Some(false));
        assert_eq!(read("4:memory:/e"), None);
        assert_eq!(read("0::/nowhere"), None);
    }

    #[test]
    fn only_an_address_of_its_own_is_one() {
        let routes = "Main:\n  +-- 10.89.7.0/24 2 0 2\n     |-- 10.89.7.0\n\
                      \x20       /24 link UNICAST\n\
                      \x20    |-- 10.89.7.11\n        /32 host LOCAL\n     |-- 10.89.7.255\n\
                      \x20       /32 link BROADCAST\n";
        assert_eq!(local_addresses(routes), [Ipv4Addr::new(10, 89, 7, 11)]);
        assert!(local_addresses("").is_empty());
    }

    #[test]
    fn a_cgroup_names_its_container() {
        let id = "5bd818f0d75f".repeat(5);
        let groups = format!("6:freezer:/libpod_parent/libpod-{id}\n0::/libpod_parent\n");
        assert!(is_in(&groups, &id));
        assert!(!is_in(&groups, "libpod"), "too short to be an id");
        assert!(!is_in("0::/", &id));
        assert!(!is_ours(&id));
    }

    #[test]
    fn a_process_belongs_to_no_container_by_chance() {
        let own = std::process::id();
        assert_eq!(process_of(own, ""), None);
        assert_eq!(process_of(own, "/"), None);
        assert_eq!(process_of(own, &"5bd818f0d75f".repeat(5)), None);
    }
}
