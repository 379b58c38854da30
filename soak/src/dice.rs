//! Random choices that can be repeated: the same seed makes the same choices.

use std::{ops::Range, time::Duration};

/// A sequence of choices.
pub struct Dice(blake3::OutputReader);

impl Dice {
    /// The sequence `label` of a run; it does not depend on the run's other sequences.
    pub fn new(seed: u64, label: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(label.as_bytes());
        Self(hasher.finalize_xof())
    }

    pub fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number of a range, which must not be empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.number() % (range.end - range.start).max(1)
    }

    /// True with this probability.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.within(0..100) < percent
    }

    pub fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// One of several; `None` if there are none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.within(0..of.len() as u64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_choices_again() {
        let choices = |seed, label: &str| {
            let mut dice = Dice::new(seed, label);
            (0..20).map(|_| dice.within(3..1_000)).collect::<Vec<_>>()
        };
        assert_eq!(choices(1, "a"), choices(1, "a"));
        assert_ne!(choices(1, "a"), choices(2, "a"));
        assert_ne!(choices(1, "a"), choices(1, "b"));
        assert!(choices(1, "a").iter().all(|choice| (3..1_000).contains(choice)));
    }

    #[test]
    fn nothing_is_picked_from_an_empty_list() {
        let mut dice = Dice::new(1, "a");
        assert_eq!(dice.pick::<u8>(&[]), None);
        assert_eq!(dice.pick(&[7]), Some(&7));
    }
}
