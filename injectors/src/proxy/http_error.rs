//! `http-error`: some requests on an edge are answered with an error, the others pass.

use harness_core::ids::EdgeName;
use harness_core::units::{Duration, Ratio};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::debt::Order;
use super::edge_fault::EdgeSpec;
use super::look::{Question, Seen, Telling};
use super::ranges::{error_status, requests_to_hit, share};
use super::wire::{HttpEffect, ProxyEffect};
use super::witness::{SILENCE, Says, Slot, Symptom};

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpErrorSpec {
    /// The edge, as `caller->callee`.
    pub edge: EdgeName,
    /// The error status, 400 to 599.
    #[schemars(range(min = 400, max = 599))]
    #[serde(default = "unavailable", deserialize_with = "error_status")]
    pub status: u16,
    /// How many of the requests, each for itself, 5% to 100%.
    #[serde(default = "all", deserialize_with = "share")]
    pub share: Ratio,
    /// Only requests of this method. The witness sends some, without a body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Only requests whose path begins so. The witness asks for exactly this path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPath>,
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Makes.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The beginning of a path: `/charge`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
pub struct HttpPath(String);

impl TryFrom<String> for HttpPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.starts_with('/') && plain {
            Ok(Self(text))
        } else {
            Err(format!("`{text}` is no path; write one that begins with `/`"))
        }
    }
}

impl HttpPath {
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

fn unavailable() -> u16 {
    503
}

pub(super) fn all() -> Ratio {
    Ratio::ONE
}

/// Which requests are meant, and what the witness asks for.
pub(super) fn asked<'a>(
    method: Option<Method>,
    path: Option<&'a HttpPath>,
    question: Question<'a>,
) -> Question<'a> {
    let method = match method {
        Some(method) => method.text(),
        None => question.method,
    };
    Question { method, path: path.map_or(question.path, HttpPath::text), ..question }
}

impl EdgeSpec for HttpErrorSpec {
    const KIND: &'static str = "http-error";
    const SUMMARY: &'static str = "some requests on an edge are answered with an error";

    fn edge(&self) -> &EdgeName {
        &self.edge
    }

    fn order(&self, seed: u64) -> Order {
        ProxyEffect::Http(HttpEffect {
            method: self.method.map(|method| method.text().to_owned()),
            path: self.path.as_ref().map(|path| path.text().to_owned()),
            errors: self.share,
            status: self.status,
            delayed: Ratio::ZERO,
            delay: Duration::ZERO,
            seed,
        })
        .into()
    }
}

impl Symptom for HttpErrorSpec {
    const METHOD: &'static str = "statuses of requests through the edge on a fresh connection";

    fn question(&self, deadline: Duration) -> Question<'_> {
        let requests = requests_to_hit(self.share);
        let until = Some(Telling::Status(self.status));
        let once = Question::once(SILENCE.min(deadline.divided_by(2)));
        asked(self.method, self.path.as_ref(), Question { requests, until, ..once })
    }

    fn says(&self, question: Question<'_>, slot: &Slot, seen: &Seen) -> (Says, String) {
        let whole = usize::try_from(question.requests).unwrap_or(usize::MAX);
        let says = match seen {
            Seen::Answered { status, .. } if *status == self.status => Says::InForce,
            Seen::Answered { status, took } if *status == slot.status && took.len() == whole => {
                Says::NotInForce
            }
            _ => Says::Nothing,
        };
        (says, seen.to_string())
    }

    /// A request without a body may be refused by the callee; only not as the fault does.
    fn is_healthy(&self, status: u16) -> bool {
        let plain = self.method.is_none() && self.path.is_none();
        if plain { status == 200 } else { status != self.status }
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::json;

    use super::*;
    use crate::proxy::edge_fault::EdgeFault;

    const ERROR: EdgeFault<HttpErrorSpec> = EdgeFault::INJECTOR;

    #[test]
    fn defaults_are_written_out_and_nonsense_is_refused() {
        assert_eq!(
            ERROR.check(&json!({"edge": "a->b"})).unwrap(),
            json!({"edge": "a->b", "status": 503, "share": "100%"})
        );
        for (key, value, message, hint) in [
            ("status", json!(200), "out of range", "400 to 599"),
            ("share", json!("1%"), "out of range", "5% to 100%"),
            ("path", json!("charge"), "no path", "begins with `/`"),
            ("method", json!("FETCH"), "unknown variant", ""),
        ] {
            let error = ERROR.check(&json!({"edge": "a->b", key: value})).unwrap_err();
            assert_eq!(error.path, [key], "{error:?}");
            assert!(error.message.contains(message) && error.hint.contains(hint), "{error:?}");
        }
    }

    #[test]
    fn one_error_shows_it_and_only_all_good_answers_disprove_it() {
        let spec: HttpErrorSpec =
            serde_json::from_value(json!({"edge": "a->b", "share": "50%"})).unwrap();
        let slot = Slot::of(Duration::from_millis(1));
        let question = spec.question(Duration::from_secs(2));
        let says = |status, answers| {
            let took = vec![Duration::from_millis(1); answers];
            spec.says(question, &slot, &Seen::Answered { status, took }).0
        };
        assert_eq!(says(503, 3), Says::InForce);
        assert_eq!(says(200, 14), Says::NotInForce);
        assert_eq!(says(200, 13), Says::Nothing, "the connection ended before the last");
        assert_eq!(says(500, 14), Says::Nothing);
        assert_eq!(spec.says(question, &slot, &Seen::Silent).0, Says::Nothing);
    }
}
