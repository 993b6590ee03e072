//! The version that stands in every file that we write: `name/major.minor`.
//!
//! A reader accepts every minor version of the majors that it knows, refuses newer majors, and does
//! not guess at files of another name.

/// Why a file's format is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Not `name/major` or `name/major.minor`.
    #[error("`{found}` is not a format version")]
    Malformed {
        /// The text.
        found: String,
    },
    /// A file of another kind.
    #[error("this is a {found} file, expected {expected}")]
    OtherFile {
        /// What it is.
        found: String,
        /// What was to be read.
        expected: String,
    },
    /// Written by a later gameday.
    #[error("format {found} is newer than {known}; a newer gameday can read it")]
    Newer {
        /// What it is.
        found: String,
        /// What this build knows.
        known: String,
    },
}

fn parts(format: &str) -> Option<(&str, u32, u32)> {
    let (name, version) = format.rsplit_once('/')?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((name, major.parse().ok()?, minor.parse().ok()?))
}

/// Whether a reader of `known` may read a file that says `found`.
pub(crate) fn accept(found: &str, known: &str) -> Result<(), FormatError> {
    let malformed = || FormatError::Malformed { found: found.to_owned() };
    let (name, major, _) = parts(found).ok_or_else(malformed)?;
    let (name_known, major_known, _) = parts(known).expect("our own formats are well formed");
    if name != name_known {
        return Err(FormatError::OtherFile {
            found: name.to_owned(),
            expected: name_known.to_owned(),
        });
    }
    if major > major_known {
        return Err(FormatError::Newer { found: found.to_owned(), known: known.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_minors_are_read_and_newer_majors_are_refused() {
        for found in ["a.b/2", "a.b/2.0", "a.b/2.9", "a.b/1.3"] {
            assert_eq!(accept(found, "a.b/2.1"), Ok(()), "{found}");
        }
        assert!(matches!(accept("a.b/3", "a.b/2.1"), Err(FormatError::Newer { .. })));
        assert!(matches!(accept("a.c/2", "a.b/2"), Err(FormatError::OtherFile { .. })));
        for found in ["", "a.b", "a.b/", "a.b/x", "a.b/1.x"] {
            assert!(
                matches!(accept(found, "a.b/2"), Err(FormatError::Malformed { .. })),
                "{found}"
            );
        }
    }
}
