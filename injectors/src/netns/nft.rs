//! Tables of `nft` in a namespace: each fault has one of its own, and touches no other.

use std::net::SocketAddrV4;

use harness_core::fault::FaultError;
use serde_json::Value;

use super::inside::Inside;
use crate::hash::hash;

/// What the names of all our tables begin with.
const PREFIX: &str = "gameday-";
/// So many characters of a fault's own name are in the name of its table.
const NAME_CHARS_MAX: usize = 120;
/// The chain in each table.
const CHAIN: &str = "cut";

/// A rule for the packets of one address, in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// What it counts.
    pub(super) counts: Counts,
    /// What stands behind the address, its counter left out: `drop`.
    pub(super) condition: String,
    /// What becomes of the packet; empty when it goes on.
    pub(super) fate: &'static str,
}

/// What a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// Packets that came by.
    Seen,
    /// Packets that the fault has met.
    Met,
}

impl Counts {
    fn word(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Met => "met",
        }
    }
}

/// What the rules of one address have counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counted {
    /// How many rules there are.
    pub(super) rules: usize,
    /// Packets that came by.
    pub(super) seen: u64,
    /// Packets that the fault has met.
    pub(super) met: u64,
}

/// The name of a fault's table; another for every fault.
pub(super) fn table_name(fault: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let readable: String = fault.chars().map(plain).take(NAME_CHARS_MAX).collect();
    format!("{PREFIX}{readable}-{:016x}", hash(fault))
}

/// The whole table as one transaction. It fails when the table is there already.
pub(super) fn script(table: &str, endpoints: &[SocketAddrV4], rules: &[Rule]) -> String {
    script_with(table, &[], endpoints, rules)
}

/// The same with further chains, which are empty, for rules to jump to.
pub(super) fn script_with(
    table: &str,
    chains: &[&str],
    endpoints: &[SocketAddrV4],
    rules: &[Rule],
) -> String {
    let mut text = format!(
        "create table inet {table}\n\
         add chain inet {table} {CHAIN} \
         {{ type filter hook input priority -150; policy accept; }}\n"
    );
    for chain in chains {
        text.push_str(&format!("add chain inet {table} {chain}\n"));
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let (ip, port) = (endpoint.ip(), endpoint.port());
        for way in
            [format!("ip daddr {ip} tcp dport {port}"), format!("ip saddr {ip} tcp sport {port}")]
        {
            for Rule { counts, condition, fate } in rules {
                let word = counts.word();
                text.push_str(&format!(
                    "add rule inet {table} {CHAIN} {way} {condition} counter {fate} \
                     comment \"{word} {index}\"\n"
                ));
            }
        }
    }
    text
}

/// `nft` there.
impl Inside<'_> {
    async fn nft(&self, arguments: &[&str], input: &str) -> Result<Vec<u8>, FaultError> {
        self.run("nft", arguments, input).await
    }

    async fn list(&self, arguments: &[&str]) -> Result<Vec<Value>, FaultError> {
        let answer = self.nft(&[&["-j", "list"], arguments].concat(), "").await?;
        let mut answer: Value = serde_json::from_slice(&answer).map_err(|error| {
            FaultError::Unreadable { what: "list of nft".to_owned(), why: error.to_string() }
        })?;
        match answer["nftables"].take() {
            Value::Array(rows) => Ok(rows),
            other => Err(FaultError::Unreadable {
                what: "list of nft".to_owned(),
                why: format!("`{other}` is no list"),
            }),
        }
    }

    /// Whether there is a table of this name.
    pub(super) async fn has(&self, table: &str) -> Result<bool, FaultError> {
        let rows = self.list(&["tables", "inet"]).await?;
        Ok(rows.iter().any(|row| row["table"]["name"] == table))
    }

    /// What the table has counted, by address; `None` when it is not there.
    pub(super) async fn counted(
        &self,
        table: &str,
        endpoints: usize,
    ) -> Result<Option<Vec<Counted>>, FaultError> {
        if !self.has(table).await? {
            return Ok(None);
        }
        let rows = self.list(&["table", "inet", table]).await?;
        Ok(Some(read_counters(&rows, endpoints)))
    }

    /// Makes a table.
    pub(super) async fn make(&self, script: &str) -> Result<(), FaultError> {
        self.nft(&["-f", "-"], script).await.map(|_| ())
    }

    /// Deletes a table with all that is in it.
    pub(super) async fn delete(&self, table: &str) -> Result<(), FaultError> {
        self.nft(&["delete", "table", "inet", table], "").await.map(|_| ())
    }
}

fn read_counters(rows: &[Value], endpoints: usize) -> Vec<Counted> {
    let mut counted = vec![Counted::default(); endpoints];
    for rule in rows.iter().map(|row| &row["rule"]) {
        let words = rule["comment"].as_str().and_then(|text| text.split_once(' '));
        let Some((word, index)) = words else { continue };
        let Some(one) = index.parse().ok().and_then(|index: usize| counted.get_mut(index)) else {
            continue;
        };
        let parts = rule["expr"].as_array().into_iter().flatten();
        let packets = parts.filter_map(|part| part["counter"]["packets"].as_u64()).sum::<u64>();
        one.rules += 1;
        if word == Counts::Seen.word() {
            one.seen += packets;
        } else {
            one.met += packets;
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_fault_has_a_table_of_its_own_whose_name_nft_takes() {
        let names = ["r-0-a.b", "r-0-a_b", "r-0-a b", &"x".repeat(300), &"x".repeat(301)];
        let tables: Vec<String> = names.iter().map(|name| table_name(name)).collect();
        for (at, table) in tables.iter().enumerate() {
            assert!(table.starts_with("gameday-") && table.len() < 200, "{table}");
            assert!(table.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            assert!(!tables[..at].contains(table), "{table}");
        }
    }

    #[test]
    fn only_the_addresses_are_matched_each_way() {
        let rule = Rule { counts: Counts::Met, condition: String::new(), fate: "drop" };
        let endpoints = ["127.0.0.1:80".parse().unwrap(), "10.0.0.2:81".parse().unwrap()];
        let text = script("gameday-x", &endpoints, &[rule]);
        assert!(text.starts_with("create table inet gameday-x\n"), "never takes over another's");
        let rules: Vec<&str> = text.lines().filter(|line| line.starts_with("add rule")).collect();
        assert_eq!(rules.len(), 4);
        for (line, way, comment) in [
            (rules[0], "ip daddr 127.0.0.1 tcp dport 80 ", "\"met 0\""),
            (rules[1], "ip saddr 127.0.0.1 tcp sport 80 ", "\"met 0\""),
            (rules[3], "ip saddr 10.0.0.2 tcp sport 81 ", "\"met 1\""),
        ] {
            assert!(line.contains(way) && line.contains("counter drop"), "{line}");
            assert!(line.ends_with(comment), "{line}");
        }
        assert!(text.lines().all(|line| line.contains(" inet gameday-x")), "{text}");
    }

    #[test]
    fn counters_are_read_by_address() {
        let rule = |comment: &str, packets: u64| {
            let expr = json!([{"match": {}}, {"counter": {"packets": packets, "bytes": 1}}]);
            json!({"rule": {"comment": comment, "expr": expr}})
        };
        let rows = [
            json!({"metainfo": {}}),
            rule("met 0", 3),
            rule("met 0", 4),
            rule("seen 1", 9),
            rule("met 7", 5),
            rule("other", 5),
        ];
        let [first, second] = read_counters(&rows, 2)[..] else { panic!() };
        assert_eq!(first, Counted { rules: 2, seen: 0, met: 7 });
        assert_eq!(second, Counted { rules: 1, seen: 9, met: 0 });
    }
}
