//! A timer that is exact to some tens of microseconds: one timerfd for all delayed bytes.
//!
//! The runtime's own timer counts whole milliseconds, which is too coarse for a delay of one. A
//! machine that sleeps wakes late, by some tens of microseconds, or some hundreds after a long
//! sleep. So a long sleep ends well before the instant, and a short one follows; the timer learns
//! by how much short ones end late and is set so much earlier. What is left then is waited for
//! awake, or slept once more if it is longer. It never wakes anybody early.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use super::clock::monotonic_nanos;

/// A longer sleep than this, in nanoseconds, ends the approach before what is due.
const LONG_NANOS: u64 = 5_000_000;
/// Later than this no long sleep ends, on a machine that does not stand still.
const APPROACH_NANOS: u64 = 2_000_000;
/// The timer is set at most so much earlier, in nanoseconds.
const LEAD_NANOS_MAX: u64 = 400_000;
/// One wake changes what was learned by so much, and twice as much each time that the next one
/// errs to the same side. Up and down alike, so that half of the wakes come a little early: the
/// median, which a machine that stands still at times does not move.
const LEAD_NANOS_STEP: u64 = 2_000;
/// The longest step: from nothing to the longest lead in some fifteen wakes.
const LEAD_NANOS_STEP_MAX: u64 = 32_000;
/// A longer rest is slept.
const REST_NANOS_MAX: u64 = 50_000;

/// Wakes tasks at instants of the monotonic clock. Lives on the data thread.
#[derive(Debug)]
pub(super) struct Timer {
    descriptor: AsyncFd<OwnedFd>,
    waiting: Mutex<Waiting>,
    tickets: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By due time and ticket.
    wakers: BTreeMap<(u64, u64), Waker>,
    /// What the descriptor is set to; 0 when it is not.
    armed: u64,
    lead: Lead,
    /// The instant for which it has already woken, too early to wait for it awake; 0 for none.
    woken_for: u64,
}

/// How much before the instant that is due the timer is set.
#[derive(Debug, Default)]
struct Lead {
    nanos: u64,
    /// The last step.
    step: u64,
    /// Whether it went up.
    was_up: bool,
}

impl Lead {
    /// Learns from a wake at `now` for what is due at `first`.
    fn learn(&mut self, first: u64, now: u64) {
        if first.saturating_sub(now) > LEAD_NANOS_MAX {
            // The end of a long sleep, or whom it was set for waits no more.
            return;
        }
        let up = now >= first;
        let is_same_side = up == self.was_up && self.step > 0;
        self.step =
            if is_same_side { (2 * self.step).min(LEAD_NANOS_STEP_MAX) } else { LEAD_NANOS_STEP };
        self.was_up = up;
        self.nanos = if up {
            (self.nanos + self.step).min(LEAD_NANOS_MAX)
        } else {
            self.nanos.saturating_sub(self.step)
        };
    }
}

impl Waiting {
    /// What the descriptor is set to at `now` for what is due at `first`. Never 0: that would
    /// switch it off.
    fn instant(&self, first: u64, now: u64) -> u64 {
        let lead = if first.saturating_sub(now) > LONG_NANOS {
            APPROACH_NANOS
        } else if self.woken_for == first {
            self.lead.nanos.min(REST_NANOS_MAX)
        } else {
            self.lead.nanos
        };
        first.saturating_sub(lead).max(1)
    }
}

impl Timer {
    /// Needs a runtime.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that may give their descriptor away; \
                      an OwnedFd does not"
        )]
        let descriptor = AsyncFd::new(descriptor)?;
        Ok(Self { descriptor, waiting: Mutex::default(), tickets: AtomicU64::new(0) })
    }

    /// Wakes at `due`. One ticket waits for one instant at a time: `before` is the one that it
    /// waited for until now.
    fn wake_at(&self, due: u64, ticket: u64, before: Option<u64>, waker: &Waker) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = before.filter(|before| *before != due) {
            waiting.wakers.remove(&(before, ticket));
        }
        waiting.wakers.insert((due, ticket), waker.clone());
        self.arm(&mut waiting);
    }

    /// Takes a ticket's waiting back.
    fn forget(&self, due: u64, ticket: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.wakers.remove(&(due, ticket));
    }

    /// Wakes whoever is due, for ever. The caller stops it by dropping it.
    pub(super) async fn drive(&self) -> io::Result<()> {
        loop {
            let mut ready = self.descriptor.readable().await?;
            let mut count = [0_u8; 8];
            match rustix::io::read(&self.descriptor, &mut count) {
                Ok(_) | Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            for waker in self.due() {
                waker.wake();
            }
        }
    }

    fn due(&self) -> Vec<Waker> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = monotonic_nanos();
        if let Some((&(first, _), _)) = waiting.wakers.first_key_value() {
            if waiting.woken_for != first {
                waiting.lead.learn(first, now);
            }
            let rest = first.saturating_sub(now);
            if rest <= REST_NANOS_MAX {
                while now < first {
                    std::hint::spin_loop();
                    now = monotonic_nanos();
                }
            } else if rest <= LEAD_NANOS_MAX {
                waiting.woken_for = first;
            }
        }
        let later = waiting.wakers.split_off(&(now + 1, 0));
        let due = std::mem::replace(&mut waiting.wakers, later);
        waiting.armed = 0;
        self.arm(&mut waiting);
        due.into_values().collect()
    }

    /// Sets the descriptor for the first instant, where it is set for a later one or for none.
    fn arm(&self, waiting: &mut Waiting) {
        let Some((&(first, _), _)) = waiting.wakers.first_key_value() else { return };
        let instant = waiting.instant(first, monotonic_nanos());
        if waiting.armed != 0 && waiting.armed <= instant {
            return;
        }
        let at = Timespec {
            tv_sec: i64::try_from(instant / 1_000_000_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(instant % 1_000_000_000).expect("below 10^9"),
        };
        let value = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        timerfd_settime(self.descriptor.get_ref(), TimerfdTimerFlags::ABSTIME, &value)
            .expect("the descriptor is a timer and the instant is valid");
        waiting.armed = instant;
    }
}

/// One who waits on a timer, for one instant at a time. It waits no more when it is dropped.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: Arc<Timer>,
    ticket: u64,
    waits_for: Option<u64>,
}

impl Alarm {
    pub(super) fn new(timer: &Arc<Timer>) -> Self {
        let ticket = timer.tickets.fetch_add(1, Ordering::Relaxed);
        Self { timer: Arc::clone(timer), ticket, waits_for: None }
    }

    /// A number that no other alarm of this timer has.
    pub(super) fn ticket(&self) -> u64 {
        self.ticket
    }

    /// Wakes at `due`, in monotonic nanoseconds, and not at an instant asked for before.
    pub(super) fn wake_at(&mut self, due: u64, waker: &Waker) {
        self.timer.wake_at(due, self.ticket, self.waits_for, waker);
        self.waits_for = Some(due);
    }

    /// Waits no more.
    pub(super) fn off(&mut self) {
        if let Some(due) = self.waits_for.take() {
            self.timer.forget(due, self.ticket);
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.off();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    async fn until(timer: &Arc<Timer>, due: u64) -> u64 {
        let mut alarm = Alarm::new(timer);
        poll_fn(|cx| {
            let now = monotonic_nanos();
            if now >= due {
                return Poll::Ready(now);
            }
            alarm.wake_at(due, cx.waker());
            Poll::Pending
        })
        .await
    }

    #[tokio::test(flavor = "current_thread")]
    async fn waiters_are_woken_in_order_and_never_early() {
        let timer = Arc::new(Timer::new().unwrap());
        let start = monotonic_nanos();
        let (late, early, past) = (start + 9_000_000, start + 3_000_000, start);
        let all =
            async { tokio::join!(until(&timer, late), until(&timer, early), until(&timer, past)) };
        let woken = tokio::select! {
            woken = all => woken,
            error = timer.drive() => panic!("the timer ended: {error:?}"),
        };
        assert!(woken.0 >= late && woken.1 >= early && woken.2 >= past);
        assert!(woken.2 <= woken.1 && woken.1 <= woken.0);
    }

    /// The leads over so many wakes on a machine that is late by `late(n)`.
    fn leads(wakes: u64, late: impl Fn(u64) -> u64) -> Vec<u64> {
        let first = 1_000_000_000;
        let mut lead = Lead::default();
        let mut learn = |n| {
            lead.learn(first, first - lead.nanos + late(n));
            lead.nanos
        };
        (0..wakes).map(&mut learn).collect()
    }

    fn middle(leads: &[u64]) -> u64 {
        let mut sorted = leads.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    }

    #[test]
    fn the_lead_is_the_median_lateness_and_bounded() {
        let even = leads(200, |_| 60_000);
        assert!(even[100..].iter().all(|lead| lead.abs_diff(60_000) <= 2 * LEAD_NANOS_STEP));
        let often_still = |n| if n % 4 == 0 { 50_000_000 } else { 30_000 + n % 3 };
        assert!(middle(&leads(400, often_still)[100..]).abs_diff(30_000) <= 10_000);
        assert_eq!(leads(200, |_| 5_000_000)[199], LEAD_NANOS_MAX);
        assert!(leads(200, |_| 0)[199] <= LEAD_NANOS_STEP);
    }

    #[test]
    fn a_few_wakes_teach_a_lateness_and_a_few_more_that_it_is_over() {
        let over = |n| if n < 20 { 350_000 } else { 50_000 };
        let leads = leads(40, over);
        assert!(leads[15].abs_diff(350_000) <= LEAD_NANOS_STEP_MAX, "{leads:?}");
        assert!(leads[39].abs_diff(50_000) <= LEAD_NANOS_STEP_MAX, "{leads:?}");
    }

    #[test]
    fn a_wake_for_one_who_waits_no_more_teaches_nothing() {
        let mut lead = Lead { nanos: 40_000, ..Lead::default() };
        lead.learn(1_000_000_000, 1_000_000);
        assert_eq!(lead.nanos, 40_000);
    }

    #[test]
    fn a_long_sleep_ends_well_before_and_a_short_one_follows() {
        let (now, lead) = (1_000_000_000, Lead { nanos: 60_000, ..Lead::default() });
        let waiting = Waiting { lead, ..Waiting::default() };
        let long = now + LONG_NANOS + 1;
        assert_eq!(waiting.instant(long, now), long - APPROACH_NANOS);
        assert_eq!(waiting.instant(long, long - APPROACH_NANOS), long - 60_000);
        let short = now + LONG_NANOS;
        assert_eq!(waiting.instant(short, now), short - 60_000);
        let mut lead = Lead { nanos: 60_000, ..Lead::default() };
        lead.learn(long, long - APPROACH_NANOS + 100_000);
        assert_eq!(lead.nanos, 60_000, "the end of a long sleep teaches nothing");
    }

    #[test]
    fn who_was_woken_much_too_early_sleeps_again_and_nearly_to_the_end() {
        let first = 1_000_000_000;
        let lead = Lead { nanos: 300_000, ..Lead::default() };
        let mut waiting = Waiting { lead, ..Waiting::default() };
        let now = first - LEAD_NANOS_MAX;
        assert_eq!(waiting.instant(first, now), first - 300_000);
        waiting.woken_for = first;
        assert_eq!(waiting.instant(first, now), first - REST_NANOS_MAX);
        assert_eq!(waiting.instant(first + 1, now), first + 1 - 300_000, "another instant");
        waiting.lead.nanos = 20_000;
        assert_eq!(waiting.instant(first, now), first - 20_000);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_forgotten_waiter_is_not_kept() {
        let timer = Arc::new(Timer::new().unwrap());
        let due = monotonic_nanos() + 3_600_000_000_000;
        let mut alarm = Alarm::new(&timer);
        alarm.wake_at(due, Waker::noop());
        alarm.wake_at(due + 1, Waker::noop());
        assert_eq!(timer.waiting.lock().unwrap().wakers.len(), 1);
        drop(alarm);
        assert!(timer.waiting.lock().unwrap().wakers.is_empty());
    }
}
