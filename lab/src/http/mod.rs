//! HTTP/1.1 as every process of the lab speaks it: a bounded server, a pooling client for roles
//! and a blocking client for commands. No HTTP/2; TLS only where a role asks for it, see
//! [`crate::tls`]: everything is on loopback.

mod blocking;
mod client;
mod server;

pub(crate) use blocking::{BlockingError, request as blocking_request};
pub(crate) use client::{Answer, CallError, Client, Outgoing};
pub(crate) use server::{Call, Reply, Service, serve};
