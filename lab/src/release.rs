//! What a process of a service was built from: a release, which has a name, and perhaps a flaw that
//! the one before it did not have. A name stands for one release; nothing here rolls one out.

use serde::{Deserialize, Serialize};

/// The header in which every answer tells whose release made it.
pub(crate) const RELEASE_HEADER: &str = "x-release";
/// A longer name is refused.
const NAME_BYTES_MAX: usize = 40;
/// All requests.
const PERMILLE: u32 = 1_000;
/// A slower release is refused.
const SLOW_MS_MAX: u64 = 5_000;

/// What is wrong with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Flaw {
    /// So many of 1000 requests are answered with 500.
    ErrorsPermille(u32),
    /// Each request takes so much longer, in milliseconds.
    SlowMs(u64),
}

/// What a process was built from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// Its name: up to 40 letters, digits and `.`, `_`, `-`.
    pub name: String,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flaw: Option<Flaw>,
}

impl Release {
    /// The one that a new lab runs.
    pub fn first() -> Self {
        Self { name: String::from("1"), flaw: None }
    }

    /// What is wrong with the description of this release, if anything is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let name = &self.name;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
            let bytes = NAME_BYTES_MAX;
            return Err(format!("a release's name has 1 to {bytes} letters, digits and . _ -"));
        }
        match self.flaw {
            Some(Flaw::ErrorsPermille(share)) if !(1..=PERMILLE).contains(&share) => {
                Err(format!("`errorsPermille` is from 1 to {PERMILLE}"))
            }
            Some(Flaw::SlowMs(by)) if !(1..=SLOW_MS_MAX).contains(&by) => {
                Err(format!("`slowMs` is from 1 to {SLOW_MS_MAX}"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Flaw {
    /// Whether the request with this number fails: exactly so many of each 1000, spread evenly.
    pub(crate) fn breaks(self, number: u64) -> bool {
        let Self::ErrorsPermille(share) = self else { return false };
        let (all, share) = (u64::from(PERMILLE), u64::from(share));
        let place = number % all;
        (place + 1) * share / all > place * share / all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_requests_breaks_and_they_are_spread() {
        let broken = |share: u32, numbers: std::ops::Range<u64>| {
            numbers.filter(|number| Flaw::ErrorsPermille(share).breaks(*number)).count()
        };
        assert_eq!(broken(300, 0..1_000), 300);
        assert_eq!(broken(300, 2_000..2_100), 30);
        assert_eq!((broken(1_000, 0..50), broken(500, 7..17)), (50, 5));
        assert!(!Flaw::SlowMs(5).breaks(0));
    }

    #[test]
    fn nonsense_is_refused() {
        let check =
            |name: &str, flaw: Option<Flaw>| Release { name: name.to_owned(), flaw }.check();
        assert_eq!(check("2024.11-rc_1", None), Ok(()));
        assert!(check("", None).is_err() && check("a b", None).is_err());
        assert!(check(&"a".repeat(41), None).is_err());
        for flaw in [Flaw::ErrorsPermille(0), Flaw::ErrorsPermille(1_001), Flaw::SlowMs(5_001)] {
            assert!(check("2", Some(flaw)).is_err(), "{flaw:?}");
        }
    }
}
