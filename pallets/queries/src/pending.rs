//! The bounded lists of queries that wait for an answer: one for each requester, one for each patient.
//!
//! A requester's list bounds how many patients one requester bothers. A patient's list bounds how many queries a
//! patient has to read, and how many sealed terms the chain stores.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use epione_primitives::{BlockNumber, QueryId, query::Query};
use frame_support::{BoundedVec, traits::Get};
use scale_info::TypeInfo;

use crate::{Config, Error, Pallet, PendingOfPatient, PendingOfRequester, Terms};

/// Maximum number of expired queries that one call removes from each list. A call adds one, so expired queries do not
/// accumulate, and a full list with an expired query has room again.
pub const MAX_REMOVALS: usize = 2;

/// A query without an answer. Once it has expired, it stays in the list until a later call makes room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct Pending {
    pub query: QueryId,
    /// [`Query::expires`].
    pub expires: BlockNumber,
}

impl<T: Config> Pallet<T> {
    /// Puts a new query into the lists of its requester and its patient. First removes expired queries from both.
    pub(crate) fn enlist(id: QueryId, query: &Query, block: BlockNumber) -> Result<(), Error<T>> {
        let pending = Pending { query: id, expires: query.expires };
        let mut of_requester = PendingOfRequester::<T>::get(query.requester);
        let mut of_patient = PendingOfPatient::<T>::get(query.patient);
        let removed = remove_expired(&mut of_requester, block);
        let also_removed = remove_expired(&mut of_patient, block);
        of_requester.try_push(pending).map_err(|_| Error::<T>::TooManyPending)?;
        of_patient.try_push(pending).map_err(|_| Error::<T>::PatientHasTooManyPending)?;

        PendingOfRequester::<T>::insert(query.requester, of_requester);
        PendingOfPatient::<T>::insert(query.patient, of_patient);
        for expired in removed.into_iter().chain(also_removed).flatten() {
            Terms::<T>::remove(expired);
        }
        Ok(())
    }

    /// Removes an answered query from both lists, and its terms.
    pub(crate) fn delist(id: QueryId, query: &Query) {
        PendingOfRequester::<T>::mutate_exists(query.requester, |list| remove(list, id));
        PendingOfPatient::<T>::mutate_exists(query.patient, |list| remove(list, id));
        Terms::<T>::remove(id);
    }
}

/// Removes the first expired queries from a list.
fn remove_expired<Bound: Get<u32>>(
    list: &mut BoundedVec<Pending, Bound>,
    block: BlockNumber,
) -> [Option<QueryId>; MAX_REMOVALS] {
    let mut expired = list.iter().filter(|pending| pending.expires <= block);
    let removed = [(); MAX_REMOVALS].map(|()| expired.next().map(|pending| pending.query));
    list.retain(|pending| !removed.contains(&Some(pending.query)));
    removed
}

/// Removes a query from a list, and an empty list from the state.
fn remove<Bound: Get<u32>>(list: &mut Option<BoundedVec<Pending, Bound>>, query: QueryId) {
    if let Some(pending) = list {
        pending.retain(|other| other.query != query);
        if pending.is_empty() {
            *list = None;
        }
    }
}
