//! The object-safe twin of [`Injector`]: the same verbs over JSON values.

use schemars::Schema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    BlastRadius, Cx, Effect, FaultError, Hold, Injector, Reversibility, Reverted, Scope, SpecError,
    Touched, spec_schema,
};
use crate::system::BoxFuture;
use crate::topology::Topology;

/// An [`Injector`] whose types are erased. Implemented for every injector; not by hand.
pub trait DynInjector: Send + Sync {
    /// [`Injector::KIND`].
    fn kind(&self) -> &'static str;
    /// [`Injector::SUMMARY`].
    fn summary(&self) -> &'static str;
    /// [`Injector::REVERSIBILITY`].
    fn reversibility(&self) -> Reversibility;
    /// [`Injector::SCOPE`].
    fn scope(&self) -> Scope;
    /// The JSON Schema of the specification.
    fn schema(&self) -> Schema;
    /// Checks a specification and gives it back with every default written out.
    fn check(&self, spec: &Value) -> Result<Value, SpecError>;
    /// [`Injector::blast_radius`].
    fn blast_radius(&self, spec: &Value, topology: &Topology) -> Result<BlastRadius, FaultError>;
    /// [`Injector::holds`].
    fn holds(&self, spec: &Value) -> Result<Vec<Hold>, FaultError>;
    /// [`Injector::mechanism`].
    fn mechanism(&self, spec: &Value) -> Result<String, FaultError>;
    /// [`Injector::ready`].
    fn ready(&self, spec: &Value) -> Result<(), FaultError>;
    /// [`Injector::arm`].
    fn arm<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        spec: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>>;
    /// [`Injector::touched`].
    fn touched(
        &self,
        spec: &Value,
        undo: &Value,
        topology: &Topology,
    ) -> Result<Touched, FaultError>;
    /// [`Injector::inject`].
    fn inject<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Option<Value>, FaultError>>;
    /// [`Injector::verify`].
    fn verify<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Effect, FaultError>>;
    /// [`Injector::renew`].
    fn renew<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<(), FaultError>>;
    /// [`Injector::revert`].
    fn revert<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Reverted, FaultError>>;
}

fn read<T: DeserializeOwned>(what: &str, value: &Value) -> Result<T, FaultError> {
    T::deserialize(value)
        .map_err(|error| FaultError::Unreadable { what: what.to_owned(), why: error.to_string() })
}

fn write<T: Serialize>(what: &str, value: &T) -> Result<Value, FaultError> {
    serde_json::to_value(value)
        .map_err(|error| FaultError::Unreadable { what: what.to_owned(), why: error.to_string() })
}

const SPEC: &str = "specification";
const UNDO: &str = "undo record";

impl<I: Injector> DynInjector for I {
    fn kind(&self) -> &'static str {
        I::KIND
    }

    fn summary(&self) -> &'static str {
        I::SUMMARY
    }

    fn reversibility(&self) -> Reversibility {
        I::REVERSIBILITY
    }

    fn scope(&self) -> Scope {
        I::SCOPE
    }

    fn schema(&self) -> Schema {
        spec_schema::<I>()
    }

    fn check(&self, spec: &Value) -> Result<Value, SpecError> {
        let spec: I::Spec = serde_path_to_error::deserialize(spec).map_err(|error| {
            let path = error.path().iter().map(ToString::to_string).collect();
            let text = error.inner().to_string();
            // Units put their hint behind a semicolon; see `units::text_form`.
            let (message, hint) = text.split_once("; ").unwrap_or((&text, ""));
            SpecError { path, message: message.to_owned(), hint: hint.to_owned() }
        })?;
        write(SPEC, &spec).map_err(|error| SpecError {
            path: Vec::new(),
            message: error.to_string(),
            hint: String::new(),
        })
    }

    fn blast_radius(&self, spec: &Value, topology: &Topology) -> Result<BlastRadius, FaultError> {
        I::blast_radius(&read(SPEC, spec)?, topology)
    }

    fn holds(&self, spec: &Value) -> Result<Vec<Hold>, FaultError> {
        Ok(I::holds(&read(SPEC, spec)?))
    }

    fn mechanism(&self, spec: &Value) -> Result<String, FaultError> {
        Ok(I::mechanism(&read(SPEC, spec)?))
    }

    fn ready(&self, spec: &Value) -> Result<(), FaultError> {
        I::ready(&read(SPEC, spec)?)
    }

    fn arm<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        spec: &'a Value,
    ) -> BoxFuture<'a, Result<Value, FaultError>> {
        Box::pin(async move {
            let spec = read(SPEC, spec)?;
            write(UNDO, &Injector::arm(self, cx, &spec).await?)
        })
    }

    fn touched(
        &self,
        spec: &Value,
        undo: &Value,
        topology: &Topology,
    ) -> Result<Touched, FaultError> {
        Ok(I::touched(&read(SPEC, spec)?, &read(UNDO, undo)?, topology))
    }

    fn inject<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Option<Value>, FaultError>> {
        Box::pin(async move {
            let (spec, undo) = (read(SPEC, spec)?, read(UNDO, undo)?);
            let amended = Injector::inject(self, cx, &spec, &undo).await?;
            amended.map(|record| write(UNDO, &record)).transpose()
        })
    }

    fn verify<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        spec: &'a Value,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Effect, FaultError>> {
        Box::pin(async move {
            let (spec, undo) = (read(SPEC, spec)?, read(UNDO, undo)?);
            Injector::verify(self, cx, &spec, &undo).await
        })
    }

    fn renew<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<(), FaultError>> {
        Box::pin(async move { Injector::renew(self, cx, &read(UNDO, undo)?).await })
    }

    fn revert<'a>(
        &'a self,
        cx: &'a Cx<'a>,
        undo: &'a Value,
    ) -> BoxFuture<'a, Result<Reverted, FaultError>> {
        Box::pin(async move { Injector::revert(self, cx, &read(UNDO, undo)?).await })
    }
}
