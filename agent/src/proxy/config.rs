//! The proxy's configuration file: which addresses it stands between.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use harness_core::ids::EdgeName;
use injectors::proxy::wire::FORMAT;
use serde::{Deserialize, Serialize};

use super::process::ProxyError;

/// More routes are refused.
const ROUTES_MAX: usize = 4096;
/// A larger file is refused.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Config {
    /// `gameday.proxy/1`.
    pub(super) format: String,
    /// In any order; several may belong to one edge, one per slot of the callee.
    pub(super) routes: Vec<RouteConfig>,
}

/// One address that a caller dials, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RouteConfig {
    pub(super) edge: EdgeName,
    pub(super) listen: SocketAddr,
    pub(super) upstream: SocketAddr,
}

impl Config {
    /// Reads and checks a file.
    pub(super) fn read(path: &Path) -> Result<Self, ProxyError> {
        let wrong = |why: String| ProxyError::Config { path: path.to_owned(), why };
        let size = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
        if size > FILE_BYTES_MAX {
            return Err(wrong(format!("it has {size} bytes, at most {FILE_BYTES_MAX} are read")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        Self::parse(&text).map_err(wrong)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if config.format != FORMAT {
            return Err(format!("its format is `{}`, this is {FORMAT}", config.format));
        }
        if config.routes.len() > ROUTES_MAX {
            return Err(format!("{} routes, at most {ROUTES_MAX}", config.routes.len()));
        }
        let mut seen = BTreeSet::new();
        for route in &config.routes {
            if !seen.insert(route.listen) {
                return Err(format!("two routes listen on {}", route.listen));
            }
            if route.listen == route.upstream {
                return Err(format!("the route on {} leads to itself", route.listen));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(format: &str, listens: &[&str]) -> String {
        let routes: Vec<_> = listens
            .iter()
            .map(|l| serde_json::json!({"edge": "a->b", "listen": l, "upstream": "127.0.0.1:9"}))
            .collect();
        serde_json::json!({"format": format, "routes": routes}).to_string()
    }

    #[test]
    fn a_configuration_is_read_and_wrong_ones_are_refused() {
        let good = Config::parse(&text(FORMAT, &["127.0.0.1:1", "127.0.0.1:2"])).unwrap();
        assert_eq!(good.routes.len(), 2);
        for (wrong, expected) in [
            (text("gameday.proxy/2", &[]), "format"),
            (text(FORMAT, &["127.0.0.1:1", "127.0.0.1:1"]), "two routes"),
            (text(FORMAT, &["127.0.0.1:9"]), "itself"),
            (text(FORMAT, &["nowhere"]), "socket address"),
            ("{}".to_owned(), "missing field"),
        ] {
            let why = Config::parse(&wrong).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }
}
