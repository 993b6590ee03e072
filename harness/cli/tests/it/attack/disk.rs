//! A disk that is full or read-only while a fault is in force: a small tmpfs in a mount namespace
//! of the test's own. What cannot be written down is put back all the same, and named.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Figure, OUTAGE, healed, skip};
use crate::support::{Place, Said, beside_others, until};
use crate::target::{Begin, in_force, kill_after_watchdog, lab_up, newest_run, order_works};

/// A small file system that only processes of one mount namespace see.
struct SmallDisk {
    /// Holds the namespace.
    holder: Child,
    /// Where it is mounted, in that namespace.
    mounted: PathBuf,
}

impl SmallDisk {
    /// `None` where this machine does not let us.
    fn mount(place: &Place) -> Option<Self> {
        let mounted = place.path().join("disk");
        std::fs::create_dir(&mounted).unwrap();
        let ready = place.path().join("disk-ready");
        let script = "mount -t tmpfs -o size=2m,mode=0755 gameday-test \"$1\" && : >\"$2\" && \
                      exec sleep 600";
        let mut holder = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", script, "sh"])
            .args([&mounted, &ready])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut ended = false;
        until(Duration::from_secs(10), || {
            ended = holder.try_wait().unwrap().is_some();
            (ended || ready.exists()).then_some(())
        });
        ready.exists().then_some(Self { holder, mounted })
    }

    /// Words before a command that is to see this disk; it works in the place's directory.
    fn way(&self) -> Vec<String> {
        let pid = self.holder.id().to_string();
        let place = self.mounted.parent().unwrap().display().to_string();
        // The working directory is entered anew: the old one belongs to the other namespace.
        let enter = "cd \"$0\" && exec \"$@\"";
        let way = ["nsenter", "-m", "-t", &pid, "--", "sh", "-c", enter, &place];
        way.map(str::to_owned).to_vec()
    }

    fn gameday(&self, place: &Place, arguments: &[&str]) -> Said {
        place.start_by(&self.way(), arguments).end()
    }

    /// The disk as a process outside of the namespace reaches it.
    fn seen(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.mounted.strip_prefix("/").unwrap())
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        let mut file = File::create(self.seen().join("filler")).unwrap();
        while file.write_all(&[0x55; 4096]).is_ok() {}
        while file.write_all(&[0x55]).is_ok() {}
    }

    fn clear(&self) {
        std::fs::remove_file(self.seen().join("filler")).unwrap();
    }

    /// Tells whether it is so now; not while somebody has a file open for writing.
    fn remount(&self, how: &str) -> bool {
        let way = self.way();
        let (program, before) = way.split_first().unwrap();
        let options = format!("remount,{how}");
        let mut command = Command::new(program);
        command.args(before).args(["mount", "-o", &options]).arg(&self.mounted);
        command.output().unwrap().status.success()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.holder.kill().unwrap();
        self.holder.wait().unwrap();
    }
}

/// A run on the shop whose records are on a small disk, in force.
struct Scene {
    place: Place,
    disk: SmallDisk,
    address: String,
    runs: String,
}

impl Scene {
    fn new(test: &str) -> Option<Self> {
        let place = Place::new();
        let Some(disk) = SmallDisk::mount(&place) else {
            skip(test, "no mount namespace with a tmpfs can be had here");
            return None;
        };
        let address = lab_up(&place);
        let runs = disk.mounted.join("runs").display().to_string();
        Some(Self { place, disk, address, runs })
    }

    fn in_force(&self, lease: &str) -> crate::support::Running {
        let way = self.disk.way();
        let more = ["--runs", &self.runs];
        let seen = self.disk.seen().join("runs");
        let begin = Begin { lease, way: &way, more: &more, runs: &seen };
        in_force(&self.place, &self.address, begin)
    }

    fn undo(&self) -> Said {
        self.disk.gameday(&self.place, &["undo", "--runs", &self.runs])
    }

    fn down(self) {
        let down = self.place.gameday(&["lab", "down", "--state", "shop"]);
        assert_eq!(down.code, 0, "{down:?}");
    }
}

#[test]
fn a_disk_that_fills_up_aborts_the_run_and_everything_is_put_back() {
    let _beside = beside_others();
    let Some(scene) = Scene::new("full_disk") else { return };
    let run = scene.in_force("20s");
    let began = Instant::now();
    scene.disk.fill();
    let to_safe = healed(began, &scene.address, "full disk");
    assert!(to_safe < Duration::from_secs(15), "not by the lease of 20 s: {to_safe:?}");
    let said = run.end();
    // The last page of the ledger's file may have room for the payment; then it is on paper.
    match said.code {
        3 => assert!(said.err.contains("everything was put back"), "{said:?}"),
        4 => assert!(said.err.contains("fault down in trial 1"), "{said:?}"),
        _ => panic!("{said:?}"),
    }
    let named = u32::from(said.code == 4);
    assert!(order_works(&scene.address));
    scene.disk.clear();
    let undo = scene.undo();
    assert_eq!(undo.code, 0, "{undo:?}");
    Figure { attack: "disk full", kind: OUTAGE, to_safe, named }.keep();
    scene.down();
}

#[test]
fn on_a_read_only_disk_a_debt_is_put_back_and_named_until_it_can_be_written_down() {
    let _beside = beside_others();
    let Some(scene) = Scene::new("read_only_disk") else { return };
    let run = scene.in_force("60s");
    let began = Instant::now();
    kill_after_watchdog(&scene.place, run);
    let read_only = until(Duration::from_secs(5), || scene.disk.remount("ro").then_some(()));
    assert!(read_only.is_some(), "nobody writes any more");
    assert!(!order_works(&scene.address), "with both dead, it is still in force");
    let undo = scene.undo();
    assert_eq!(undo.code, 4, "{undo:?}");
    assert!(undo.out.contains("cannot be written"), "{undo:?}");
    assert!(order_works(&scene.address), "it is put back all the same");
    let to_safe = began.elapsed();
    assert!(scene.disk.remount("rw"));
    let undo = scene.undo();
    assert_eq!(undo.code, 0, "{undo:?}");
    Figure { attack: "both killed, then disk read-only", kind: OUTAGE, to_safe, named: 1 }.keep();
    scene.down();
}

#[test]
fn nothing_is_begun_on_a_read_only_disk() {
    let _beside = beside_others();
    let Some(scene) = Scene::new("read_only_disk_before") else { return };
    assert!(scene.disk.remount("ro"));
    let file = scene.place.write("short.yaml", &crate::support::short_scenario("2s", "1s"));
    let arguments = ["run", &file, "--lab", "shop", "--runs", &scene.runs];
    let said = scene.disk.gameday(&scene.place, &arguments);
    assert_eq!(said.code, 69, "{said:?}");
    assert!(order_works(&scene.address));
    assert!(newest_run(&scene.disk.seen().join("runs")).is_none());
    scene.down();
}
