//! What patients note of own readings.

use epione_primitives::{
    UserId,
    ports::Records,
    release::{OwnRead, ReleasedRecord, ReleasedRecords},
};
use frame_support::{ensure, traits::Time};
use sp_runtime::{ArithmeticError, DispatchResult};

use crate::{Config, Error, Event, OwnReadCount, OwnReads, Pallet};

impl<T: Config> Pallet<T> {
    /// Checks that each of these records belongs to the patient. They may be of several hospitals.
    pub(crate) fn ensure_own(patient: UserId, records: &[ReleasedRecord]) -> Result<(), Error<T>> {
        for record in records {
            let (owner, _) = T::Records::owner(record.pointer).ok_or(Error::<T>::UnknownRecord)?;
            ensure!(owner == patient, Error::<T>::RecordOfAnotherPatient);
        }
        Ok(())
    }

    pub(crate) fn store_note(patient: UserId, records: ReleasedRecords) -> DispatchResult {
        let note = OwnReadCount::<T>::get(patient);
        let next = note.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        OwnReadCount::<T>::insert(patient, next);
        let read = OwnRead { records, block: Self::block(), at: T::Time::now() };
        OwnReads::<T>::insert(patient, note, read);
        Self::deposit_event(Event::Noted { patient, note });
        Ok(())
    }
}
