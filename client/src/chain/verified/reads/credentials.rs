//! What pallet-credentials answers.

use codec::DecodeAll;
use epione_primitives::{
    HospitalId, Moment, UserId,
    credential::{AttributeId, AttributeName, Credential},
    limits::MAX_PAGE,
};
use epione_proofs::StateError;

use super::{ChainError, Gap, Known, TWOX_64, VerifiedState, hospitals::served_at, keys};

/// A user, an attribute and its issuer.
type Key = (UserId, AttributeId, HospitalId);

impl VerifiedState {
    pub(in crate::chain) async fn attributes(
        &self,
        from: AttributeId,
        limit: u32,
    ) -> Result<Vec<(AttributeId, AttributeName)>, ChainError> {
        self.compute([keys::attributes()], |known| attributes(known, from, limit)).await
    }

    /// The newest credential for each attribute and issuer, of one page.
    pub(in crate::chain) async fn credentials(
        &self,
        user: UserId,
        after: Option<(AttributeId, HospitalId)>,
        limit: u32,
    ) -> Result<Vec<(AttributeId, HospitalId, Credential)>, ChainError> {
        let prefix = keys::credentials_of(user);
        let after = after.map(|(attribute, issuer)| keys::credential((user, attribute, issuer)));
        let page = self.entries(&prefix, after.as_ref(), limit.min(MAX_PAGE)).await?;
        let mut credentials = Vec::with_capacity(page.len());
        for (key, value) in page {
            let named = attribute_and_issuer(&key);
            let credential = Credential::decode_all(&mut value.as_slice()).ok();
            let (Some((attribute, issuer)), Some(credential)) = (named, credential) else {
                return Err(self.chain().doubt(StateError::OtherType { key: prefix }));
            };
            credentials.push((attribute, issuer, credential));
        }
        Ok(credentials)
    }
}

/// The attribute and the issuer in the key of a credential, after the user.
fn attribute_and_issuer(key: &[u8]) -> Option<(AttributeId, HospitalId)> {
    let (attribute, rest) = after_hash(key)?;
    let (issuer, rest) = after_hash(rest)?;
    rest.is_empty().then_some((AttributeId(attribute), HospitalId(issuer)))
}

/// A number of two bytes after its hash, and what follows it.
fn after_hash(key: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = key.get(TWOX_64..)?.split_first_chunk()?;
    Some((u16::from_le_bytes(*number), rest))
}

fn attributes(
    known: &mut Known,
    from: AttributeId,
    limit: u32,
) -> Result<Vec<(AttributeId, AttributeName)>, Gap> {
    let count: u16 = known.value_or_default(keys::attributes())?;
    let page = (from.0..count).take(limit.min(MAX_PAGE) as usize).map(AttributeId);
    known.need(page.clone().map(keys::attribute))?;
    let mut attributes = Vec::new();
    for attribute in page {
        if let Some(name) = known.value(keys::attribute(attribute))? {
            attributes.push((attribute, name));
        }
    }
    Ok(attributes)
}

/// Whether the credential of an issuer was in force at a moment, whatever the status of the issuer. An earlier one is
/// found by halving, as the pallet finds it.
pub(super) fn holds(known: &mut Known, key: Key, at: Moment) -> Result<bool, Gap> {
    let newest: Option<Credential> = known.value(keys::credential(key))?;
    match newest {
        Some(newest) if newest.since <= at => Ok(newest.in_force(at)),
        Some(_) => was_in_force(known, key, at),
        None => Ok(false),
    }
}

/// Those of these credentials of a user that were in force at a moment, of issuers that were active then. What is
/// missing for all of them is requested together: each may need several earlier ones.
pub(super) fn held(
    known: &mut Known,
    user: UserId,
    named: Vec<(AttributeId, HospitalId)>,
    at: Moment,
) -> Result<Vec<(AttributeId, HospitalId)>, Gap> {
    known.need(named.iter().flat_map(|(attribute, issuer)| {
        [keys::credential((user, *attribute, *issuer)), keys::active_periods(*issuer)]
    }))?;
    let (mut held, mut missing) = (Vec::new(), false);
    for (attribute, issuer) in named {
        match holds(known, (user, attribute, issuer), at) {
            Ok(true) if served_at(known, issuer, at)? => held.push((attribute, issuer)),
            Ok(_) => {}
            Err(Gap::Missing) => missing = true,
            Err(other) => return Err(other),
        }
    }
    if missing { Err(Gap::Missing) } else { Ok(held) }
}

fn was_in_force(known: &mut Known, key: Key, at: Moment) -> Result<bool, Gap> {
    let mut begun = 0;
    let mut later: u32 = known.value_or_default(keys::earlier_credentials(key))?;
    while begun < later {
        let middle = u32::midpoint(begun, later);
        if earlier(known, key, middle)?.is_some_and(|earlier| earlier.since <= at) {
            begun = middle.saturating_add(1);
        } else {
            later = middle;
        }
    }
    let Some(last) = begun.checked_sub(1) else { return Ok(false) };
    Ok(earlier(known, key, last)?.is_some_and(|last| last.in_force(at)))
}

fn earlier(known: &mut Known, key: Key, number: u32) -> Result<Option<Credential>, Gap> {
    known.value(keys::earlier_credential(key, number))
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use epione_primitives::profile::Period;

    use super::*;

    const KEY: Key = (UserId([1; 32]), AttributeId(3), HospitalId(2));

    fn credential(since: Moment, until: Moment) -> Vec<u8> {
        Credential { since, until, revoked: None }.encode()
    }

    #[test]
    fn the_credential_of_that_time_is_found_among_the_earlier_ones() {
        let mut known = Known::default();
        known.learn(keys::credential(KEY), None);
        assert_eq!(holds(&mut known, KEY, 5), Ok(false));
        // In force in the first half of each ten.
        known.learn(keys::credential(KEY), Some(credential(30, 35)));
        assert_eq!(holds(&mut known, KEY, 5), Err(Gap::Missing));
        known.learn(keys::earlier_credentials(KEY), Some(3_u32.encode()));
        for number in 0..3_u32 {
            let since = 10 * Moment::from(number);
            known.learn(keys::earlier_credential(KEY, number), Some(credential(since, since + 5)));
        }
        for at in 0..50 {
            let expected = at < 40 && at % 10 < 5;
            assert_eq!(holds(&mut known, KEY, at), Ok(expected), "{at}");
        }
    }

    /// A decision about the past may need as many histories as a policy set names. Halved one after the other, they
    /// would need sixteen times as many rounds of requests, of which a client makes a limited number.
    #[test]
    fn the_histories_of_sixteen_credentials_are_read_together() {
        const EARLIER: u32 = 1_000;
        let (user, issuer) = (KEY.0, KEY.2);
        let named: Vec<_> = (0..16).map(|attribute| (AttributeId(attribute), issuer)).collect();
        // In force in the first half of each ten.
        let ten = |number: u32| {
            let since = 10 * Moment::from(number);
            Some(credential(since, since + 5))
        };
        let mut state = std::collections::BTreeMap::new();
        let always = vec![Period { since: 0, until: None }];
        state.insert(keys::active_periods(issuer), Some(always.encode()));
        for (attribute, issuer) in &named {
            let key = (user, *attribute, *issuer);
            state.insert(keys::credential(key), ten(EARLIER));
            state.insert(keys::earlier_credentials(key), Some(EARLIER.encode()));
            for number in 0..EARLIER {
                state.insert(keys::earlier_credential(key, number), ten(number));
            }
        }
        for (at, expected) in [(3_333, named.clone()), (3_337, vec![])] {
            let (mut known, mut rounds) = (Known::default(), 0);
            let found = loop {
                match held(&mut known, user, named.clone(), at) {
                    Err(Gap::Missing) => rounds += 1,
                    outcome => break outcome,
                }
                for key in known.take_missing() {
                    let value = state.get(&key).expect("the state has each key").clone();
                    known.learn(key, value);
                }
            };
            assert_eq!(found, Ok(expected));
            // The newest ones, the numbers of the earlier ones, and one for each halving.
            assert!(rounds <= 2 + 11, "{rounds} rounds");
        }
    }

    #[test]
    fn a_page_of_attributes_ends_with_the_last() {
        let mut known = Known::default();
        known.learn(keys::attributes(), Some(3_u16.encode()));
        assert_eq!(attributes(&mut known, AttributeId(1), 9), Err(Gap::Missing));
        let name = |number: u8| AttributeName::truncate_from(vec![b'a' + number]);
        for number in 0..3_u8 {
            let key = keys::attribute(AttributeId(number.into()));
            known.learn(key, Some(name(number).encode()));
        }
        let expected = vec![(AttributeId(1), name(1)), (AttributeId(2), name(2))];
        assert_eq!(attributes(&mut known, AttributeId(1), 9), Ok(expected));
        assert_eq!(attributes(&mut known, AttributeId(0), 1).unwrap().len(), 1);
        assert_eq!(attributes(&mut known, AttributeId(3), 9), Ok(vec![]));
    }

    #[test]
    fn the_key_of_a_credential_names_attribute_and_issuer() {
        let prefix = keys::credentials_of(KEY.0).as_bytes().len();
        let key = keys::credential(KEY);
        let rest = &key.as_bytes()[prefix..];
        assert_eq!(attribute_and_issuer(rest), Some((KEY.1, KEY.2)));
        assert_eq!(attribute_and_issuer(&rest[..rest.len() - 1]), None);
        assert_eq!(attribute_and_issuer(&[rest, &[0]].concat()), None);
    }
}
