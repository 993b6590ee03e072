//! Hidden commands: the processes that a run starts beside itself.

use std::sync::Arc;

use agent::proxy::ProxyArguments;
use agent::watchdog::{self, WatchdogInput};
use harness_core::exit;

use crate::args::{AgentProxy, AgentWatchdog};
use crate::failure::Failure;
use crate::ports;

pub(crate) fn proxy(arguments: &AgentProxy) -> Result<u8, Failure> {
    let arguments = ProxyArguments {
        config: arguments.config.clone(),
        socket: arguments.socket.clone(),
        log: arguments.log.clone(),
    };
    agent::proxy::run(&arguments).map_err(|error| Failure::could_not("run the proxy", &error))?;
    Ok(exit::PASS)
}

pub(crate) fn watchdog(arguments: &AgentWatchdog) -> Result<u8, Failure> {
    let input = WatchdogInput {
        run: arguments.run.clone(),
        registry: ports::registry(),
        host: Arc::new(ports::payer),
    };
    watchdog::run(input).map_err(|error| Failure::could_not("watch over the run", &error))?;
    Ok(exit::PASS)
}
