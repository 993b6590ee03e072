//! Notifications as Alertmanager's webhook (version "4") and its v2 API write them.
//!
//! Only the shape is theirs; there is no routing tree, no silence and no inhibition.

use std::net::SocketAddr;

use serde_json::{Value, json};
use thiserror::Error;

use super::incidents::{Alert, Notification, Stage, Status};
use crate::clock::rfc3339;

/// The end of an alert that has none, as Alertmanager writes it.
const NO_END: &str = "0001-01-01T00:00:00Z";

/// The body of a webhook.
pub(super) fn payload(notification: &Notification, external: SocketAddr) -> Value {
    let alerts: Vec<Value> = notification.alerts.iter().map(|one| alert(one, external)).collect();
    let name = &notification.alertname;
    let first = notification.alerts.first();
    let mut common = first.map(|one| one.labels.clone()).unwrap_or_default();
    common.retain(|key, value| {
        notification.alerts.iter().all(|one| one.labels.get(key) == Some(value))
    });
    let summary = first
        .map(|one| one.summary.clone())
        .filter(|summary| notification.alerts.iter().all(|one| one.summary == *summary));
    json!({
        "receiver": "gameday",
        "status": notification.status,
        "alerts": alerts,
        "groupLabels": { "alertname": name },
        "commonLabels": common,
        "commonAnnotations": summary.map_or(json!({}), |summary| json!({ "summary": summary })),
        "externalURL": format!("http://{external}"),
        "version": "4",
        "groupKey": format!("{{}}:{{alertname=\"{name}\"}}"),
        "truncatedAlerts": 0,
    })
}

fn alert(alert: &Alert, external: SocketAddr) -> Value {
    let status = if alert.ended.is_some() { Status::Resolved } else { Status::Firing };
    json!({
        "status": status,
        "labels": alert.labels,
        "annotations": { "summary": alert.summary },
        "startsAt": rfc3339(alert.fired.unwrap_or(alert.since)),
        "endsAt": alert.ended.map_or_else(|| String::from(NO_END), rfc3339),
        "generatorURL": format!("http://{external}/api/alerts"),
        "fingerprint": fingerprint(alert),
    })
}

/// One firing alert as `GET /api/v2/alerts` lists it.
pub(super) fn listed(alert: &Alert, now: i64, external: SocketAddr) -> Option<Value> {
    (alert.stage == Stage::Firing).then(|| {
        json!({
            "labels": alert.labels,
            "annotations": { "summary": alert.summary },
            "startsAt": rfc3339(alert.fired.unwrap_or(alert.since)),
            "endsAt": rfc3339(now + 60_000),
            "updatedAt": rfc3339(now),
            "fingerprint": fingerprint(alert),
            "generatorURL": format!("http://{external}/api/alerts"),
            "receivers": [{ "name": "gameday" }],
            "status": { "state": "active", "silencedBy": [], "inhibitedBy": [] },
        })
    })
}

/// FNV-1a over the sorted labels, 64 bits.
fn fingerprint(alert: &Alert) -> String {
    let bytes = alert
        .labels
        .iter()
        .flat_map(|(key, value)| key.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Where a webhook goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) path: String,
}

/// A receiver's URL that the lab cannot post to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a receiver is `http://ADDRESS:PORT/PATH` with a loopback address, not `{0}`")]
pub(super) struct NotATarget(String);

/// Reads a receiver's URL. Only loopback: the lab never talks to the network.
pub(super) fn target(url: &str) -> Result<Target, NotATarget> {
    let wrong = || NotATarget(url.to_owned());
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let (address, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let address = address.replace("localhost:", "127.0.0.1:");
    let address: SocketAddr = address.parse().map_err(|_| wrong())?;
    let target = Target { address, path: path.to_owned() };
    if address.ip().is_loopback() { Ok(target) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::alerter::incidents::Incidents;
    use crate::roles::alerter::rules::Condition;

    #[test]
    fn a_payload_has_the_shape_of_version_four() {
        let condition = Condition {
            alertname: "CheckoutInstanceDown".into(),
            labels: vec![("slot", String::from("1"))],
            summary: String::from("down"),
            since: 1_795_330_236_152,
            for_ms: 0,
        };
        let told = Incidents::default().step(1_795_330_236_152, &[condition]);
        let body = payload(&told[0], "127.0.0.1:9".parse().unwrap());
        assert_eq!(body["version"], "4");
        assert_eq!(body["status"], "firing");
        assert_eq!(body["groupLabels"], json!({ "alertname": "CheckoutInstanceDown" }));
        assert_eq!(body["commonLabels"]["slot"], "1");
        assert_eq!(body["alerts"][0]["startsAt"], "2026-11-22T06:50:36.152Z");
        assert_eq!(body["alerts"][0]["endsAt"], NO_END);
        assert_eq!(body["alerts"][0]["fingerprint"].as_str().unwrap().len(), 16);
    }

    #[test]
    fn only_loopback_urls_are_targets() {
        let good = target("http://127.0.0.1:80/hook?a=b").unwrap();
        assert_eq!((good.address.port(), good.path.as_str()), (80, "/hook?a=b"));
        assert_eq!(target("http://localhost:81").unwrap().path, "/");
        for wrong in ["https://127.0.0.1:80/", "http://10.0.0.1:80/", "http://127.0.0.1/", "x"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}
