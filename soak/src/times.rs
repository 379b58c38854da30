//! Several measurements of the same step, and what most of them stay below.

use std::time::Duration;

/// Measured times, in ascending order.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time, in seconds, that this percentage of the measurements did not exceed; 0 if there are none.
    pub fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(0.0, Duration::as_secs_f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_measurements() {
        let times =
            |seconds: &[u64]| Times::of(seconds.iter().copied().map(Duration::from_secs).collect());
        let few = times(&[4, 1, 3, 2]);
        assert_eq!((few.count(), few.percentile(50), few.percentile(99)), (4, 2.0, 4.0));
        let many: Vec<u64> = (1..=200).rev().collect();
        assert_eq!((times(&many).percentile(90), times(&many).percentile(99)), (180.0, 198.0));
        assert_eq!(times(&[7]).percentile(1), 7.0);
        assert_eq!((times(&[]).count(), times(&[]).percentile(50)), (0, 0.0));
    }
}
