//! A token bucket. Pure: time is handed in.

use std::time::Instant;

/// Tokens that refill at a steady rate up to a limit.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    most: f64,
    per_second: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn new(most: f64, per_second: f64, now: Instant) -> Self {
        Self { tokens: most, most, per_second, at: now }
    }

    /// Takes one token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.add(passed * self.per_second);
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    /// Puts tokens in, up to the limit.
    pub(super) fn add(&mut self, tokens: f64) {
        self.tokens = (self.tokens + tokens).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_gives_what_it_holds_and_refills_at_its_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(2.0, 10.0, now);
        assert!(bucket.take(now) && bucket.take(now));
        assert!(!bucket.take(now));
        assert!(!bucket.take(now + Duration::from_millis(99)));
        assert!(bucket.take(now + Duration::from_millis(101)));
        let taken = (0..9).filter(|_| bucket.take(now + Duration::from_mins(1))).count();
        assert_eq!(taken, 2, "never more than its limit");
    }
}
