//! What always holds of this pallet's state.

use epione_policies::flaws;
use epione_primitives::access::{Relationship, RelationshipKind};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

use crate::{Config, LatestVersion, Pallet, PolicySets, Relationships};

impl<T: Config> Pallet<T> {
    /// Invariants:
    /// - nobody is related to themselves, and no empty list of relationships is stored;
    /// - a relationship expires after it began, a referral always, and was closed neither before it
    ///   began nor after it expired;
    /// - relationships are stored under their hospital, in the order in which they began, and two of
    ///   one kind do not overlap;
    /// - a hospital's policy sets are numbered from 1 to its latest version without gaps, began in
    ///   that order, and had no flaw then.
    pub fn check_state() -> Result<(), TryRuntimeError> {
        for ((patient, professional, hospital), relationships) in Relationships::<T>::iter() {
            ensure!(patient != professional, "a user is related to themselves");
            ensure!(!relationships.is_empty(), "an empty list of relationships is stored");
            let here = relationships.iter().all(|relationship| relationship.hospital == hospital);
            ensure!(here, "a relationship is stored under another hospital");
            check_relationships(&relationships)?;
        }
        Self::check_policy_sets()
    }

    fn check_policy_sets() -> Result<(), TryRuntimeError> {
        let mut sets = 0;
        for (hospital, latest) in LatestVersion::<T>::iter() {
            let mut began = 0;
            for version in 1..=latest {
                let set = PolicySets::<T>::get(hospital, version)
                    .ok_or("a version of a hospital's policies is missing")?;
                ensure!(began <= set.since, "policy sets did not begin in order");
                ensure!(
                    flaws::check(&set.policies, set.since).is_ok(),
                    "a policy set was flawed when it began"
                );
                began = set.since;
                sets += 1;
            }
        }
        ensure!(PolicySets::<T>::iter_keys().count() == sets, "a policy set has no version");
        Ok(())
    }
}

fn check_relationships(relationships: &[Relationship]) -> Result<(), TryRuntimeError> {
    for (position, relationship) in relationships.iter().enumerate() {
        let Relationship { kind, since, expires, closed, .. } = *relationship;
        ensure!(expires.is_none_or(|expires| since < expires), "a relationship never held");
        ensure!(
            kind != RelationshipKind::Referral || expires.is_some(),
            "a referral never expires"
        );
        ensure!(
            closed.is_none_or(|closed| since <= closed && expires.is_none_or(|end| closed < end)),
            "a relationship was closed while it did not hold"
        );
        for earlier in relationships.iter().take(position) {
            ensure!(earlier.since <= since, "relationships are not in order");
            let same = earlier.kind == kind;
            ensure!(!same || !earlier.in_force(since), "two relationships of one kind overlap");
        }
    }
    Ok(())
}
