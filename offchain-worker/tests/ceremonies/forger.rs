//! A dealer that follows its own rules: it is committed to a polynomial, and seals to the seats what it likes.

use codec::Encode;
use epione_client::{
    Account,
    chain::{
        Call,
        calls::consortium_key::{self, Dealt},
    },
};
use epione_envelope::{
    dealing::{SealedShares, SharePart},
    sealing_keys::SealingPublicKey,
};
use epione_primitives::{
    Hash, HospitalId,
    consortium::{CeremonyId, CommitmentList, DealerContext, RevealedShare},
};
use epione_threshold::{Index, MixingSecret, Polynomial, Share};
use epione_worker::consortium::{Bodies, ConsortiumView};

pub struct Forger {
    pub id: HospitalId,
    pub agent: Account,
    pub genesis: Hash,
    polynomial: Polynomial,
    part: [u8; 32],
    /// What it says the mixing secret of the earlier epoch is.
    earlier: Option<[u8; 32]>,
}

impl Forger {
    /// A dealer in a ceremony that generates a key with this threshold.
    pub fn new(id: HospitalId, agent: Account, genesis: Hash, threshold: usize) -> Self {
        let polynomial = Polynomial::generate(&[0xf0; 32], threshold).unwrap();
        Self { id, agent, genesis, polynomial, part: [0xf1; 32], earlier: None }
    }

    /// A dealer in a ceremony that makes new shares of this share, with this threshold.
    pub fn resharing(
        id: HospitalId,
        agent: Account,
        genesis: Hash,
        share: &Share,
        threshold: usize,
    ) -> Self {
        let polynomial = Polynomial::sharing(share, &[0xf0; 32], threshold).unwrap();
        Self { polynomial, earlier: Some([0xf2; 32]), ..Self::new(id, agent, genesis, threshold) }
    }

    /// What an honest dealer gives a seat.
    pub fn honest(&self, seat: HospitalId) -> SharePart {
        let share = *self.polynomial.share(Index::of_hospital(seat.0)).encode();
        SharePart { share, part: self.part, earlier: self.earlier }
    }

    /// A dealing. `keys` has the seats with the keys to which it seals, and `forge` says what.
    pub fn deal(
        &self,
        ceremony: CeremonyId,
        keys: &[(HospitalId, SealingPublicKey)],
        forge: impl Fn(HospitalId) -> SharePart,
    ) -> Call {
        let context = DealerContext { genesis: self.genesis, ceremony, dealer: self.id };
        let sealed =
            SealedShares::seal(keys, self.genesis, ceremony, self.id, forge, &self.agent).unwrap();
        let commitments = CommitmentList::try_from(self.polynomial.commitments().encode()).unwrap();
        consortium_key::deal(
            ceremony,
            &Dealt {
                commitments: &commitments,
                proof: &self.polynomial.prove(&context.encode(), &[2; 32]).0,
                part: Hash::from(MixingSecret::part_hash(&self.part)),
                shares: &sealed.encode(),
            },
        )
    }

    /// The answer to the complaint of a seat.
    pub fn answer(&self, ceremony: CeremonyId, seat: u8, hospital: HospitalId) -> Call {
        let given = self.honest(hospital);
        let (share, part) = (given.share, given.part);
        consortium_key::answer_complaint(ceremony, &RevealedShare { seat, share, part })
    }
}

/// The sealing keys with which the seats of the newest ceremony enrolled.
pub fn keys(view: &ConsortiumView, bodies: &Bodies) -> Vec<(HospitalId, SealingPublicKey)> {
    let state = view.state.as_ref().unwrap();
    let enrolled = state.ceremony.seats.iter().zip(&state.enrolments);
    enrolled
        .filter_map(|(seat, hash)| {
            let key = SealingPublicKey::from_bytes(&bodies[&(*hash)?]).unwrap();
            Some((*seat, key))
        })
        .collect()
}
