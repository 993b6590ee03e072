//! The one directory that this user's runs share on this machine, whatever directory they are
//! started in: locks of systems, and permits to inject.
//!
//! Its path is fixed: by `$TMPDIR` two processes could miss each other. `/var/tmp` is everybody's
//! to write, as `/tmp` is, and is still full after a boot. So the directory is this user's alone,
//! or it is not used.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// Where everybody may make directories, and nobody may replace those of others.
const PARENT: &str = "/var/tmp";

/// The directory: made where it is not there yet, and proven to be nobody else's to change.
pub fn own_place() -> io::Result<PathBuf> {
    own_place_in(Path::new(PARENT))
}

fn own_place_in(parent: &Path) -> io::Result<PathBuf> {
    let own = geteuid().as_raw();
    let path = parent.join(format!("gameday-{own}"));
    let named =
        |error: &io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(named(&error)),
        Ok(()) | Err(_) => {}
    }
    // Itself, and not what it leads to.
    let about = std::fs::symlink_metadata(&path).map_err(|error| named(&error))?;
    if about.is_dir() && about.uid() == own && about.mode() & 0o022 == 0 {
        return Ok(path);
    }
    let why = "it is no directory of this user's that only this user may change; remove it";
    Err(named(&io::Error::other(why)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn it_is_made_for_this_user_alone_and_found_again() {
        let parent = tempfile::tempdir().unwrap();
        let place = own_place_in(parent.path()).unwrap();
        assert_eq!(fs::metadata(&place).unwrap().mode() & 0o777, 0o700);
        assert_eq!(own_place_in(parent.path()).unwrap(), place);
        // Whoever reads there sees no secret.
        fs::set_permissions(&place, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(own_place_in(parent.path()).unwrap(), place);
    }

    #[test]
    fn what_another_could_change_is_not_used() {
        let parent = tempfile::tempdir().unwrap();
        let place = own_place_in(parent.path()).unwrap();
        let refused = || own_place_in(parent.path()).unwrap_err().to_string();
        for mode in [0o720, 0o702, 0o777] {
            fs::set_permissions(&place, PermissionsExt::from_mode(mode)).unwrap();
            assert!(refused().contains("only this user may change"), "{mode:o}: {}", refused());
        }
        fs::set_permissions(&place, PermissionsExt::from_mode(0o700)).unwrap();
        // Only the superuser can give it away, and so make this test whole.
        if geteuid().is_root() {
            chown(&place, Some(12_345), None).unwrap();
            assert!(refused().contains("of this user's"), "{}", refused());
        }
        let elsewhere = parent.path().join("elsewhere");
        fs::rename(&place, &elsewhere).unwrap();
        if geteuid().is_root() {
            chown(&elsewhere, Some(0), None).unwrap();
        }
        symlink(&elsewhere, &place).unwrap();
        assert!(refused().contains("no directory"), "{}", refused());
        fs::remove_file(&place).unwrap();
        fs::write(&place, "").unwrap();
        assert!(refused().contains("no directory"), "{}", refused());
        fs::remove_file(&place).unwrap();
        own_place_in(parent.path()).unwrap();
        // What cannot be made is named.
        let nowhere = own_place_in(&parent.path().join("nowhere")).unwrap_err().to_string();
        assert!(nowhere.contains("/nowhere/gameday-"), "{nowhere}");
    }
}
