//! Who is believed about a release: the instances themselves, asked as a caller asks them, each on
//! connections of its own. Every answer tells the release that made it, and shows its flaw.
//!
//! The supervisor, which rolls out, is not asked.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use harness_core::fault::{Cx, Debt, FaultError, Sighting, Witness};
use harness_core::system::BoxFuture;
use harness_core::units::Duration;
use hyper::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bad_release::{BadReleaseDebt, Flaw, question};
use crate::http::{Address, call};
use crate::proxy::{read, requests_to_hit};

/// The header in which an answer tells its release.
const RELEASE: &str = "x-release";
/// An instance that does not answer within this time says nothing.
const SILENCE: Duration = Duration::from_millis(400);
/// The status of an answer that the flaw has spoilt.
const BROKEN: u16 = 500;

/// Where the instances answer, kept in the ledger; a slot keeps its address over restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Places {
    addresses: Vec<String>,
}

/// What the answers of one instance show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    /// Whose they are; nothing for those that do not tell.
    releases: BTreeSet<Option<String>>,
    /// Whether one shows the flaw.
    flawed: bool,
    /// Why there is not an answer to each request, or one that is neither good nor flawed.
    odd: Option<String>,
}

/// Asks until the flaw has shown itself, or would have.
async fn ask(cx: &Cx<'_>, address: &str, path: &str, flaw: Flaw) -> Seen {
    let requests = match flaw {
        Flaw::Errors(share) => requests_to_hit(share),
        Flaw::Slow(_) => 1,
    };
    let slow = match flaw {
        Flaw::Errors(_) => Duration::ZERO,
        Flaw::Slow(by) => by,
    };
    let within = (SILENCE + slow).min(cx.deadline.times(9).divided_by(10));
    let (mut seen, target) = (Seen::default(), Address::Tcp(address.to_owned()));
    for _ in 0..requests {
        let began = cx.clock.now();
        let answer = match call(&target, Method::GET, path, None, within).await {
            Ok(answer) => answer,
            Err(error) => {
                seen.odd = Some(error.to_string());
                break;
            }
        };
        let release = answer.headers.get(RELEASE).and_then(|it| it.to_str().ok());
        seen.releases.insert(release.map(str::to_owned));
        seen.flawed = match flaw {
            Flaw::Errors(_) => answer.status == BROKEN,
            Flaw::Slow(by) => answer.is_success() && cx.clock.now().since(began) >= by,
        };
        if !seen.flawed && !answer.is_success() {
            seen.odd = Some(answer.summary());
        }
        if seen.flawed || seen.odd.is_some() {
            break;
        }
    }
    seen
}

/// What all of them together say.
fn sighting(undo: &BadReleaseDebt, seen: &[Seen]) -> Sighting {
    let all = |release: &dyn Fn(usize) -> String, flawed: bool| {
        let each = seen.iter().enumerate();
        seen.len() == undo.before.len()
            && each.into_iter().all(|(at, one)| {
                let only = BTreeSet::from([Some(release(at))]);
                one.releases == only && one.flawed == flawed && one.odd.is_none()
            })
    };
    let words: Vec<String> = undo
        .before
        .iter()
        .zip(seen)
        .map(|(before, seen)| {
            let told = |one: &Option<String>| one.clone().unwrap_or_else(|| "none".to_owned());
            let releases: Vec<String> = seen.releases.iter().map(told).collect();
            let how = match (&seen.odd, seen.flawed) {
                (Some(odd), _) => odd.as_str(),
                (None, true) => "with the flaw",
                (None, false) => "without the flaw",
            };
            format!("{} tells release {}, {how}", before.instance, releases.join(" and "))
        })
        .collect();
    let words = words.join("; ");
    if all(&|_| undo.release.clone(), true) {
        Sighting::InForce(words)
    } else if all(&|at| undo.before[at].release.clone(), false) {
        Sighting::NotInForce(words)
    } else {
        Sighting::Unknown(words)
    }
}

/// Asks each instance which release it is, and whether it has the flaw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReleaseWitness;

impl ReleaseWitness {
    async fn see(
        cx: &Cx<'_>,
        undo: &BadReleaseDebt,
        places: &Places,
    ) -> Result<Sighting, FaultError> {
        let path = question(undo.service.as_str()).ok_or_else(|| FaultError::NoTarget {
            target: format!("a request to {}", undo.service),
        })?;
        let each = places.addresses.iter().map(|address| ask(cx, address, path, undo.flaw));
        // A look has a deadline as a whole, too.
        let looked = tokio::time::timeout(cx.deadline.as_std(), join_all(each)).await;
        let timed_out = |_| FaultError::TimedOut { step: "a look".to_owned(), within: cx.deadline };
        looked.map_err(timed_out).map(|seen| sighting(undo, &seen))
    }

    async fn before(cx: &Cx<'_>, undo: &BadReleaseDebt) -> Result<Value, FaultError> {
        let no_target = |target: String| FaultError::NoTarget { target };
        let service = cx.topology.service(&undo.service);
        let service = service.ok_or_else(|| no_target(undo.service.to_string()))?;
        let address = |instance: &String| {
            let found = service.instances.iter().find(|one| one.name == *instance);
            let address = found.and_then(|one| one.address.clone());
            address.ok_or_else(|| no_target(format!("the address of {instance}")))
        };
        let each = undo.before.iter().map(|before| address(&before.instance));
        let places = Places { addresses: each.collect::<Result<_, _>>()? };
        let action = format!("see the releases of {}", undo.service);
        Self::see(cx, undo, &places).await?.none_before(&action)?;
        Ok(serde_json::to_value(places).expect("plain data"))
    }
}

impl Witness for ReleaseWitness {
    fn method(&self) -> &'static str {
        "the release and the flaw in answers of the instances"
    }

    fn baseline<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        _spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move { Self::before(cx, &read("undo record", undo)?).await })
    }

    fn look<'a>(&'a self, cx: &'a Cx<'a>, debt: Debt<'a>) -> BoxFuture<'a, Sighting> {
        Box::pin(async move {
            let seen = async {
                let (undo, places) = (read("undo record", debt.undo)?, debt.baseline);
                Self::see(cx, &undo, &read("baseline", places)?).await
            };
            seen.await.unwrap_or_else(|error| Sighting::Unknown(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::bad_release::tests::debt;
    use super::*;

    fn seen(releases: &[&str], flawed: bool, odd: Option<&str>) -> Seen {
        let releases = releases.iter().map(|it| Some((*it).to_owned())).collect();
        Seen { releases, flawed, odd: odd.map(str::to_owned) }
    }

    #[test]
    fn each_instance_must_tell_the_release_and_show_what_it_is_like() {
        let (bad, good) = (seen(&["bad"], true, None), seen(&["1"], false, None));
        let see = |one: &Seen, other: &Seen| sighting(&debt(), &[one.clone(), other.clone()]);
        assert!(matches!(see(&bad, &bad), Sighting::InForce(_)));
        assert!(matches!(see(&good, &good), Sighting::NotInForce(_)));
        for other in [
            good.clone(),
            seen(&["bad"], false, None),
            seen(&["1"], true, None),
            seen(&["1", "bad"], true, None),
            seen(&[], false, Some("nothing listens")),
            seen(&["bad"], true, Some("502")),
        ] {
            assert!(matches!(see(&bad, &other), Sighting::Unknown(_)), "{other:?}");
        }
        for other in [
            seen(&["3"], false, None),
            seen(&["1"], true, None),
            seen(&["1"], false, Some("503 full")),
            Seen { releases: [None].into(), ..Seen::default() },
            Seen::default(),
        ] {
            assert!(matches!(see(&good, &other), Sighting::Unknown(_)), "{other:?}");
        }
        assert!(matches!(sighting(&debt(), &[]), Sighting::Unknown(_)));
    }
}
