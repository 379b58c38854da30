//! How long a party computes, and how much it sends.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::times::Times;

/// The work of one party in one repetition.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    time: Duration,
    bytes: u64,
}

impl Work {
    /// Adds the time of an act.
    pub fn timed<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = act();
        self.add(begun.elapsed());
        done
    }

    pub fn add(&mut self, time: Duration) {
        self.time += time;
    }

    pub fn send(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }
}

/// The work of one party, of all repetitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Effort {
    /// Median.
    pub millis: f64,
    /// The most of a repetition: random numbers change the lengths of few messages.
    pub bytes: u64,
}

impl Effort {
    pub fn of(works: impl IntoIterator<Item = Work>) -> Self {
        let (times, bytes): (Vec<_>, Vec<_>) =
            works.into_iter().map(|work| (work.time, work.bytes)).unzip();
        Self { millis: median_millis(times), bytes: bytes.into_iter().max().unwrap_or_default() }
    }
}

pub(super) fn median_millis(times: Vec<Duration>) -> f64 {
    Times::of(times).percentile(50) * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(millis: u64, bytes: usize) -> Work {
        let mut work = Work::default();
        work.add(Duration::from_millis(millis));
        work.send(bytes);
        work
    }

    #[test]
    fn an_effort_has_the_median_time_and_the_most_bytes() {
        let effort = Effort::of([work(900, 10), work(2, 12), work(3, 11)]);
        assert_eq!(effort, Effort { millis: 3.0, bytes: 12 });
        assert_eq!(Effort::of([]), Effort::default());
    }

    #[test]
    fn the_acts_and_messages_of_a_repetition_add_up() {
        let mut work = work(5, 7);
        assert_eq!(work.timed(|| 3), 3);
        work.add(Duration::from_millis(5));
        work.send(1);
        assert!(work.time >= Duration::from_millis(10) && work.bytes == 8);
    }
}
