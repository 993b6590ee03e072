//! Alerts and incidents over time. Pure: conditions and the time go in, notifications come out.
//!
//! An alert is pending, then firing; it is resolved when its condition has been gone for a while,
//! so that flapping does not page again. All firing alerts of one name are one incident: it
//! notifies once when its first alert fires, and once when its last one is resolved.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rules::Condition;

/// A condition must be gone for so long before its alert is resolved.
const RESOLVE_AFTER_MS: i64 = 1_000;

type Labels = BTreeMap<String, String>;

/// Whether an incident begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Firing,
    Resolved,
}

/// How far an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    Pending,
    Firing,
}

/// One alert; times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alert {
    pub(super) labels: Labels,
    pub(super) summary: String,
    pub(super) stage: Stage,
    pub(super) since: i64,
    /// When it began to fire.
    pub(super) fired: Option<i64>,
    /// When it was resolved.
    pub(super) ended: Option<i64>,
    last_seen: i64,
}

/// What receivers are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notification {
    pub(super) alertname: String,
    /// Counts incidents from 1.
    pub(super) incident: u64,
    pub(super) status: Status,
    pub(super) alerts: Vec<Alert>,
}

#[derive(Debug)]
struct Incident {
    number: u64,
    resolved: Vec<Alert>,
}

/// All alerts and open incidents.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    alerts: BTreeMap<Labels, Alert>,
    open: BTreeMap<String, Incident>,
    count: u64,
}

impl Incidents {
    /// Takes what is wrong now and gives what is to be told.
    pub(super) fn step(&mut self, now: i64, conditions: &[Condition]) -> Vec<Notification> {
        for condition in conditions {
            self.see(now, condition);
        }
        self.resolve(now);
        let mut told = Vec::new();
        self.begin(&mut told);
        self.end(&mut told);
        told
    }

    /// All alerts that are pending or firing.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    fn see(&mut self, now: i64, condition: &Condition) {
        let mut labels: Labels = condition
            .labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect();
        labels.insert(String::from("alertname"), condition.alertname.clone().into_owned());
        labels.insert(String::from("severity"), String::from("page"));
        let alert = self.alerts.entry(labels.clone()).or_insert_with(|| Alert {
            labels,
            summary: String::new(),
            stage: Stage::Pending,
            since: condition.since,
            fired: None,
            ended: None,
            last_seen: now,
        });
        alert.last_seen = now;
        alert.summary.clone_from(&condition.summary);
        if alert.stage == Stage::Pending && now - condition.since >= condition.for_ms {
            alert.stage = Stage::Firing;
            alert.fired = Some(now);
        }
    }

    fn resolve(&mut self, now: i64) {
        let over = |alert: &Alert| match alert.stage {
            Stage::Pending => alert.last_seen < now,
            Stage::Firing => now - alert.last_seen >= RESOLVE_AFTER_MS,
        };
        for (_, mut alert) in self.alerts.extract_if(.., |_, alert| over(alert)) {
            alert.ended = Some(now);
            if let Some(incident) = self.open.get_mut(&alert.labels["alertname"]) {
                incident.resolved.push(alert);
            }
        }
    }

    fn firing(&self) -> BTreeMap<String, Vec<Alert>> {
        let mut by_name: BTreeMap<String, Vec<Alert>> = BTreeMap::new();
        for alert in self.alerts.values().filter(|alert| alert.stage == Stage::Firing) {
            by_name.entry(alert.labels["alertname"].clone()).or_default().push(alert.clone());
        }
        by_name
    }

    fn begin(&mut self, told: &mut Vec<Notification>) {
        for (alertname, alerts) in self.firing() {
            if self.open.contains_key(&alertname) {
                continue;
            }
            self.count += 1;
            let incident = Incident { number: self.count, resolved: Vec::new() };
            self.open.insert(alertname.clone(), incident);
            let status = Status::Firing;
            told.push(Notification { alertname, incident: self.count, status, alerts });
        }
    }

    fn end(&mut self, told: &mut Vec<Notification>) {
        let firing = self.firing();
        let over = self.open.extract_if(.., |name, _| !firing.contains_key(name));
        told.extend(over.map(|(alertname, incident)| Notification {
            alertname,
            incident: incident.number,
            status: Status::Resolved,
            alerts: incident.resolved,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(slot: &str, since: i64) -> Condition {
        Condition {
            alertname: "CheckoutInstanceDown".into(),
            labels: vec![("slot", slot.to_owned())],
            summary: String::from("down"),
            since,
            for_ms: 300,
        }
    }

    fn told(notifications: &[Notification]) -> Vec<(u64, Status, usize)> {
        notifications.iter().map(|one| (one.incident, one.status, one.alerts.len())).collect()
    }

    #[test]
    fn an_incident_notifies_once_at_its_begin_and_once_at_its_end() {
        let mut incidents = Incidents::default();
        assert!(incidents.step(100, &[down("0", 0)]).is_empty(), "pending");
        assert_eq!(told(&incidents.step(300, &[down("0", 0)])), [(1, Status::Firing, 1)]);
        assert!(incidents.step(500, &[down("0", 0)]).is_empty(), "still firing");
        assert!(incidents.step(700, &[]).is_empty(), "not gone for long enough");
        assert_eq!(told(&incidents.step(1_500, &[])), [(1, Status::Resolved, 1)]);
        assert!(incidents.step(1_700, &[]).is_empty());
        assert_eq!(incidents.alerts().count(), 0);
    }

    #[test]
    fn flapping_does_not_page_again() {
        let mut incidents = Incidents::default();
        incidents.step(300, &[down("0", 0)]);
        for turn in 1..20 {
            let now = 300 + turn * 400;
            let seen = if turn % 2 == 0 { vec![down("0", now)] } else { vec![] };
            assert!(incidents.step(now, &seen).is_empty(), "at {now}");
        }
    }

    #[test]
    fn a_second_instance_joins_the_incident() {
        let mut incidents = Incidents::default();
        incidents.step(300, &[down("0", 0)]);
        assert!(incidents.step(700, &[down("0", 0), down("1", 400)]).is_empty());
        assert!(incidents.step(1_800, &[down("1", 400)]).is_empty(), "one is still down");
        assert_eq!(told(&incidents.step(2_900, &[])), [(1, Status::Resolved, 2)]);
    }

    #[test]
    fn a_short_dip_never_fires_and_a_later_incident_is_a_new_one() {
        let mut incidents = Incidents::default();
        incidents.step(100, &[down("0", 0)]);
        assert!(incidents.step(300, &[]).is_empty());
        assert!(incidents.step(350, &[down("0", 200)]).is_empty(), "pending starts anew");
        incidents.step(600, &[down("0", 200)]);
        incidents.step(1_700, &[]);
        assert_eq!(told(&incidents.step(3_000, &[down("0", 2_000)])), [(2, Status::Firing, 1)]);
    }
}
