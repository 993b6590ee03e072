//! The declared settings of a service that can be changed while it runs: read with a hash of all of
//! them, and changed by whoever knows that hash. A restart has the settings that it was built with.
//!
//! A change has a name. A name that was closed is refused, so that what arrives late has no effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::http::{Call, Reply};

/// More closed names are refused; none is ever forgotten.
const NAMES_MAX: usize = 4_096;
/// A longer name is refused.
const NAME_BYTES_MAX: usize = 200;

/// One setting and its bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: u64,
    pub(super) least: u64,
    pub(super) most: u64,
}

/// What `PUT /-/config` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    name: String,
    /// The hash of the settings as the caller knows them.
    if_hash: String,
    set: BTreeMap<String, u64>,
    /// Whether the name is closed with it.
    last: bool,
}

#[derive(Debug)]
struct State {
    settings: Vec<Setting>,
    closed: BTreeSet<String>,
}

/// The settings of one process.
#[derive(Debug)]
pub(super) struct Config(Mutex<State>);

impl State {
    fn values(&self) -> BTreeMap<&'static str, u64> {
        self.settings.iter().map(|one| (one.name, one.value)).collect()
    }

    /// FNV-1a over names and values, 64 bits.
    fn hash(&self) -> String {
        let text = json!(self.values()).to_string();
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    fn change(&mut self, change: &Change) -> Result<(), (StatusCode, String)> {
        let bad = |why: String| Err((StatusCode::BAD_REQUEST, why));
        if change.name.is_empty() || change.name.len() > NAME_BYTES_MAX {
            return bad(format!("`name` has 1 to {NAME_BYTES_MAX} bytes"));
        }
        for (name, value) in &change.set {
            let Some(known) = self.settings.iter().find(|one| one.name == name) else {
                return bad(format!("there is no setting `{name}`"));
            };
            if !(known.least..=known.most).contains(value) {
                return bad(format!("`{name}` is from {} to {}", known.least, known.most));
            }
        }
        if self.closed.contains(&change.name) || self.closed.len() >= NAMES_MAX {
            return Err((StatusCode::CONFLICT, String::from("this change is over")));
        }
        if change.if_hash != self.hash() {
            return Err((StatusCode::CONFLICT, String::from("the settings are others by now")));
        }
        for one in &mut self.settings {
            one.value = change.set.get(one.name).copied().unwrap_or(one.value);
        }
        if change.last {
            self.closed.insert(change.name.clone());
        }
        Ok(())
    }
}

impl Config {
    pub(super) fn new(settings: Vec<Setting>) -> Self {
        Self(Mutex::new(State { settings, closed: BTreeSet::new() }))
    }

    /// Answers what is asked of the settings; `apply` makes all of them hold after a change.
    pub(super) fn answer(
        &self,
        call: &Call,
        apply: impl FnOnce(&BTreeMap<&'static str, u64>),
    ) -> Reply {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match call.method {
            Method::GET => {}
            Method::PUT => {
                let change: Change = match call.json() {
                    Ok(change) => change,
                    Err(reply) => return reply,
                };
                if let Err((status, why)) = state.change(&change) {
                    return Reply::error(status, &why);
                }
                apply(&state.values());
            }
            _ => return Reply::not_found(),
        }
        Reply::ok(&json!({ "hash": state.hash(), "settings": state.values() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let setting = |name, value| Setting { name, value, least: 1, most: 300 };
        let settings = vec![setting("processors", 256), setting("serviceTimeMs", 8)];
        State { settings, closed: BTreeSet::new() }
    }

    fn change(state: &mut State, name: &str, hash: &str, to: u64, last: bool) -> Option<u16> {
        let set = [(String::from("processors"), to)].into();
        let change = Change { name: name.to_owned(), if_hash: hash.to_owned(), set, last };
        state.change(&change).err().map(|(status, _)| status.as_u16())
    }

    #[test]
    fn a_change_needs_the_hash_of_all_settings_and_the_same_settings_have_the_same_hash() {
        let mut state = state();
        let before = state.hash();
        assert_eq!(change(&mut state, "a", &before, 2, false), None);
        let after = state.hash();
        assert_ne!(before, after);
        assert_eq!(change(&mut state, "b", &before, 3, false), Some(409), "it does not know it");
        assert_eq!(change(&mut state, "a", &after, 256, true), None);
        assert_eq!(state.hash(), before);
        assert_eq!(change(&mut state, "a", &before, 2, false), Some(409), "it comes too late");
        assert_eq!(change(&mut state, "b", &before, 0, false), Some(400));
        assert_eq!(change(&mut state, "b", &before, 301, false), Some(400));
        assert_eq!(change(&mut state, "", &before, 2, false), Some(400));
        assert_eq!(state.values()["processors"], 256);
    }
}
