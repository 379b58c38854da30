//! Custody by k of n: which hospitals store a block, and how safe so few of them are.

use crate::random::Random;

/// Draws `k` custodians of a block, but never its announcer. Twice as many are drawn at random, and of these the ones
/// that have the fewest bytes are chosen, so that all hospitals store about the same. Without enough hospitals, all
/// others are custodians.
pub fn custodians(random: &mut Random, stored: &[f64], announcer: usize, k: usize) -> Vec<usize> {
    let others = stored.len() - 1;
    if others <= k {
        return (0..stored.len()).filter(|hospital| *hospital != announcer).collect();
    }
    let mut drawn: Vec<usize> = Vec::with_capacity(2 * k);
    while drawn.len() < (2 * k).min(others) {
        let hospital = random.within(0, others as u64) as usize;
        if hospital != announcer && !drawn.contains(&hospital) {
            drawn.push(hospital);
        }
    }
    drawn.sort_by(|one, other| stored[*one].total_cmp(&stored[*other]).then(one.cmp(other)));
    drawn.truncate(k);
    drawn
}

/// The probability that at least `least` of `k` custodians are among `bad` of `n` hospitals, if all draws are equally
/// probable.
pub fn probability_of_bad(n: u64, bad: u64, k: u64, least: u64) -> f64 {
    let all = ln_choose(n, k);
    let of = |among: u64| (ln_choose(bad, among) + ln_choose(n - bad, k - among) - all).exp();
    (least.max(k.saturating_sub(n - bad))..=k.min(bad)).map(of).sum()
}

fn ln_choose(n: u64, k: u64) -> f64 {
    (0..k).map(|index| (((n - index) as f64) / ((k - index) as f64)).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custodians_are_other_hospitals_and_each_only_once() {
        let mut random = Random::new(1, 0);
        for announcer in 0..30 {
            let mut drawn = custodians(&mut random, &[0.0; 30], announcer, 7);
            drawn.sort_unstable();
            drawn.dedup();
            assert_eq!(drawn.len(), 7);
            assert!(!drawn.contains(&announcer) && drawn.iter().all(|hospital| *hospital < 30));
        }
        assert_eq!(custodians(&mut random, &[0.0; 4], 2, 7), [0, 1, 3], "all others");
    }

    #[test]
    fn bytes_are_balanced_although_blocks_differ_by_much() {
        let largest_share = |balanced: bool| {
            let (mut random, mut stored) = (Random::new(1, 0), vec![0.0; 100]);
            let mut seen = vec![0.0; 100];
            for number in 0..20_000 {
                let bytes = random.within(1, 200_000_000) as f64;
                for hospital in custodians(&mut random, &seen, number % 100, 7) {
                    stored[hospital] += bytes;
                }
                if balanced {
                    seen.clone_from(&stored);
                }
            }
            100.0 * stored.iter().copied().fold(0.0, f64::max) / stored.iter().sum::<f64>()
        };
        let (balanced, unbalanced) = (largest_share(true), largest_share(false));
        assert!(balanced < 1.01, "{balanced}");
        assert!(unbalanced > 1.05, "{unbalanced}: always the hospitals with the smallest numbers");
    }

    #[test]
    fn probabilities_are_those_of_a_small_case_by_hand() {
        // Two of four drawn, two of four bad: 1 of 6 draws has both, 5 of 6 at least one.
        assert!((probability_of_bad(4, 2, 2, 2) - 1.0 / 6.0).abs() < 1e-12);
        assert!((probability_of_bad(4, 2, 2, 1) - 5.0 / 6.0).abs() < 1e-12);
        assert!((probability_of_bad(4, 2, 2, 0) - 1.0).abs() < 1e-12);
        assert_eq!(probability_of_bad(10, 2, 3, 3), 0.0, "two cannot be three");
    }
}
