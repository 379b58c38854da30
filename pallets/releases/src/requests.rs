//! Checks what a requester asked for: signed by the requester, of this hospital, just now, and not answered yet.

use codec::{Decode, Encode, MaxEncodedLen};
use epione_primitives::{
    Hash, HospitalId, Moment, Signature,
    limits::{MAX_CLOCK_LEAD_MILLIS, MAX_REQUEST_AGE_MILLIS},
    ports::Users,
    profile::Role,
    release::Request,
};
use frame_support::ensure;
use frame_system::pallet_prelude::BlockNumberFor;
use scale_info::TypeInfo;
use sp_runtime::traits::Zero;

use crate::{ByRequest, Config, Error, Pallet};

/// How a hospital answered a request. It answers once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, MaxEncodedLen, TypeInfo)]
pub enum Answer {
    /// With the receipt of this grant.
    #[codec(index = 0)]
    Granted(Hash),
    /// With a refusal.
    #[codec(index = 1)]
    Refused,
}

impl<T: Config> Pallet<T> {
    /// Checks that the requester signed the request to this hospital just now, and that it has no answer. So a hospital
    /// can neither make a request up nor use one twice.
    pub(crate) fn ensure_asked(
        request: &Request,
        signature: &Signature,
        hospital: HospitalId,
        now: Moment,
    ) -> Result<(), Error<T>> {
        ensure!(request.hospital == hospital, Error::<T>::RequestToAnotherHospital);
        Self::ensure_fresh(request, now)?;
        let account = T::Users::account(request.requester).ok_or(Error::<T>::UnknownRequester)?;
        ensure!(T::Users::role(request.patient) == Some(Role::Patient), Error::<T>::UnknownPatient);
        let is_signed = request.is_signed_by(Self::genesis(), &account, signature);
        ensure!(is_signed, Error::<T>::InvalidRequest);
        ensure!(!ByRequest::<T>::contains_key(request.hash()), Error::<T>::AlreadyAnswered);
        Ok(())
    }

    fn ensure_fresh(request: &Request, now: Moment) -> Result<(), Error<T>> {
        let last = request.at.saturating_add(MAX_REQUEST_AGE_MILLIS);
        ensure!(now <= last, Error::<T>::RequestTooOld);
        let latest = now.saturating_add(MAX_CLOCK_LEAD_MILLIS);
        ensure!(request.at <= latest, Error::<T>::RequestFromTheFuture);
        Ok(())
    }

    /// The genesis hash, which binds a signature to this chain.
    pub(crate) fn genesis() -> Hash {
        frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
    }
}
