//! Progress of a run: a live board on a terminal, plain lines when piped, JSON lines for machines,
//! or nothing. All of them read the journal's entries as they are written.

mod board;
mod live;
mod plain;

use std::sync::Mutex;

use harness_core::journal::Entry;
use harness_core::plan::Plan;
use harness_core::verdict::{Outcome, Verdict};
use harness_engine::run::Observer;

use crate::output;
use crate::style::Style;
use live::Live;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A board that is drawn anew.
    Live,
    /// A line for what is worth one.
    Plain,
    /// Every entry as a JSON line on standard output.
    Json,
    /// Nothing.
    Quiet,
}

/// Shows progress. Shared with the engine, which calls it from its one task.
pub(crate) struct Progress {
    mode: Mode,
    style: Style,
    inner: Mutex<Inner>,
}

struct Inner {
    board: board::Board,
    live: Option<Live>,
    standing: Vec<(String, Outcome)>,
}

impl Progress {
    pub(crate) fn new(mode: Mode, style: Style, plan: &Plan) -> Self {
        let live = (mode == Mode::Live).then(|| Live::new(&plan.scenario.name));
        let inner = Inner { board: board::Board::new(plan), live, standing: Vec::new() };
        Self { mode, style, inner: Mutex::new(inner) }
    }

    /// Takes the next entry of the journal.
    fn take(&self, entry: &Entry) {
        if self.mode == Mode::Json {
            let text = serde_json::to_string(entry).expect("an entry is plain data");
            output::say(&text);
            return;
        }
        let Ok(mut inner) = self.inner.lock() else { return };
        let inner = &mut *inner;
        let note = inner.board.entry(entry);
        match (self.mode, &mut inner.live) {
            (Mode::Plain, _) => {
                if let Some(line) = note.and_then(|note| plain::line(&inner.board, &note)) {
                    output::tell(&format!("{:>8}  {line}", entry.at.to_string()));
                }
            }
            (Mode::Live, Some(live)) => {
                if let Some(line) = note.as_ref().and_then(|note| live::lasting(note, self.style)) {
                    live.print(&line);
                }
                live.draw(entry.at, &inner.board, &inner.standing, self.style);
            }
            _ => {}
        }
    }

    /// What the judge would say now.
    pub(crate) fn standing(&self, verdict: &Verdict) {
        if let Ok(mut inner) = self.inner.lock() {
            inner.standing = verdict
                .judgements
                .iter()
                .filter(|judgement| judgement.counts.n() > 0)
                .map(|judgement| {
                    let counts = judgement.counts;
                    (format!("{} {}/{}", judgement.id, counts.ok, counts.n()), judgement.outcome)
                })
                .collect();
        }
    }

    /// Clears the board; the report follows.
    pub(crate) fn finish(&self) {
        if let Ok(inner) = self.inner.lock()
            && let Some(live) = &inner.live
        {
            live.clear();
        }
    }
}

impl Observer for Progress {
    fn entry(&self, entry: &Entry) {
        self.take(entry);
    }

    fn paying(&self, step: &str) {
        output::tell(&format!("  {step}"));
    }
}
