//! A member that deals, for tests and benchmarks. Its cryptography is real; only its seeds are chosen.

use codec::Encode as _;
use epione_primitives::{
    Hash, HospitalId,
    consortium::{Ceremony, CommitmentList, DealerContext},
};
use epione_threshold::{Index, MixingSecret, Polynomial, Share};

/// What a dealer publishes, and what it seals to the seats.
pub(crate) struct Deal {
    pub(crate) commitments: CommitmentList,
    pub(crate) proof: [u8; 64],
    /// The dealer's part of the mixing secret.
    pub(crate) part: [u8; 32],
    polynomial: Polynomial,
}

impl Deal {
    /// A dealing for a ceremony of this chain, with the share that the dealer has already or a constant term of its own.
    pub(crate) fn new(
        genesis: Hash,
        ceremony: &Ceremony,
        dealer: HospitalId,
        constant: Option<&Share>,
    ) -> Self {
        Self::of_degree(genesis, ceremony, dealer, constant, ceremony.threshold.into())
    }

    /// The same with any number of commitments.
    pub(crate) fn of_degree(
        genesis: Hash,
        ceremony: &Ceremony,
        dealer: HospitalId,
        constant: Option<&Share>,
        threshold: usize,
    ) -> Self {
        let seed = seed_of(ceremony, dealer, 1);
        let polynomial = match constant {
            Some(share) => Polynomial::sharing(share, &seed, threshold),
            None => Polynomial::generate(&seed, threshold),
        };
        let polynomial = polynomial.expect("a polynomial has at least one coefficient");
        let context = DealerContext { genesis, ceremony: ceremony.id, dealer }.encode();
        Self {
            commitments: CommitmentList::truncate_from(polynomial.commitments().encode()),
            proof: polynomial.prove(&context, &seed).0,
            part: seed_of(ceremony, dealer, 2),
            polynomial,
        }
    }

    /// The share for a hospital.
    pub(crate) fn share(&self, hospital: HospitalId) -> Share {
        self.polynomial.share(Index::of_hospital(hospital.0))
    }

    /// What the dealer publishes about its part.
    pub(crate) fn part_hash(&self) -> Hash {
        Hash::from(MixingSecret::part_hash(&self.part))
    }
}

/// Different bytes for each ceremony, dealer and use.
fn seed_of(ceremony: &Ceremony, dealer: HospitalId, usage: u8) -> [u8; 32] {
    let mut seed = [usage; 32];
    let (id, number) = (ceremony.id.0.to_be_bytes(), dealer.0.to_be_bytes());
    seed[..4].copy_from_slice(&id);
    seed[4..6].copy_from_slice(&number);
    seed
}
