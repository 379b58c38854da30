//! Times of repetitions: the median, the least and the most.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::times::Times;

/// In milliseconds, unless a field says otherwise; 0 if nothing was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(times: Vec<Duration>) -> Self {
        let times = Times::of(times);
        let [least, median, most] = [0, 50, 100].map(|percent| times.percentile(percent) * 1_000.0);
        Self { least, median, most }
    }
}

/// Does it once to fill the caches, and then so often, measured.
pub(super) fn repeated<T>(
    count: u16,
    mut act: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<Spread> {
    black_box(act()?);
    let mut times = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        black_box(timed(&mut times, &mut act)?);
    }
    Ok(Spread::of(times))
}

/// Adds the time of an act.
pub(super) fn timed<T>(
    times: &mut Vec<Duration>,
    act: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    let done = act();
    times.push(begun.elapsed());
    done
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn the_least_and_the_most_are_those_of_all_measurements() {
        let times: Vec<_> = (1..=150).rev().map(Duration::from_millis).collect();
        let spread = Spread::of(times);
        let near = |one: f64, other: f64| (one - other).abs() < 1e-9;
        assert!(near(spread.least, 1.0) && near(spread.most, 150.0), "{spread:?}");
        assert!(near(spread.median, 75.0), "{spread:?}");
        assert_eq!(Spread::of(Vec::new()), Spread { least: 0.0, median: 0.0, most: 0.0 });
    }

    #[test]
    fn the_first_repetition_is_not_measured_and_an_error_ends_the_others() {
        let mut done = 0;
        let spread = repeated(2, || {
            done += 1;
            sleep(Duration::from_millis(if done == 1 { 200 } else { 2 }));
            Ok(())
        });
        let spread = spread.unwrap();
        assert_eq!(done, 3);
        assert!(spread.least >= 2.0 && spread.median < 200.0, "{spread:?}");
        assert!(repeated(2, || -> anyhow::Result<()> { anyhow::bail!("no") }).is_err());
    }
}
