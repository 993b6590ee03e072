//! How long a real service takes: a lognormal time on one of a few processors.
//!
//! The time is slept, not burnt, so that a whole shop fits on a laptop; the bounded number of
//! processors still makes it queue and saturate as a real one does.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal};
use tokio::sync::Semaphore;

/// The shape of a service's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) median: Duration,
    /// Standard deviation of the logarithm; 0.6 puts the 99th percentile at four medians.
    pub(crate) sigma: f64,
    /// Longer draws are cut to this.
    pub(crate) most: Duration,
    pub(crate) processors: usize,
}

/// The processors of one instance and its source of times.
#[derive(Debug)]
pub(crate) struct ServiceTime {
    random: Mutex<ChaCha8Rng>,
    now: Mutex<Now>,
}

/// What holds now.
#[derive(Debug)]
struct Now {
    shape: Shape,
    law: LogNormal<f64>,
    processors: Arc<Semaphore>,
}

impl Now {
    fn of(shape: Shape) -> Self {
        let law = LogNormal::new(shape.median.as_secs_f64().ln(), shape.sigma)
            .expect("the shapes of the shop are finite and positive");
        Self { shape, law, processors: Arc::new(Semaphore::new(shape.processors)) }
    }
}

impl ServiceTime {
    /// Times of this shape; the same instance name gives the same sequence.
    pub(crate) fn new(shape: Shape, instance: &str) -> Self {
        let seed = instance.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let random = Mutex::new(ChaCha8Rng::seed_from_u64(seed));
        Self { random, now: Mutex::new(Now::of(shape)) }
    }

    /// The shape that holds now.
    pub(crate) fn shape(&self) -> Shape {
        self.now().shape
    }

    /// Another shape from now on; work that waits or goes on does so under the old one.
    pub(crate) fn change(&self, shape: Shape) {
        *self.now() = Now::of(shape);
    }

    fn now(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works for one drawn time, after waiting for a free processor.
    pub(crate) async fn work(&self) {
        let time = self.draw();
        let processors = Arc::clone(&self.now().processors);
        let _processor = processors.acquire().await.expect("processors are never closed");
        tokio::time::sleep(time).await;
    }

    fn draw(&self) -> Duration {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        Duration::from_secs_f64(now.law.sample(&mut *random)).min(now.shape.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_declared_median_and_tail() {
        let shape = Shape {
            median: Duration::from_millis(4),
            sigma: 0.6,
            most: Duration::from_millis(40),
            processors: 1,
        };
        let service = ServiceTime::new(shape, "checkout-1");
        let mut times: Vec<Duration> = (0..4_000).map(|_| service.draw()).collect();
        times.sort();
        let median = times[2_000].as_secs_f64() * 1_000.0;
        let p99 = times[3_960].as_secs_f64() * 1_000.0;
        assert!((3.7..4.3).contains(&median), "{median}");
        assert!((13.0..20.0).contains(&p99), "{p99}");
        assert!(times[3_999] <= shape.most);
    }
}
