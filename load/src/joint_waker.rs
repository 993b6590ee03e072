//! One waker for the parts of a task that wake each other while they are polled together.
//!
//! A request wakes its connection, which wakes the request: both are polled anyway, so a wake-up
//! from within a poll only says that another round is needed. The task itself is woken only from
//! outside.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// Rounds within one poll, before other tasks have their turn.
const ROUNDS_MAX: u32 = 16;

/// Belongs to one task; kept over many waits, so that parts need not register anew.
#[derive(Debug)]
pub(crate) struct JointWaker {
    signal: Arc<Signal>,
    waker: Waker,
}

#[derive(Debug)]
struct Signal {
    polling: AtomicBool,
    again: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.again.store(true, Ordering::SeqCst);
        // A wake-up from another thread may be taken for one from within; the round that it asks
        // for follows in both cases.
        if !self.polling.load(Ordering::SeqCst)
            && let Some(task) = &*self.task.lock().expect("no holder of this lock panics")
        {
            task.wake_by_ref();
        }
    }
}

impl JointWaker {
    /// Of a task that has not been polled yet.
    pub(crate) fn new() -> Self {
        let signal = Arc::new(Signal {
            polling: AtomicBool::new(false),
            again: AtomicBool::new(false),
            task: Mutex::new(None),
        });
        Self { waker: Waker::from(signal.clone()), signal }
    }

    /// Polls until no part asks for another round.
    pub(crate) fn poll<T>(
        &self,
        cx: &Context<'_>,
        mut round: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        {
            let mut task = self.signal.task.lock().expect("no holder of this lock panics");
            match &mut *task {
                Some(known) => known.clone_from(cx.waker()),
                None => *task = Some(cx.waker().clone()),
            }
        }
        self.signal.polling.store(true, Ordering::SeqCst);
        let mut joint = Context::from_waker(&self.waker);
        for _ in 0..ROUNDS_MAX {
            self.signal.again.store(false, Ordering::SeqCst);
            let polled = round(&mut joint);
            if polled.is_ready() {
                self.signal.polling.store(false, Ordering::SeqCst);
                return polled;
            }
            if !self.signal.again.load(Ordering::SeqCst) {
                break;
            }
        }
        self.signal.polling.store(false, Ordering::SeqCst);
        // Asked for after the last look: no round follows here, so the task must run again.
        if self.signal.again.load(Ordering::SeqCst) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    struct Counter(AtomicU32);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn wakes_from_within_make_rounds_and_wakes_from_outside_the_task() {
        let counter = Arc::new(Counter(AtomicU32::new(0)));
        let task = Waker::from(counter.clone());
        let cx = Context::from_waker(&task);
        let joint = JointWaker::new();
        let (mut rounds, mut kept) = (0, None);
        let polled: Poll<()> = joint.poll(&cx, |cx| {
            rounds += 1;
            kept = Some(cx.waker().clone());
            if rounds < 3 {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!((rounds, counter.0.load(Ordering::SeqCst)), (3, 0));
        kept.unwrap().wake();
        assert_eq!(counter.0.load(Ordering::SeqCst), 1);
        // One that never rests gives way to others.
        let polled: Poll<()> = joint.poll(&cx, |cx| {
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert!(polled.is_pending());
        assert_eq!(counter.0.load(Ordering::SeqCst), 2);
    }
}
