//! What disclosures and evidence have in common: somebody verifies the file without a node, from the hash of the
//! genesis block. So the file must be about that chain, and shows it as it was at the time of the proof.

use std::time::Duration;

use epione_primitives::{Hash, Moment};

/// A file is about another chain than the one that the verifier trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is about the chain whose first block is {found:?}, and the verifier trusts {expected:?}"
)]
pub struct OtherChain {
    /// The genesis block that the verifier trusts.
    pub expected: Hash,
    /// The genesis block that the file names.
    pub found: Hash,
}

/// Fails if the file names another genesis block than the verifier's.
pub(crate) fn check_chain(expected: Hash, found: Hash) -> Result<(), OtherChain> {
    if found == expected { Ok(()) } else { Err(OtherChain { expected, found }) }
}

/// How old a proof is whose final block has this time. A proof from the future is new: clocks differ.
pub(crate) fn age(proven: Moment, now: Moment) -> Duration {
    Duration::from_millis(now.saturating_sub(proven))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_chain_is_refused_by_both_hashes() {
        let [own, other] = [1, 2].map(Hash::repeat_byte);
        assert_eq!(check_chain(own, own), Ok(()));
        let refused = check_chain(own, other).unwrap_err();
        assert_eq!(refused, OtherChain { expected: own, found: other });
        let said = refused.to_string();
        assert!(said.contains(&format!("first block is {other:?}")), "{said}");
        assert!(said.contains(&format!("trusts {own:?}")), "{said}");
    }

    #[test]
    fn a_proof_is_as_old_as_its_final_block() {
        assert_eq!(age(1_000, 3_500), Duration::from_millis(2_500));
        assert_eq!(age(3_500, 1_000), Duration::ZERO);
    }
}
