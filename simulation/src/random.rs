//! Random numbers that can be repeated: the same seed gives the same sequence on every machine.

/// The generator SplitMix64. It is quick and equally distributed, and protects no secret.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence number `stream` of a seed. Streams of one seed do not depend on each other.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut mixed = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        mixed.number();
        mixed
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0, below 1.
    pub fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From `least` to `most`, both included.
    pub fn within(&mut self, least: u64, most: u64) -> u64 {
        least + self.number() % (most - least + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_sequence_and_streams_differ() {
        let numbers = |seed, stream| {
            let mut random = Random::new(seed, stream);
            (0..20).map(|_| random.within(3, 9_999)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(1, 1), numbers(1, 1));
        assert_ne!(numbers(1, 1), numbers(2, 1));
        assert_ne!(numbers(1, 1), numbers(1, 2));
        assert!(numbers(7, 7).iter().all(|number| (3..=9_999).contains(number)));
    }

    #[test]
    fn fractions_are_spread_evenly() {
        let mut random = Random::new(1, 0);
        let mean = (0..100_000).map(|_| random.fraction()).sum::<f64>() / 100_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
