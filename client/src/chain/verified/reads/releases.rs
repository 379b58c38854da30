//! What pallet-releases answers. The chain counts a patient's receipts, refusals and emergencies, and
//! the count is proven, so a node can leave out none.

use codec::Decode;
use epione_primitives::{
    BlockNumber, Hash, HospitalId, Moment, UserId,
    access::{AccessRequest, Decision},
    limits::page,
    release::{
        OwnRead, Receipt, RefusedAccess, Release, Review, ReviewId, ReviewStatus, Right, Tally,
    },
};
use epione_proofs::StorageKey;

use super::{
    ChainError, Gap, Known, VerifiedState,
    access::decide,
    custody::custodian_of,
    keys,
    sharing::{admitting, placed},
};

/// How a hospital answered a request, as pallet-releases stores it.
#[derive(Decode)]
enum Answer {
    #[codec(index = 0)]
    Granted(Hash),
    #[codec(index = 1)]
    Refused,
}

impl VerifiedState {
    pub(in crate::chain) async fn answer(&self, request: Hash) -> Result<Option<Hash>, ChainError> {
        Ok(match self.value(keys::answer(request)).await? {
            Some(Answer::Granted(grant)) => Some(grant),
            Some(Answer::Refused) | None => None,
        })
    }

    pub(in crate::chain) async fn receipt(
        &self,
        grant: Hash,
    ) -> Result<Option<Receipt>, ChainError> {
        self.compute([keys::by_grant(grant)], |known| receipt(known, grant)).await
    }

    pub(in crate::chain) async fn is_in_force(&self, grant: Hash) -> Result<bool, ChainError> {
        let block = self.head().number;
        let hints = [keys::by_grant(grant), keys::of_departed(grant), keys::now()];
        self.compute(hints, |known| is_in_force(known, grant, block)).await
    }

    pub(in crate::chain) async fn receipts(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, Receipt)>, ChainError> {
        let key = |number| keys::receipt(patient, number);
        self.page(keys::receipts(patient), key, before, limit).await
    }

    pub(in crate::chain) async fn emergencies(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, ReviewId, Review)>, ChainError> {
        let key = |number| keys::emergency(patient, number);
        let emergencies: Vec<(u32, ReviewId)> =
            self.page(keys::emergencies(patient), key, before, limit).await?;
        let hints: Vec<_> = emergencies.iter().map(|(_, id)| keys::review(*id)).collect();
        self.compute(hints, |known| {
            let mut reviews = Vec::new();
            for (number, id) in &emergencies {
                if let Some(review) = known.value(keys::review(*id))? {
                    reviews.push((*number, *id, review));
                }
            }
            Ok(reviews)
        })
        .await
    }

    pub(in crate::chain) async fn refusals(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, RefusedAccess)>, ChainError> {
        let key = |number| keys::refusal(patient, number);
        self.page(keys::refusals(patient), key, before, limit).await
    }

    pub(in crate::chain) async fn own_reads(
        &self,
        patient: UserId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, OwnRead)>, ChainError> {
        let key = |number| keys::own_read(patient, number);
        self.page(keys::own_reads(patient), key, before, limit).await
    }

    pub(in crate::chain) async fn reviews(
        &self,
        before: Option<ReviewId>,
        limit: u32,
    ) -> Result<Vec<(ReviewId, Review)>, ChainError> {
        let key = |number| keys::review(ReviewId(number));
        let before = before.map(|id| id.0);
        let reviews = self.page(keys::next_review(), key, before, limit).await?;
        Ok(reviews.into_iter().map(|(number, review)| (ReviewId(number), review)).collect())
    }

    pub(in crate::chain) async fn tally(
        &self,
        hospital: HospitalId,
        requester: UserId,
    ) -> Result<Tally, ChainError> {
        let key = keys::tally(hospital, requester);
        self.compute([key.clone(), keys::now()], |known| {
            let tally: Tally = known.value_or_default(key.clone())?;
            Ok(tally.on(known.value_or_default(keys::now())?))
        })
        .await
    }

    /// One page of a list that the chain counts: newest first, before the number `before`.
    pub(super) async fn page<T: Decode>(
        &self,
        count: StorageKey,
        key: impl Fn(u32) -> StorageKey,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<(u32, T)>, ChainError> {
        // With a later end than the count, some of these keys have no value.
        let mut hints: Vec<_> =
            before.map_or_else(Vec::new, |end| page(end, None, limit).map(&key).collect());
        hints.push(count.clone());
        self.compute(hints, |known| numbered(known, &count, &key, before, limit)).await
    }
}

fn numbered<T: Decode>(
    known: &mut Known,
    count: &StorageKey,
    key: impl Fn(u32) -> StorageKey,
    before: Option<u32>,
    limit: u32,
) -> Result<Vec<(u32, T)>, Gap> {
    let count: u32 = known.value_or_default(count.clone())?;
    let numbers: Vec<u32> = page(count, before, limit).collect();
    known.need(numbers.iter().map(|number| key(*number)))?;
    let mut entries = Vec::new();
    for number in numbers {
        let key = key(number);
        let entry = known.value(key.clone())?.ok_or(Gap::Absent(key))?;
        entries.push((number, entry));
    }
    Ok(entries)
}

fn receipt(known: &mut Known, grant: Hash) -> Result<Option<Receipt>, Gap> {
    let number: Option<(UserId, u32)> = known.value(keys::by_grant(grant))?;
    match number {
        Some((patient, number)) => known.value(keys::receipt(patient, number)),
        None => Ok(None),
    }
}

/// Whether a grant is recorded, the other hospitals did not find it unjustified, its rights open its sections with the
/// classes that they have now, the policies still allow each right, and after the block of this number its hospital is
/// the custodian of each removed hospital whose records it releases.
fn is_in_force(known: &mut Known, grant: Hash, block: BlockNumber) -> Result<bool, Gap> {
    let Some(Receipt { release, hospital, review, .. }) = receipt(known, grant)? else {
        return Ok(false);
    };
    let review: Option<Review> = match review {
        Some(id) => known.value(keys::review(id))?,
        None => None,
    };
    let unjustified = review.is_some_and(|review| {
        matches!(review.status, ReviewStatus::Closed { justified: false, .. })
    });
    if unjustified {
        return Ok(false);
    }
    if !is_custodian_of_all(known, grant, hospital, block)? {
        return Ok(false);
    }
    let now = known.value_or_default(keys::now())?;
    if !Right::open(&release.rights, some_are_private(known, &release, now)?) {
        return Ok(false);
    }
    for right in release.rights.iter() {
        let request = AccessRequest {
            requester: release.request.requester,
            action: right.action,
            patient: release.request.patient,
            hospital,
            class: right.class,
            purpose: release.request.purpose,
            cosigned: false,
        };
        if !matches!(decide(known, &request, now)?, Decision::Allow { .. }) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a hospital is the custodian of each removed hospital whose records a grant releases, if there is any.
fn is_custodian_of_all(
    known: &mut Known,
    grant: Hash,
    hospital: HospitalId,
    block: BlockNumber,
) -> Result<bool, Gap> {
    let departed: Vec<HospitalId> = known.value_or_default(keys::of_departed(grant))?;
    for departed in departed {
        if custodian_of(known, departed, block)? != Some(hospital) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether some of the released sections are private, because no consent shares them with the requester for the purpose
/// of the request at a moment.
fn some_are_private(known: &mut Known, release: &Release, at: Moment) -> Result<bool, Gap> {
    let request = &release.request;
    let slots = admitting(known, request.patient, request.requester, request.purpose, at)?;
    known.need(release.records.iter().map(|record| keys::placements(record.pointer)))?;
    let mut private = false;
    for record in &release.records {
        let shared = placed(known, record.pointer, slots)?;
        private |= !record.sections.is_subset_of(shared);
    }
    Ok(private)
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use epione_primitives::{
        RecordPointer, Signature,
        access::{Action, Purpose, SectionClass},
        limits::MAX_SLOTS,
        profile::{Period, Registration, RegistrationStatus},
        release::{ReleasedRecord, Request, SectionSet},
        sharing::{
            Consent, ConsentVersion, KindSet, Placement, Placements, RecordedPeriod, SlotId, Term,
        },
    };
    use sp_core::bounded::BoundedVec;

    use super::*;

    fn count() -> StorageKey {
        StorageKey::value("Test", "Count")
    }

    fn key(number: u32) -> StorageKey {
        StorageKey::value("Test", "Entries").twox_64_concat(&number)
    }

    fn numbers(known: &mut Known, before: Option<u32>, limit: u32) -> Result<Vec<u32>, Gap> {
        let entries: Vec<(u32, u8)> = numbered(known, &count(), key, before, limit)?;
        Ok(entries.into_iter().map(|(number, _)| number).collect())
    }

    #[test]
    fn a_page_ends_at_the_proven_count() {
        let mut known = Known::default();
        known.learn(count(), Some(3u32.encode()));
        for number in 0..3 {
            known.learn(key(number), Some(vec![7]));
        }
        assert_eq!(numbers(&mut known, None, 64), Ok(vec![2, 1, 0]));
        assert_eq!(numbers(&mut known, Some(2), 1), Ok(vec![1]));
        assert_eq!(numbers(&mut known, Some(9), 64), Ok(vec![2, 1, 0]));
        assert_eq!(numbers(&mut known, Some(0), 64), Ok(vec![]));
    }

    #[test]
    fn an_entry_below_the_count_must_be_proven() {
        let mut known = Known::default();
        known.learn(count(), Some(3u32.encode()));
        known.learn(key(2), Some(vec![7]));
        known.learn(key(0), Some(vec![7]));
        assert_eq!(numbers(&mut known, None, 64), Err(Gap::Missing));
        assert_eq!(known.take_missing(), [key(1)]);
    }

    #[test]
    fn an_entry_below_the_count_that_is_proven_to_be_absent_is_an_error() {
        let mut known = Known::default();
        known.learn(count(), Some(3u32.encode()));
        for number in 0..3 {
            known.learn(key(number), (number != 1).then(|| vec![7]));
        }
        assert_eq!(numbers(&mut known, None, 64), Err(Gap::Absent(key(1))));
        assert_eq!(numbers(&mut known, None, 1), Ok(vec![2]));
    }

    const PATIENT: UserId = UserId([1; 32]);
    const INSURER: UserId = UserId([2; 32]);
    const SLOT: SlotId = SlotId(3);
    const RECORD: RecordPointer = RecordPointer { height: 1, index: 0 };

    /// The first two sections of a record, for an insurer's research.
    fn release() -> Release {
        let record = ReleasedRecord { pointer: RECORD, sections: SectionSet(0b11) };
        let request = Request {
            requester: INSURER,
            patient: PATIENT,
            hospital: HospitalId(0),
            records: BoundedVec::truncate_from(vec![record]),
            purpose: Purpose::Research,
            emergency: None,
            at: 10,
            nonce: [0; 16],
        };
        Release {
            signature: Signature::Sr25519(Default::default()),
            records: request.records.clone(),
            rights: BoundedVec::default(),
            grant: Hash::zero(),
            request,
        }
    }

    /// A state with a consent for the research of an insurer who is registered at hospital 0, and these sections of the
    /// record in its slot.
    fn state(placed: Option<u64>, ended: Option<Moment>) -> Known {
        let consent = Consent {
            audience: BoundedVec::truncate_from(vec![Term::User(INSURER)]),
            purposes: BoundedVec::truncate_from(vec![Purpose::Research]),
            kinds: KindSet::default(),
            recorded: RecordedPeriod::default(),
            until: 20,
            standing: false,
        };
        let given = ConsentVersion { version: 1, consent, since: 10, block: 1, ended };
        let placements = placed.map(|bits| {
            let placement = Placement { slot: SLOT, sections: SectionSet(bits) };
            Placements::truncate_from(vec![placement]).encode()
        });
        let (home, always) = (HospitalId(0), Period { since: 0, until: None });
        let registration = Registration {
            status: RegistrationStatus::Active,
            periods: BoundedVec::truncate_from(vec![always]),
            version: 1,
            body_hash: Hash::zero(),
        };
        let mut known = Known::default();
        known.learn(keys::admitted(), Some(1_u16.encode()));
        known.learn(keys::registration(home, INSURER), Some(registration.encode()));
        known.learn(keys::active_periods(home), Some(vec![always].encode()));
        for slot in (0..MAX_SLOTS).map(SlotId) {
            let value = (slot == SLOT).then(|| given.encode());
            known.learn(keys::consent(PATIENT, slot), value);
        }
        known.learn(keys::placements(RECORD), placements);
        known
    }

    #[test]
    fn sections_that_became_private_are_not_opened_by_rights_to_shared_ones() {
        let text = |class| Right { action: Action::ReadText, class };
        let (private, shared) = (SectionClass::Private, SectionClass::Shared);
        let shared_media = Right { action: Action::ReadMedia, class: shared };
        for (placed, ended, at, expected) in [
            (Some(0b11), None, 10, false),
            (Some(0b111), None, 19, false),
            (Some(0b01), None, 10, true),
            (None, None, 10, true),
            (Some(0b11), Some(15), 15, true),
            (Some(0b11), None, 20, true),
        ] {
            let mut known = state(placed, ended);
            let some_are_private = some_are_private(&mut known, &release(), at).unwrap();
            assert_eq!(some_are_private, expected, "{placed:?} {ended:?} {at}");
            assert!(Right::open(&[text(private)], some_are_private));
            assert_eq!(Right::open(&[text(shared)], some_are_private), !expected);
            // Another action's right to private sections does not help.
            assert_eq!(Right::open(&[text(private), shared_media], some_are_private), !expected);
        }
    }

    /// The chain ends such a grant with the appointment. A worker whose node is on another machine must, too.
    #[test]
    fn a_grant_is_of_a_custodian_of_all_its_removed_hospitals_or_of_none() {
        use epione_primitives::{
            AccountId,
            custody::Appointment,
            hospital::{Hospital, HospitalStatus},
        };
        let (grant, custodian) = (Hash::repeat_byte(1), HospitalId(1));
        let entry = Hospital {
            name: Default::default(),
            governance: AccountId::new([1; 32]),
            agent: AccountId::new([2; 32]),
            worker_url: Default::default(),
            sealing_key: Default::default(),
            tls_key: [0; 32],
            storage_origin: None,
            status: HospitalStatus::Active,
        };
        let appointment = |custodian| Appointment { custodian, since: 10 }.encode();
        for (departed, second, block, expected) in [
            (None, None, 30, true),
            (Some(vec![2_u16]), None, 30, true),
            (Some(vec![2]), None, 29, false),
            (Some(vec![2, 3]), None, 30, false),
            (Some(vec![2, 3]), Some(HospitalId(4)), 30, false),
            (Some(vec![2, 3]), Some(custodian), 30, true),
        ] {
            let mut known = Known::default();
            known.learn(keys::of_departed(grant), departed.as_ref().map(Encode::encode));
            known.learn(keys::custodian_delay(), Some(20_u32.encode()));
            known.learn(keys::appointment(HospitalId(2)), Some(appointment(custodian)));
            known.learn(keys::appointment(HospitalId(3)), second.map(appointment));
            for id in [custodian, HospitalId(4)] {
                known.learn(keys::hospital(id), Some(entry.encode()));
            }
            let found = is_custodian_of_all(&mut known, grant, custodian, block);
            assert_eq!(found, Ok(expected), "{departed:?} {second:?} {block}");
        }
    }

    #[test]
    fn a_list_without_a_count_is_empty() {
        let mut known = Known::default();
        known.learn(count(), None);
        assert_eq!(numbers(&mut known, None, 64), Ok(vec![]));
    }
}
