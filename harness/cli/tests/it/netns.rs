//! A network namespace of a test's own, in which a lab and its runs live; removed with it.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::attack::skip;

/// Tells the namespaces of one process apart.
static NUMBER: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Netns {
    pub(crate) name: String,
}

impl Netns {
    /// With a loopback interface that is up; `None`, and a skip by name, where none can be had.
    pub(crate) fn make(test: &str) -> Option<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let made = Self { name: format!("gdcli-{}-{number}", std::process::id()) };
        let name = &made.name;
        let works = ip(&["netns", "add", name])
            && ip(&["-n", name, "link", "set", "lo", "up"])
            && ip(&["netns", "exec", name, "nft", "list", "tables"]);
        if works {
            return Some(made);
        }
        skip(&format!("netns: {test}"), "no network namespace can be had here, or no nft");
        None
    }

    /// Words before a command that is to run in it.
    pub(crate) fn way(&self) -> Vec<String> {
        ["ip", "netns", "exec", &self.name].map(str::to_owned).to_vec()
    }

    /// How a scenario is told its name.
    pub(crate) fn set(&self) -> String {
        format!("namespace={}", self.name)
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

    /// The tables of `nft` there.
    pub(crate) fn tables(&self) -> String {
        self.run(&["nft", "list", "tables"])
    }

    /// The queueing of its loopback interface.
    pub(crate) fn queueing(&self) -> String {
        self.run(&["tc", "qdisc", "show", "dev", "lo"])
    }

    fn run(&self, words: &[&str]) -> String {
        let way = self.way();
        let output = Command::new(&way[0]).args(&way[1..]).args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // Nothing lives in it any more, or it ends with what does.
        ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).output().is_ok_and(|output| output.status.success())
}
