//! Names of what this tool makes in places that others use, too: whoever sees one knows whose it
//! is, and nothing else is ever removed.

use crate::hash::hash;

/// What every such name begins with.
const PREFIX: &str = "gameday-";
/// Longer names are shortened; the kernel takes 255 bytes.
const NAME_BYTES_MAX: usize = 200;

/// A name of ours for a name of any length and letters, the same for the same one.
pub(crate) fn own_name(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let fits = name.len() <= NAME_BYTES_MAX && name.chars().all(plain);
    if fits {
        return [PREFIX, name].concat();
    }
    let kept: String = name.chars().filter(|letter| plain(*letter)).take(NAME_BYTES_MAX).collect();
    format!("{PREFIX}{kept}-{:016x}", hash(name))
}

/// Whether it can be one of ours, and is the name of something in one directory.
pub(crate) fn is_own_name(name: &str) -> bool {
    name.starts_with(PREFIX) && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_a_plain_one_of_ours() {
        assert_eq!(own_name("checkout-0-run-1-it"), "gameday-checkout-0-run-1-it");
        let odd = [own_name("a/../b"), own_name("a b"), own_name(&"x".repeat(400))];
        for name in &odd {
            assert!(is_own_name(name) && !name.contains(' ') && name.len() < 255, "{name}");
        }
        assert_ne!(own_name("a/b"), own_name("ab"));
    }

    #[test]
    fn a_strangers_name_and_a_path_are_none_of_ours() {
        for name in ["", "data", "orders.journal", "..", "gameday-/../x", "x-gameday-y"] {
            assert!(!is_own_name(name), "{name}");
        }
    }
}
