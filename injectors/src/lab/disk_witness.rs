//! The witness of `disk-full`: what the kernel says is left, and a write of its own.
//!
//! It knows nothing of the file that fills: a file system is full when what is written to it does
//! not fit, whoever has taken the room.

use std::os::fd::OwnedFd;

use harness_core::fault::{Cx, Debt, FaultError, Sighting, Witness};
use harness_core::system::BoxFuture;
use harness_core::units::Size;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use serde_json::Value;

use super::disk_full::{DiskFullDebt, ROOM};
use crate::proxy::read;
use crate::volume::{Reach, Space, nameless};

/// A write that does not fit into what is kept is larger by so many blocks: what is left may be
/// a block more.
const BLOCKS_MORE: u64 = 2;

/// What came of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    /// There was room.
    Fits,
    /// ENOSPC.
    Refused,
}

/// What is left, by the kernel's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// No more than is kept, and a block.
    None,
    /// So much that nobody can call it full.
    Plenty,
    /// Neither.
    Between,
}

impl Room {
    fn of(space: Space, keep_free: Size) -> Self {
        let kept = keep_free.bytes();
        if space.available <= kept + space.block {
            Self::None
        } else if space.available >= kept + ROOM.bytes() {
            Self::Plenty
        } else {
            Self::Between
        }
    }
}

/// Asks for a little more room than is kept, for a file that has no name and is closed at once.
/// Where there is plenty nobody misses it; where there is none it is refused, and what the kernel
/// gave of it, page by page, is back before the call ends.
fn try_write(directory: &OwnedFd, space: Space, keep_free: Size) -> Result<Write, String> {
    let failed = |error: Errno| format!("a write: {error}");
    let file = nameless(directory).map_err(failed)?;
    let bytes = keep_free.bytes() + BLOCKS_MORE * space.block;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(Write::Fits),
        Err(Errno::NOSPC) => Ok(Write::Refused),
        Err(error) => Err(failed(error)),
    }
}

/// Both must say the same.
fn says(space: Space, room: Room, write: Option<Write>) -> Sighting {
    let available = Size::from_bytes(space.available);
    let outcome = match write {
        Some(Write::Fits) => "a write fits",
        Some(Write::Refused) => "a write does not fit",
        None => "nothing was written",
    };
    let words = format!("{available} are available; {outcome}");
    match (room, write) {
        (Room::None, Some(Write::Refused)) => Sighting::InForce(words),
        (Room::Plenty, Some(Write::Fits)) => Sighting::NotInForce(words),
        _ => Sighting::Unknown(words),
    }
}

/// The witness.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DiskWitness;

impl DiskWitness {
    fn see(undo: &Value) -> Result<Sighting, FaultError> {
        let undo: DiskFullDebt = read("undo record", undo)?;
        let failed = |why: String| FaultError::Failed { action: "look at the disk".into(), why };
        let Reach::There(directory) = undo.volume.reach().map_err(failed)? else {
            return Ok(Sighting::NotInForce("no process is left that sees it".to_owned()));
        };
        let space = Space::of(&directory).map_err(failed)?;
        let room = Room::of(space, undo.keep_free);
        let write = match room {
            // What is there is for others.
            Room::Between => None,
            Room::None | Room::Plenty => {
                Some(try_write(&directory, space, undo.keep_free).map_err(failed)?)
            }
        };
        Ok(says(space, room, write))
    }
}

impl Witness for DiskWitness {
    fn method(&self) -> &'static str {
        "what statvfs says is left, and a write of its own"
    }

    fn baseline<'a>(
        &'a self,
        _cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            Self::see(undo)?.none_before("see room on the disk")?;
            Ok(Value::Null)
        })
    }

    fn look<'a>(&'a self, _cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            Self::see(debt.undo).unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Size = Size::from_kib(64);

    fn space(available: u64) -> Space {
        Space { block: 4096, total: 64 << 20, available }
    }

    fn sighting(available: u64, write: Option<Write>) -> Sighting {
        says(space(available), Room::of(space(available), KEEP), write)
    }

    #[test]
    fn the_kernels_word_and_a_write_must_agree() {
        let (kept, plenty) = (KEEP.bytes(), KEEP.bytes() + ROOM.bytes());
        for full in [0, 4096, kept, kept + 4096] {
            let seen = sighting(full, Some(Write::Refused));
            assert!(matches!(&seen, Sighting::InForce(_)), "{seen:?}");
            let seen = sighting(full, Some(Write::Fits));
            assert!(matches!(&seen, Sighting::Unknown(_)), "{seen:?}");
        }
        for roomy in [plenty, 64 << 20] {
            let seen = sighting(roomy, Some(Write::Fits));
            assert!(matches!(&seen, Sighting::NotInForce(_)), "{seen:?}");
            let seen = sighting(roomy, Some(Write::Refused));
            assert!(matches!(&seen, Sighting::Unknown(_)), "{seen:?}");
        }
        for between in [kept + 2 * 4096, plenty - 4096] {
            let seen = sighting(between, None);
            assert!(matches!(&seen, Sighting::Unknown(_)), "{seen:?}");
        }
    }

    #[test]
    fn what_is_left_for_others_is_not_written_to() {
        let kept = KEEP.bytes();
        assert_eq!(Room::of(space(kept + 4096), KEEP), Room::None);
        assert_eq!(Room::of(space(kept + 4097), KEEP), Room::Between);
        assert_eq!(Room::of(space(kept + ROOM.bytes() - 1), KEEP), Room::Between);
        assert_eq!(Room::of(space(kept + ROOM.bytes()), KEEP), Room::Plenty);
    }
}
