//! The bounded lists of queries that wait for an answer: one for each requester, one for each patient.
//!
//! A requester's list bounds how many patients one requester bothers. A patient's list bounds how many queries a
//! patient has to read, and how many sealed terms the chain stores. In it, one requester has few places, and so has one
//! hospital: neither a requester nor the requesters of one hospital keep others from asking.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use epione_primitives::{
    BlockNumber, HospitalId, QueryId, UserId,
    limits::{MAX_PENDING_QUERIES_OF_HOSPITAL, MAX_PENDING_QUERIES_TO_ONE_PATIENT},
    query::Query,
};
use frame_support::{BoundedVec, ensure, traits::Get};
use scale_info::TypeInfo;

use crate::{Config, Error, Pallet, PendingOfPatient, PendingOfRequester, Terms};

/// Maximum number of expired queries that one call removes from each list that it changes. A call adds one at most, so
/// expired queries do not accumulate, and a full list with an expired query has room again.
pub const MAX_REMOVALS: usize = 2;

/// A query without an answer. Once it has expired, it stays in the list until a later call makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Pending {
    pub query: QueryId,
    /// [`Query::expires`].
    pub expires: BlockNumber,
    pub requester: UserId,
    /// [`Query::hospital`].
    pub hospital: HospitalId,
}

impl<T: Config> Pallet<T> {
    /// Puts a new query into the lists of its requester and its patient. First removes expired queries from both.
    pub(crate) fn enlist(id: QueryId, query: &Query, block: BlockNumber) -> Result<(), Error<T>> {
        let &Query { requester, hospital, patient, expires, .. } = query;
        let pending = Pending { query: id, expires, requester, hospital };
        let mut of_requester = PendingOfRequester::<T>::get(requester);
        let mut of_patient = PendingOfPatient::<T>::get(patient);
        let removed = remove_expired(&mut of_requester, block);
        let also_removed = remove_expired(&mut of_patient, block);
        let has_place = |most: u32, shares: fn(&Pending, &Pending) -> bool| {
            let open = of_patient.iter().filter(|other| other.expires > block);
            open.filter(|other| shares(other, &pending)).count() < most as usize
        };
        let same_requester = |a: &Pending, b: &Pending| a.requester == b.requester;
        let same_hospital = |a: &Pending, b: &Pending| a.hospital == b.hospital;
        let has_place_of_requester = has_place(MAX_PENDING_QUERIES_TO_ONE_PATIENT, same_requester);
        let has_place_of_hospital = has_place(MAX_PENDING_QUERIES_OF_HOSPITAL, same_hospital);
        ensure!(has_place_of_requester, Error::<T>::TooManyOfRequester);
        ensure!(has_place_of_hospital, Error::<T>::TooManyOfHospital);
        of_requester.try_push(pending).map_err(|_| Error::<T>::TooManyPending)?;
        of_patient.try_push(pending).map_err(|_| Error::<T>::PatientHasTooManyPending)?;

        PendingOfRequester::<T>::insert(requester, of_requester);
        PendingOfPatient::<T>::insert(patient, of_patient);
        remove_terms::<T>(removed.into_iter().chain(also_removed));
        Ok(())
    }

    /// Removes an answered query from both lists, and its terms; and expired queries from both.
    pub(crate) fn delist(id: QueryId, query: &Query, block: BlockNumber) {
        let removed =
            PendingOfRequester::<T>::mutate_exists(query.requester, |list| remove(list, id, block));
        let also_removed =
            PendingOfPatient::<T>::mutate_exists(query.patient, |list| remove(list, id, block));
        remove_terms::<T>(removed.into_iter().chain(also_removed));
        Terms::<T>::remove(id);
    }
}

/// The expired queries that one call removed from a list.
type Removed = [Option<QueryId>; MAX_REMOVALS];

fn remove_terms<T: Config>(removed: impl Iterator<Item = Option<QueryId>>) {
    for expired in removed.flatten() {
        Terms::<T>::remove(expired);
    }
}

/// Removes the first expired queries from a list.
fn remove_expired<Bound: Get<u32>>(
    list: &mut BoundedVec<Pending, Bound>,
    block: BlockNumber,
) -> Removed {
    let mut expired = list.iter().filter(|pending| pending.expires <= block);
    let removed = [(); MAX_REMOVALS].map(|()| expired.next().map(|pending| pending.query));
    list.retain(|pending| !removed.contains(&Some(pending.query)));
    removed
}

/// Removes a query and the first expired ones from a list, and an empty list from the state. Returns the expired ones.
fn remove<Bound: Get<u32>>(
    list: &mut Option<BoundedVec<Pending, Bound>>,
    query: QueryId,
    block: BlockNumber,
) -> Removed {
    let Some(pending) = list else { return Removed::default() };
    pending.retain(|other| other.query != query);
    let removed = remove_expired(pending, block);
    if pending.is_empty() {
        *list = None;
    }
    removed
}
