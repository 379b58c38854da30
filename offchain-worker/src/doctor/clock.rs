//! Whether this machine's clock is right, by the clocks of the others: the other hospitals' workers, and the chain.

use epione_primitives::Moment;

use super::report::Finding;

const CHECK: &str = "clock";
/// A difference that is permitted, in milliseconds: blocks and HTTP dates are some seconds old when they arrive.
const TOLERANCE: i64 = 15_000;
const REMEDY: &str =
    "set the clock by NTP: sudo timedatectl set-ntp true; then: timedatectl status";

/// A clock.
pub trait Clock: Send + Sync {
    fn now(&self) -> Moment;
}

/// This machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        crate::now()
    }
}

/// Another clock, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whose clock it is.
    pub source: String,
    /// Milliseconds by which it is ahead of this machine's; negative if it is behind.
    pub ahead: i64,
}

impl Reading {
    /// The other clock showed `theirs` when this machine's showed `ours`.
    pub fn new(source: impl Into<String>, theirs: Moment, ours: Moment) -> Self {
        let difference = i128::from(theirs) - i128::from(ours);
        let bound = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
        Self { source: source.into(), ahead: bound(difference.max(i64::MIN.into())) }
    }
}

/// Compares this machine's clock with the others. One clock that is wrong, or lies, is named and decides nothing,
/// unless it is the only one.
pub fn judge(mut readings: Vec<Reading>) -> Finding {
    readings.sort_by_key(|reading| reading.ahead);
    let count = readings.len();
    if count == 0 {
        return Finding::unchecked(CHECK, "neither the chain nor another hospital showed a time");
    }
    // If their number is even, both in the middle must agree.
    let (low, high) = (readings[(count - 1) / 2].ahead, readings[count / 2].ahead);
    let (is_behind, is_ahead) = (low > TOLERANCE, high < -TOLERANCE);
    if is_behind || is_ahead {
        let (off, word) = if is_behind { (low, "behind") } else { (high, "ahead of") };
        let seconds = off.unsigned_abs() / 1_000;
        let found = format!(
            "this machine's clock is {seconds} s {word} the clocks of {}",
            names(&readings)
        );
        return Finding::problem(CHECK, found, REMEDY);
    }
    let is_off = |reading: &&Reading| reading.ahead.unsigned_abs() > TOLERANCE.unsigned_abs();
    let wrong: Vec<_> = readings.iter().filter(is_off).cloned().collect();
    if wrong.is_empty() {
        return Finding::ok(CHECK, format!("agrees with the clocks of {}", names(&readings)));
    }
    if low.unsigned_abs() > TOLERANCE.unsigned_abs()
        || high.unsigned_abs() > TOLERANCE.unsigned_abs()
    {
        let found = format!("the clocks of {} contradict each other", names(&readings));
        return Finding::problem(CHECK, found, format!("compare this clock with NTP: {REMEDY}"));
    }
    let found = format!("agrees with most clocks, but those of {} differ", names(&wrong));
    Finding::ok(CHECK, found)
}

fn names(readings: &[Reading]) -> String {
    let each = readings.iter().map(|it| format!("{} ({:+} s)", it.source, it.ahead / 1_000));
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Verdict;

    const NOW: Moment = 1_700_000_000_000;
    const TWO_MINUTES: u64 = 120_000;

    fn judged(ahead: &[i64]) -> Finding {
        let reading = |(number, ahead): (usize, &i64)| Reading {
            source: format!("hospital {number}"),
            ahead: *ahead,
        };
        judge(ahead.iter().enumerate().map(reading).collect())
    }

    #[test]
    fn a_clock_that_is_off_by_two_minutes_is_found() {
        let slow = judge(vec![Reading::new("the chain", NOW, NOW - TWO_MINUTES)]);
        assert!(slow.is_problem() && slow.found.contains("120 s behind"), "{slow:?}");
        let fast = judge(vec![
            Reading::new("the chain", NOW, NOW + TWO_MINUTES),
            Reading::new("hospital 1", NOW + 2_000, NOW + TWO_MINUTES),
        ]);
        assert!(fast.is_problem() && fast.found.contains("118 s ahead"), "{fast:?}");
        assert!(fast.todo.is_some_and(|todo| todo.contains("timedatectl")));
    }

    #[test]
    fn clocks_that_agree_within_seconds_are_ok() {
        assert_eq!(judged(&[-4_000, 0, 1_000]).verdict, Verdict::Ok);
        assert_eq!(judged(&[]).verdict, Verdict::Unchecked);
    }

    #[test]
    fn one_clock_that_lies_is_named_and_decides_nothing() {
        let found = judged(&[0, -1_000, 600_000]);
        assert_eq!(found.verdict, Verdict::Ok);
        assert!(found.found.contains("hospital 2 (+600 s)"), "{found:?}");
    }

    #[test]
    fn two_clocks_that_contradict_each_other_are_a_problem() {
        let found = judged(&[0, 600_000]);
        assert!(found.is_problem() && found.found.contains("contradict"), "{found:?}");
    }

    #[test]
    fn any_difference_has_a_number() {
        assert_eq!(Reading::new("x", u64::MAX, 0).ahead, i64::MAX);
        assert_eq!(Reading::new("x", 0, u64::MAX).ahead, i64::MIN);
    }
}
