//! A container engine of a test's own, with two containers of one service on a bridge, in a
//! network namespace that the test's thread has moved into. All of it ends with the test.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::attack::skip;
use crate::target::answers;

/// What the recipe says by its status where the machine cannot do it.
const CANNOT: i32 = 125;
/// Where the containers answer.
pub(crate) const ADDRESSES: [&str; 2] = ["10.89.7.11:8080", "10.89.7.12:8080"];

/// The engine and its two containers, `web-1` and `web-2`.
pub(crate) struct Podman {
    folder: tempfile::TempDir,
    namespace: String,
}

impl Podman {
    /// Starts it, and moves this thread to its network; `None` where it cannot be had, which is
    /// said by the test's name.
    pub(crate) fn start(test: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("gameday-{}-{number}", std::process::id());
        // From here on it is taken down whatever happens.
        let podman = Self { folder: tempfile::tempdir().unwrap(), namespace };
        let up = podman.recipe("up", &[]).output().unwrap();
        let said = String::from_utf8_lossy(&up.stderr).trim().to_owned();
        if up.status.code() == Some(CANNOT) {
            skip(&format!("podman: {test}"), &said);
            return None;
        }
        assert!(up.status.success(), "{said}");
        for (name, address) in ["web-1", "web-2"].into_iter().zip(ADDRESSES) {
            podman.container(name, address.trim_end_matches(":8080"));
        }
        let file = std::fs::File::open(format!("/run/netns/{}", podman.namespace)).unwrap();
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        for address in ADDRESSES {
            let answer = crate::support::until(std::time::Duration::from_secs(10), || {
                answers(address).then_some(())
            });
            assert!(answer.is_some(), "{address} answers");
        }
        Some(podman)
    }

    /// A container that is started again whenever it dies.
    fn container(&self, name: &str, ip: &str) {
        // podman gives another hardware address at each start, and who has the old one in mind
        // does not reach the container for a while.
        let last = ip.rsplit('.').next().unwrap();
        let hardware = format!("02:00:00:00:00:{last}");
        let network = ["--network", self.network(), "--ip", ip, "--mac-address", &hardware];
        let network = [&network[..], &["--restart", "always"]].concat();
        let words = [&["run", "-d", "--pull", "never", "--name", name], &network[..], &["web"]];
        self.podman(&words.concat());
    }

    /// One command of podman.
    pub(crate) fn podman(&self, arguments: &[&str]) -> String {
        let done = self.recipe("podman", arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// The containers' network: it has the name of its namespace.
    pub(crate) fn network(&self) -> &str {
        &self.namespace
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    fn recipe(&self, verb: &str, arguments: &[&str]) -> Command {
        let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ci/recipes/podman-engine.sh");
        let mut command = Command::new(recipe);
        command.arg(verb).arg(self.folder.path()).arg(&self.namespace).args(arguments);
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Also while a panic is under way: a second one would hide it.
        self.recipe("down", &[]).output().map(|_| ()).unwrap_or_default();
    }
}
