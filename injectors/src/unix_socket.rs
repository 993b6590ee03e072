//! Unix sockets in folders of any depth. The kernel takes at most 107 bytes of a path; a longer one
//! is reached through a descriptor of its folder. This module neither binds nor connects.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

/// `sun_path` without the closing zero, unix(7).
const PATH_BYTES_MAX: usize = 107;

/// A path that the kernel takes, as long as this lives.
#[derive(Debug)]
pub struct Reachable {
    path: PathBuf,
    /// What the path leads through.
    _folder: Option<OwnedFd>,
}

impl Reachable {
    /// The path for `bind` or `connect`.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A path by which the kernel takes the socket at `path`; the folder must be there.
pub fn reachable(path: &Path) -> io::Result<Reachable> {
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return Ok(Reachable { path: path.to_owned(), _folder: None });
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // A long name alone has an empty folder.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok(Reachable { path, _folder: Some(folder) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_socket_is_bound_and_reached_below_a_long_path() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("a".repeat(100)).join("b".repeat(100));
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("proxy.sock");
        assert!(UnixStream::connect(&socket).is_err(), "the kernel takes such a path by now");
        let _listener = UnixListener::bind(reachable(&socket).unwrap().path()).unwrap();
        assert!(socket.exists());
        UnixStream::connect(reachable(&socket).unwrap().path()).unwrap();
    }

    #[test]
    fn a_short_path_stays_and_a_missing_folder_is_told_as_missing() {
        let short = Path::new("/tmp/s/proxy.sock");
        assert_eq!(reachable(short).unwrap().path(), short);
        let missing = Path::new("/nowhere").join("a".repeat(120)).join("proxy.sock");
        assert_eq!(reachable(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
