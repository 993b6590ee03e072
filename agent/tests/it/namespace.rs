//! A network namespace of a test's own, removed with it.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::world::skip;

/// Tells the namespaces of one process apart.
static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Netns {
    pub(crate) name: String,
}

impl Netns {
    /// With a loopback interface that is up; `None`, and a skip by name, where none can be had.
    pub(crate) fn make(test: &str) -> Option<Self> {
        Self::make_with(test, &["nft", "list", "tables"])
    }

    /// The same where this program must succeed in it.
    pub(crate) fn make_with(test: &str, program: &[&str]) -> Option<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let made = Self { name: format!("gdtest-{}-{number}", std::process::id()) };
        let name = &made.name;
        let works = ip(&["netns", "add", name])
            && ip(&["-n", name, "link", "set", "lo", "up"])
            && ip(&[&["netns", "exec", name], program].concat());
        if works {
            return Some(made);
        }
        skip(&format!("netns: {test}"), "no network namespace can be had here, or no nft or tc");
        None
    }

    /// Words before a command that is to run in it.
    pub(crate) fn way(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// Does something in it.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::scope(|scope| {
            let entered = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(file.as_fd(), kind).unwrap();
                work()
            });
            entered.join().unwrap()
        })
    }

    /// What `nft` says there.
    pub(crate) fn nft(&self, arguments: &[&str]) -> String {
        self.run("nft", arguments)
    }

    /// What a program says there.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let [ip, before @ ..] = self.way();
        let output = Command::new(ip).args(before).arg(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Takes its name away; it lives on while somebody lives in it.
    pub(crate) fn forget_name(&self) {
        assert!(ip(&["netns", "del", &self.name]));
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // The test may have taken the name away.
        ip(&["netns", "del", &self.name]);
    }
}

pub(crate) fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).output().is_ok_and(|output| output.status.success())
}
