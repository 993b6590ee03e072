//! Series in the Prometheus text format, as the lab's services and its collector write them.
//!
//! A line that cannot be read is left out: what is not read is no evidence.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// More series of one text are not read.
const SERIES_MAX: usize = 20_000;

/// What tells a series from all others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// Its value, and when it was taken where the text says that.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) key: Key,
    pub(crate) value: f64,
    /// Unix milliseconds.
    pub(crate) at: Option<i64>,
}

impl Key {
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// Whether it only grows while its process lives.
    pub(crate) fn is_counter(&self) -> bool {
        ["_total", "_bucket", "_count"].iter().any(|end| self.name.ends_with(end))
    }
}

/// All series of a text.
pub(crate) fn read(text: &str) -> Vec<Series> {
    text.lines().filter_map(line).take(SERIES_MAX).collect()
}

fn line(line: &str) -> Option<Series> {
    if line.starts_with('#') {
        return None;
    }
    let (name, rest) = line.split_once('{')?;
    let (labels, rest) = rest.rsplit_once('}')?;
    // The lab's label values have no quotes, commas or braces in them.
    let label = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        Some((key.to_owned(), value.to_owned()))
    };
    let pairs = labels.split(',').filter(|pair| !pair.is_empty());
    let labels: Option<BTreeMap<String, String>> = pairs.map(label).collect();
    let mut numbers = rest.split_ascii_whitespace();
    let value = numbers.next()?.parse().ok()?;
    let at = numbers.next().and_then(|text| text.parse().ok());
    Some(Series { key: Key { name: name.to_owned(), labels: labels? }, value, at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_and_without_a_time_are_read_and_others_left_out() {
        let text =
            "# TYPE a counter\na_total{b=\"c\",d=\"e-1\"} 2.5 1700\nup{} 1\nodd{b=c} 1\nx 1\n";
        let all = read(text);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].value, all[0].at), (2.5, Some(1_700)));
        assert_eq!((all[0].key.label("d"), all[0].key.is_counter()), (Some("e-1"), true));
        assert_eq!((all[1].key.name.as_str(), all[1].at), ("up", None));
    }
}
