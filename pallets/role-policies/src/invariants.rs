//! What always holds of this pallet's state.

use epione_policies::flaws;
use epione_primitives::access::{Parties, Relationship, RelationshipKind};
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

use crate::{
    Config, EarlierCount, EarlierRelationships, LatestVersion, Pallet, PolicySets, Relationships,
};

impl<T: Config> Pallet<T> {
    /// Invariants:
    /// - nobody is related to themselves, and no empty list of relationships is stored;
    /// - a relationship expires after it began, a referral always, and was closed neither before it
    ///   began nor after it expired;
    /// - relationships are stored under their hospital and kind, in the order in which they began; the newest of a
    ///   kind is stored once, the earlier ones are numbered without gaps, and two of one kind do not overlap;
    /// - a hospital's policy sets are numbered from 1 to its latest version without gaps, began in
    ///   that order, and had no flaw then.
    pub fn check_state() -> Result<(), TryRuntimeError> {
        let mut earlier = 0;
        for (parties, newest) in Relationships::<T>::iter() {
            let (patient, professional, _) = parties;
            ensure!(patient != professional, "a user is related to themselves");
            ensure!(!newest.is_empty(), "an empty list of relationships is stored");
            ensure!(
                newest.is_sorted_by_key(|relationship| relationship.since),
                "relationships are not in order"
            );
            for (position, relationship) in newest.iter().enumerate() {
                let same = |other: &Relationship| other.kind == relationship.kind;
                let repeated = newest.iter().take(position).any(same);
                ensure!(!repeated, "a kind has two newest relationships");
                earlier += Self::check_history(parties, relationship)?;
            }
        }
        ensure!(
            EarlierRelationships::<T>::iter_keys().count() == earlier,
            "an earlier relationship is not counted"
        );
        Self::check_policy_sets()
    }

    /// Checks the relationships of one kind. Returns the number of those before the newest.
    fn check_history(parties: Parties, newest: &Relationship) -> Result<usize, TryRuntimeError> {
        let ((patient, professional, hospital), kind) = (parties, newest.kind);
        let count = EarlierCount::<T>::get((patient, professional, hospital, kind));
        let mut later = newest.clone();
        check_relationship(parties, kind, newest)?;
        for number in (0..count).rev() {
            let earlier =
                Self::earlier(parties, kind, number).ok_or("an earlier relationship is missing")?;
            check_relationship(parties, kind, &earlier)?;
            ensure!(earlier.since <= later.since, "relationships are not in order");
            ensure!(!earlier.in_force(later.since), "two relationships of one kind overlap");
            later = earlier;
        }
        Ok(count as usize)
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

fn check_relationship(
    (_, _, place): Parties,
    expected: RelationshipKind,
    relationship: &Relationship,
) -> Result<(), TryRuntimeError> {
    let Relationship { kind, hospital, since, expires, closed } = *relationship;
    ensure!(hospital == place, "a relationship is stored under another hospital");
    ensure!(kind == expected, "a relationship is stored under another kind");
    ensure!(expires.is_none_or(|expires| since < expires), "a relationship never held");
    ensure!(kind != RelationshipKind::Referral || expires.is_some(), "a referral never expires");
    ensure!(
        closed.is_none_or(|closed| since <= closed && expires.is_none_or(|end| closed < end)),
        "a relationship was closed while it did not hold"
    );
    Ok(())
}
