//! An interrupt of a load: nothing more becomes due, what is in flight may still end for a moment,
//! then all sending stops. A second interrupt stops at once.

use std::time::Duration as StdDuration;

use harness_core::load::Stop;
use harness_core::system::BoxFuture;
use tokio::sync::watch;

use crate::failure::Failure;

/// How long answers may still come after the first interrupt.
const GRACE: StdDuration = StdDuration::from_millis(60);

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Finishing,
    Stopped,
}

/// What the load listens to.
#[derive(Debug)]
pub(super) struct Interrupts(watch::Sender<Stage>);

impl Interrupts {
    /// Listens to this process's interrupts; the first handler of the process is ours.
    pub(super) fn listen() -> Result<Self, Failure> {
        let stage = watch::Sender::new(Stage::Running);
        let told = stage.clone();
        ctrlc::set_handler(move || {
            told.send_modify(|stage| {
                *stage = match *stage {
                    Stage::Running => Stage::Finishing,
                    Stage::Finishing | Stage::Stopped => Stage::Stopped,
                }
            });
        })
        .map_err(|error| Failure::could_not("listen for interrupts", &error))?;
        Ok(Self(stage))
    }

    /// Whether there was one.
    pub(super) fn came(&self) -> bool {
        *self.0.borrow() > Stage::Running
    }

    /// Runs beside a load: ends the time for answers. Never ends by itself.
    pub(super) async fn hasten(&self) {
        self.reached(Stage::Finishing).await;
        tokio::time::sleep(GRACE).await;
        self.0.send_replace(Stage::Stopped);
        std::future::pending::<()>().await;
    }

    async fn reached(&self, wanted: Stage) {
        let mut stage = self.0.subscribe();
        // The sender is `self`, so that it cannot be gone.
        stage.wait_for(|stage| *stage >= wanted).await.ok();
    }
}

impl Stop for Interrupts {
    fn is_stopped(&self) -> bool {
        *self.0.borrow() == Stage::Stopped
    }

    fn stopped(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.reached(Stage::Stopped))
    }

    fn is_finishing(&self) -> bool {
        self.came()
    }

    fn finishing(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.reached(Stage::Finishing))
    }
}
