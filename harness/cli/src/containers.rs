//! Which container engine is meant: the one that a scenario names, else that of `DOCKER_HOST`,
//! else the first that is where engines are as a rule.

use std::collections::BTreeMap;
use std::path::PathBuf;

use harness_core::fault::Capability;
use injectors::CONTAINER_ENGINE;
use injectors::containers::{socket_of, well_known_sockets};

/// Names an engine, as for other tools.
const DOCKER_HOST: &str = "DOCKER_HOST";

/// The engine's socket. `Err` says why there is none.
pub(crate) fn socket(named: Option<&str>) -> Result<PathBuf, String> {
    if let Some(named) = chosen(named) {
        return named;
    }
    let usual = well_known_sockets(rustix::process::getuid().as_raw());
    let there = usual.iter().find(|path| path.exists());
    there.cloned().ok_or_else(|| {
        let all: Vec<_> = usual.iter().map(|path| path.display().to_string()).collect();
        format!("there is no engine's socket at {}", all.join(", "))
    })
}

/// The mechanisms of this machine, with the engine that is meant.
pub(crate) fn capabilities(named: Option<&str>) -> BTreeMap<String, Capability> {
    let mut capabilities = injectors::capabilities();
    if let Some(named) = chosen(named) {
        let engine = match named {
            Ok(socket) => injectors::engine(&socket),
            Err(why) => Capability::Missing(why),
        };
        capabilities.insert(CONTAINER_ENGINE.0.to_owned(), engine);
    }
    capabilities
}

/// By the scenario, or by the environment.
fn chosen(named: Option<&str>) -> Option<Result<PathBuf, String>> {
    if let Some(named) = named {
        return Some(Ok(PathBuf::from(named)));
    }
    #[expect(clippy::disallowed_methods, reason = "the cli reads the environment")]
    let host = std::env::var_os(DOCKER_HOST).filter(|host| !host.is_empty())?;
    Some(socket_of(&host.to_string_lossy()))
}
