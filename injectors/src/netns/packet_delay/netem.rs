//! The delay by `tc netem`: a tree of queueing of our own at the root of the loopback interface,
//! which sends only the packets of the addresses through a delay; the queueing that was there
//! before is put back.
//!
//! What cannot be put back exactly as it was is refused before anything is changed.

use std::net::SocketAddrV4;

use harness_core::fault::{Effect, FaultError, Reverted};
use harness_core::units::Duration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::inside::Inside;
use crate::hash::hash;

/// The interface over which everything in a namespace of a system goes that runs on one machine.
const INTERFACE: &str = "lo";
/// Packets that are held at once, at most; more of them are dropped.
const HELD_PACKETS_MAX: u32 = 10_000;
/// Our root has a number from 1 to this one, which tells faults apart.
const NUMBER_MAX: u64 = 0x3fff;
/// The delay below it has the root's number and so much.
const BELOW: u64 = 0x4000;

/// What the record holds of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::netns) struct Netem {
    /// Our root on the interface, as `tc` writes it: `2f1a:`.
    handle: String,
    /// The delay below it.
    below: String,
    /// The interface's queueing as it was, in the words of `tc -j`.
    before: Vec<Value>,
}

/// How an interface stands to a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// As before.
    Before,
    /// With a tree of ours, or the beginning of one.
    Ours,
    /// As somebody else has made it.
    Other(String),
}

impl Netem {
    /// Reads what is there, and refuses what could not be put back.
    pub(super) async fn arm(
        inside: &Inside<'_>,
        endpoints: &[SocketAddrV4],
    ) -> Result<Self, FaultError> {
        if let Some(far) = endpoints.iter().find(|endpoint| !endpoint.ip().is_loopback()) {
            let target = format!("an address of the loopback interface; {far} is none");
            return Err(FaultError::NoTarget { target });
        }
        let before = listed(inside).await?;
        if let Err(why) = put_back(&before) {
            return Err(conflict(why));
        }
        let number = hash(&inside.cx.name()) % NUMBER_MAX + 1;
        let (handle, below) = (format!("{number:x}:"), format!("{:x}:", number + BELOW));
        Ok(Self { handle, below, before })
    }

    /// Puts the tree in place of what is there, if that is as it was.
    pub(super) async fn inject(
        &self,
        inside: &Inside<'_>,
        delay: (Duration, Duration),
        endpoints: &[SocketAddrV4],
    ) -> Result<(), FaultError> {
        match self.found(&listed(inside).await?) {
            Found::Before => {}
            Found::Ours => return Err(conflict("it has our number already".to_owned())),
            Found::Other(why) => return Err(conflict(why)),
        }
        let script = self.script(delay, endpoints);
        inside.run("tc", &["-batch", "-"], &script).await.map(|_| ())
    }

    /// Whether the whole tree is there.
    pub(super) async fn verify(
        &self,
        inside: &Inside<'_>,
        endpoints: &[SocketAddrV4],
    ) -> Result<Effect, FaultError> {
        let rows = listed(inside).await?;
        let delays = rows.iter().any(|row| row["kind"] == "netem" && row["handle"] == self.below);
        if self.found(&rows) != Found::Ours || !delays {
            return Ok(Effect::Absent);
        }
        let show = ["filter", "show", "dev", INTERFACE, "parent", &self.handle];
        let filters = inside.run("tc", &show, "").await?;
        let sent = format!("flowid {}2 ", self.handle);
        let count = String::from_utf8_lossy(&filters).matches(&sent).count();
        // To each address, and from it.
        Ok(if count == 2 * endpoints.len() { Effect::InPlace } else { Effect::Absent })
    }

    /// Whether anything of our tree is there.
    pub(super) async fn is_there(&self, inside: &Inside<'_>) -> Result<bool, FaultError> {
        Ok(listed(inside).await?.iter().any(|row| self.is_ours(row)))
    }

    /// Puts back what was there, unless somebody else has put something in its place.
    pub(super) async fn revert(&self, inside: &Inside<'_>) -> Result<Reverted, FaultError> {
        match self.found(&listed(inside).await?) {
            Found::Before => return Ok(Reverted::WasClean),
            Found::Other(why) => return Err(conflict(why)),
            Found::Ours => {}
        }
        let words = put_back(&self.before).map_err(conflict)?;
        let all: Vec<&str> = match &words {
            // The kernel refuses another number than that of what is there.
            None => vec!["qdisc", "del", "dev", INTERFACE, "root", "handle", &self.handle],
            Some(words) => ["qdisc", "replace", "dev", INTERFACE, "root"]
                .into_iter()
                .chain(words.iter().map(String::as_str))
                .collect(),
        };
        inside.run("tc", &all, "").await?;
        match self.found(&listed(inside).await?) {
            Found::Before => Ok(Reverted::PutBack),
            Found::Ours => Err(conflict("our tree does not go away".to_owned())),
            Found::Other(why) => Err(conflict(why)),
        }
    }

    fn found(&self, now: &[Value]) -> Found {
        if now == self.before {
            Found::Before
        } else if !now.is_empty() && now.iter().all(|row| self.is_ours(row)) {
            Found::Ours
        } else {
            Found::Other(json!(now).to_string())
        }
    }

    fn is_ours(&self, row: &Value) -> bool {
        row["handle"] == self.handle || row["handle"] == self.below
    }

    /// What `tc` is told: the way of all packets, the way through the delay, and who goes there.
    fn script(&self, (delay, jitter): (Duration, Duration), endpoints: &[SocketAddrV4]) -> String {
        let Self { handle, below, before } = self;
        // Nothing but the kernel's own is ever taken away unseen.
        let add = if is_kernels_own(before) { "add" } else { "replace" };
        let (delay_us, jitter_us) = (delay.micros(), jitter.micros());
        let first = ["0"; 16].join(" ");
        let mut text = format!(
            "qdisc {add} dev {INTERFACE} root handle {handle} prio bands 2 priomap {first}\n\
             qdisc add dev {INTERFACE} parent {handle}2 handle {below} netem \
             limit {HELD_PACKETS_MAX} delay {delay_us}us {jitter_us}us\n"
        );
        for endpoint in endpoints {
            let (ip, port) = (endpoint.ip(), endpoint.port());
            for way in ["dst", "src"] {
                let end = if way == "dst" { "dport" } else { "sport" };
                text.push_str(&format!(
                    "filter add dev {INTERFACE} parent {handle} protocol ip prio 1 u32 \
                     match ip protocol 6 0xff match ip {way} {ip}/32 \
                     match ip {end} {port} 0xffff flowid {handle}2\n"
                ));
            }
        }
        text
    }
}

fn conflict(why: String) -> FaultError {
    FaultError::Conflict { what: format!("the queueing of `{INTERFACE}`"), why }
}

/// The queueing of the interface, without what changes by itself.
async fn listed(inside: &Inside<'_>) -> Result<Vec<Value>, FaultError> {
    let answer = inside.run("tc", &["-j", "qdisc", "show", "dev", INTERFACE], "").await?;
    let unreadable = |why: String| FaultError::Unreadable { what: "list of tc".to_owned(), why };
    let mut rows: Vec<Value> =
        serde_json::from_slice(&answer).map_err(|error| unreadable(error.to_string()))?;
    for row in rows.iter_mut().filter_map(Value::as_object_mut) {
        row.remove("refcnt");
    }
    Ok(rows)
}

/// What the kernel gives an interface by itself, and gives it again.
fn is_kernels_own(rows: &[Value]) -> bool {
    matches!(rows, [row] if row["kind"] == "noqueue" && row["handle"] == "0:")
}

/// The words for `tc` that make the same again; `None` when the kernel does so by itself. `Err`
/// where it would not be the same: a tree has classes and filters, and of most kinds the words of
/// `tc` are rounded, or are no words that it takes.
fn put_back(before: &[Value]) -> Result<Option<Vec<String>>, String> {
    if is_kernels_own(before) {
        return Ok(None);
    }
    let refused = || {
        let words = json!(before).to_string();
        format!(
            "it could not be put back as it was: {words}; only `noqueue`, `pfifo`, `bfifo` and \
             `pfifo_fast` can be, alone and with a number"
        )
    };
    let [row] = before else { return Err(refused()) };
    let (Some(kind), Some(handle)) = (row["kind"].as_str(), row["handle"].as_str()) else {
        return Err(refused());
    };
    let options = match kind {
        "pfifo" | "bfifo" => {
            let limit = row["options"]["limit"].as_u64().ok_or_else(refused)?;
            vec!["limit".to_owned(), limit.to_string()]
        }
        "pfifo_fast" => Vec::new(),
        _ => return Err(refused()),
    };
    if handle == "0:" || row["root"] != true {
        return Err(refused());
    }
    let words = ["handle".to_owned(), handle.to_owned(), kind.to_owned()];
    Ok(Some(words.into_iter().chain(options).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Value {
        json!({"kind": "noqueue", "handle": "0:", "root": true, "options": {}})
    }

    fn pfifo() -> Value {
        json!({"kind": "pfifo", "handle": "10:", "root": true, "options": {"limit": 77}})
    }

    fn netem(before: Value) -> Netem {
        Netem { handle: "2f:".into(), below: "402f:".into(), before: vec![before] }
    }

    #[test]
    fn only_what_can_be_made_again_exactly_is_taken_away() {
        assert_eq!(put_back(&[own()]), Ok(None));
        let words = put_back(&[pfifo()]).unwrap().unwrap().join(" ");
        assert_eq!(words, "handle 10: pfifo limit 77");
        let row = |kind: &str, handle: &str| {
            let options = json!({"default": "0x1"});
            json!({"kind": kind, "handle": handle, "root": true, "options": options})
        };
        let ingress = json!({"kind": "ingress", "handle": "ffff:", "parent": "ffff:fff1"});
        for tree in [
            vec![row("htb", "7:")],
            vec![row("fq_codel", "8001:")],
            vec![row("pfifo_fast", "0:")],
            vec![row("pfifo", "7:")],
            vec![pfifo(), pfifo()],
            vec![own(), ingress],
            Vec::new(),
        ] {
            let why = put_back(&tree).unwrap_err();
            assert!(why.contains("could not be put back"), "{why}");
        }
    }

    #[test]
    fn what_somebody_else_has_made_is_neither_before_nor_ours() {
        let fault = netem(pfifo());
        let row = |kind: &str, handle: &str| json!({"kind": kind, "handle": handle});
        let (root, below) = (row("prio", "2f:"), row("netem", "402f:"));
        assert_eq!(fault.found(&[pfifo()]), Found::Before);
        // One that was cut off has only its root.
        assert_eq!(fault.found(std::slice::from_ref(&root)), Found::Ours);
        assert_eq!(fault.found(&[root.clone(), below]), Found::Ours);
        for other in [vec![own()], vec![row("prio", "30:")], vec![root, row("netem", "9:")]] {
            assert!(matches!(fault.found(&other), Found::Other(_)), "{other:?}");
        }
    }

    #[test]
    fn only_the_addresses_go_through_the_delay_each_way() {
        let endpoints = ["127.0.0.1:80".parse().unwrap(), "127.0.0.2:81".parse().unwrap()];
        let delay = (Duration::from_millis(20), Duration::from_micros(500));
        let text = netem(own()).script(delay, &endpoints);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6);
        assert!(lines[0].starts_with("qdisc add dev lo root handle 2f: prio "), "{text}");
        assert!(lines[1].contains("parent 2f:2 handle 402f: netem"), "{text}");
        assert!(lines[1].ends_with("delay 20000us 500us"), "{text}");
        assert!(lines[2].contains("match ip dst 127.0.0.1/32 match ip dport 80 0xffff"), "{text}");
        assert!(lines[5].contains("match ip src 127.0.0.2/32 match ip sport 81 0xffff"), "{text}");
        assert!(lines[2..].iter().all(|line| line.ends_with("flowid 2f:2")), "{text}");
        let text = netem(pfifo()).script(delay, &endpoints);
        assert!(text.starts_with("qdisc replace dev lo root handle 2f: prio "), "{text}");
    }
}
