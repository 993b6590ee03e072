//! Text from outside, made harmless once: what a terminal, an XML reader or a reader's eye could be
//! misled by is replaced, and the length is bounded. Does not escape for any syntax.

/// At most this many characters of a text from outside are kept.
pub(crate) const TEXT_CHARS_MAX: usize = 1_000;

/// Replaces control and direction-changing characters by a visible sign and cuts what is too long.
/// Line breaks and tabs become spaces.
pub(crate) fn clean(text: &str) -> String {
    let kept: String = text.chars().take(TEXT_CHARS_MAX).map(harmless).collect();
    match text.chars().skip(TEXT_CHARS_MAX).count() {
        0 => kept,
        left_out => format!("{kept}… ({left_out} more characters)"),
    }
}

const fn harmless(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' => ' ',
        // C0, DEL and C1; the Unicode directions and isolates; line and paragraph separators;
        // the byte order mark; what XML 1.0 cannot hold.
        '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fffe}'
        | '\u{ffff}' => '\u{fffd}',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_text_stays_as_it_is() {
        assert_eq!(clean("p99 ≤ 800 ms — Größe 日本"), "p99 ≤ 800 ms — Größe 日本");
    }

    #[test]
    fn escape_sequences_and_direction_changes_are_shown_not_obeyed() {
        assert_eq!(clean("\u{1b}[31mred\u{202e}x\ny"), "\u{fffd}[31mred\u{fffd}x y");
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        let text = "x".repeat(TEXT_CHARS_MAX + 7);
        assert!(clean(&text).ends_with("x… (7 more characters)"));
        assert!(clean(&text).chars().count() < TEXT_CHARS_MAX + 40);
    }
}
