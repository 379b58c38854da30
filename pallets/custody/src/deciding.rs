//! Decides whether a wrap is bound to a patient key, and whether a claim stands.

use epione_primitives::{
    HospitalId, UserId,
    consortium::KeyId,
    custody::{Appointment, Claim, CustodyLabel},
    limits::CLAIM_BLOCKS,
    opening::WRAP_BYTES,
    ports::{ConsortiumKey, Custodians, Hospitals, Mandates, Users},
};
use epione_threshold::Wrap;
use frame_support::ensure;

use crate::{Appointments, Config, Delay, Error, KeptKeys, Pallet};

/// Whether the bytes are a wrap with this label. It costs multiplications of points, so check before what is cheap.
pub fn is_bound(wrap: &[u8; WRAP_BYTES], label: &CustodyLabel) -> bool {
    Wrap::decode(wrap).is_some_and(|wrap| wrap.check(&label.bytes()).is_some())
}

/// Whether there is at least one patient, and each is named once, ascending.
pub fn are_ascending(patients: &[UserId]) -> bool {
    !patients.is_empty() && patients.is_sorted_by(|one, next| one < next)
}

impl<T: Config> Pallet<T> {
    /// Checks that a claim stands in this block: it is not over, the custodian has the keys of the claim, is appointed
    /// since before it, and may claim by now; and of each patient, the key is entrusted and kept, and the patient is
    /// registered at the custodian.
    pub(crate) fn check_stands(claim: &Claim) -> Result<(), Error<T>> {
        let Claim { departed, custodian, ref patients, sealing_key, .. } = *claim;
        let block = Self::block();
        ensure!(block <= claim.block.saturating_add(CLAIM_BLOCKS), Error::<T>::Over);
        let is_audience = T::Hospitals::recipient(custodian)
            .is_some_and(|(agent, key)| agent == claim.audience && key == sealing_key);
        ensure!(is_audience, Error::<T>::CustodianChanged);
        ensure!(T::Hospitals::is_removed(departed), Error::<T>::NotRemoved);
        let appointment = Appointments::<T>::get(departed)
            .filter(|it| it.custodian == custodian && it.since <= claim.block)
            .ok_or(Error::<T>::NotCustodian)?;
        ensure!(Self::is_delay_over(&appointment), Error::<T>::TooEarly);
        let (key, _) = T::ConsortiumKey::current().ok_or(Error::<T>::NoKey)?;
        patients
            .iter()
            .try_for_each(|patient| Self::check_patient((departed, custodian), *patient, key))
    }

    /// Whether a custodian acts by now: as many blocks have passed since the appointment as the delay has.
    fn is_delay_over(appointment: &Appointment) -> bool {
        Self::block() >= appointment.since.saturating_add(Delay::<T>::get())
    }

    fn check_patient(
        (departed, custodian): (HospitalId, HospitalId),
        patient: UserId,
        key: KeyId,
    ) -> Result<(), Error<T>> {
        ensure!(T::Mandates::entrusts(patient, departed), Error::<T>::NotEntrusted);
        let is_registered = T::Users::in_force(patient).contains(&custodian);
        ensure!(is_registered, Error::<T>::NotRegistered);
        let kept = KeptKeys::<T>::get(departed, patient);
        ensure!(kept.is_some_and(|kept| kept.key == key), Error::<T>::NotKept);
        Ok(())
    }
}

impl<T: Config> Custodians for Pallet<T> {
    fn custodian_of(departed: HospitalId) -> Option<HospitalId> {
        let appointment = Appointments::<T>::get(departed).filter(Self::is_delay_over)?;
        let is_active = T::Hospitals::active().binary_search(&appointment.custodian).is_ok();
        is_active.then_some(appointment.custodian)
    }
}
