//! Which request comes next: the mix by weight, and the arrivals that carry it.
//!
//! The choice depends on the request's number alone, so workers need not agree on anything.

use harness_core::plan::{Key, LoadPlan, RequestPlan};

use crate::draw::{Purpose, below, draw};
use crate::schedule::Schedule;

/// The requests of a plan and their weights.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    /// Sums of the weights up to and with each request; ascending.
    sums: Vec<u64>,
    keyed: Vec<bool>,
    seed: u64,
}

impl Mix {
    /// Of a plan with at least one request.
    pub(crate) fn new(requests: &[RequestPlan], seed: u64) -> Self {
        assert!(!requests.is_empty(), "a plan has at least one request");
        let mut sum = 0;
        let sums = requests
            .iter()
            .map(|request| {
                sum += u64::from(request.weight.max(1));
                sum
            })
            .collect();
        let keyed = requests.iter().map(|request| request.key == Key::Sequence).collect();
        Self { sums, keyed, seed }
    }

    /// The request with this number: its place in the plan.
    pub(crate) fn choose(&self, number: u64) -> usize {
        if self.sums.len() == 1 {
            return 0;
        }
        let total = *self.sums.last().expect("a mix is never empty");
        let point = below(draw(self.seed, Purpose::Mix, number), total);
        self.sums.partition_point(|sum| *sum <= point)
    }
}

/// One request that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Its number within the trial, from 0.
    pub(crate) number: u64,
    /// When it is due, in ns since the load's start.
    pub(crate) due_ns: u64,
    /// Its place in the mix.
    pub(crate) request: usize,
    /// Its number among the requests that carry an id, when it is one of them. Counted apart from
    /// `number`, so that the ids of a trial are without holes.
    pub(crate) id: Option<u64>,
}

/// Which of the workers is meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// From 0.
    pub(crate) worker: u32,
    /// At least 1.
    pub(crate) workers: u32,
}

impl Share {
    /// This worker's part of something that is divided among all; the parts sum up to the whole.
    pub(crate) fn of(self, whole: u32) -> u32 {
        whole / self.workers + u32::from(self.worker < whole % self.workers)
    }
}

/// One worker's requests in the order in which they are due: every `workers`-th one.
#[derive(Debug)]
pub(crate) struct ArrivalQueue {
    schedule: Schedule,
    mix: Mix,
    number: u64,
    id: u64,
    share: Share,
}

impl ArrivalQueue {
    /// The requests of one worker in one trial of `length_ns`.
    pub(crate) fn new(plan: &LoadPlan, seed: u64, length_ns: u64, share: Share) -> Self {
        let schedule = Schedule::new(&plan.shape, plan.arrivals, seed, length_ns);
        Self { schedule, mix: Mix::new(&plan.mix, seed), number: 0, id: 0, share }
    }
}

impl Iterator for ArrivalQueue {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let due_ns = self.schedule.next()?;
            let number = self.number;
            self.number += 1;
            let request = self.mix.choose(number);
            let id = self.mix.keyed[request].then_some(self.id);
            self.id += u64::from(id.is_some());
            if number % u64::from(self.share.workers) == u64::from(self.share.worker) {
                return Some(Arrival { number, due_ns, request, id });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plans;

    fn queue(workers: u32, worker: u32) -> Vec<Arrival> {
        let mut plan = plans::constant(1_000);
        plan.mix = vec![plans::get("/a", 8), plans::get("/b", 2)];
        plan.mix[1].key = Key::Sequence;
        ArrivalQueue::new(&plan, 5, 10_000_000_000, Share { worker, workers }).collect()
    }

    #[test]
    fn weights_are_kept() {
        let all = queue(1, 0);
        let second = all.iter().filter(|arrival| arrival.request == 1).count() as f64;
        // Binomial with n = 10,000 and p = 0.2 has a standard deviation of 40.
        assert!((second - 2_000.0).abs() < 200.0, "{second}");
    }

    #[test]
    fn ids_have_no_holes_and_do_not_depend_on_the_workers() {
        let all = queue(1, 0);
        let ids: Vec<u64> = all.iter().filter_map(|arrival| arrival.id).collect();
        assert_eq!(ids, (0..ids.len() as u64).collect::<Vec<_>>());
        let mut merged: Vec<Arrival> = (0..3).flat_map(|worker| queue(3, worker)).collect();
        merged.sort_by_key(|arrival| arrival.number);
        assert_eq!(merged, all);
    }

    #[test]
    fn shares_sum_up() {
        for (whole, workers) in [(50, 3), (2, 2), (7, 4), (1, 1)] {
            let sum: u32 = (0..workers).map(|worker| Share { worker, workers }.of(whole)).sum();
            assert_eq!(sum, whole);
        }
    }
}
