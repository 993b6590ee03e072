//! Requests made ready before the load begins: what is fixed is built once, data is filled in.
//!
//! Pure. Does not send.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use harness_core::ids::{RequestKind, RunId, TrialIndex};
use harness_core::load::LoadError;
use harness_core::plan::{Key, LoadPlan, RequestPlan};
use http_body_util::Full;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};

use crate::draw::{Purpose, draw, uuid};
use crate::flat::{Flat, flatten};
use crate::mix::Arrival;
use crate::target::{Protocol, Target};
use crate::template::{Data, Feeds, Template};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// What goes over the wire.
pub(crate) type OutgoingRequest = Request<Full<Bytes>>;

/// Who sends: for ids and correlation headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender<'a> {
    /// The run.
    pub(crate) run: &'a RunId,
    /// The trial.
    pub(crate) trial: TrialIndex,
    /// The arm's name.
    pub(crate) arm: &'a str,
    /// Before the number in ids.
    pub(crate) id_prefix: &'a str,
    /// Of data and ids.
    pub(crate) seed: u64,
}

/// All requests of a plan, ready.
#[derive(Debug)]
pub(crate) struct Requests {
    prepared: Vec<Prepared>,
    feeds: Feeds,
    id_prefix: String,
    seed: u64,
    correlation: bool,
}

#[derive(Debug)]
struct Prepared {
    kind: RequestKind,
    method: Method,
    uri: Text<Uri>,
    /// What is the same in all requests.
    headers: HeaderMap,
    templated: Vec<(HeaderName, Template)>,
    body: Text<Bytes>,
    key: Key,
    needle: Option<Bytes>,
    /// The whole request as it goes over the wire, where it is the same for all.
    flat: Option<Flat>,
}

/// A part of a request that is either the same for all or made for each.
#[derive(Debug)]
enum Text<T> {
    Fixed(T),
    Templated(String, Template),
}

impl Requests {
    /// Reads all templates of a plan; says which text cannot be used.
    pub(crate) fn new(
        plan: &LoadPlan,
        target: &Target,
        sender: Sender<'_>,
    ) -> Result<Self, LoadError> {
        let feeds = Feeds::new(&plan.feeds, sender.seed);
        let mut common = HeaderMap::new();
        if target.protocol == Protocol::Http1 {
            common.insert(HOST, header_value("host", &target.authority)?);
        }
        if plan.correlation {
            common.insert(BAGGAGE, header_value("baggage", &baggage(sender))?);
        }
        let prepared = plan
            .mix
            .iter()
            .zip(0..)
            .map(|(request, place)| {
                let found = plan.journeys().map_or_else(Vec::new, |all| all.names_before(place));
                prepare(request, target, Names { feeds: &feeds, found: &found }, &common)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut requests = Self {
            prepared,
            feeds,
            id_prefix: sender.id_prefix.to_owned(),
            seed: sender.seed,
            correlation: plan.correlation,
        };
        if !plan.correlation {
            for request in 0..requests.prepared.len() {
                requests.prepared[request].flat = requests.fixed(request);
            }
        }
        Ok(requests)
    }

    /// A request without data, in its form on the wire.
    fn fixed(&self, request: usize) -> Option<Flat> {
        let prepared = &self.prepared[request];
        let same = matches!(prepared.uri, Text::Fixed(_))
            && matches!(prepared.body, Text::Fixed(_))
            && prepared.templated.is_empty()
            && prepared.key == Key::None;
        let any = Arrival { number: 0, due_ns: 0, request, id: None };
        // What cannot be built here fails when it is sent.
        same.then(|| self.build(&any).ok().as_ref().map(flatten)).flatten()
    }

    /// One request, filled in, as it goes over an HTTP/1.1 connection.
    pub(crate) fn flat(&self, arrival: &Arrival) -> Result<Flat, hyper::http::Error> {
        match &self.prepared[arrival.request].flat {
            Some(flat) => Ok(flat.clone()),
            None => Ok(flatten(&self.build(arrival)?)),
        }
    }

    /// The kinds by place in the mix.
    pub(crate) fn kinds(&self) -> Vec<RequestKind> {
        self.prepared.iter().map(|request| request.kind.clone()).collect()
    }

    /// What the answer to a request must contain.
    pub(crate) fn needle(&self, request: usize) -> Option<&Bytes> {
        self.prepared[request].needle.as_ref()
    }

    /// One request, filled in; an error when data made a text that HTTP does not allow.
    pub(crate) fn build(&self, arrival: &Arrival) -> Result<OutgoingRequest, hyper::http::Error> {
        self.fill(arrival, Data::of_feeds(arrival.number))
    }

    /// The same with data that its number alone does not give.
    pub(crate) fn fill(
        &self,
        arrival: &Arrival,
        data: Data<'_>,
    ) -> Result<OutgoingRequest, hyper::http::Error> {
        let prepared = &self.prepared[arrival.request];
        let body = match &prepared.body {
            Text::Fixed(body) => body.clone(),
            Text::Templated(_, template) => template.render(&self.feeds, data).into_owned().into(),
        };
        let mut request = Request::new(Full::new(body));
        request.method_mut().clone_from(&prepared.method);
        *request.uri_mut() = match &prepared.uri {
            Text::Fixed(uri) => uri.clone(),
            Text::Templated(before, template) => {
                let path = template.render(&self.feeds, data);
                Uri::try_from(format!("{before}{path}"))?
            }
        };
        let headers = request.headers_mut();
        headers.clone_from(&prepared.headers);
        for (name, template) in &prepared.templated {
            let text = template.render(&self.feeds, data).into_owned();
            headers.insert(name, HeaderValue::from_maybe_shared(Bytes::from(text))?);
        }
        let key = match (prepared.key, arrival.id) {
            (Key::Sequence, Some(id)) => Some(format!("{}-{id}", self.id_prefix)),
            (Key::Uuid, _) => Some(uuid(self.seed, Purpose::Key, arrival.number)),
            (Key::None | Key::Sequence, _) => None,
        };
        if let Some(key) = key {
            headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_maybe_shared(Bytes::from(key))?);
        }
        if self.correlation {
            let parent = Bytes::from(traceparent(self.seed, arrival.number));
            headers.insert(TRACEPARENT, HeaderValue::from_maybe_shared(parent)?);
        }
        Ok(request)
    }
}

/// The names that a text may use.
#[derive(Clone, Copy)]
struct Names<'a> {
    feeds: &'a Feeds,
    found: &'a [&'a str],
}

fn prepare(
    request: &RequestPlan,
    target: &Target,
    names: Names<'_>,
    common: &HeaderMap,
) -> Result<Prepared, LoadError> {
    let unusable = |part: &str, why: String| LoadError::Unsupported {
        driver: crate::DRIVER,
        what: format!("the {part} of `{}`: {why}", request.kind),
    };
    let template = |part: &str, text: &str| {
        Template::parse(text, names.feeds, names.found)
            .map_err(|error| unusable(part, error.to_string()))
    };
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|error| unusable("method", error.to_string()))?;
    let before = match target.protocol {
        Protocol::Http1 => target.prefix.clone(),
        Protocol::Http2 => format!("{}{}", target.origin, target.prefix),
    };
    let path = template("path", &request.path)?;
    let uri = match path.fixed() {
        Some(path) => Text::Fixed(
            Uri::try_from(format!("{before}{path}"))
                .map_err(|error| unusable("path", error.to_string()))?,
        ),
        None => Text::Templated(before, path),
    };
    let mut headers = common.clone();
    let mut templated = Vec::new();
    for (name, text) in &request.headers {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|error| unusable(name, error.to_string()))?;
        let value = template(name, text)?;
        match value.fixed() {
            Some(value) => drop(headers.insert(header, header_value(name, value)?)),
            None => templated.push((header, value)),
        }
    }
    let body = template("body", request.body.as_deref().unwrap_or_default())?;
    let body = match body.fixed() {
        Some(text) => Text::Fixed(Bytes::from(text.to_owned())),
        None => Text::Templated(String::new(), body),
    };
    let needle = request.body_contains.clone().filter(|needle| !needle.is_empty());
    Ok(Prepared {
        kind: request.kind.clone(),
        method,
        uri,
        headers,
        templated,
        body,
        key: request.key,
        needle: needle.map(Bytes::from),
        flat: None,
    })
}

fn header_value(name: &str, text: &str) -> Result<HeaderValue, LoadError> {
    HeaderValue::from_str(text).map_err(|error| LoadError::Unsupported {
        driver: crate::DRIVER,
        what: format!("the header `{name}`: {error}"),
    })
}

/// W3C Trace Context, version 00; the ids follow from seed and number and are never zero.
fn traceparent(seed: u64, number: u64) -> String {
    let span = draw(seed, Purpose::Span, number);
    format!("00-{}-{:016x}-01", trace_id(seed, number), span | 1)
}

/// The trace id of a request, by which the target's own tracing knows it.
pub(crate) fn trace_id(seed: u64, number: u64) -> String {
    let high = draw(seed, Purpose::Trace, number);
    let low = draw(!seed, Purpose::Trace, number);
    format!("{high:016x}{:016x}", low | 1)
}

/// W3C Baggage, with values percent-encoded.
fn baggage(sender: Sender<'_>) -> String {
    let members = BTreeMap::from([
        ("gameday.arm", encode(sender.arm)),
        ("gameday.run", encode(sender.run.as_str())),
        ("gameday.trial", sender.trial.to_string()),
    ]);
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{name}={value}")).collect();
    members.join(",")
}

fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes all that is written");
        }
    }
    out
}

#[cfg(test)]
mod tests;
