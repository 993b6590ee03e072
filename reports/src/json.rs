//! JSON: the whole model with its format version. Programs should read this, not the other formats.

use crate::model::Report;

pub(crate) fn render(report: &Report) -> String {
    let mut text = serde_json::to_string(report).expect("a report holds only plain data");
    text.push('\n');
    text
}
