//! What pallet-openings answers. The chain counts the openings of each patient and of each requester, and the count is
//! proven, so a node can leave out none.

use codec::DecodeAll;
use epione_primitives::{
    HospitalId, RecordPointer, UserId,
    limits::MAX_PAGE,
    opening::{HandedOut, Opening, OpeningId, Wrapped},
    sharing::SlotId,
};
use epione_proofs::{StateError, StorageKey};

use super::{ChainError, Gap, Known, TWOX_64, VerifiedState, after_hash, keys, sharing::slots};

impl VerifiedState {
    pub(in crate::chain) async fn opening(
        &self,
        id: OpeningId,
    ) -> Result<Option<Opening>, ChainError> {
        self.value(keys::opening(id)).await
    }

    pub(in crate::chain) async fn openings_of_patient(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, OpeningId, Opening)>, ChainError> {
        let key = |number| keys::patient_opening(patient, number);
        self.openings(keys::patient_openings(patient), key, before, limit).await
    }

    pub(in crate::chain) async fn openings_of_requester(
        &self,
        requester: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, OpeningId, Opening)>, ChainError> {
        let key = |number| keys::requester_opening(requester, number);
        self.openings(keys::requester_openings(requester), key, before, limit).await
    }

    pub(in crate::chain) async fn handed_out(
        &self,
        opening: OpeningId,
    ) -> Result<Vec<(HospitalId, HandedOut)>, ChainError> {
        let prefix = keys::handed_out(opening);
        let mut all: Vec<(HospitalId, HandedOut)> = Vec::new();
        loop {
            let after = all.last().map(|(last, _)| keys::handed_out_by(opening, *last));
            let page = self.entries(&prefix, after.as_ref(), MAX_PAGE).await?;
            let is_last = page.len() < MAX_PAGE as usize;
            for (key, value) in page {
                let hospital = after_hash(&prefix, TWOX_64, &key);
                let hospital = hospital.map_err(|error| self.chain().doubt(error))?;
                let Ok(handed_out) = HandedOut::decode_all(&mut value.as_slice()) else {
                    return Err(self.chain().doubt(StateError::OtherType { key: prefix }));
                };
                all.push((hospital, handed_out));
            }
            if is_last {
                break;
            }
        }
        all.sort_by_key(|(hospital, _)| *hospital);
        Ok(all)
    }

    pub(in crate::chain) async fn handed_out_by(
        &self,
        opening: OpeningId,
        hospital: HospitalId,
    ) -> Result<Option<HandedOut>, ChainError> {
        self.value(keys::handed_out_by(opening, hospital)).await
    }

    pub(in crate::chain) async fn wraps(
        &self,
        pointer: RecordPointer,
    ) -> Result<Vec<(SlotId, Wrapped)>, ChainError> {
        let hints: Vec<_> = slots().map(|slot| keys::wraps(pointer, slot)).collect();
        self.compute(hints, |known| wraps(known, pointer)).await
    }

    /// One page of a list of openings.
    async fn openings(
        &self,
        count: StorageKey,
        key: impl Fn(u32) -> StorageKey,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, OpeningId, Opening)>, ChainError> {
        let listed: Vec<(u32, OpeningId)> = self.page(count, key, before, limit).await?;
        let hints: Vec<_> = listed.iter().map(|(_, id)| keys::opening(*id)).collect();
        self.compute(hints, |known| each(known, &listed)).await
    }
}

/// The openings of a list, each of which exists.
fn each(
    known: &mut Known,
    listed: &[(u32, OpeningId)],
) -> Result<Vec<(u32, OpeningId, Opening)>, Gap> {
    known.need(listed.iter().map(|(_, id)| keys::opening(*id)))?;
    let mut openings = Vec::with_capacity(listed.len());
    for (number, id) in listed {
        let key = keys::opening(*id);
        openings.push((*number, *id, known.value(key.clone())?.ok_or(Gap::Absent(key))?));
    }
    Ok(openings)
}

fn wraps(known: &mut Known, pointer: RecordPointer) -> Result<Vec<(SlotId, Wrapped)>, Gap> {
    known.need(slots().map(|slot| keys::wraps(pointer, slot)))?;
    let mut all = Vec::new();
    for slot in slots() {
        if let Some(wrapped) = known.value(keys::wraps(pointer, slot))? {
            all.push((slot, wrapped));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use epione_primitives::{
        AccountId, Hash,
        access::Purpose,
        consortium::{EpochId, KeyId},
        limits::MAX_SLOTS,
        release::SectionSet,
        sharing::SlotSet,
    };

    use super::*;

    const POINTER: RecordPointer = RecordPointer { height: 3, index: 1 };

    fn opening() -> Opening {
        Opening {
            requester: UserId([1; 32]),
            hospital: HospitalId(5),
            patient: UserId([2; 32]),
            records: Default::default(),
            purpose: Purpose::Research,
            emergency: None,
            slots: SlotSet(1),
            audience: AccountId::new([3; 32]),
            sealing_key: Hash::repeat_byte(4),
            block: 9,
            at: 10,
        }
    }

    #[test]
    fn a_listed_opening_that_is_proven_to_be_absent_is_an_error() {
        let listed = [(1, OpeningId(7)), (0, OpeningId(3))];
        let mut known = Known::default();
        assert_eq!(each(&mut known, &listed), Err(Gap::Missing));
        assert_eq!(known.take_missing().len(), 2);
        known.learn(keys::opening(OpeningId(7)), Some(opening().encode()));
        known.learn(keys::opening(OpeningId(3)), None);
        assert_eq!(each(&mut known, &listed), Err(Gap::Absent(keys::opening(OpeningId(3)))));
        known.learn(keys::opening(OpeningId(3)), Some(opening().encode()));
        let both = vec![(1, OpeningId(7), opening()), (0, OpeningId(3), opening())];
        assert_eq!(each(&mut known, &listed), Ok(both));
    }

    #[test]
    fn the_wraps_in_all_slots_of_a_record_are_requested_together() {
        let wrapped = Wrapped {
            sections: SectionSet(0b101),
            key: KeyId(0),
            epoch: EpochId(2),
            hospital: HospitalId(1),
            body: Hash::repeat_byte(8),
            block: 12,
        };
        let mut known = Known::default();
        assert_eq!(wraps(&mut known, POINTER), Err(Gap::Missing));
        let missing = known.take_missing();
        assert_eq!(missing.len(), usize::from(MAX_SLOTS));
        missing.into_iter().for_each(|key| known.learn(key, None));
        assert_eq!(wraps(&mut known, POINTER), Ok(Vec::new()));
        known.learn(keys::wraps(POINTER, SlotId(4)), Some(wrapped.encode()));
        assert_eq!(wraps(&mut known, POINTER), Ok(vec![(SlotId(4), wrapped)]));
    }
}
