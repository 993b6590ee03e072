//! Tries a program against the same conformance suite that our own injectors pass.

use std::path::Path;
use std::sync::Arc;

use harness_core::exit;
use harness_core::fault::{DynInjector, Witness};
use harness_core::system::{BoxFuture, Host};
use harness_core::time::Clock;
use harness_core::topology::Topology;
use harness_core::units::Duration;
use harness_engine::clock::RunClock;
use injectors::conformance::{World, check};
use injectors::exec::{Exec, ExecWitness};
use injectors::lab::{LabHost, LabStart};
use serde_json::{Value, json};

use super::Test;
use crate::failure::Failure;
use crate::output;
use crate::ports;
use crate::style::Style;

/// Finding the lab.
const OPEN_MAX: Duration = Duration::from_secs(10);

/// What the program is tried on.
struct Bench {
    topology: Topology,
    clock: RunClock,
    spec: Value,
}

impl World for Bench {
    fn topology(&self) -> BoxFuture<'_, Topology> {
        Box::pin(std::future::ready(self.topology.clone()))
    }

    fn clock(&self) -> &dyn Clock {
        &self.clock
    }

    fn fresh(&self) -> (Arc<dyn DynInjector>, Arc<dyn Witness>) {
        (Arc::new(Exec), Arc::new(ExecWitness))
    }

    fn spec(&self) -> Value {
        self.spec.clone()
    }
}

pub(super) fn run(test: &Test, style: Style) -> Result<u8, Failure> {
    let spec = json!({
        "program": absolute(&test.program)?,
        "witness": absolute(&test.witness)?,
        "with": test.with,
        "touches": {"instances": test.instances, "edges": test.edges},
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::could_not("start the runtime", &error))?;
    let found = runtime.block_on(async {
        let topology = topology(test.lab.as_deref()).await?;
        let clock = RunClock::start();
        // Its faults have names that no earlier test has used.
        let name = format!("test-{}-{}", clock.wall().0, std::process::id());
        Ok::<_, Failure>(check(&Bench { topology, clock, spec }, &name).await)
    })?;
    let program = test.program.display();
    match found {
        Ok(()) if test.json => output::say(&json!({"conforms": true}).to_string()),
        Ok(()) => output::say(&format!("{} {program} keeps every law", style.good("✓"))),
        Err(broken) if test.json => {
            let line = json!({"conforms": false, "law": broken.law, "found": broken.found});
            output::say(&line.to_string());
            return Ok(exit::FAIL);
        }
        Err(broken) => {
            output::say(&format!("{} {program} breaks a law", style.bad("✗")));
            output::say(&format!("  law    {}", broken.law));
            output::say(&format!("  found  {}", broken.found));
            return Ok(exit::FAIL);
        }
    }
    Ok(exit::PASS)
}

fn absolute(program: &Path) -> Result<std::path::PathBuf, Failure> {
    program.canonicalize().map_err(|error| {
        Failure::could_not(&format!("find the program {}", program.display()), &error)
    })
}

async fn topology(lab: Option<&Path>) -> Result<Topology, Failure> {
    if let Some(state) = lab {
        let state = std::path::absolute(state)
            .map_err(|error| Failure::could_not("find the lab", &error))?;
        let opened = LabHost::new(state, LabStart::Attach).open(OPEN_MAX).await;
        return opened
            .map(|opened| opened.topology)
            .map_err(|error| Failure::could_not("use the lab", &error));
    }
    let systems = ports::systems();
    let declared = systems.iter().find_map(|kind| kind.declared.values().next());
    Ok(declared.expect("the lab is linked").clone())
}
