//! The invariants of this pallet's state, which the crate documentation lists.

use epione_primitives::{
    HospitalId, UserId,
    credential::{AttributeId, Credential, is_attribute_name},
    limits::{MAX_ATTRIBUTES, MAX_CREDENTIAL_MILLIS},
};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

use crate::{
    AttributeCount, Attributes, ByName, Config, Credentials, EarlierCount, EarlierCredentials,
    Pallet,
};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        Self::check_attributes()?;
        let mut earlier = 0;
        let mut with_earlier = 0;
        for (key, newest) in Credentials::<T>::iter() {
            ensure!(
                Attributes::<T>::contains_key(key.1),
                "a credential is of an attribute without a name"
            );
            let count = Self::check_history(key, newest)?;
            earlier += count;
            with_earlier += usize::from(count > 0);
        }
        ensure!(
            EarlierCredentials::<T>::iter_keys().count() == earlier,
            "an earlier credential is not counted"
        );
        ensure!(
            EarlierCount::<T>::iter_keys().count() == with_earlier,
            "earlier credentials are counted without any"
        );
        Ok(())
    }

    fn check_attributes() -> Result<(), TryRuntimeError> {
        let count = AttributeCount::<T>::get();
        ensure!(count <= MAX_ATTRIBUTES, "there are too many attributes");
        for number in 0..count {
            let attribute = AttributeId(number);
            let name = Attributes::<T>::get(attribute).ok_or("an attribute has no name")?;
            ensure!(is_attribute_name(&name), "the name of an attribute is invalid");
            ensure!(
                ByName::<T>::get(name) == Some(attribute),
                "an attribute is not found by its name"
            );
        }
        ensure!(
            Attributes::<T>::iter_keys().count() == usize::from(count),
            "an attribute beyond the next number has a name"
        );
        ensure!(
            ByName::<T>::iter_keys().count() == usize::from(count),
            "a name belongs to no attribute"
        );
        Ok(())
    }

    /// Checks the credentials of one user, attribute and issuer. Returns the number of those before the newest.
    fn check_history(
        (user, attribute, issuer): (UserId, AttributeId, HospitalId),
        newest: Credential,
    ) -> Result<usize, TryRuntimeError> {
        check_credential(newest)?;
        let count = EarlierCount::<T>::get((user, attribute, issuer));
        let mut later = newest;
        for number in (0..count).rev() {
            let earlier = EarlierCredentials::<T>::get((user, attribute, issuer, number))
                .ok_or("an earlier credential is missing")?;
            check_credential(earlier)?;
            ensure!(earlier.since <= later.since, "credentials are not in order");
            ensure!(!earlier.in_force(later.since), "two credentials overlap");
            later = earlier;
        }
        Ok(count as usize)
    }
}

fn check_credential(credential: Credential) -> Result<(), TryRuntimeError> {
    let Credential { since, until, revoked } = credential;
    ensure!(since < until, "a credential ended before it began");
    ensure!(
        until.saturating_sub(since) <= MAX_CREDENTIAL_MILLIS,
        "a credential lasts longer than it may"
    );
    ensure!(
        revoked.is_none_or(|revoked| since <= revoked && revoked < until),
        "a credential was revoked while it was not in force"
    );
    Ok(())
}
