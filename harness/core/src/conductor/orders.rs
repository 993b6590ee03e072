//! Commands on their way out, numbered in the order of issue.

use crate::event::{Command, Issued};
use crate::ids::CommandId;

/// Numbers and collects commands.
#[derive(Debug, Default)]
pub(super) struct Orders {
    next: u64,
    issued: Vec<Issued>,
}

impl Orders {
    pub(super) fn issue(&mut self, command: Command) -> CommandId {
        let id = CommandId(self.next);
        self.next += 1;
        self.issued.push(Issued { id, command });
        id
    }

    pub(super) fn take(&mut self) -> Vec<Issued> {
        std::mem::take(&mut self.issued)
    }
}
