//! What a step makes of its answer: its outcome, and the values that later steps use.
//!
//! Pure but for reading the body. Classes of failures are those of the open loop.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::io;

use harness_core::load::RequestOutcome;
use harness_core::plan::{Extract, LoadPlan, StatusRange, StepPlan};
use regex::Regex;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};

use crate::session::{body_outcome, outcome_of};
use crate::transport::tls_class;

/// As much of a body is kept for checks and values; the rest is read and let go.
const BODY_KEPT_BYTES_MAX: usize = 1 << 20;
/// A longer value is none: it would be sent with every further request.
const VALUE_BYTES_MAX: usize = 4096;

/// What the answer to a step must be, and what is taken from it.
#[derive(Debug)]
pub(super) struct Rules {
    good: Vec<StatusRange>,
    contains: Option<String>,
    matches: Option<Regex>,
    extract: Vec<(String, Taken)>,
}

#[derive(Debug)]
enum Taken {
    Json(String),
    Header(String),
    Regex(Regex),
}

/// A step's answer, judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) outcome: RequestOutcome,
    pub(super) good: bool,
    /// Nothing unless it is good.
    pub(super) found: BTreeMap<String, String>,
}

impl Rules {
    /// The rules of one step; an error names the text that cannot be used.
    pub(super) fn new(plan: &LoadPlan, step: &StepPlan) -> Result<Self, String> {
        let regex = |pattern: &String| Regex::new(pattern).map_err(|error| error.to_string());
        let mut extract = Vec::new();
        for (name, from) in &step.extract {
            let taken = match from {
                Extract::Json { pointer } => Taken::Json(pointer.clone()),
                Extract::Header { name } => Taken::Header(name.clone()),
                Extract::Regex { pattern } => Taken::Regex(regex(pattern)?),
            };
            extract.push((name.clone(), taken));
        }
        Ok(Self {
            good: step.good.clone().unwrap_or_else(|| plan.good.clone()),
            contains: plan.mix[step.request as usize].body_contains.clone(),
            matches: step.body_matches.as_ref().map(regex).transpose()?,
            extract,
        })
    }

    fn reads_body(&self) -> bool {
        let taken = |(_, taken): &(String, Taken)| !matches!(taken, Taken::Header(_));
        self.contains.is_some() || self.matches.is_some() || self.extract.iter().any(taken)
    }

    /// Judges a whole answer. A good status whose body or values are not as they must be is a
    /// wrong body.
    fn judge(&self, status: u16, headers: &HeaderMap, body: &[u8], method: &Method) -> Judged {
        let outcome = RequestOutcome::Status(status);
        if !self.good.iter().any(|range| range.holds(status)) {
            return Judged { outcome, good: false, found: BTreeMap::new() };
        }
        let text = String::from_utf8_lossy(body);
        let without_body = method == Method::HEAD;
        let contains = self.contains.as_ref().is_none_or(|needle| text.contains(needle));
        let matches = self.matches.as_ref().is_none_or(|pattern| pattern.is_match(&text));
        let found = self.values(headers, body, &text);
        match found {
            Some(found) if contains && matches || without_body => {
                Judged { outcome, good: true, found }
            }
            Some(_) | None => Judged::failed(RequestOutcome::Body),
        }
    }

    /// All values, or nothing when one is missing.
    fn values(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        text: &str,
    ) -> Option<BTreeMap<String, String>> {
        let json: Option<serde_json::Value> =
            if self.extract.iter().any(|(_, taken)| matches!(taken, Taken::Json(_))) {
                serde_json::from_slice(body).ok()
            } else {
                None
            };
        let one = |(name, taken): &(String, Taken)| {
            let value = match taken {
                Taken::Json(pointer) => plain(json.as_ref()?.pointer(pointer)?)?,
                Taken::Header(name) => headers.get(name)?.to_str().ok()?.to_owned(),
                Taken::Regex(pattern) => {
                    let found = pattern.captures(text)?;
                    found.get(1).or_else(|| found.get(0))?.as_str().to_owned()
                }
            };
            (value.len() <= VALUE_BYTES_MAX).then(|| (name.clone(), value))
        };
        self.extract.iter().map(one).collect()
    }
}

impl Judged {
    /// Without a usable answer.
    pub(super) fn failed(outcome: RequestOutcome) -> Self {
        Self { outcome, good: false, found: BTreeMap::new() }
    }
}

/// A scalar as text; a text without its quotes.
fn plain(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Some(value.to_string()),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
            None
        }
    }
}

/// Reads an answer to its end and judges it.
pub(super) async fn read(
    response: Result<Response, reqwest::Error>,
    method: &Method,
    rules: &Rules,
) -> Judged {
    let mut response = match response {
        Ok(response) => response,
        Err(error) => return Judged::failed(class(&error, Part::Head)),
    };
    let part = Part::Body { sized: response.content_length().is_some() };
    let mut kept = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) if rules.reads_body() => {
                let room = BODY_KEPT_BYTES_MAX - kept.len();
                kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => return Judged::failed(class(&error, part)),
        }
    }
    rules.judge(response.status().as_u16(), response.headers(), &kept, method)
}

/// Where an exchange broke.
#[derive(Debug, Clone, Copy)]
enum Part {
    Head,
    Body { sized: bool },
}

/// The class of a failure: by the first cause that the open loop knows, too.
fn class(error: &reqwest::Error, part: Part) -> RequestOutcome {
    if error.is_timeout() {
        return RequestOutcome::Timeout;
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<io::Error>() {
            return tls_class(error);
        }
        if let Some(error) = inner.downcast_ref::<hyper::Error>() {
            return match part {
                Part::Head => outcome_of(error),
                Part::Body { sized } => body_outcome(error, sized),
            };
        }
        if inner.is::<rustls::Error>() {
            return RequestOutcome::Tls;
        }
        source = inner.source();
    }
    RequestOutcome::Other
}

#[cfg(test)]
mod tests {
    use harness_core::plan::Think;
    use harness_core::units::Duration;

    use super::*;

    fn rules(extract: &[(&str, Extract)], matches: Option<&str>) -> Rules {
        let step = StepPlan {
            request: 0,
            think: Think::Fixed { lasts: Duration::from_millis(1) },
            good: Some(vec![StatusRange { from: 200, to: 204 }]),
            body_matches: matches.map(str::to_owned),
            extract: extract
                .iter()
                .map(|(name, from)| ((*name).to_owned(), from.clone()))
                .collect(),
        };
        Rules::new(&crate::plans::constant(1), &step).unwrap()
    }

    fn judged(rules: &Rules, status: u16, body: &str) -> Judged {
        let mut headers = HeaderMap::new();
        headers.insert("x-token", "t-9".parse().unwrap());
        rules.judge(status, &headers, body.as_bytes(), &Method::GET)
    }

    fn json(pointer: &str) -> Extract {
        Extract::Json { pointer: pointer.to_owned() }
    }

    #[test]
    fn values_are_taken_from_where_they_stand() {
        let header = Extract::Header { name: "x-token".to_owned() };
        let regex = |pattern: &str| Extract::Regex { pattern: pattern.to_owned() };
        let all = [
            ("id", json("/items/1/id")),
            ("cents", json("/items/1/cents")),
            ("token", header),
            ("group", regex(r#""id": "(\w)"#)),
            ("whole", regex(r"\d{3}")),
        ];
        let body = r#"{"items": [{}, {"id": "espresso", "cents": 250}]}"#;
        let judged = judged(&rules(&all, None), 200, body);
        assert!(judged.good);
        let found: Vec<_> = judged.found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expected = [
            ("cents", "250"),
            ("group", "e"),
            ("id", "espresso"),
            ("token", "t-9"),
            ("whole", "250"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_not_there_is_a_wrong_answer() {
        for body in ["", "{}", r#"{"id": null}"#, r#"{"id": {}}"#, "no json"] {
            let judged = judged(&rules(&[("id", json("/id"))], None), 200, body);
            assert_eq!(judged, Judged::failed(RequestOutcome::Body), "{body}");
        }
        let long = format!(r#"{{"id": "{}"}}"#, "x".repeat(VALUE_BYTES_MAX + 1));
        assert!(!judged(&rules(&[("id", json("/id"))], None), 200, &long).good);
    }

    #[test]
    fn the_status_comes_before_the_body() {
        let rules = rules(&[], Some("^paid"));
        assert!(judged(&rules, 204, "paid in full").good);
        assert_eq!(judged(&rules, 200, "unpaid").outcome, RequestOutcome::Body);
        let refused = judged(&rules, 503, "unpaid");
        assert_eq!((refused.outcome, refused.good), (RequestOutcome::Status(503), false));
    }
}
