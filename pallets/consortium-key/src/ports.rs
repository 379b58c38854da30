//! The consortium key, as other pallets see it.

use epione_primitives::{
    HospitalId,
    consortium::{EpochId, KeyId},
    ports,
};

use crate::{Config, Pallet};

impl<T: Config> ports::ConsortiumKey for Pallet<T> {
    fn current() -> Option<(KeyId, EpochId)> {
        Self::current_epoch().map(|epoch| (epoch.key, epoch.id))
    }

    fn is_member(hospital: HospitalId) -> bool {
        Self::current_epoch().is_some_and(|epoch| epoch.seat(hospital).is_some())
    }

    /// The epoch is as large as possible.
    #[cfg(feature = "runtime-benchmarks")]
    fn set_up(hospital: HospitalId) {
        use alloc::{collections::BTreeSet, vec, vec::Vec};
        use epione_primitives::{
            Hash,
            consortium::{CeremonyId, CommitmentList, Epoch, SeatSet, Seats},
            limits::{MAX_FAULTY_SEATS, MAX_SEATS, MAX_THRESHOLD},
        };

        use crate::{Current, Epochs};

        let others = (0..).map(HospitalId).filter(|other| *other != hospital);
        let members: BTreeSet<HospitalId> =
            others.take(MAX_SEATS as usize - 1).chain([hospital]).collect();
        let id = EpochId(0);
        let epoch = Epoch {
            id,
            key: KeyId(0),
            ceremony: CeremonyId(0),
            members: Seats::truncate_from(members.into_iter().collect::<Vec<_>>()),
            threshold: MAX_THRESHOLD as u8,
            faulty: MAX_FAULTY_SEATS as u8,
            commitments: CommitmentList::truncate_from(vec![[1; 32]; MAX_THRESHOLD as usize]),
            mixing: Hash::zero(),
            link: None,
            since: 0,
            confirmed: SeatSet::first(MAX_SEATS as usize),
        };
        Epochs::<T>::insert(id, epoch);
        Current::<T>::put(id);
    }
}
