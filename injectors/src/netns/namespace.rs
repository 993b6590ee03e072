//! Named network namespaces: found by name, told apart by their inode, and looked out of.
//!
//! It changes nothing in them.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use harness_core::fault::FaultError;
use harness_core::topology::ProcessIdentity;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::process::{boot_id, pids};

/// Where `ip netns` keeps the names.
const NAMED: &str = "/run/netns";
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The name of a network namespace, as `ip netns` knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct NamespaceName(String);

impl TryFrom<String> for NamespaceName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let good = !text.is_empty()
            && text.len() <= NAME_BYTES_MAX
            && !text.starts_with('.')
            && text.bytes().all(plain);
        if good {
            return Ok(Self(text));
        }
        Err(format!(
            "`{text}` is no name of a network namespace; write letters, digits, `-`, `_` and `.`, \
             at most {NAME_BYTES_MAX}, as in `ip netns add NAME`"
        ))
    }
}

impl From<NamespaceName> for String {
    fn from(name: NamespaceName) -> Self {
        name.0
    }
}

impl std::fmt::Display for NamespaceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A network namespace that cannot be taken for another one of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Namespace {
    pub(crate) name: NamespaceName,
    /// The number of `/run/netns/NAME`. The kernel uses it again when the namespace is gone: what
    /// is put back in it must be known by a name of its own, too.
    inode: u64,
    /// Numbers mean nothing in another boot.
    boot_id: String,
}

/// An open namespace: as long as it is held, nothing else can be meant by it.
#[derive(Debug)]
pub(crate) struct Door {
    file: File,
    inode: u64,
}

impl Door {
    /// Opens one by a path of the kernel's.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let found = file.metadata()?;
        // A name whose namespace is gone is an empty file.
        if found.dev() != fs::metadata("/proc/self/ns/net")?.dev() {
            return Err(io::Error::other(format!("{} is no namespace", path.display())));
        }
        Ok(Self { file, inode: found.ino() })
    }

    /// A path to it for programs that this process calls.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Does something in it: on a thread of its own, which ends with that. What is opened there
    /// stays there.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, String> {
        std::thread::scope(|scope| {
            let entered = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.file.as_fd(), kind)
                    .map_err(|error| format!("could not enter the namespace: {error}"))?;
                Ok(work())
            });
            entered.join().expect("what is done there does not panic")
        })
    }
}

impl Namespace {
    /// The one that has this name now.
    pub(crate) fn find(name: &NamespaceName) -> Result<Self, FaultError> {
        let door = Door::open(&path(name)).map_err(|error| FaultError::NoTarget {
            target: format!("network namespace `{name}` ({error}); `ip netns add {name}` makes it"),
        })?;
        let found = Self { name: name.clone(), inode: door.inode, boot_id: boot_id() };
        if of_machine() == Some(found.inode) {
            return Err(FaultError::Conflict {
                what: format!("network namespace `{name}`"),
                why: "it is the machine's own; this fault is only for a separate one".to_owned(),
            });
        }
        Ok(found)
    }

    /// The way to it: by its name, else by a process that lives in it; `None` when it is gone.
    pub(crate) fn reach(&self) -> Option<Door> {
        if self.boot_id != boot_id() {
            return None;
        }
        let same = |path: PathBuf| Door::open(&path).ok().filter(|door| door.inode == self.inode);
        same(path(&self.name)).or_else(|| {
            let alike = |pid: u32| inode_of(pid).ok() == Some(self.inode);
            let mut pids = pids();
            pids.retain(|pid| alike(*pid));
            pids.into_iter().find_map(|pid| same(format!("/proc/{pid}/ns/net").into()))
        })
    }

    /// Whether a process lives in it.
    pub(crate) fn holds(&self, process: &ProcessIdentity) -> Result<bool, String> {
        let found = inode_of(process.pid).map_err(|error| error.to_string())?;
        Ok(process.boot_id == self.boot_id && found == self.inode)
    }

    /// Whether the calling process lives in it.
    pub(crate) fn is_ours(&self) -> bool {
        inode_of(std::process::id()).ok() == Some(self.inode)
    }
}

fn path(name: &NamespaceName) -> PathBuf {
    Path::new(NAMED).join(&name.0)
}

/// The number of the namespace of a process.
pub(crate) fn inode_of(pid: u32) -> io::Result<u64> {
    fs::metadata(format!("/proc/{pid}/ns/net")).map(|found| found.ino())
}

/// The machine's own: that of process 1, or where that may not be asked, of the next that may.
fn of_machine() -> Option<u64> {
    inode_of(1).ok().or_else(|| pids().into_iter().find_map(|pid| inode_of(pid).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_a_way_out_of_its_directory() {
        let named = |text: &str| NamespaceName::try_from(text.to_owned());
        for good in ["gameday", "gd-1_a.b"] {
            assert_eq!(named(good).unwrap().to_string(), good);
        }
        for bad in ["", ".", "..", "a/b", "../1", "a b", "a;b", "ä", &"x".repeat(65)] {
            assert!(named(bad).unwrap_err().contains("ip netns add"), "{bad}");
        }
    }

    #[test]
    fn a_namespace_that_is_not_there_is_no_target() {
        let name = NamespaceName("gameday-no-such-namespace".to_owned());
        let missing = Namespace::find(&name).unwrap_err();
        assert!(matches!(&missing, FaultError::NoTarget { .. }), "{missing}");
        assert!(missing.to_string().contains("ip netns add"), "{missing}");
        let gone = Namespace { name, inode: 1, boot_id: boot_id() };
        assert!(gone.reach().is_none());
    }

    #[test]
    fn another_boot_has_other_namespaces() {
        let name = NamespaceName("gameday-no-such-namespace".to_owned());
        let inode = inode_of(std::process::id()).unwrap();
        let here = Namespace { name, inode, boot_id: boot_id() };
        assert!(here.is_ours());
        assert!(here.reach().is_some(), "a process lives in it, whatever became of its name");
        assert!(Namespace { boot_id: "elsewhere".into(), ..here }.reach().is_none());
    }

    #[test]
    fn the_machines_own_namespace_is_known() {
        assert!(of_machine().is_some());
    }
}
