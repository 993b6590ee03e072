//! Hidden commands: the processes that a run starts beside itself.

use agent::proxy::ProxyArguments;
use agent::watchdog::{self, Outside, WatchdogEnd, WatchdogJob};
use harness_core::exit;
use harness_engine::store::RunDir;

use crate::args::{AgentProxy, AgentWatchdog};
use crate::failure::Failure;
use crate::ports;

pub(crate) fn proxy(arguments: &AgentProxy) -> Result<u8, Failure> {
    let arguments = ProxyArguments {
        config: arguments.config.clone(),
        socket: arguments.socket.clone(),
        log: arguments.log.clone(),
    };
    match agent::proxy::run(&arguments) {
        Ok(()) => Ok(exit::PASS),
        // The lab that started it tries again with other ports.
        Err(error) if error.is_address_taken() => Ok(lab::EXIT_ADDRESS_TAKEN),
        Err(error) => Err(Failure::could_not("run the proxy", &error)),
    }
}

/// Takes its work over standard input, from the run that started it.
pub(crate) fn journeys() -> Result<u8, Failure> {
    load::walk_journeys().map_err(|error| Failure::could_not("walk journeys", &error))?;
    Ok(exit::PASS)
}

pub(crate) fn watchdog(arguments: &AgentWatchdog) -> Result<u8, Failure> {
    let run = RunDir::at(&arguments.run).ok_or_else(|| {
        Failure::usage(format!("{} is not a run's directory", arguments.run.display()))
    })?;
    let job = WatchdogJob { run, lease: arguments.lease, harness: arguments.harness };
    let outside = Outside { registry: ports::registry(), host: Box::new(ports::payer) };
    let end = watchdog::watch(&job, &outside)
        .map_err(|error| Failure::could_not("watch over the run", &error))?;
    Ok(match end {
        WatchdogEnd::NotNeeded | WatchdogEnd::Paid => exit::PASS,
        WatchdogEnd::Owed => exit::LEFTOVERS,
    })
}
