//! What pallet-mandates answers.

use codec::DecodeAll;
use epione_primitives::{HospitalId, Moment, UserId, limits::MAX_PAGE, mandate::Mandate};
use epione_proofs::{StateError, StorageKey};

use super::{
    BLAKE2_128, ChainError, Gap, Known, VerifiedState, after_hash, hospitals::admitted, keys,
};

impl VerifiedState {
    /// The newest mandate of each representative of a patient, of one page.
    pub(in crate::chain) async fn representatives(
        &self,
        patient: UserId,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<(UserId, Mandate)>, ChainError> {
        let prefix = keys::representatives(patient);
        let after = after.map(|user| keys::representative(patient, user));
        let page = self.entries(&prefix, after.as_ref(), limit.min(MAX_PAGE)).await?;
        let mut representatives = Vec::with_capacity(page.len());
        for (key, value) in page {
            let user: UserId =
                after_hash(&prefix, BLAKE2_128, &key).map_err(|error| self.chain().doubt(error))?;
            let mandate = Mandate::decode_all(&mut value.as_slice());
            let Ok(mandate) = mandate else {
                return Err(self.chain().doubt(StateError::OtherType { key: prefix }));
            };
            representatives.push((user, mandate));
        }
        Ok(representatives)
    }

    pub(in crate::chain) async fn authorizations(
        &self,
        patient: UserId,
    ) -> Result<Vec<(HospitalId, Mandate)>, ChainError> {
        self.compute([keys::admitted()], |known| authorizations(known, patient)).await
    }

    pub(in crate::chain) async fn representation(
        &self,
        user: UserId,
        patient: UserId,
    ) -> Result<Option<Mandate>, ChainError> {
        let hints = [keys::now(), keys::representative(patient, user)];
        self.compute(hints, |known| {
            let now = known.value_or_default(keys::now())?;
            representation(known, user, patient, now)
        })
        .await
    }
}

fn authorizations(known: &mut Known, patient: UserId) -> Result<Vec<(HospitalId, Mandate)>, Gap> {
    let ids = admitted(known)?;
    known.need(ids.clone().map(|hospital| keys::authorization(patient, hospital)))?;
    let mut authorizations = Vec::new();
    for hospital in ids {
        if let Some(mandate) = known.value(keys::authorization(patient, hospital))? {
            authorizations.push((hospital, mandate));
        }
    }
    Ok(authorizations)
}

/// Whether a user was a patient's representative at a moment.
pub(super) fn represents(
    known: &mut Known,
    user: UserId,
    patient: UserId,
    at: Moment,
) -> Result<bool, Gap> {
    Ok(representation(known, user, patient, at)?.is_some())
}

/// The mandate by which a user represented a patient at a moment.
fn representation(
    known: &mut Known,
    user: UserId,
    patient: UserId,
    at: Moment,
) -> Result<Option<Mandate>, Gap> {
    let newest = keys::representative(patient, user);
    let count = keys::earlier_representations(patient, user);
    let earlier = |number| keys::earlier_representation(patient, user, number);
    in_force(known, newest, count, earlier, at)
}

/// Whether a patient had authorized a hospital at a moment.
pub(super) fn authorizes(
    known: &mut Known,
    patient: UserId,
    hospital: HospitalId,
    at: Moment,
) -> Result<bool, Gap> {
    let newest = keys::authorization(patient, hospital);
    let count = keys::earlier_authorizations(patient, hospital);
    let earlier = |number| keys::earlier_authorization(patient, hospital, number);
    Ok(in_force(known, newest, count, earlier, at)?.is_some())
}

/// The newest mandate or an earlier one, whichever was in force at a moment. An earlier one is found by halving, as the
/// pallet finds it.
fn in_force(
    known: &mut Known,
    newest: StorageKey,
    count: StorageKey,
    earlier: impl Fn(u32) -> StorageKey,
    at: Moment,
) -> Result<Option<Mandate>, Gap> {
    let Some(newest) = known.value::<Mandate>(newest)? else { return Ok(None) };
    if newest.since <= at {
        return Ok(Some(newest).filter(|newest| newest.in_force(at)));
    }
    let (mut begun, mut later): (u32, u32) = (0, known.value_or_default(count)?);
    while begun < later {
        let middle = u32::midpoint(begun, later);
        let mandate: Option<Mandate> = known.value(earlier(middle))?;
        if mandate.is_some_and(|mandate| mandate.since <= at) {
            begun = middle.saturating_add(1);
        } else {
            later = middle;
        }
    }
    let Some(last) = begun.checked_sub(1) else { return Ok(None) };
    let last: Option<Mandate> = known.value(earlier(last))?;
    Ok(last.filter(|last| last.in_force(at)))
}

#[cfg(test)]
mod tests {
    use codec::Encode;

    use super::*;

    const USER: UserId = UserId([1; 32]);
    const PATIENT: UserId = UserId([2; 32]);

    fn mandate(since: Moment, until: Moment) -> Vec<u8> {
        Mandate { since, until, ended: None }.encode()
    }

    #[test]
    fn the_mandate_of_that_time_is_found_among_the_earlier_ones() {
        let mut known = Known::default();
        known.learn(keys::representative(PATIENT, USER), None);
        assert_eq!(represents(&mut known, USER, PATIENT, 5), Ok(false));
        // In force in the first half of each ten.
        known.learn(keys::representative(PATIENT, USER), Some(mandate(30, 35)));
        assert_eq!(represents(&mut known, USER, PATIENT, 5), Err(Gap::Missing));
        known.learn(keys::earlier_representations(PATIENT, USER), Some(3_u32.encode()));
        for number in 0..3_u32 {
            let since = 10 * Moment::from(number);
            let key = keys::earlier_representation(PATIENT, USER, number);
            known.learn(key, Some(mandate(since, since + 5)));
        }
        for at in 0..50 {
            let expected = at < 40 && at % 10 < 5;
            assert_eq!(represents(&mut known, USER, PATIENT, at), Ok(expected), "{at}");
        }
        let since = |known: &mut Known, at| {
            representation(known, USER, PATIENT, at).map(|found| found.map(|it| it.since))
        };
        assert_eq!(since(&mut known, 14), Ok(Some(10)));
        assert_eq!(since(&mut known, 34), Ok(Some(30)));
    }

    #[test]
    fn an_authorization_is_of_one_hospital() {
        let [here, there] = [HospitalId(3), HospitalId(4)];
        let mut known = Known::default();
        known.learn(keys::authorization(PATIENT, here), Some(mandate(10, 20)));
        known.learn(keys::earlier_authorizations(PATIENT, here), None);
        known.learn(keys::authorization(PATIENT, there), None);
        for (at, expected) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(authorizes(&mut known, PATIENT, here, at), Ok(expected), "{at}");
        }
        assert_eq!(authorizes(&mut known, PATIENT, there, 10), Ok(false));
        assert_eq!(authorizations(&mut known, PATIENT), Err(Gap::Missing));
        known.learn(keys::admitted(), Some(5_u16.encode()));
        assert_eq!(authorizations(&mut known, PATIENT), Err(Gap::Missing));
        for other in 0..3 {
            known.learn(keys::authorization(PATIENT, HospitalId(other)), None);
        }
        let listed = authorizations(&mut known, PATIENT).unwrap();
        assert_eq!(listed, [(here, Mandate { since: 10, until: 20, ended: None })]);
    }
}
