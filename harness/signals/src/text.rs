//! Text from outside is cut before it is kept.

/// Longer texts from outside are cut, in characters.
pub(crate) const TEXT_CHARS_MAX: usize = 200;

/// The beginning of a text, on one line.
pub(crate) fn short(text: &str) -> String {
    let mut rest = text.chars();
    let kept: String = rest.by_ref().take(TEXT_CHARS_MAX).map(plain).collect();
    if rest.next().is_some() { format!("{kept}…") } else { kept }
}

fn plain(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(short("a\nb"), "a b");
        let cut = short(&"ä".repeat(TEXT_CHARS_MAX + 1));
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (TEXT_CHARS_MAX + 1, true));
        assert!(!short(&"ä".repeat(TEXT_CHARS_MAX)).ends_with('…'));
    }
}
