//! Data that stands in files beside the scenario, put where it belongs before anything is read:
//! `feeds: {people: {csv: people.csv}}`, `{json: people.json}`, `recorded: {file: arrivals.txt}`.
//!
//! Pure: who reads a file is handed in. What goes wrong points at the file's name in the scenario.

use harness_core::diag::Span;

use crate::ast::{ARRIVALS_RECORDED_MAX, FEED_VALUES_MAX};
use crate::codes;
use crate::findings::{Finding, Findings};
use crate::node::{Entry, Node, Spanned, Value};

/// Gives the text of a file that a scenario names, or why it cannot be had.
pub type ReadFile<'a> = dyn Fn(&str) -> Result<String, String> + 'a;

/// Values of a feed, with the kind of feed that holds such.
type Values = (&'static str, Vec<Node>);

/// Puts the data of all files of a scenario's load in.
pub(crate) fn put_in(document: &mut Node, read: &ReadFile<'_>, findings: &mut Findings) {
    let load = child(document, "spec").and_then(|spec| child(spec, "load"));
    let Some(load) = load else { return };
    let form = ["open", "journeys"].into_iter().find(|form| load.entry(form).is_some());
    let load = match form {
        Some(form) => child(load, form).expect("it was seen"),
        None => load,
    };
    if let Some(recorded) = child(load, "recorded") {
        put_in_recorded(recorded, read, findings);
    }
    let Some(Node { value: Value::Map(feeds), .. }) = child(load, "feeds") else { return };
    for feed in feeds {
        put_in_feed(&mut feed.node, read, findings);
    }
}

fn child<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    match &mut node.value {
        Value::Map(entries) => {
            entries.iter_mut().find(|entry| entry.key.value == key).map(|entry| &mut entry.node)
        }
        Value::Scalar { .. } | Value::List(_) => None,
    }
}

/// `{csv: FILE}` and `{json: FILE}` become `{rows: [...]}` or `{choice: [...]}`.
fn put_in_feed(feed: &mut Node, read: &ReadFile<'_>, findings: &mut Findings) {
    let Value::Map(entries) = &mut feed.value else { return };
    for entry in entries {
        let parse: fn(&str, Span) -> Result<Values, String> = match entry.key.value.as_str() {
            "csv" => csv_rows,
            "json" => json_values,
            _ => continue,
        };
        let Some(file) = entry.node.scalar().map(str::to_owned) else { continue };
        let span = entry.node.span;
        let values =
            read(&file).and_then(|text| parse(&text, span)).and_then(|(kind, values)| match values
                .len()
            {
                0 => Err("it holds no values".to_owned()),
                1..=FEED_VALUES_MAX => Ok((kind, values)),
                _ => Err(format!("it holds more than {FEED_VALUES_MAX} values")),
            });
        match values {
            Ok((kind, values)) => {
                kind.clone_into(&mut entry.key.value);
                entry.node.value = Value::List(values);
            }
            Err(why) => findings.push(unusable(&file, &why, span)),
        }
    }
}

/// `{file: FILE}` becomes a list of offsets.
fn put_in_recorded(recorded: &mut Node, read: &ReadFile<'_>, findings: &mut Findings) {
    let Some(file) = recorded.entry("file") else { return };
    let (span, name) = (file.node.span, file.node.scalar().unwrap_or_default().to_owned());
    match read(&name).and_then(|text| offsets(&text, span)) {
        Ok(offsets) => *recorded = Node { span, value: Value::List(offsets) },
        Err(why) => {
            findings.push(unusable(&name, &why, span));
            // Told once; nothing else is said about it.
            *recorded = Node { span, value: Value::List(vec![scalar("0us", span)]) };
        }
    }
}

fn unusable(file: &str, why: &str, span: Span) -> Finding {
    Finding::error(codes::BAD_FILE, span, format!("the data of `{file}` cannot be used"))
        .label(why.to_owned())
        .hint("the path counts from the scenario's file")
}

fn scalar(text: &str, span: Span) -> Node {
    Node { span, value: Value::Scalar { text: text.to_owned(), plain: false } }
}

fn row<'a>(columns: impl Iterator<Item = (&'a str, String)>, span: Span) -> Node {
    let entries = columns.map(|(name, text)| Entry {
        key: Spanned::new(name.to_owned(), span),
        node: scalar(&text, span),
    });
    Node { span, value: Value::Map(entries.collect()) }
}

/// The first record names the columns.
fn csv_rows(text: &str, span: Span) -> Result<Values, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        rows.push(row(names.iter().zip(record.iter().map(str::to_owned)), span));
    }
    Ok(("rows", rows))
}

/// A list of mappings gives rows, a list of single values a choice.
fn json_values(text: &str, span: Span) -> Result<Values, String> {
    let values: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    let plain = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => Ok(text.clone()),
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Ok(value.to_string()),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
            Err(format!("`{value}` is not a single value"))
        }
    };
    let mut nodes = Vec::new();
    let kind = if values.first().is_some_and(serde_json::Value::is_object) {
        for value in &values {
            let columns = value.as_object().ok_or("some of its values are no mappings")?;
            let columns = columns.iter().map(|(name, value)| Ok((name.as_str(), plain(value)?)));
            let columns = columns.collect::<Result<Vec<_>, String>>()?;
            nodes.push(row(columns.into_iter(), span));
        }
        "rows"
    } else {
        for value in &values {
            nodes.push(scalar(&plain(value)?, span));
        }
        "choice"
    };
    Ok((kind, nodes))
}

/// One time per line, in seconds; the first is the load's start, so that times of day serve, too.
fn offsets(text: &str, span: Span) -> Result<Vec<Node>, String> {
    let mut offsets = Vec::new();
    let mut first: Option<f64> = None;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let time: f64 =
            line.parse().map_err(|_| format!("line {number} is not a time in seconds"))?;
        let offset = (time - *first.get_or_insert(time)) * 1e6;
        if !(0.0..1e13).contains(&offset) {
            return Err(format!("line {number} is before the first, or years after it"));
        }
        offsets.push(scalar(&format!("{offset:.0}us"), span));
    }
    if offsets.is_empty() || offsets.len() > ARRIVALS_RECORDED_MAX {
        return Err(format!("it must hold from 1 to {ARRIVALS_RECORDED_MAX} times"));
    }
    Ok(offsets)
}
