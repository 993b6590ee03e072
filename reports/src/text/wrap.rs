//! Lines of bounded width, broken between words; a word that is longer than a line is broken too.

use tabled::grid::util::string::{get_char_width, get_string_width};

/// The text in lines of at most `width` columns. Every line, the first as well, is indented by so
/// many columns; a caller that writes something before the first line trims it.
pub fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let room = width.saturating_sub(indent).max(1);
    let mut lines: Vec<String> = vec![String::new()];
    let mut used = 0;
    for word in words(text).iter().flat_map(|word| pieces(word, room)) {
        let length = get_string_width(&word);
        let space = usize::from(used > 0);
        if used + space + length > room && used > 0 {
            lines.push(String::new());
            used = 0;
        }
        let last = lines.last_mut().expect("there is always a line");
        if used > 0 {
            last.push(' ');
            used += 1;
        }
        last.push_str(&word);
        used += length;
    }
    let margin = " ".repeat(indent);
    let indented: Vec<String> = lines.iter().map(|line| format!("{margin}{line}")).collect();
    indented.join("\n")
}

/// The words of a text; a unit stays with its number.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let bare = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '%');
        let is_unit = matches!(bare, "%" | "ms" | "s" | "µs" | "min" | "ids");
        match words.last_mut() {
            Some(number) if is_unit && number.ends_with(|c: char| c.is_ascii_digit()) => {
                number.push(' ');
                number.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// The word in parts that fit into a line.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let width = get_char_width(c);
        if used + width > room && used > 0 {
            pieces.push(String::new());
            used = 0;
        }
        pieces.last_mut().expect("there is always a piece").push(c);
        used += width;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_between_words_and_indents() {
        assert_eq!(wrapped("one two three", 9, 2), "  one two\n  three");
    }

    #[test]
    fn breaks_a_word_that_is_longer_than_a_line() {
        assert_eq!(wrapped("abcdefgh", 5, 0), "abcde\nfgh");
    }

    #[test]
    fn keeps_a_number_and_its_unit_together() {
        assert_eq!(wrapped("with 95 % of 800 ms, so", 9, 0), "with 95 %\nof\n800 ms,\nso");
    }

    #[test]
    fn counts_wide_characters_as_two() {
        assert_eq!(wrapped("日本 日本", 5, 0), "日本\n日本");
    }
}
