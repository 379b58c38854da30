//! How long to wait before a failed attempt is repeated.

use std::time::Duration;

/// Pauses that double from `first` up to `cap`.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub cap: Duration,
}

impl Backoff {
    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap }
    }

    /// The pause after a number of failures in a row.
    pub fn after(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));

    #[test]
    fn pauses_double_up_to_the_cap() {
        let pauses: Vec<_> = (1..=7).map(|n| BACKOFF.after(n).as_millis()).collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    }

    #[test]
    fn the_pause_is_bounded_for_any_number_of_failures() {
        assert_eq!(BACKOFF.after(0), BACKOFF.first);
        assert_eq!(BACKOFF.after(u32::MAX), BACKOFF.cap);
    }
}
