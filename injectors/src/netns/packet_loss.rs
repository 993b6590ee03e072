//! `packet-loss`: a share of the packets on an edge, or of a service, vanishes, each way.

use harness_core::ids::{EdgeName, ServiceName};
use harness_core::units::Ratio;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::namespace::NamespaceName;
use super::nft::{Counts, Rule};
use super::packet_fault::PacketSpec;
use super::packet_witness::{Opening, Sight};
use super::place::{Place, one_of};
use crate::proxy::Says;

/// Less is hardly told from none with a bounded number of connections.
const SHARE_MIN: Ratio = Ratio::from_percent(5);
/// A look opens so many connections that with the fault all of them open at once in at most one
/// look of so many.
const MISSED_ONCE_IN: f64 = 10_000.0;
/// But never fewer than so many, and never more.
const OPENINGS_MIN: usize = 16;
const OPENINGS_MAX: usize = 90;
/// At least so many late ones, and at least this part of those that are expected, show the fault.
const LATE_MIN: usize = 2;
const EXPECTED_PART: f64 = 3.0;

/// What a scenario says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "Written")]
pub(crate) struct PacketLossSpec {
    /// The network namespace in which the system runs.
    namespace: NamespaceName,
    /// Packets between the caller and the callee of this edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    edge: Option<EdgeName>,
    /// Packets to and from all instances of this service, whoever calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<ServiceName>,
    /// The share that is lost, of each way's packets; 5% to 100%.
    share: Ratio,
}

/// The same before it is checked as a whole; the schema comes from here.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "PacketLossSpec", description = "A share of the packets vanishes.")]
struct Written {
    /// The network namespace in which the system runs, as `ip netns` knows it.
    namespace: NamespaceName,
    /// Packets between the caller and the callee of this edge; or `service`.
    #[serde(default)]
    edge: Option<EdgeName>,
    /// Packets to and from all instances of this service; or `edge`.
    #[serde(default)]
    service: Option<ServiceName>,
    /// The share that is lost, of each way's packets; 5% to 100%.
    share: Ratio,
}

impl TryFrom<Written> for PacketLossSpec {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { namespace, edge, service, share } = written;
        one_of(edge.as_ref(), service.as_ref())?;
        if share < SHARE_MIN {
            return Err(format!("a loss of {share} is hardly seen; write {SHARE_MIN} to 100%"));
        }
        Ok(Self { namespace, edge, service, share })
    }
}

impl PacketLossSpec {
    /// A connection opens late when the first packet of either side is lost.
    fn late(&self) -> f64 {
        let passes = self.share.complement().as_f64();
        1.0 - passes * passes
    }

    /// So many late ones show the fault.
    fn telling(&self) -> usize {
        let expected = self.late() * self.openings() as f64 / EXPECTED_PART;
        // A handful: rounding up loses nothing.
        (LATE_MIN..self.openings()).find(|count| *count as f64 >= expected).unwrap_or(LATE_MIN)
    }
}

impl PacketSpec for PacketLossSpec {
    const KIND: &'static str = "packet-loss";
    const SUMMARY: &'static str = "a share of the packets on an edge, or of a service, vanishes";
    const METHOD: &'static str =
        "how many of many connections out of the namespace open late, and counters of the rules";

    fn place(&self) -> Place<'_> {
        Place::of(&self.namespace, self.edge.as_ref(), self.service.as_ref())
    }

    fn rules(&self) -> Vec<Rule> {
        // In parts of a million.
        let (parts, all) = (self.share.billionths() / 1000, 1_000_000);
        let lost = if self.share == Ratio::ONE {
            String::new()
        } else {
            format!("numgen random mod {all} < {parts}")
        };
        vec![
            Rule { counts: Counts::Seen, condition: String::new(), fate: "" },
            Rule { counts: Counts::Met, condition: lost, fate: "drop" },
        ]
    }

    fn requests(&self) -> usize {
        1
    }

    fn openings(&self) -> usize {
        let passes = 1.0 - self.late();
        let missed = |count: usize| (0..count).fold(1.0, |all, _| all * passes);
        let enough = |count: &usize| missed(*count) * MISSED_ONCE_IN <= 1.0;
        (OPENINGS_MIN..OPENINGS_MAX).find(enough).unwrap_or(OPENINGS_MAX)
    }

    fn says(&self, sight: &Sight) -> Says {
        let late = sight.count(Opening::Late);
        let lost = sight.counted.is_some_and(|counted| counted.met > 0);
        if sight.count(Opening::Open) == self.openings() && sight.is_healthy() {
            Says::NotInForce
        } else if sight.whole && sight.listens && lost && late >= self.telling() {
            Says::InForce
        } else {
            Says::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use harness_core::fault::DynInjector as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::netns::nft::Counted;
    use crate::netns::packet_fault::PacketFault;
    use crate::proxy::Seen;

    const LOSS: PacketFault<PacketLossSpec> = PacketFault::INJECTOR;

    fn of(share: &str) -> PacketLossSpec {
        let spec = json!({"namespace": "gameday", "service": "b", "share": share});
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write() {
        let check = |spec: Value| LOSS.check(&spec);
        let written = json!({"namespace": "gameday", "edge": "a->b", "share": "20%"});
        assert_eq!(check(written.clone()).unwrap(), written);
        for (spec, words) in [
            (json!({"namespace": "gameday", "edge": "a->b"}), "missing field `share`"),
            (json!({"namespace": "gameday", "share": "20%"}), "nothing says what is cut off"),
            (json!({"namespace": "gameday", "edge": "a->b", "share": "4.9%"}), "hardly seen"),
            (json!({"namespace": "gameday", "edge": "a->b", "share": "101%"}), ""),
            (json!({"namespace": "gameday", "edge": "a->b", "share": "9%", "x": 1}), "unknown"),
        ] {
            let error = check(spec).unwrap_err();
            assert!(error.message.contains(words), "{error:?}");
        }
        let hint = check(json!({"namespace": "n", "edge": "a->b", "share": "1%"})).unwrap_err();
        assert!(hint.hint.contains("5% to 100%"), "{hint:?}");
    }

    /// Exactly `late` of `all`, each late with this probability.
    fn binomial(all: usize, late: usize, each: f64) -> f64 {
        let ways = (0..late).fold(1.0, |ways, k| ways * (all - k) as f64 / (k + 1) as f64);
        let power = |base: f64, times: usize| (0..times).fold(1.0, |product, _| product * base);
        ways * power(each, late) * power(1.0 - each, all - late)
    }

    #[test]
    fn the_witness_errs_as_rarely_as_it_says() {
        for share in ["5%", "10%", "20%", "50%", "90%", "100%"] {
            let spec = of(share);
            let (all, late) = (spec.openings(), spec.late());
            assert!((16..=90).contains(&all), "{share}: {all}");
            let unseen = binomial(all, 0, late);
            assert!(unseen <= 1e-4, "{share}: all is well in {unseen} of looks at the fault");
            let undecided: f64 = (0..spec.telling()).map(|few| binomial(all, few, late)).sum();
            assert!(undecided <= 0.01, "{share}: nothing is said in {undecided} of them");
        }
    }

    #[test]
    fn late_connections_and_counters_show_it_together() {
        let spec = of("50%");
        let sight = |late: usize, met: u64| {
            let mut openings = vec![Opening::Late; late];
            openings.resize(spec.openings(), Opening::Open);
            Sight {
                listens: true,
                whole: true,
                requests: vec![Seen::Answered { status: 200, took: Vec::new() }],
                openings,
                counted: Some(Counted { rules: 4, seen: 100, met }),
            }
        };
        let telling = spec.telling();
        assert_eq!(telling, 4, "a third of 12");
        assert_eq!(spec.says(&sight(telling, 9)), Says::InForce);
        assert_eq!(spec.says(&sight(telling, 0)), Says::Nothing, "no rule has met a packet");
        assert_eq!(spec.says(&sight(telling - 1, 9)), Says::Nothing);
        assert_eq!(spec.says(&sight(1, 0)), Says::Nothing);
        assert_eq!(spec.says(&sight(0, 0)), Says::NotInForce);
        let silent = Sight { requests: vec![Seen::Silent], ..sight(0, 0) };
        assert_eq!(spec.says(&silent), Says::Nothing, "a callee that does not answer is not well");
        let nobody = Sight { listens: false, ..sight(telling, 9) };
        assert_eq!(spec.says(&nobody), Says::Nothing);
        let short = Sight { whole: false, ..sight(telling, 9) };
        assert_eq!(spec.says(&short), Says::Nothing);
    }

    #[test]
    fn every_packet_is_counted_and_its_share_is_dropped() {
        let [seen, met] = &of("12.5%").rules()[..] else { panic!() };
        assert_eq!((seen.counts, seen.fate), (Counts::Seen, ""));
        assert_eq!(
            (met.condition.as_str(), met.fate),
            ("numgen random mod 1000000 < 125000", "drop")
        );
        assert_eq!(of("100%").rules()[1].condition, "");
    }
}
