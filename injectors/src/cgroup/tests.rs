//! Groups that this machine really has; where it has none, that is said by name.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::process::identity;
use crate::skips::skip;

/// Something that ends when it is dropped.
struct Sleeper(Child);

impl Sleeper {
    fn start() -> (Self, ProcessIdentity) {
        let child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let process = identity(child.id()).unwrap();
        (Self(child), process)
    }

    fn end(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().unwrap();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether it comes to stand still: that takes a moment after a process has entered.
fn comes_to_stand_still(group: &Group) -> bool {
    (0..10_000).any(|_| {
        std::thread::sleep(LOOK_AGAIN);
        group.stands_still() == Ok(Some(true))
    })
}

const SLOW: Rule = Rule::Quota(Quota { quota_us: 5_000, period_us: 100_000 });
const SMALL: Rule = Rule::Memory(Size::from_mib(1));

/// A group in every hierarchy that can be written here, with its rule.
fn groups(process: &ProcessIdentity, name: &str) -> Vec<(Group, Rule)> {
    let name = format!("{name}-{}", process.pid);
    let mut groups = Vec::new();
    for rule in [Rule::StandStill, SLOW, SMALL] {
        for hierarchy in rule.controller().hierarchies() {
            let Ok(group) = Group::inside(hierarchy, process, &name) else { continue };
            let folder = group.folder().unwrap();
            if fs::create_dir(&folder).is_ok_and(|()| fs::remove_dir(&folder).is_ok()) {
                groups.push((group, rule));
            }
        }
    }
    if groups.is_empty() {
        skip("cgroup: groups", "no hierarchy can be written here");
    }
    groups
}

#[test]
fn a_process_enters_and_goes_back_and_nothing_is_left() {
    let (_sleeper, process) = Sleeper::start();
    for (group, rule) in groups(&process, "enters") {
        assert_eq!(group.seat(&process), Ok(Some(Seat::Origin)), "{group:?}");
        assert_eq!(group.read("cgroup.procs"), Ok(None));
        group.enter(&process, rule).unwrap();
        assert_eq!(group.seat(&process), Ok(Some(Seat::Own)));
        if rule == Rule::StandStill {
            assert!(comes_to_stand_still(&group), "{group:?}");
        } else {
            assert_ne!(group.stands_still(), Ok(Some(true)));
        }
        for (file, value) in rule.settings(group.hierarchy.version) {
            let said = group.read(file).unwrap();
            match (file, said) {
                (_, None) => assert!(WITH_SWAP_ONLY.contains(&file), "{file}"),
                ("memory.oom_control", Some(said)) => {
                    assert!(said.starts_with("oom_kill_disable 0\n"), "{said}");
                }
                (_, Some(said)) => assert_eq!(said, format!("{value}\n"), "{file}"),
            }
        }
        assert_eq!(group.read("cgroup.procs"), Ok(Some(format!("{}\n", process.pid))));
        let again = Group::inside(group.hierarchy.clone(), &process, "another").unwrap_err();
        assert!(again.contains("another fault holds it"), "{again}");
        group.leave().unwrap();
        assert_eq!(group.seat(&process), Ok(Some(Seat::Origin)));
        assert!(!group.folder().unwrap().exists());
        assert_eq!(group.leave(), Ok(()), "twice is once");
    }
}

#[test]
fn a_group_that_is_left_over_is_removed_when_its_process_is_gone() {
    let (mut sleeper, process) = Sleeper::start();
    let Some((group, rule)) = groups(&process, "left").pop() else { return };
    group.enter(&process, rule).unwrap();
    // One that the first may have started.
    let (_other, child) = Sleeper::start();
    write(&group.folder().unwrap().join("cgroup.procs"), &child.pid.to_string()).unwrap();
    group.leave().unwrap();
    assert_eq!(group.seat(&child), Ok(Some(Seat::Origin)), "it goes where its parent was");
    group.enter(&process, rule).unwrap();
    sleeper.end();
    assert_eq!(group.seat(&process), Ok(None));
    group.leave().unwrap();
    assert!(!group.folder().unwrap().exists());
    assert!(group.enter(&process, rule).is_err());
    group.leave().unwrap();
}

#[test]
fn a_stranger_with_the_same_number_is_left_alone() {
    let (_sleeper, process) = Sleeper::start();
    let earlier = ProcessIdentity { start_ticks: process.start_ticks - 1, ..process.clone() };
    for (group, rule) in groups(&process, "stranger") {
        assert_eq!(group.seat(&earlier), Ok(None));
        assert!(group.enter(&earlier, rule).is_err());
        assert_eq!(group.seat(&process), Ok(Some(Seat::Origin)));
        group.leave().unwrap();
    }
}

#[test]
fn only_groups_of_ours_are_ever_removed() {
    let mount = tempfile::tempdir().unwrap();
    let hierarchy = Hierarchy {
        version: Version::V1,
        controller: Controller::Cpu,
        mount: mount.path().to_owned(),
    };
    for own in ["/theirs", "/gameday-a/..", "/gameday-a/../gameday-b", "/", ""] {
        let group = Group { hierarchy: hierarchy.clone(), from: "/".into(), own: own.into() };
        assert!(group.leave().unwrap_err().contains("no group of ours"), "{own}");
    }
    fs::create_dir(mount.path().join("gameday-a")).unwrap();
    let group = Group { hierarchy, from: "/".into(), own: "/gameday-a".into() };
    assert_eq!(group.leave(), Ok(()));
    assert!(!mount.path().join("gameday-a").exists());
}

#[test]
fn what_stands_still_goes_on_when_it_goes_back_and_can_be_killed() {
    let (mut sleeper, process) = Sleeper::start();
    let still = groups(&process, "still").into_iter().filter(|(_, one)| *one == Rule::StandStill);
    for (group, rule) in still {
        group.enter(&process, rule).unwrap();
        assert!(comes_to_stand_still(&group), "{group:?}");
        group.leave().unwrap();
        assert_eq!(group.stands_still(), Ok(None));
    }
    sleeper.end();
}

#[test]
fn what_wants_more_than_its_quota_is_throttled() {
    let mut busy = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
    let process = identity(busy.id()).unwrap();
    for (group, rule) in groups(&process, "busy").into_iter().filter(|(_, one)| *one == SLOW) {
        group.enter(&process, rule).unwrap();
        while group.throttled().unwrap().is_none_or(|count| count < 2) {
            std::thread::yield_now();
        }
        group.leave().unwrap();
        assert_eq!(group.throttled(), Ok(None));
    }
    busy.kill().unwrap();
    busy.wait().unwrap();
}

#[test]
fn what_wants_more_memory_than_there_is_is_killed_and_nobody_else() {
    // A text that becomes longer and longer.
    let grow = "read go; text=xxxxxxxxxxxxxxxx; while :; do text=$text$text; done";
    let mut hungry = Command::new("sh").args(["-c", grow]).stdin(Stdio::piped()).spawn().unwrap();
    let (_sleeper, other) = Sleeper::start();
    let process = identity(hungry.id()).unwrap();
    let group = groups(&process, "hungry").into_iter().find(|(_, rule)| *rule == SMALL);
    let Some((group, rule)) = group else {
        hungry.kill().unwrap();
        hungry.wait().unwrap();
        return;
    };
    group.enter(&process, rule).unwrap();
    assert_eq!(group.killed(), Ok(Some(0)));
    hungry.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(hungry.wait().unwrap().signal(), Some(9));
    assert_eq!(group.killed(), Ok(Some(1)));
    assert_eq!(presence(&other), Presence::Alive);
    group.leave().unwrap();
    assert_eq!(group.killed(), Ok(None));
}
