//! Groups of jobs over time. Pure: the time, in milliseconds of one monotonic clock, is handed in.
//!
//! A group is all jobs of one label. Pending jobs run as the quota leaves room, oldest first. Each
//! job ends by itself, at the latest when its group's lease does. A closed group stays closed: a
//! request to start jobs in it that arrives late starts nothing.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// More groups are refused; what a group has used is never forgotten.
const GROUPS_MAX: usize = 4_096;
/// More jobs that run or wait in one group are refused.
pub(super) const JOBS_MAX: usize = 1_000;

/// Why jobs are not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The group was closed; it stays so.
    Closed,
    /// Somebody holds the group; it may be released.
    Held,
    /// There are too many groups, or too many jobs in this one.
    Full,
}

/// Jobs to be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) count: usize,
    /// How long one job runs.
    pub(super) lasts_ms: u64,
    /// All jobs of the group end after so long, unless the lease is renewed.
    pub(super) lease_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    since_ms: u64,
    until_ms: u64,
}

#[derive(Debug, Default)]
struct Group {
    /// How long each waiting job will run.
    pending: VecDeque<u64>,
    running: Vec<Running>,
    /// Of jobs that have ended.
    used_ms: u64,
    ended: u64,
    lease_until_ms: Option<u64>,
    closed: bool,
    held: bool,
}

/// One group as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupView {
    pub(super) label: String,
    pub(super) running: usize,
    pub(super) pending: usize,
    pub(super) ended: u64,
    /// The time that its jobs have run, those that still run included.
    pub(super) used_ms: u64,
    pub(super) closed: bool,
    pub(super) held: bool,
}

/// All groups.
#[derive(Debug)]
pub(super) struct Groups {
    /// So many jobs run at once.
    quota: usize,
    groups: BTreeMap<String, Group>,
}

impl Groups {
    pub(super) fn new(quota: usize) -> Self {
        Self { quota, groups: BTreeMap::new() }
    }

    /// Ends what is over, and starts what waits as far as the quota allows.
    pub(super) fn advance(&mut self, now_ms: u64) {
        for group in self.groups.values_mut() {
            let lease = group.lease_until_ms.unwrap_or(u64::MAX);
            if lease <= now_ms {
                group.pending.clear();
            }
            for job in group.running.extract_if(.., |job| job.until_ms.min(lease) <= now_ms) {
                group.used_ms += job.until_ms.min(lease).saturating_sub(job.since_ms);
                group.ended += 1;
            }
        }
        let mut room = self.quota.saturating_sub(self.running());
        for group in self.groups.values_mut() {
            while room > 0
                && let Some(lasts_ms) = group.pending.pop_front()
            {
                let until_ms = now_ms.saturating_add(lasts_ms);
                group.running.push(Running { since_ms: now_ms, until_ms });
                room -= 1;
            }
        }
    }

    fn running(&self) -> usize {
        self.groups.values().map(|group| group.running.len()).sum()
    }

    /// Starts jobs, or puts them in the queue.
    pub(super) fn submit(
        &mut self,
        now_ms: u64,
        label: &str,
        batch: Batch,
    ) -> Result<GroupView, Refusal> {
        self.advance(now_ms);
        if !self.groups.contains_key(label) && self.groups.len() >= GROUPS_MAX {
            return Err(Refusal::Full);
        }
        let group = self.groups.entry(label.to_owned()).or_default();
        if group.closed {
            return Err(Refusal::Closed);
        }
        if group.held {
            return Err(Refusal::Held);
        }
        if group.running.len() + group.pending.len() + batch.count > JOBS_MAX {
            return Err(Refusal::Full);
        }
        if let Some(lease_ms) = batch.lease_ms {
            group.lease_until_ms = Some(now_ms.saturating_add(lease_ms));
        }
        group.pending.extend(std::iter::repeat_n(batch.lasts_ms, batch.count));
        self.advance(now_ms);
        Ok(self.view(now_ms, label))
    }

    /// Extends the lease of a group's jobs; `false` when the group has no lease any more.
    pub(super) fn renew(&mut self, now_ms: u64, label: &str, lease_ms: u64) -> bool {
        self.advance(now_ms);
        match self.groups.get_mut(label) {
            Some(Group { closed: false, lease_until_ms: Some(until), .. }) if *until > now_ms => {
                *until = now_ms.saturating_add(lease_ms);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Ends all jobs of a group for good; gives how many there were. Closing again ends nothing.
    pub(super) fn close(&mut self, now_ms: u64, label: &str) -> Result<usize, Refusal> {
        if !self.groups.contains_key(label) && self.groups.len() >= GROUPS_MAX {
            return Err(Refusal::Full);
        }
        let ended = self.stop(now_ms, label);
        self.groups.entry(label.to_owned()).or_default().closed = true;
        Ok(ended)
    }

    /// Ends all jobs of a group and starts none until it is released; gives how many there were.
    pub(super) fn hold(&mut self, now_ms: u64, label: &str) -> usize {
        let ended = self.stop(now_ms, label);
        if let Some(group) = self.groups.get_mut(label) {
            group.held = true;
        }
        ended
    }

    pub(super) fn release(&mut self, label: &str) {
        if let Some(group) = self.groups.get_mut(label) {
            group.held = false;
        }
    }

    fn stop(&mut self, now_ms: u64, label: &str) -> usize {
        self.advance(now_ms);
        let Some(group) = self.groups.get_mut(label) else { return 0 };
        let count = group.running.len() + group.pending.len();
        for job in group.running.drain(..) {
            group.used_ms += now_ms - job.since_ms;
            group.ended += 1;
        }
        group.pending.clear();
        self.advance(now_ms);
        count
    }

    /// One group; that of an unknown label is empty.
    pub(super) fn view(&self, now_ms: u64, label: &str) -> GroupView {
        let empty = Group::default();
        let group = self.groups.get(label).unwrap_or(&empty);
        let running = group.running.iter().map(|job| now_ms.saturating_sub(job.since_ms));
        GroupView {
            label: label.to_owned(),
            running: group.running.len(),
            pending: group.pending.len(),
            ended: group.ended,
            used_ms: group.used_ms + running.sum::<u64>(),
            closed: group.closed,
            held: group.held,
        }
    }

    /// All groups by label.
    pub(super) fn views(&self, now_ms: u64) -> Vec<GroupView> {
        self.groups.keys().map(|label| self.view(now_ms, label)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Batch = Batch { count: 10, lasts_ms: 1_000, lease_ms: None };

    fn counts(view: &GroupView) -> (usize, usize, u64, u64) {
        (view.running, view.pending, view.ended, view.used_ms)
    }

    #[test]
    fn the_quota_bounds_what_runs_and_the_queue_moves_on() {
        let mut groups = Groups::new(4);
        let view = groups.submit(0, "a", TEN).unwrap();
        assert_eq!(counts(&view), (4, 6, 0, 0));
        assert_eq!(counts(&groups.view(500, "a")), (4, 6, 0, 2_000));
        groups.advance(1_000);
        assert_eq!(counts(&groups.view(1_000, "a")), (4, 2, 4, 4_000));
        groups.advance(2_500);
        groups.advance(9_000);
        assert_eq!(counts(&groups.view(9_000, "a")), (0, 0, 10, 10_000));
    }

    #[test]
    fn a_lease_ends_all_jobs_at_its_time_unless_it_is_renewed() {
        let mut groups = Groups::new(100);
        let batch = Batch { lease_ms: Some(300), ..TEN };
        groups.submit(0, "a", batch).unwrap();
        assert!(groups.renew(200, "a", 300));
        groups.advance(800);
        assert_eq!(counts(&groups.view(800, "a")), (0, 0, 10, 5_000), "until 500 ms");
        assert!(!groups.renew(900, "a", 300), "what has ended cannot be renewed");
    }

    #[test]
    fn a_closed_group_stays_closed_and_a_held_one_can_be_released() {
        let mut groups = Groups::new(100);
        groups.submit(0, "a", TEN).unwrap();
        assert_eq!(groups.close(100, "a"), Ok(10));
        assert_eq!(groups.close(100, "a"), Ok(0));
        assert_eq!(groups.submit(100, "a", TEN), Err(Refusal::Closed));
        assert_eq!(groups.close(100, "never"), Ok(0));
        assert_eq!(groups.submit(100, "never", TEN), Err(Refusal::Closed));
        groups.submit(100, "b", TEN).unwrap();
        assert_eq!(groups.hold(200, "b"), 10);
        assert_eq!(groups.submit(200, "b", TEN), Err(Refusal::Held));
        groups.release("b");
        assert_eq!(groups.submit(200, "b", TEN).map(|view| view.running), Ok(10));
        assert_eq!(groups.view(200, "b").used_ms, 1_000);
    }

    #[test]
    fn too_many_jobs_are_refused_as_a_whole() {
        let mut groups = Groups::new(1);
        let batch = Batch { count: JOBS_MAX, ..TEN };
        groups.submit(0, "a", batch).unwrap();
        assert_eq!(groups.submit(0, "a", TEN), Err(Refusal::Full));
        assert_eq!(groups.view(0, "a").pending, JOBS_MAX - 1);
    }
}
