//! Defects that can be switched on, so that every scenario can be shown to fail.
//!
//! A defect is a property of one lab for all of its life. Nothing here acts: each role asks
//! whether its defect is present.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One way in which the lab can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Defect {
    /// `checkout` calls payments without a circuit breaker.
    BreakerOff,
    /// `checkout` refuses orders that it cannot charge instead of storing them as pending.
    FallbackOff,
    /// `checkout` opens a file for each order, and refuses the order when it cannot.
    CheckoutReopens,
    /// The supervisor never restarts a dead instance.
    SupervisorOff,
    /// The alerter evaluates its rules but sends nothing.
    AlerterOff,
    /// The alerter pages twice for each incident.
    AlerterRepeats,
    /// The worker drops one pending order in [`crate::DEFECT_EVERY`] from the store.
    WorkerLosesOrders,
    /// The worker processes one pending order in [`crate::DEFECT_EVERY`] twice.
    WorkerDuplicates,
    /// The first restart of an instance waits 4 s instead of 800 ms.
    RestartSlow,
    /// The edge never retries on another instance.
    RetriesOff,
    /// The edge sends requests to its instances in turn, however many already wait there.
    BalanceBlind,
    /// Payments answers in about 150 ms instead of 8 ms.
    PaymentsSlow,
    /// The cost cap watches and never acts.
    CapOff,
    /// The cost cap acts after 8 s above its limit instead of 500 ms.
    CapLate,
    /// The cost cap stops the shop's own jobs, too.
    CapBlunt,
    /// The batch runner runs all jobs at once.
    QuotaOff,
    /// The alerter takes what it cannot see for an outage.
    AlerterAlarmist,
    /// The alerter takes what it cannot see for health.
    AlerterComplacent,
    /// The alerter pages for each alert of an incident.
    AlerterFloods,
    /// The alerter drops a page that the pager did not take at once.
    AlerterForgets,
    /// The alerter's windows end now, whatever the time of the data, and begin inside themselves.
    AlerterNarrow,
    /// The alerter takes a counter that fell for one that ran over, and counts copies of a series.
    AlerterNaive,
    /// The alerter hands pages to whoever answers, whatever certificate is shown.
    AlerterTrusting,
    /// The pager takes a delivery that came before for a page again.
    PagerRepeats,
    /// A store that once could not write refuses all writes until its restart.
    StoreWedges,
}

/// A name, the value that switches a defect on, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownDefect {
    /// What stands before `=`.
    pub name: &'static str,
    /// What stands after `=`.
    pub value: &'static str,
    /// One sentence for help texts.
    pub effect: &'static str,
    /// The defect that the pair switches on.
    pub defect: Defect,
}

const KNOWN: [KnownDefect; 25] = [
    known("breaker", "off", Defect::BreakerOff, "checkout has no circuit breaker to payments"),
    known("fallback", "off", Defect::FallbackOff, "checkout refuses what it cannot charge"),
    known("checkout", "reopens", Defect::CheckoutReopens, "checkout opens a file for each order"),
    known("supervisor", "off", Defect::SupervisorOff, "dead instances stay dead"),
    known("alerter", "off", Defect::AlerterOff, "alerts fire but nobody is told"),
    known("alerter", "repeats", Defect::AlerterRepeats, "each incident pages twice"),
    known("alerter", "alarmist", Defect::AlerterAlarmist, "what cannot be seen pages as down"),
    known("alerter", "complacent", Defect::AlerterComplacent, "stale metrics page nobody"),
    known("alerter", "floods", Defect::AlerterFloods, "each alert of an incident pages"),
    known("alerter", "forgets", Defect::AlerterForgets, "an undelivered page is dropped"),
    known("alerter", "narrow", Defect::AlerterNarrow, "late and sparse metrics are not looked at"),
    known("alerter", "naive", Defect::AlerterNaive, "restarted and copied counters are believed"),
    known("alerter", "trusting", Defect::AlerterTrusting, "no certificate is verified"),
    known("pager", "repeats", Defect::PagerRepeats, "a repeated delivery pages again"),
    known("store", "wedges", Defect::StoreWedges, "a full disk stops all writes until a restart"),
    known("worker", "loses-orders", Defect::WorkerLosesOrders, "some pending orders vanish"),
    known("worker", "duplicates", Defect::WorkerDuplicates, "some orders are charged twice"),
    known("restart", "slow", Defect::RestartSlow, "a dead instance waits 4 s for its restart"),
    known("retries", "off", Defect::RetriesOff, "the edge retries nothing"),
    known("balance", "blind", Defect::BalanceBlind, "the edge ignores how busy an instance is"),
    known("payments", "slow", Defect::PaymentsSlow, "payments takes about 150 ms"),
    known("cap", "off", Defect::CapOff, "the cost cap stops nothing"),
    known("cap", "late", Defect::CapLate, "the cost cap takes 8 s to act"),
    known("cap", "blunt", Defect::CapBlunt, "the cost cap stops the shop's own jobs, too"),
    known("quota", "off", Defect::QuotaOff, "any number of jobs runs at once"),
];

const fn known(
    name: &'static str,
    value: &'static str,
    defect: Defect,
    effect: &'static str,
) -> KnownDefect {
    KnownDefect { name, value, effect, defect }
}

/// The values that mean "healthy" for every name.
const HEALTHY: [&str; 2] = ["on", "normal"];

/// Why a `NAME=VALUE` was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DefectError {
    /// There is no `=`.
    #[error("a defect is written NAME=VALUE, not `{text}`; known are {known}")]
    Shape {
        /// What was given.
        text: String,
        /// All pairs that exist.
        known: String,
    },
    /// No defect has this name.
    #[error("there is no defect `{name}`; known are {known}")]
    Name {
        /// What was given.
        name: String,
        /// All pairs that exist.
        known: String,
    },
    /// The name exists, the value does not.
    #[error("`{name}` cannot be `{value}`; it can be {known}")]
    Value {
        /// The name, which exists.
        name: String,
        /// What was given.
        value: String,
        /// The values of this name.
        known: String,
    },
}

/// The set of defects of one lab; empty for a healthy one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Defects(BTreeSet<Defect>);

impl Defects {
    /// A lab without defects.
    pub fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// Every defect there is, for help texts and for `doctor`.
    pub fn known() -> &'static [KnownDefect] {
        &KNOWN
    }

    /// Whether `defect` is switched on.
    pub fn has(&self, defect: Defect) -> bool {
        self.0.contains(&defect)
    }

    /// Whether the lab is healthy.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Applies one `NAME=VALUE`; a later value of the same name replaces an earlier one.
    pub fn set(&mut self, text: &str) -> Result<(), DefectError> {
        let all = || list(KNOWN.iter().map(|one| format!("{}={}", one.name, one.value)));
        let Some((name, value)) = text.split_once('=') else {
            return Err(DefectError::Shape { text: text.to_owned(), known: all() });
        };
        let same: Vec<&KnownDefect> = KNOWN.iter().filter(|one| one.name == name).collect();
        if same.is_empty() {
            return Err(DefectError::Name { name: name.to_owned(), known: all() });
        }
        let chosen = same.iter().find(|one| one.value == value);
        if chosen.is_none() && !HEALTHY.contains(&value) {
            let values = same.iter().map(|one| one.value).chain(HEALTHY);
            return Err(DefectError::Value {
                name: name.to_owned(),
                value: value.to_owned(),
                known: list(values.map(str::to_owned)),
            });
        }
        for one in &same {
            self.0.remove(&one.defect);
        }
        self.0.extend(chosen.map(|one| one.defect));
        Ok(())
    }

    /// Reads a list of `NAME=VALUE`, in order.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, DefectError> {
        let mut defects = Self::none();
        for text in texts {
            defects.set(text.as_ref())?;
        }
        Ok(defects)
    }

    /// The pairs that would make this set again.
    pub fn texts(&self) -> Vec<String> {
        KNOWN
            .iter()
            .filter(|one| self.has(one.defect))
            .map(|one| format!("{}={}", one.name, one.value))
            .collect()
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.map(|item| format!("`{item}`")).collect::<Vec<_>>().join(", ")
}

impl TryFrom<Vec<String>> for Defects {
    type Error = DefectError;

    fn try_from(texts: Vec<String>) -> Result<Self, DefectError> {
        Self::parse(&texts)
    }
}

impl From<Defects> for Vec<String> {
    fn from(defects: Defects) -> Self {
        defects.texts()
    }
}

impl FromStr for Defects {
    type Err = DefectError;

    /// Reads pairs separated by commas; the empty text is the healthy lab.
    fn from_str(text: &str) -> Result<Self, DefectError> {
        let pairs: Vec<&str> = text.split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
        Self::parse(&pairs)
    }
}

impl fmt::Display for Defects {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            out.write_str("none")
        } else {
            out.write_str(&self.texts().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_pair_switches_on_exactly_its_defect() {
        for one in Defects::known() {
            let pair = format!("{}={}", one.name, one.value);
            let defects = Defects::parse(&[&pair]).unwrap();
            assert!(defects.has(one.defect), "{pair}");
            assert_eq!(defects.texts(), [pair]);
        }
    }

    #[test]
    fn a_later_value_replaces_an_earlier_one_and_on_heals() {
        let twice = Defects::parse(&["worker=duplicates", "worker=loses-orders"]).unwrap();
        assert_eq!(twice.texts(), ["worker=loses-orders"]);
        let healed = Defects::parse(&["breaker=off", "breaker=on"]).unwrap();
        assert!(healed.is_empty());
    }

    #[test]
    fn errors_name_what_exists() {
        let error = |text: &str| Defects::parse(&[text]).unwrap_err().to_string();
        assert!(error("breaker").contains("NAME=VALUE"));
        assert!(error("braker=off").contains("`breaker=off`"));
        let value = error("worker=lazy");
        assert!(value.contains("`loses-orders`, `duplicates`, `on`, `normal`"), "{value}");
    }

    #[test]
    fn a_set_survives_json() {
        let defects: Defects = "breaker=off, alerter=repeats".parse().unwrap();
        let text = serde_json::to_string(&defects).unwrap();
        assert_eq!(text, r#"["breaker=off","alerter=repeats"]"#);
        assert_eq!(serde_json::from_str::<Defects>(&text).unwrap(), defects);
        assert!(serde_json::from_str::<Defects>(r#"["x=y"]"#).is_err());
    }
}
