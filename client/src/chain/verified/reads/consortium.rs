//! What pallet-consortium-key stores. The runtime API does not answer about it, so that this is the only reading code.

use codec::Decode;
use epione_primitives::{
    Hash,
    consortium::{
        Answers, Ceremony, Confirmations, Dealing, Epoch, EpochId, PastCeremony, Schedule,
    },
    limits::MAX_PAST_CEREMONIES,
};
use epione_proofs::StorageKey;
use sp_core::{ConstU32, bounded::BoundedVec};

use super::{ChainError, Gap, Known, VerifiedState, keys};
use crate::chain::{CeremonyState, ConsortiumKey};

type PastCeremonies = BoundedVec<PastCeremony, ConstU32<MAX_PAST_CEREMONIES>>;

impl VerifiedState {
    pub(in crate::chain) async fn consortium_key(&self) -> Result<ConsortiumKey, ChainError> {
        self.compute(single_values(), consortium_key).await
    }

    pub(in crate::chain) async fn consortium_schedule(&self) -> Result<Schedule, ChainError> {
        Ok(self.value(keys::consortium_schedule()).await?.unwrap_or_default())
    }

    pub(in crate::chain) async fn ceremony(&self) -> Result<Option<Ceremony>, ChainError> {
        self.value(keys::ceremony()).await
    }

    pub(in crate::chain) async fn ceremony_state(
        &self,
    ) -> Result<Option<CeremonyState>, ChainError> {
        self.compute([keys::ceremony(), keys::confirmations()], ceremony_state).await
    }

    pub(in crate::chain) async fn kept_ceremony_state(
        &self,
    ) -> Result<Option<CeremonyState>, ChainError> {
        self.compute([keys::kept_ceremony()], kept_ceremony_state).await
    }

    pub(in crate::chain) async fn enrolments(
        &self,
        ceremony: &Ceremony,
    ) -> Result<Vec<Option<Hash>>, ChainError> {
        let keys = enrolments(ceremony);
        self.compute(keys.clone(), |known| each(known, &keys)).await
    }

    pub(in crate::chain) async fn dealings(
        &self,
        ceremony: &Ceremony,
    ) -> Result<Vec<Option<Dealing>>, ChainError> {
        let keys = dealings(ceremony);
        self.compute(keys.clone(), |known| each(known, &keys)).await
    }

    pub(in crate::chain) async fn answers(
        &self,
        ceremony: &Ceremony,
    ) -> Result<Vec<Answers>, ChainError> {
        let keys = answers(ceremony);
        self.compute(keys.clone(), |known| each_or_default(known, &keys)).await
    }

    pub(in crate::chain) async fn confirmations(&self) -> Result<Confirmations, ChainError> {
        Ok(self.value(keys::confirmations()).await?.unwrap_or_default())
    }

    pub(in crate::chain) async fn epoch(&self, id: EpochId) -> Result<Option<Epoch>, ChainError> {
        self.value(keys::epoch(id)).await
    }

    pub(in crate::chain) async fn epochs(
        &self,
        ids: &[EpochId],
    ) -> Result<Vec<Option<Epoch>>, ChainError> {
        let keys: Vec<_> = ids.iter().map(|id| keys::epoch(*id)).collect();
        self.compute(keys.clone(), |known| each(known, &keys)).await
    }

    pub(in crate::chain) async fn current_epoch(&self) -> Result<Option<Epoch>, ChainError> {
        self.compute([keys::current_epoch()], current).await
    }

    pub(in crate::chain) async fn past_ceremonies(&self) -> Result<Vec<PastCeremony>, ChainError> {
        let past: Option<PastCeremonies> = self.value(keys::past_ceremonies()).await?;
        Ok(past.unwrap_or_default().into_inner())
    }
}

/// The keys of what [`consortium_key`] reads, without the current epoch.
fn single_values() -> [StorageKey; 10] {
    [
        keys::consortium_schedule(),
        keys::current_epoch(),
        keys::ceremony(),
        keys::kept_ceremony(),
        keys::committee(),
        keys::refresh_requested(),
        keys::renewal_decided(),
        keys::joined(),
        keys::last_begun(),
        keys::last_ended(),
    ]
}

fn consortium_key(known: &mut Known) -> Result<ConsortiumKey, Gap> {
    known.need(single_values())?;
    Ok(ConsortiumKey {
        schedule: known.value_or_default(keys::consortium_schedule())?,
        current: current(known)?,
        ceremony: known.value(keys::ceremony())?,
        kept: known.value(keys::kept_ceremony())?,
        committee: known.value(keys::committee())?,
        refresh_requested: known.value_or_default(keys::refresh_requested())?,
        renewal_decided: known.value_or_default(keys::renewal_decided())?,
        joined: known.value_or_default(keys::joined())?,
        last_begun: known.value(keys::last_begun())?,
        last_ended: known.value(keys::last_ended())?,
    })
}

fn current(known: &mut Known) -> Result<Option<Epoch>, Gap> {
    let Some(id) = known.value(keys::current_epoch())? else { return Ok(None) };
    existing(known, keys::epoch(id)).map(Some)
}

fn ceremony_state(known: &mut Known) -> Result<Option<CeremonyState>, Gap> {
    let Some(ceremony) = known.value::<Ceremony>(keys::ceremony())? else { return Ok(None) };
    let all = published(&ceremony).into_iter().chain([keys::confirmations()]);
    known.need(all)?;
    let confirmations = known.value_or_default(keys::confirmations())?;
    with_published(known, ceremony, confirmations).map(Some)
}

fn kept_ceremony_state(known: &mut Known) -> Result<Option<CeremonyState>, Gap> {
    let Some(ceremony) = known.value::<Ceremony>(keys::kept_ceremony())? else { return Ok(None) };
    known.need(published(&ceremony))?;
    with_published(known, ceremony, Confirmations::default()).map(Some)
}

/// The keys of everything that seats and dealers published in a ceremony, apart from confirmations.
fn published(ceremony: &Ceremony) -> Vec<StorageKey> {
    [enrolments(ceremony), dealings(ceremony), answers(ceremony)].concat()
}

fn with_published(
    known: &mut Known,
    ceremony: Ceremony,
    confirmations: Confirmations,
) -> Result<CeremonyState, Gap> {
    Ok(CeremonyState {
        enrolments: each(known, &enrolments(&ceremony))?,
        dealings: each(known, &dealings(&ceremony))?,
        answers: each_or_default(known, &answers(&ceremony))?,
        confirmations,
        ceremony,
    })
}

/// The keys of the enrolments of all seats.
fn enrolments(ceremony: &Ceremony) -> Vec<StorageKey> {
    (0..).take(ceremony.seats.len()).map(|seat| keys::enrolment(ceremony.id, seat)).collect()
}

/// The keys of the dealings of all dealers.
fn dealings(ceremony: &Ceremony) -> Vec<StorageKey> {
    (0..).take(ceremony.dealers.len()).map(|dealer| keys::dealing(ceremony.id, dealer)).collect()
}

/// The keys of the answers of all dealers.
fn answers(ceremony: &Ceremony) -> Vec<StorageKey> {
    (0..).take(ceremony.dealers.len()).map(|dealer| keys::answers_of(ceremony.id, dealer)).collect()
}

fn each<T: Decode>(known: &mut Known, keys: &[StorageKey]) -> Result<Vec<Option<T>>, Gap> {
    known.need(keys.iter().cloned())?;
    keys.iter().map(|key| known.value(key.clone())).collect()
}

fn each_or_default<T: Decode + Default>(
    known: &mut Known,
    keys: &[StorageKey],
) -> Result<Vec<T>, Gap> {
    Ok(each(known, keys)?.into_iter().map(Option::unwrap_or_default).collect())
}

/// A value that another one names.
fn existing<T: Decode>(known: &mut Known, key: StorageKey) -> Result<T, Gap> {
    known.value(key.clone())?.ok_or(Gap::Absent(key))
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use epione_primitives::{
        HospitalId,
        consortium::{CeremonyId, KeyId, SeatSet, Seats},
    };

    use super::*;

    fn epoch(id: u32) -> Epoch {
        Epoch {
            id: EpochId(id),
            key: KeyId(0),
            ceremony: CeremonyId(id),
            members: Seats::default(),
            threshold: 3,
            faulty: 0,
            commitments: Default::default(),
            mixing: Hash::repeat_byte(2),
            link: None,
            since: 5,
            confirmed: SeatSet::first(4),
        }
    }

    #[test]
    fn an_epoch_that_the_state_names_and_does_not_have_is_an_error() {
        let mut known = Known::default();
        assert_eq!(current(&mut known), Err(Gap::Missing));
        known.learn(keys::current_epoch(), None);
        assert_eq!(current(&mut known), Ok(None));
        known.learn(keys::current_epoch(), Some(EpochId(7).encode()));
        assert_eq!(current(&mut known), Err(Gap::Missing));
        known.learn(keys::epoch(EpochId(7)), None);
        assert_eq!(current(&mut known), Err(Gap::Absent(keys::epoch(EpochId(7)))));
        known.learn(keys::epoch(EpochId(7)), Some(epoch(7).encode()));
        assert_eq!(current(&mut known), Ok(Some(epoch(7))));
    }

    /// The pallet reads it so, too: a chain that got the pallet by an upgrade stores no schedule.
    #[test]
    fn a_state_without_schedule_has_the_default_one() {
        let mut known = Known::default();
        single_values().into_iter().for_each(|key| known.learn(key, None));
        let key = consortium_key(&mut known).unwrap();
        assert_eq!((key.schedule, key.current), (Schedule::default(), None));
    }

    #[test]
    fn what_all_seats_and_dealers_published_is_requested_together() {
        let hospitals = |ids: &[u16]| {
            Seats::truncate_from(ids.iter().copied().map(HospitalId).collect::<Vec<_>>())
        };
        let (seats, dealers) = (hospitals(&[0, 1, 3]), hospitals(&[0, 1]));
        let ceremony = Ceremony::begin(CeremonyId(4), None, seats, dealers, 9);
        let mut known = Known::default();
        assert_eq!(ceremony_state(&mut known), Err(Gap::Missing));
        assert_eq!(known.take_missing(), [keys::ceremony()]);
        known.learn(keys::ceremony(), Some(ceremony.encode()));
        assert_eq!(ceremony_state(&mut known), Err(Gap::Missing));
        let missing = known.take_missing();
        assert_eq!(missing.len(), 3 + 2 + 2 + 1);
        missing.into_iter().for_each(|key| known.learn(key, None));
        known.learn(keys::enrolment(CeremonyId(4), 2), Some(Hash::repeat_byte(1).encode()));
        let state = ceremony_state(&mut known).unwrap().unwrap();
        assert_eq!(state.enrolments, [None, None, Some(Hash::repeat_byte(1))]);
        assert_eq!((state.dealings, state.answers.len()), (vec![None, None], 2));
        assert!(state.confirmations.is_empty());
        assert_eq!(state.ceremony, ceremony);

        known.learn(keys::kept_ceremony(), None);
        assert_eq!(kept_ceremony_state(&mut known), Ok(None));
        let kept = Ceremony { id: CeremonyId(3), ..ceremony };
        known.learn(keys::kept_ceremony(), Some(kept.encode()));
        assert_eq!(kept_ceremony_state(&mut known), Err(Gap::Missing));
        let missing = known.take_missing();
        assert_eq!(missing.len(), 3 + 2 + 2);
        missing.into_iter().for_each(|key| known.learn(key, None));
        let state = kept_ceremony_state(&mut known).unwrap().unwrap();
        assert_eq!((state.ceremony, state.enrolments), (kept, vec![None; 3]));
    }
}
