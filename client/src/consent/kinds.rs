//! Sets of kinds of sections. The chain stores them as bits, and does not know what they mean.

use epione_envelope::record::SectionKind;
use epione_primitives::{Word, sharing::KindSet};

/// The kinds in a set. Bits without a kind are left out: a later version may have set them.
pub fn kinds_in(set: KindSet) -> impl Iterator<Item = SectionKind> {
    (0_u32..).zip(SectionKind::ALL).filter_map(move |(bit, kind)| {
        (set.0.checked_shr(bit).unwrap_or_default() & 1 == 1).then_some(*kind)
    })
}

/// The set of these kinds.
pub fn set_of(kinds: &[SectionKind]) -> KindSet {
    let bits = (0_u32..).zip(SectionKind::ALL).filter(|(_, kind)| kinds.contains(kind));
    KindSet(bits.fold(0, |set, (bit, _)| set | 1_u32.checked_shl(bit).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use codec::Encode;

    use super::*;

    #[test]
    fn the_bit_of_a_kind_is_its_codec_index() {
        for kind in SectionKind::ALL {
            let index = u32::from(kind.encode()[0]);
            assert_eq!(set_of(&[*kind]), KindSet(1 << index), "{kind}");
        }
    }

    #[test]
    fn a_set_gives_back_its_kinds_and_skips_unknown_ones() {
        let kinds = [SectionKind::Diagnosis, SectionKind::Report];
        assert_eq!(kinds_in(set_of(&kinds)).collect::<Vec<_>>(), kinds);
        assert_eq!(kinds_in(KindSet(0)).count(), 0);
        assert_eq!(kinds_in(KindSet(u32::MAX)).count(), SectionKind::ALL.len());
        assert_eq!(kinds_in(KindSet(1 << 31)).count(), 0);
    }
}
