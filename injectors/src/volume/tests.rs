//! On a real volume in a mount namespace that is there for nothing else, where one can be had; that
//! it cannot is said by name.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness_core::units::Size;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::process::identity;
use crate::skips::skip;

const KEEP: Size = Size::from_kib(64);

/// Something that ends when it is dropped.
struct Ends(Child);

impl Ends {
    fn end(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().unwrap();
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.end();
    }
}

/// A process that writes to a volume of 4 MiB, which nobody else sees.
struct Inside {
    child: Ends,
    process: ProcessIdentity,
    folder: TempDir,
}

impl Inside {
    fn start(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let script = "mount -n -t tmpfs -o size=4m tmpfs \"$0\" && exec 3>>\"$0/journal\" \
                      && echo ready && exec sleep 60";
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", script])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = child else {
            skip(&format!("mount: {test}"), "there is no unshare");
            return None;
        };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line != "ready\n" {
            child.wait().unwrap();
            skip(&format!("mount: {test}"), "nothing can be mounted here");
            return None;
        }
        let process = identity(child.id()).unwrap();
        Some(Self { child: Ends(child), process, folder })
    }

    fn volume(&self) -> Volume {
        Volume::of(&self.process).unwrap()
    }
}

fn there(volume: &Volume) -> OwnedFd {
    match volume.reach().unwrap() {
        Reach::There(directory) => directory,
        Reach::Gone => panic!("{volume} is gone"),
    }
}

fn available(directory: &OwnedFd) -> u64 {
    Space::of(directory).unwrap().available
}

#[test]
fn a_volume_of_its_own_is_filled_but_for_what_is_kept_and_emptied_again() {
    let Some(inside) = Inside::start("a_volume_of_its_own_is_filled") else { return };
    let volume = inside.volume();
    assert_eq!(volume.mount_point, inside.folder.path().canonicalize().unwrap().to_str().unwrap());
    let directory = there(&volume);
    let before = Space::of(&directory).unwrap();
    assert_eq!(before.total, 4 << 20);
    let filler = Filler::named("run-1-full");
    assert_eq!(filler.find(&directory), Ok(Found::Nothing));
    filler.make(&directory, KEEP).unwrap();
    let left = available(&directory);
    assert!((KEEP.bytes()..=KEEP.bytes() + before.block).contains(&left), "{left}");
    assert_eq!(filler.find(&directory), Ok(Found::Ours));
    assert_eq!(Filler::named("run-1-other").find(&directory), Ok(Found::Nothing));
    assert!(filler.make(&directory, KEEP).is_err(), "its name is taken");
    assert_eq!(available(&directory), left);
    assert_eq!(filler.remove(&directory), Ok(Found::Ours));
    assert_eq!(filler.remove(&directory), Ok(Found::Nothing));
    assert_eq!(available(&directory), before.available);
}

#[test]
fn a_volume_is_reached_through_whoever_sees_it_and_gone_with_the_last() {
    let Some(mut inside) = Inside::start("a_volume_is_reached_through_whoever_sees_it") else {
        return;
    };
    let volume = inside.volume();
    let second = Command::new("nsenter")
        .arg(format!("--mount=/proc/{}/ns/mnt", inside.process.pid))
        .args(["sleep", "60"])
        .spawn();
    let mut second = Ends(second.unwrap());
    let enters = |pid: u32| mount_namespace(pid) == Ok(volume.namespace);
    while !enters(second.0.id()) {
        assert!(second.0.try_wait().unwrap().is_none(), "nsenter ended");
        std::thread::yield_now();
    }
    let filler = Filler::named("run-1-replaced");
    filler.make(&there(&volume), KEEP).unwrap();
    inside.child.end();
    let directory = there(&volume);
    assert_eq!(filler.remove(&directory), Ok(Found::Ours));
    drop(directory);
    let elsewhere = Volume { device: "0:0".to_owned(), ..volume.clone() };
    let why = elsewhere.reach().unwrap_err();
    assert!(why.contains("was on 0:0"), "another file system is not taken for it: {why}");
    second.end();
    assert!(matches!(volume.reach(), Ok(Reach::Gone)));
    let Volume { namespace, .. } = volume;
    let other_boot = Volume { boot_id: "elsewhere".to_owned(), namespace, ..volume };
    assert!(matches!(other_boot.reach(), Ok(Reach::Gone)));
}

fn mount(device: &str, root: &str, point: &str) -> Mount {
    let [device, root, point] = [device, root, point].map(str::to_owned);
    Mount { device, root, point }
}

#[test]
fn what_we_see_ourselves_is_never_chosen() {
    let ours = [mount("8:1", "/", "/"), mount("0:20", "/", "/run")];
    let theirs = [&ours[..], &[mount("0:57", "/", "/data"), mount("0:58", "/", "/more")]].concat();
    let choose = |written: &[&str]| {
        let written = written.iter().map(|device| (*device).to_owned()).collect();
        choose(&written, &theirs, &ours).map(|mount| mount.point.clone())
    };
    assert_eq!(choose(&["8:1", "0:57"]), Ok("/data".to_owned()));
    for shared in [&["8:1"][..], &["0:20", "8:1"]] {
        let why = choose(shared).unwrap_err();
        assert!(why.contains("others see") && why.contains("8:1"), "{why}");
    }
    assert!(choose(&[]).unwrap_err().contains("no file open"));
    assert!(choose(&["0:99"]).unwrap_err().contains("no file open"), "it is mounted nowhere");
    assert!(choose(&["0:57", "0:58"]).unwrap_err().contains("2 file systems"));
}

/// A part of a file system is no small one, whoever else sees the rest.
#[test]
fn a_part_of_a_file_system_is_never_chosen() {
    let theirs = [mount("0:57", "/part", "/data")];
    assert!(choose(&BTreeSet::from(["0:57".to_owned()]), &theirs, &[]).is_err());
}

#[test]
fn the_file_systems_of_this_machine_are_never_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let file = fs::File::create(folder.path().join("journal")).unwrap();
    let own = identity(std::process::id()).unwrap();
    let written = written_devices(own.pid).unwrap();
    assert!(written.contains(&device_name(file.metadata().unwrap().dev())), "{written:?}");
    assert!(Volume::of(&own).is_err());
}

#[test]
fn only_what_is_open_for_writing_counts() {
    let info = |flags: &str| format!("pos:\t0\nflags:\t{flags}\nmnt_id:\t29\n");
    assert!(is_for_writing(&info("0100002")) && is_for_writing(&info("02101001")));
    assert!(!is_for_writing(&info("0100000")) && !is_for_writing(""));
}

/// Whatever has the name and is not what we made stays where it is.
#[test]
fn what_is_not_ours_is_told_and_never_removed() {
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| OwnedFd::from(fs::File::open(path).unwrap());
    let directory = open(folder.path());
    let filler = Filler::named("run-1-full");
    let path = folder.path().join("gameday-run-1-full");
    let stays = |what: &str| {
        for found in [filler.find(&directory), filler.remove(&directory)] {
            assert!(matches!(found, Ok(Found::Other(_))), "{what}: {found:?}");
        }
        assert!(path.symlink_metadata().is_ok(), "{what} stays");
    };
    let marker = filler.marker();
    fs::write(&path, "orders").unwrap();
    stays("another file");
    fs::write(&path, &marker[..marker.len() - 1]).unwrap();
    stays("half of a marker");
    fs::write(&path, Filler::named("run-2-full").marker()).unwrap();
    stays("the file of another fault");
    fs::write(&path, &marker).unwrap();
    fs::hard_link(&path, folder.path().join("kept")).unwrap();
    stays("a file with another name");
    fs::remove_file(&path).unwrap();
    symlink("kept", &path).unwrap();
    stays("a link");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    stays("a directory");
    fs::remove_dir(&path).unwrap();
    fs::write(&path, &marker).unwrap();
    assert_eq!(filler.remove(&directory), Ok(Found::Ours));
    assert_eq!(filler.remove(&directory), Ok(Found::Nothing));
}

#[test]
fn a_record_that_names_a_way_out_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let directory = OwnedFd::from(fs::File::open(folder.path()).unwrap());
    for name in ["../orders.journal", "orders.journal", "gameday-/../x", ""] {
        let filler: Filler = serde_json::from_value(json!({"name": name})).unwrap();
        for refused in [filler.find(&directory), filler.remove(&directory)] {
            assert!(refused.unwrap_err().contains("no file of ours"), "{name}");
        }
        assert!(filler.make(&directory, KEEP).unwrap_err().contains("no file of ours"));
    }
}
