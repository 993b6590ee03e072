//! `disk-full`: the file system that a service writes to has hardly any room left.
//!
//! Only one that nobody but the system under test sees is filled, and only a small one. The file
//! that fills it holds the fault's own name, so the record is enough to know it again.

use std::num::NonZeroU32;

use harness_core::fault::{
    BlastRadius, Cx, Effect, FaultError, Hold, Injector, PROCESS, Reversibility, Reverted, Scope,
    Touched,
};
use harness_core::ids::ServiceName;
use harness_core::topology::{ProcessIdentity, Topology};
use harness_core::units::Size;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::radius;
use crate::targets::{Target, Targets, Which, one, touched};
use crate::volume::{Filler, Found, Reach, Space, Volume};

/// Something is always left.
const KEEP_FREE_MIN: Size = Size::from_kib(4);
/// More is not full.
const KEEP_FREE_MAX: Size = Size::from_mib(1);
/// A larger file system is not filled: it may be in memory, and is hardly one that was made for
/// experiments.
const FILE_SYSTEM_MAX: Size = Size::from_mib(256);
/// With less room than this beyond what is kept, a file system is full already; with more it is
/// not.
pub(super) const ROOM: Size = Size::from_mib(1);
/// A file in memory takes at most one part in so many of what the machine has available.
const MEMORY_SHARE: u64 = 2;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct DiskFullSpec {
    /// The service.
    pub(crate) service: ServiceName,
    /// How much room is left on what it writes to, 4KiB to 1MiB.
    pub(crate) keep_free: Size,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(
    rename = "DiskFullSpec",
    description = "The file system that a service writes to has hardly any room left."
)]
struct Written {
    /// The service.
    service: ServiceName,
    /// How much room is left on what it writes to, 4KiB to 1MiB.
    #[serde(default = "keep_free")]
    keep_free: Size,
}

/// Some seconds of the shop's orders.
fn keep_free() -> Size {
    Size::from_kib(64)
}

impl TryFrom<Written> for DiskFullSpec {
    type Error = String;

    fn try_from(Written { service, keep_free }: Written) -> Result<Self, String> {
        if !(KEEP_FREE_MIN..=KEEP_FREE_MAX).contains(&keep_free) {
            return Err(format!(
                "a `keepFree` of {keep_free} is not possible; write {KEEP_FREE_MIN} to \
                 {KEEP_FREE_MAX}"
            ));
        }
        Ok(Self { service, keep_free })
    }
}

impl DiskFullSpec {
    /// All instances: they write to the same file system, or the fault is refused.
    fn targets(&self, topology: &Topology) -> Result<Targets<'_>, FaultError> {
        let targets = Targets { service: &self.service, count: one(), which: Which::First };
        let instances = targets.service_in(topology)?.instances.len();
        let count = u32::try_from(instances).ok().and_then(NonZeroU32::new).unwrap_or(one());
        Ok(Targets { count, ..targets })
    }
}

/// The undo record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct DiskFullDebt {
    /// What is filled.
    pub(super) volume: Volume,
    /// By what.
    filler: Filler,
    /// What is left.
    pub(super) keep_free: Size,
    /// The processes that it was found by; earlier records name none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    writers: Vec<ProcessIdentity>,
}

impl DiskFullDebt {
    fn failed(&self, action: &str, why: String) -> FaultError {
        FaultError::Failed { action: format!("{action} {}", self.volume), why }
    }

    fn conflict(&self, why: String) -> FaultError {
        FaultError::Conflict { what: self.volume.to_string(), why }
    }

    fn reach(&self) -> Result<Reach, FaultError> {
        self.volume.reach().map_err(|why| self.failed("reach", why))
    }

    /// Refuses what may not be filled.
    fn check(&self, reach: &Reach) -> Result<(), FaultError> {
        let Reach::There(directory) = reach else {
            return Err(self.conflict("no process is left that sees it".to_owned()));
        };
        let space = Space::of(directory).map_err(|why| self.failed("look at", why))?;
        let memory = memory_available().map_err(|why| self.failed("look at", why))?;
        may_be_filled(space, self.keep_free, memory).map_err(|why| self.conflict(why))
    }
}

/// What is filled is small, has room to lose, and does not starve the machine.
fn may_be_filled(space: Space, keep_free: Size, memory: Size) -> Result<(), String> {
    let size = Size::from_bytes;
    if space.total > FILE_SYSTEM_MAX.bytes() {
        let total = size(space.total);
        return Err(format!("it has {total}, and none with more than {FILE_SYSTEM_MAX} is filled"));
    }
    let taken = space.available.saturating_sub(keep_free.bytes());
    if taken < ROOM.bytes() {
        let available = size(space.available);
        return Err(format!(
            "only {available} of it are free: with {keep_free} kept there is less than {ROOM} to \
             take"
        ));
    }
    if taken > memory.bytes() / MEMORY_SHARE {
        let taken = size(taken);
        return Err(format!(
            "it may be in memory: {taken} would be taken, of {memory} that the machine has"
        ));
    }
    Ok(())
}

/// What the kernel can hand out without hardship: proc(5), `/proc/meminfo`.
fn memory_available() -> Result<Size, String> {
    let text = std::fs::read_to_string("/proc/meminfo").map_err(|error| error.to_string())?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse().ok());
    kib.map(Size::from_kib).ok_or_else(|| "/proc/meminfo is not understood".to_owned())
}

/// The injector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DiskFull;

impl Injector for DiskFull {
    const KIND: &'static str = "disk-full";
    const SUMMARY: &'static str = "the file system that a service writes to is full";
    const REVERSIBILITY: Reversibility = Reversibility::Reversible;
    // The file system goes with the last process that sees it.
    const SCOPE: Scope = Scope::WithinSystem;
    type Spec = DiskFullSpec;
    type Undo = DiskFullDebt;

    fn blast_radius(spec: &DiskFullSpec, topology: &Topology) -> Result<BlastRadius, FaultError> {
        radius(&spec.targets(topology)?, topology)
    }

    fn holds(_spec: &Self::Spec) -> Vec<Hold> {
        vec![Hold::Changed("the disk"), Hold::Needed(PROCESS)]
    }

    fn mechanism(_spec: &DiskFullSpec) -> String {
        "fallocate".to_owned()
    }

    async fn arm(&self, cx: &Cx<'_>, spec: &DiskFullSpec) -> Result<DiskFullDebt, FaultError> {
        let targets = spec.targets(cx.topology)?;
        let service = targets.service_in(cx.topology)?;
        let (mut volumes, mut writers) = (Vec::new(), Vec::new());
        for Target { instance, process, .. } in targets.living(service, &cx.name())? {
            let volume =
                Volume::of(&process).map_err(|why| FaultError::Conflict { what: instance, why })?;
            writers.push(process);
            if !volumes.contains(&volume) {
                volumes.push(volume);
            }
        }
        let [volume] = &volumes[..] else {
            let why = format!("its instances write to {} file systems", volumes.len());
            return Err(FaultError::Conflict { what: spec.service.to_string(), why });
        };
        let filler = Filler::named(&cx.name());
        let (volume, keep_free) = (volume.clone(), spec.keep_free);
        let debt = DiskFullDebt { volume, filler, keep_free, writers };
        debt.check(&debt.reach()?)?;
        Ok(debt)
    }

    fn touched(_spec: &DiskFullSpec, undo: &DiskFullDebt, topology: &Topology) -> Touched {
        touched(topology, undo.writers.iter())
    }

    async fn inject(
        &self,
        _cx: &Cx<'_>,
        _spec: &DiskFullSpec,
        undo: &DiskFullDebt,
    ) -> Result<Option<DiskFullDebt>, FaultError> {
        let reach = undo.reach()?;
        if let Reach::There(directory) = &reach {
            let found = undo.filler.find(directory);
            match found.map_err(|why| undo.failed("look at", why))? {
                Found::Ours => return Ok(None),
                Found::Nothing => {}
                Found::Other(why) => return Err(undo.conflict(why)),
            }
            undo.check(&reach)?;
            let made = undo.filler.make(directory, undo.keep_free);
            return made.map(|()| None).map_err(|why| undo.failed("fill", why));
        }
        undo.check(&reach).map(|()| None)
    }

    async fn verify(
        &self,
        _cx: &Cx<'_>,
        _spec: &DiskFullSpec,
        undo: &DiskFullDebt,
    ) -> Result<Effect, FaultError> {
        let Reach::There(directory) = undo.reach()? else { return Ok(Effect::Absent) };
        let found = undo.filler.find(&directory).map_err(|why| undo.failed("look at", why))?;
        Ok(if found == Found::Ours { Effect::InPlace } else { Effect::Absent })
    }

    async fn revert(&self, _cx: &Cx<'_>, undo: &DiskFullDebt) -> Result<Reverted, FaultError> {
        let Reach::There(directory) = undo.reach()? else { return Ok(Reverted::WasClean) };
        let found = undo.filler.remove(&directory).map_err(|why| undo.failed("clear", why))?;
        match found {
            Found::Ours => Ok(Reverted::PutBack),
            Found::Nothing => Ok(Reverted::WasClean),
            Found::Other(why) => Err(undo.conflict(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::lab::lab_kind;

    #[test]
    fn defaults_are_written_out_and_something_is_always_left() {
        let check = |spec: Value| DiskFull.check(&spec);
        assert_eq!(
            check(json!({"service": "store"})).unwrap(),
            json!({"service": "store", "keepFree": "64KiB"})
        );
        for keep_free in ["0B", "4095B", "1025KiB", "1GiB"] {
            let error = check(json!({"service": "store", "keepFree": keep_free})).unwrap_err();
            assert!(error.hint.contains("write 4KiB to 1MiB"), "{error:?}");
        }
        let bare = check(json!({"service": "store", "keepFree": "64"})).unwrap_err();
        assert!(bare.message.contains("no unit"), "{bare:?}");
        assert!(check(json!({"service": "store", "path": "/"})).is_err(), "nobody names a place");
    }

    #[test]
    fn the_radius_is_all_of_the_service_and_never_what_gameday_acts_through() {
        let shop = lab_kind(Vec::new()).declared["shop"].clone();
        let radius = |service: &str| {
            let spec = DiskFullSpec { service: service.into(), keep_free: keep_free() };
            <DiskFull as Injector>::blast_radius(&spec, &shop)
        };
        assert_eq!(radius("store").unwrap().instances, ["store/store-0"]);
        assert_eq!(radius("checkout").unwrap().instances.len(), 3);
        assert!(matches!(radius("supervisor"), Err(FaultError::Conflict { .. })));
        assert!(matches!(radius("till"), Err(FaultError::NoTarget { .. })));
    }

    #[test]
    fn only_small_file_systems_with_room_on_machines_with_memory_are_filled() {
        let mib = |count: u64| Size::from_mib(count).bytes();
        let space = |total: u64, available: u64| Space { block: 4096, total, available };
        let may = |space, memory| may_be_filled(space, keep_free(), Size::from_mib(memory));
        assert_eq!(may(space(mib(256), mib(200)), 1024), Ok(()));
        let large = may(space(mib(256) + 4096, mib(2)), 1024).unwrap_err();
        assert!(large.contains("more than 256MiB"), "{large}");
        let keep = keep_free().bytes();
        assert_eq!(may(space(mib(128), mib(1) + keep), 1024), Ok(()));
        for available in [0, 4096, keep, mib(1) + keep - 1] {
            let full = may(space(mib(128), available), 1024).unwrap_err();
            assert!(full.contains("are free"), "{full}");
        }
        let starved = may(space(mib(256), mib(200)), 300).unwrap_err();
        assert!(starved.contains("in memory"), "{starved}");
        assert!(memory_available().unwrap() > Size::from_mib(1));
    }

    #[test]
    fn a_record_of_another_boot_owes_nothing() {
        let undo: DiskFullDebt = serde_json::from_value(json!({
            "volume": {
                "mountPoint": "/", "device": "0:1", "namespace": 1, "bootId": "elsewhere",
            },
            "filler": {"name": "gameday-it"}, "keepFree": "64KiB",
        }))
        .unwrap();
        assert!(matches!(undo.reach(), Ok(Reach::Gone)));
        let refused = undo.check(&Reach::Gone);
        assert!(matches!(refused, Err(FaultError::Conflict { .. })), "{refused:?}");
    }
}
