//! A TCP check: a fresh connection that is taken, and not closed at once. Nothing is sent.
//!
//! It sees that nobody listens, that connections are reset, and that none is taken in time. Who
//! takes connections and never answers is only found out by asking: see `http`.

use std::io;

use harness_core::units::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::http::{CallError, unconnected};

/// A peer that closes does so in this time; a proxy takes connections before it knows whether
/// there is somebody behind.
const LINGER_MAX: Duration = Duration::from_millis(50);

/// Whether a connection can be had within a time; half of it, at most, is for seeing it closed.
pub(crate) async fn connection(address: &str, within: Duration) -> Result<(), CallError> {
    let timed_out = |_| CallError::TimedOut { address: address.to_owned(), within };
    let broken = |error: io::Error| unconnected(address, &error);
    let connecting = TcpStream::connect(address);
    let connected = tokio::time::timeout(within.as_std(), connecting).await.map_err(timed_out)?;
    let mut stream = connected.map_err(broken)?;
    let linger = LINGER_MAX.min(within.divided_by(2));
    let mut byte = [0_u8];
    match tokio::time::timeout(linger.as_std(), stream.read(&mut byte)).await {
        Ok(Ok(0)) => Err(CallError::Broken {
            address: address.to_owned(),
            why: "the connection was closed at once".to_owned(),
        }),
        Ok(Err(error)) => Err(broken(error)),
        // It speaks first, or waits for us to speak: both are somebody.
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}
