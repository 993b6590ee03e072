//! The control socket of a proxy, as its clients see it. One request per connection.

use std::path::PathBuf;

use harness_core::fault::FaultError;
use harness_core::units::Duration;
use hyper::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::wire::{
    FORMAT, FaultRequest, Faults, Health, Refusal, Removed, RenewRequest, RouteReport, Routes,
};
use crate::http::{Address, Answer, CallError, call};

/// A proxy by its control socket.
#[derive(Debug, Clone)]
pub struct ProxyClient {
    socket: PathBuf,
    address: Address,
}

/// What came of a removal.
#[derive(Debug)]
pub(crate) enum Removal {
    /// The proxy answered.
    Answered(Removed),
    /// No proxy serves the socket.
    NoProxy,
}

impl ProxyClient {
    /// The proxy that serves this socket.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        let socket = socket.into();
        Self { address: Address::Unix(socket.clone()), socket }
    }

    /// Who serves the socket.
    pub async fn health(&self, within: Duration) -> Result<Health, FaultError> {
        let answer = self.ask(Method::GET, "/v1/health", None, within).await;
        let health: Health = self.read("reach the proxy", answer)?;
        if health.format != FORMAT {
            return Err(FaultError::Unavailable {
                mechanism: "proxy".to_owned(),
                why: format!("it speaks `{}`, this is {FORMAT}", health.format),
            });
        }
        Ok(health)
    }

    /// All routes.
    pub async fn routes(&self, within: Duration) -> Result<Vec<RouteReport>, FaultError> {
        let answer = self.ask(Method::GET, "/v1/routes", None, within).await;
        Ok(self.read::<Routes>("read the proxy's routes", answer)?.routes)
    }

    /// All faults in force, and the last ones that ended.
    pub async fn faults(&self, within: Duration) -> Result<Faults, FaultError> {
        let answer = self.ask(Method::GET, "/v1/faults", None, within).await;
        self.read("read the proxy's faults", answer)
    }

    /// Puts a fault in force.
    pub async fn put(
        &self,
        name: &str,
        request: &FaultRequest,
        within: Duration,
    ) -> Result<(), FaultError> {
        let body = serde_json::to_value(request).expect("plain data");
        let answer = self.ask(Method::PUT, &path(name), Some(&body), within).await;
        let action = format!("set {} on {}", request.effect, request.edge);
        self.read::<Value>(&action, answer).map(|_| ())
    }

    /// Extends a fault's lease.
    pub async fn renew(
        &self,
        name: &str,
        lease: Duration,
        within: Duration,
    ) -> Result<(), FaultError> {
        let body = serde_json::to_value(RenewRequest { lease_ms: lease.millis() });
        let body = body.expect("plain data");
        let answer = self.ask(Method::POST, &(path(name) + "/renew"), Some(&body), within).await;
        self.read::<Value>("renew the fault's lease", answer).map(|_| ())
    }

    /// Puts a fault back. Idempotent.
    pub(crate) async fn remove(&self, name: &str, within: Duration) -> Result<Removal, FaultError> {
        let answer = self.ask(Method::DELETE, &path(name), None, within).await;
        match answer {
            Err(CallError::Absent { .. }) => Ok(Removal::NoProxy),
            answer => self.read("put the fault back", answer).map(Removal::Answered),
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        within: Duration,
    ) -> Result<Answer, CallError> {
        call(&self.address, method, path, body, within).await
    }

    fn read<T: DeserializeOwned>(
        &self,
        action: &str,
        answer: Result<Answer, CallError>,
    ) -> Result<T, FaultError> {
        let failed = |why: String| FaultError::Failed { action: action.to_owned(), why };
        let answer = match answer {
            Ok(answer) => answer,
            Err(CallError::Absent { .. }) => {
                return Err(FaultError::Unavailable {
                    mechanism: "proxy".to_owned(),
                    why: format!("nothing serves {}", self.socket.display()),
                });
            }
            Err(error) => return Err(failed(error.to_string())),
        };
        if answer.is_success() {
            return answer.json().map_err(|error| failed(error.to_string()));
        }
        let why = answer.json::<Refusal>().map_or_else(|_| answer.summary(), |body| body.error);
        match answer.status {
            404 => Err(FaultError::NoTarget { target: why }),
            409 => Err(FaultError::Conflict { what: "the edge's proxy".to_owned(), why }),
            _ => Err(failed(why)),
        }
    }
}

fn path(name: &str) -> String {
    format!("/v1/faults/{name}")
}
