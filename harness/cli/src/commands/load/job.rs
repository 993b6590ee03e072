//! From arguments to a load: the target taken apart, the guard, the plan. Reads a body's file and
//! connects nowhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;

use harness_core::plan::TimerMode;
use harness_core::plan::{Arrivals, Feed, Key, LoadPlan, RequestPlan, Shape, StatusRange};
use harness_core::units::{Duration, Rate};
use load::Schedule;

use super::arguments::{ArrivalsWord, Load, TimerWord};
use crate::args::Colour;
use crate::failure::Failure;
use crate::scenario;

/// The longest load.
const LENGTH_MAX: Duration = Duration::from_secs(3600);
/// The longest that one request may take: what the histograms can tell apart.
const TIMEOUT_MAX: Duration = harness_core::load::LATENCY_MAX;
/// The most requests of one load.
const REQUESTS_MAX: f64 = 100_000_000.0;
/// The largest body, in bytes.
const BODY_BYTES_MAX: u64 = 16 << 20;

/// A load that is ready to be driven.
#[derive(Debug)]
pub(super) struct Job {
    /// `http://127.0.0.1:8080`.
    pub(super) base: String,
    /// `127.0.0.1`, or a name.
    pub(super) host: String,
    /// Of the target's socket.
    pub(super) port: u16,
    /// Shape, request, limits.
    pub(super) plan: LoadPlan,
    /// How long requests become due.
    pub(super) length: Duration,
}

/// A URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    base: &'a str,
    host: &'a str,
    port: u16,
    /// Path and query.
    path: String,
}

impl Job {
    /// Reads the arguments; refuses what is out of bounds and hosts that were not allowed.
    pub(super) fn new(arguments: &Load, colour: Colour) -> Result<Self, Failure> {
        let place = take_apart(&arguments.url)?;
        guard(place.host, &arguments.allow_hosts)?;
        let (base, plan) = match &arguments.scenario {
            None => (place.base.to_owned(), plan(arguments, place.path)?),
            // Its requests have paths of their own.
            Some(_) if place.path.contains('?') => {
                return Err(Failure::usage("a target of --load has no query"));
            }
            Some(scenario) => {
                let base = format!("{}{}", place.base, place.path.trim_end_matches('/'));
                (base, scenario::load(scenario, colour)?)
            }
        };
        bounds(arguments, &plan)?;
        Ok(Self {
            base,
            host: place.host.to_owned(),
            port: place.port,
            plan,
            length: arguments.length,
        })
    }
}

fn take_apart(url: &str) -> Result<Place<'_>, Failure> {
    let wrong = |why: &str| {
        Failure::usage(format!("`{url}` is not a target: {why}"))
            .hint("write it as `http://127.0.0.1:8080/path`")
    };
    let (rest, port) = if let Some(rest) = url.strip_prefix("http://") {
        (rest, 80)
    } else if let Some(rest) = url.strip_prefix("https://") {
        (rest, 443)
    } else {
        return Err(wrong("it does not begin with http:// or https://"));
    };
    if url.contains('#') {
        return Err(wrong("a fragment is never sent"));
    }
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    let (base, path) = url.split_at(url.len() - rest.len() + authority.len());
    if authority.contains('@') {
        return Err(wrong("names and passwords belong into a header"));
    }
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, port),
        Some((host, rest)) => (host, port_of(rest.strip_prefix(':')).map_err(wrong)?),
        None => match authority.split_once(':') {
            Some((host, text)) => (host, port_of(Some(text)).map_err(wrong)?),
            None => (authority, port),
        },
    };
    if host.is_empty() {
        return Err(wrong("it names no host"));
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Place { base, host, port, path })
}

fn port_of(text: Option<&str>) -> Result<u16, &'static str> {
    let port = text.and_then(|text| text.parse().ok()).filter(|port| *port > 0);
    port.ok_or("its port is not a number from 1 to 65535")
}

/// Load is an attack on whoever did not agree to it: beyond this machine it needs the host's name
/// a second time.
fn guard(host: &str, allowed: &[String]) -> Result<(), Failure> {
    let own = match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    if own || allowed.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(Failure::refused(format!("refused: {host} is not this machine"))
        .hint(format!("when you may put load on it, say so: --allow-host {host}")))
}

fn bounds(arguments: &Load, plan: &LoadPlan) -> Result<(), Failure> {
    let length = arguments.length;
    if length.micros() == 0 || length > LENGTH_MAX {
        return Err(Failure::usage(format!("--for {length}: it must be above 0 and at most 1h")));
    }
    if plan.timeout.micros() == 0 || plan.timeout > TIMEOUT_MAX {
        let text = format!("--timeout {}: it must be above 0 and at most 10m", plan.timeout);
        return Err(Failure::usage(text));
    }
    if arguments.closed {
        return Ok(());
    }
    let requests = Schedule::expected(&plan.shape, length.micros().saturating_mul(1000));
    if requests > REQUESTS_MAX {
        return Err(Failure::usage(format!(
            "{requests:.0} requests are too many: at most {REQUESTS_MAX:.0}"
        ))
        .hint("a shorter --for or a lower --rate"));
    }
    if requests < 1.0 {
        return Err(Failure::usage("no request would become due in this time")
            .hint("a longer --for or a higher --rate"));
    }
    Ok(())
}

fn plan(arguments: &Load, path: String) -> Result<LoadPlan, Failure> {
    let body = arguments.body.as_deref().map(body).transpose()?;
    let method = match (&arguments.method, &body) {
        (Some(name), _) => name.to_ascii_uppercase(),
        (None, Some(_)) => "POST".to_owned(),
        (None, None) => "GET".to_owned(),
    };
    let request = RequestPlan {
        kind: format!("{method} {path}").as_str().into(),
        weight: 1,
        method,
        path,
        headers: headers(&arguments.headers)?,
        body,
        key: Key::None,
        body_contains: arguments.body_contains.clone(),
    };
    Ok(LoadPlan {
        shape: shape(arguments.rate, arguments.ramp_to, arguments.length),
        arrivals: match arguments.arrivals {
            ArrivalsWord::Constant => Arrivals::Constant,
            ArrivalsWord::Poisson => Arrivals::Poisson,
        },
        timeout: arguments.timeout,
        mix: vec![request],
        feeds: BTreeMap::from([
            ("sequence".to_owned(), Feed::Sequence {}),
            ("uuid".to_owned(), Feed::Uuid {}),
        ]),
        good: statuses(&arguments.good)?,
        connections_max: arguments.connections,
        reuse: arguments.reuse,
        in_flight_max: arguments.in_flight,
        timer: match arguments.timer {
            TimerWord::Relaxed => TimerMode::Relaxed,
            TimerWord::Precise => TimerMode::Precise,
            TimerWord::Exact => TimerMode::Exact,
        },
        correlation: false,
        workers: arguments.workers.min(arguments.connections),
        http2: arguments.http2,
    })
}

fn shape(rate: Rate, ramp_to: Option<Rate>, over: Duration) -> Shape {
    match ramp_to {
        Some(to) => Shape::Ramp { from: rate, to, over },
        None => Shape::Constant { rate },
    }
}

fn headers(given: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let mut headers = BTreeMap::new();
    for (name, value) in given {
        if headers.insert(name.to_ascii_lowercase(), value.clone()).is_some() {
            return Err(Failure::usage(format!("the header `{name}` is given twice")));
        }
    }
    Ok(headers)
}

fn body(text: &str) -> Result<String, Failure> {
    let Some(path) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    let unreadable = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("could not read the body from {path}: {why}"))
    };
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let mut text = String::new();
    file.take(BODY_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    if text.len() as u64 > BODY_BYTES_MAX {
        return Err(unreadable(&format!("it is larger than {BODY_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// `2xx,304,400-404`.
fn statuses(text: &str) -> Result<Vec<StatusRange>, Failure> {
    text.split(',').map(|part| range(part.trim())).collect::<Option<Vec<_>>>().ok_or_else(|| {
        Failure::usage(format!("--good {text}: it is not a list of statuses"))
            .hint("for example `2xx`, `200,204` or `200-299,404`")
    })
}

fn range(text: &str) -> Option<StatusRange> {
    let status = |text: &str| {
        let status = text.parse::<u16>().ok()?;
        (100..=599).contains(&status).then_some(status)
    };
    let (from, to) = if let Some(class) = text.strip_suffix("xx") {
        let from = status(&format!("{class}00"))?;
        (from, from + 99)
    } else if let Some((from, to)) = text.split_once('-') {
        (status(from)?, status(to)?)
    } else {
        let one = status(text)?;
        (one, one)
    };
    (from <= to).then_some(StatusRange { from, to })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, base, host, port, path) in [
            ("http://127.0.0.1:8080/a?b=1", "http://127.0.0.1:8080", "127.0.0.1", 8080, "/a?b=1"),
            ("https://shop.example", "https://shop.example", "shop.example", 443, "/"),
            ("http://[::1]:81/", "http://[::1]:81", "::1", 81, "/"),
            ("http://localhost?x", "http://localhost", "localhost", 80, "/?x"),
        ] {
            let place = take_apart(url).unwrap();
            assert_eq!(place, Place { base, host, port, path: path.to_owned() }, "{url}");
        }
        for wrong in [
            "127.0.0.1:80",
            "http://",
            "http://:80/",
            "http://a:0/",
            "http://a:b/",
            "http://me@a/",
            "http://[::1]80/",
            "http://a/#b",
        ] {
            assert_eq!(take_apart(wrong).unwrap_err().code, 64, "{wrong}");
        }
    }

    #[test]
    fn only_this_machine_needs_no_word() {
        for own in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost", "LOCALHOST"] {
            assert!(guard(own, &[]).is_ok(), "{own}");
        }
        for other in ["10.0.0.1", "0.0.0.0", "example.com", "127.0.0.1.example.com", "localhost.x"]
        {
            assert_eq!(guard(other, &["else".to_owned()]).unwrap_err().code, 69, "{other}");
            assert!(guard(other, &["else".to_owned(), other.to_uppercase()]).is_ok());
        }
    }

    #[test]
    fn statuses_are_read() {
        let pairs = |text: &str| -> Vec<(u16, u16)> {
            statuses(text).unwrap().iter().map(|range| (range.from, range.to)).collect()
        };
        assert_eq!(pairs("2xx"), [(200, 299)]);
        assert_eq!(pairs("200, 304,400-404"), [(200, 200), (304, 304), (400, 404)]);
        for wrong in ["", "2xx,", "6xx", "299-200", "20", "ok", "xx"] {
            assert_eq!(statuses(wrong).unwrap_err().code, 64, "{wrong}");
        }
    }
}
