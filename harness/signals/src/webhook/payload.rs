//! Reads a delivery of Alertmanager's webhook, version "4". Pure: bytes in, alerts out.
//!
//! What cannot be read is named, never left out in silence. Annotations and group keys are not
//! kept: no decision rests on them.

use std::collections::BTreeMap;

use harness_core::signal::AlertStatus;
use harness_core::time::WallTime;
use serde::Deserialize;
use serde_json::Value;

use crate::text::short;

/// Alerts of one delivery; more are named as one problem.
const ALERTS_MAX: usize = 1_000;
/// Labels of one alert; one with more cannot be read.
const LABELS_MAX: usize = 64;
/// A label's name or value, or a fingerprint, in bytes; an alert with a longer one cannot be read.
const LABEL_BYTES_MAX: usize = 1_024;

/// One alert of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) status: AlertStatus,
    pub(super) starts_at: Option<WallTime>,
    pub(super) fingerprint: String,
}

/// One delivery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Delivery {
    pub(super) alerts: Vec<Alert>,
    /// What could not be read, in words.
    pub(super) problems: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    version: String,
    alerts: Vec<Value>,
    #[serde(default)]
    truncated_alerts: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PayloadAlert {
    status: AlertStatus,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: String,
    #[serde(default)]
    fingerprint: String,
}

/// Reads the body of one delivery. `Err` says in words why it is none.
pub(super) fn read(body: &[u8]) -> Result<Delivery, String> {
    let wrong = |error: serde_json::Error| {
        format!("a delivery cannot be read: {}", short(&error.to_string()))
    };
    let payload: Payload = serde_json::from_slice(body).map_err(wrong)?;
    if payload.version != "4" {
        return Err(format!("a delivery has version `{}`, not `4`", short(&payload.version)));
    }
    let mut delivery = Delivery::default();
    let left_out = payload.alerts.len().saturating_sub(ALERTS_MAX) as u64;
    let left_out = left_out.saturating_add(payload.truncated_alerts);
    if left_out > 0 {
        delivery.problems.push(format!("{left_out} alerts of a delivery were left out"));
    }
    for value in payload.alerts.into_iter().take(ALERTS_MAX) {
        match alert(value) {
            Ok(alert) => delivery.alerts.push(alert),
            Err(why) => delivery.problems.push(why),
        }
    }
    Ok(delivery)
}

fn alert(value: Value) -> Result<Alert, String> {
    let wrong = |error: serde_json::Error| {
        format!("an alert of a delivery cannot be read: {}", short(&error.to_string()))
    };
    let PayloadAlert { status, labels, starts_at, fingerprint } =
        serde_json::from_value(value).map_err(wrong)?;
    let Some(name) = labels.get("alertname").cloned() else {
        return Err("an alert of a delivery has no `alertname`".to_owned());
    };
    if labels.len() > LABELS_MAX {
        return Err(format!("{} has more than {LABELS_MAX} labels", short(&name)));
    }
    let texts = labels.iter().flat_map(|(key, value)| [key, value]).chain([&fingerprint]);
    if texts.map(String::len).max() > Some(LABEL_BYTES_MAX) {
        return Err(format!("{} has text of over {LABEL_BYTES_MAX} bytes", short(&name)));
    }
    Ok(Alert { name, labels, status, starts_at: wall_time(&starts_at), fingerprint })
}

/// RFC 3339; a sender that knows no time writes one of the year 1.
fn wall_time(text: &str) -> Option<WallTime> {
    let unix_ms = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    (unix_ms > 0).then_some(WallTime(unix_ms))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delivery(alerts: &Value) -> Value {
        json!({
            "version": "4", "status": "firing", "receiver": "gameday", "alerts": alerts,
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://127.0.0.1:9", "groupKey": "{}:{}", "truncatedAlerts": 0,
        })
    }

    fn check(value: &Value) -> Delivery {
        read(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_delivery_gives_each_of_its_alerts() {
        let read = check(&delivery(&json!([
            {"status": "firing", "labels": {"alertname": "Down", "slot": "1"},
             "annotations": {"summary": "down"}, "startsAt": "2026-11-22T06:50:36.152Z",
             "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "", "fingerprint": "aa"},
            {"status": "resolved", "labels": {"alertname": "Slow"},
             "startsAt": "0001-01-01T00:00:00Z", "fingerprint": "bb"},
        ])));
        assert_eq!(read.problems, Vec::<String>::new());
        let [down, slow] = read.alerts.as_slice() else { panic!("{read:?}") };
        assert_eq!((down.name.as_str(), down.labels["slot"].as_str()), ("Down", "1"));
        assert_eq!((down.status, down.fingerprint.as_str()), (AlertStatus::Firing, "aa"));
        assert_eq!(down.starts_at, Some(WallTime(1_795_330_236_152)));
        assert_eq!((slow.status, slow.starts_at), (AlertStatus::Resolved, None));
    }

    #[test]
    fn what_is_no_delivery_is_refused() {
        for (body, part) in [
            ("", "cannot be read"),
            ("[]", "cannot be read"),
            ("{\"version\": \"4\"}", "missing field `alerts`"),
            ("{\"version\": 4, \"alerts\": []}", "cannot be read"),
            ("{\"version\": \"3\", \"alerts\": []}", "version `3`"),
            ("\u{fffd}", "cannot be read"),
        ] {
            let why = read(body.as_bytes()).expect_err(body);
            assert!(why.contains(part), "{body}: {why}");
        }
        assert!(read(&[0xff; 64]).is_err());
        assert!(read("[".repeat(100_000).as_bytes()).is_err(), "depth is bounded");
    }

    #[test]
    fn a_broken_alert_is_named_and_the_others_are_kept() {
        let long = "x".repeat(LABEL_BYTES_MAX + 1);
        let many: BTreeMap<String, &str> =
            (0..=LABELS_MAX).map(|number| (format!("l{number}"), "")).collect();
        let mut many = json!(many);
        many["alertname"] = json!("Many");
        let read = check(&delivery(&json!([
            7,
            {"status": "burning", "labels": {"alertname": "A"}},
            {"status": "firing", "labels": {"slot": "1"}},
            {"status": "firing", "labels": {"alertname": "Long", "text": long}},
            {"status": "firing", "labels": many},
            {"status": "firing", "labels": {"alertname": "Good"}, "startsAt": "soon"},
        ])));
        let names: Vec<_> = read.alerts.iter().map(|alert| alert.name.as_str()).collect();
        assert_eq!((names, read.problems.len()), (vec!["Good"], 5), "{read:?}");
        assert_eq!(read.alerts[0].starts_at, None);
    }

    #[test]
    fn alerts_that_were_left_out_are_counted() {
        let one = json!({"status": "firing", "labels": {"alertname": "A"}});
        let mut body = delivery(&json!(vec![one; ALERTS_MAX + 2]));
        body["truncatedAlerts"] = json!(3);
        let read = check(&body);
        assert_eq!(read.alerts.len(), ALERTS_MAX);
        assert_eq!(read.problems, ["5 alerts of a delivery were left out"]);
    }
}
