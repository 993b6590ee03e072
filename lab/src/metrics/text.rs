//! Reads the Prometheus text format, as far as exporters use it.
//!
//! A line that cannot be read is skipped; the collector counts what it got, not what it missed.
//! Timestamps in the text are ignored: a sample's time is that of its scrape.

use std::collections::BTreeMap;

/// Label names and values, in order.
pub(crate) type Labels = BTreeMap<String, String>;

/// More samples in one text are ignored.
const SAMPLES_MAX: usize = 10_000;

/// One line of a scrape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

/// All samples of a text, in its order.
pub(crate) fn parse(text: &str) -> Vec<Sample> {
    text.lines().filter_map(parse_line).take(SAMPLES_MAX).collect()
}

fn parse_line(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inner) => parse_labels(inner)?,
        None => (Labels::new(), rest),
    };
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Reads `a="b",c="d"}` and gives what follows the brace.
fn parse_labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = parse_value(after)?;
        labels.insert(name.trim().to_owned(), value);
        rest = after;
    }
}

/// Reads up to the closing quote; `\\`, `\"` and `\n` are escapes.
fn parse_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> Sample {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Sample { name: name.to_owned(), labels, value }
    }

    #[test]
    fn lines_of_every_shape_are_read() {
        for (line, expected) in [
            ("up 1", Some(sample("up", &[], 1.0))),
            ("up{} 1 1700000000000", Some(sample("up", &[], 1.0))),
            ("a{b=\"c\",d=\"e\",} 2.5", Some(sample("a", &[("b", "c"), ("d", "e")], 2.5))),
            ("a{b=\"x\\\"}\\n\\\\\"} 3", Some(sample("a", &[("b", "x\"}\n\\")], 3.0))),
            ("a +Inf", Some(sample("a", &[], f64::INFINITY))),
            ("# TYPE a counter", None),
            ("", None),
            ("a", None),
            ("a{b=\"c} 1", None),
            ("a{b} 1", None),
            ("a b", None),
        ] {
            assert_eq!(parse_line(line), expected, "{line}");
        }
        assert!(parse("a NaN\n")[0].value.is_nan());
    }

    #[test]
    fn a_broken_line_does_not_hide_the_next_one() {
        assert_eq!(parse("a{b 1\n\nc 2\n"), [sample("c", &[], 2.0)]);
    }
}
