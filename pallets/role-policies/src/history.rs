//! Relationships over time: the newest of each kind, which decisions read, and the earlier ones, whose number has no
//! limit.

use alloc::vec::Vec;
use epione_primitives::{
    HospitalId, Moment, UserId,
    access::{Parties, Relationship, RelationshipKind},
    limits::{MAX_PAGE, page},
};
use sp_runtime::ArithmeticError;

use crate::{Config, EarlierCount, EarlierRelationships, Pallet, Relationships};

impl<T: Config> Pallet<T> {
    /// The newest relationship of each kind of a patient, with its professional, in the order of the chain's storage:
    /// of at most `limit` and [`MAX_PAGE`] pairs of professional and hospital after `after`. Relationships that begin
    /// between two calls may be sorted before `after`.
    pub fn relationships(
        patient: UserId,
        after: Option<(UserId, HospitalId)>,
        limit: u32,
    ) -> Vec<(UserId, Relationship)> {
        let pairs = match after {
            None => Relationships::<T>::iter_prefix((patient,)),
            Some((professional, hospital)) => {
                let key = Relationships::<T>::hashed_key_for((patient, professional, hospital));
                Relationships::<T>::iter_prefix_from((patient,), key)
            }
        };
        pairs
            .take(limit.min(MAX_PAGE) as usize)
            .flat_map(|((professional, _), newest)| {
                newest.into_iter().map(move |relationship| (professional, relationship))
            })
            .collect()
    }

    /// The relationships of one kind before the newest one, with their numbers, newest first. The list begins before
    /// `before`, or with the last if absent, and has at most `limit` and [`MAX_PAGE`] entries.
    pub fn earlier_relationships(
        parties: Parties,
        kind: RelationshipKind,
        before: Option<u32>,
        limit: u32,
    ) -> Vec<(u32, Relationship)> {
        let (patient, professional, hospital) = parties;
        let count = EarlierCount::<T>::get((patient, professional, hospital, kind));
        page(count, before, limit)
            .filter_map(|number| Some((number, Self::earlier(parties, kind, number)?)))
            .collect()
    }

    /// Stores a relationship that has ended after the earlier ones of its kind.
    pub(crate) fn archive(
        (patient, professional, hospital): Parties,
        ended: Relationship,
    ) -> Result<(), ArithmeticError> {
        let kind = ended.kind;
        let number = EarlierCount::<T>::get((patient, professional, hospital, kind));
        let count = number.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        EarlierCount::<T>::insert((patient, professional, hospital, kind), count);
        EarlierRelationships::<T>::insert((patient, professional, hospital, (kind, number)), ended);
        Ok(())
    }

    /// The kinds of relationships in force at a moment.
    pub(crate) fn kinds_in_force(parties: Parties, at: Moment) -> Vec<RelationshipKind> {
        let in_force = |newest: &Relationship| {
            if newest.since <= at {
                newest.in_force(at)
            } else {
                Self::was_in_force(parties, newest.kind, at)
            }
        };
        Relationships::<T>::get(parties)
            .iter()
            .filter(|newest| in_force(newest))
            .map(|it| it.kind)
            .collect()
    }

    /// Whether an earlier relationship was in force at a moment. They began in order and do not overlap, so only the
    /// last that had begun can have been, and it is found by halving.
    fn was_in_force(parties: Parties, kind: RelationshipKind, at: Moment) -> bool {
        let (patient, professional, hospital) = parties;
        // Those below `begun` had begun at the moment; those from `later` on had not.
        let mut begun = 0;
        let mut later = EarlierCount::<T>::get((patient, professional, hospital, kind));
        while begun < later {
            let middle = u32::midpoint(begun, later);
            if Self::earlier(parties, kind, middle).is_some_and(|earlier| earlier.since <= at) {
                begun = middle.saturating_add(1);
            } else {
                later = middle;
            }
        }
        begun
            .checked_sub(1)
            .and_then(|last| Self::earlier(parties, kind, last))
            .is_some_and(|last| last.in_force(at))
    }

    pub(crate) fn earlier(
        (patient, professional, hospital): Parties,
        kind: RelationshipKind,
        number: u32,
    ) -> Option<Relationship> {
        EarlierRelationships::<T>::get((patient, professional, hospital, (kind, number)))
    }
}
