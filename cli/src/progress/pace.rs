//! The speed of a transfer, and the remaining time, when there is enough data to estimate them.

use std::time::{Duration, Instant};

use epione_client::Progress;
use indicatif::{BinaryBytes, HumanDuration};

/// Before this time there is not enough data.
const SETTLED: Duration = Duration::from_secs(3);

/// Where and when the transfer began. Bytes of an earlier run do not count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    from: u64,
    begun: Instant,
}

impl Pace {
    pub(super) fn begin(at: Progress, now: Instant) -> Self {
        Self { from: at.done, begun: now }
    }

    /// Bytes per second, and the remaining time; none if there is not enough data.
    fn estimate(&self, at: Progress, now: Instant) -> Option<(u64, Duration)> {
        let elapsed = now.saturating_duration_since(self.begun);
        let moved = at.done.saturating_sub(self.from);
        if elapsed < SETTLED || moved == 0 {
            return None;
        }
        let rate = moved as f64 / elapsed.as_secs_f64();
        let left = at.total.saturating_sub(at.done) as f64 / rate;
        Some((rate as u64, Duration::try_from_secs_f64(left).ok()?))
    }

    /// Text to append to the progress; empty if there is not enough data.
    pub(super) fn text(&self, at: Progress, now: Instant) -> String {
        self.estimate(at, now).map_or_else(String::new, |(rate, left)| {
            format!(", {}/s, {} left", BinaryBytes(rate), HumanDuration(left))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MIB: u64 = 1024 * 1024;

    fn at(done: u64) -> Progress {
        Progress { done: done * MIB, total: 100 * MIB }
    }

    #[test]
    fn nothing_is_estimated_without_enough_data() {
        let begun = Instant::now();
        let pace = Pace::begin(at(0), begun);
        assert_eq!(pace.text(at(0), begun), "");
        assert_eq!(pace.text(at(50), begun + SECOND), "");
        assert_eq!(pace.text(at(0), begun + SECOND * 3_600), "", "nothing moves");
        assert_eq!(pace.estimate(at(50), begun + SECOND * 5), Some((10 * MIB, SECOND * 5)));
        assert_eq!(pace.text(at(50), begun + SECOND * 5), ", 10.00 MiB/s, 5 seconds left");
    }

    #[test]
    fn bytes_of_an_earlier_run_do_not_count() {
        let begun = Instant::now();
        let pace = Pace::begin(at(90), begun);
        assert_eq!(pace.estimate(at(95), begun + SECOND * 5), Some((MIB, SECOND * 5)));
    }
}
