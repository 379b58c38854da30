//! The end of a ceremony that succeeds: counts what the members confirm, and begins an epoch.

use alloc::vec::Vec;
use epione_primitives::{
    HospitalId,
    consortium::{
        self, CeremonyId, CeremonyResult, CommitmentList, Confirmation, Epoch, EpochId, Joins,
        KeyId, Phase, SeatSet, Seats, has_joined_lately,
    },
    limits::MAX_JOINS,
};
use epione_threshold::{Commitments, Index};
use frame_support::ensure;
use sp_runtime::{ArithmeticError, DispatchError, DispatchResult};

use crate::{
    Ceremony, Config, Confirmed, Current, Dealings, Epochs, Error, Event, Joined, Joining, Kept,
    NextKey, Pallet, RefreshRequested, RenewalDecided, Schedule, ceremony::position,
};

impl<T: Config> Pallet<T> {
    /// Counts what a member confirms. Returns the ceremony if as many as the threshold have now confirmed this result.
    pub(crate) fn count(
        hospital: HospitalId,
        id: CeremonyId,
        result: CeremonyResult,
    ) -> Result<Option<consortium::Ceremony>, DispatchError> {
        let newest = Self::newest().filter(|newest| newest.id == id);
        if let Some(epoch) = Self::current_epoch().filter(|epoch| epoch.ceremony == id) {
            Self::count_late(hospital, epoch, result)?;
            return Ok(None);
        }
        let ceremony = newest.ok_or(Error::<T>::AnotherCeremony)?;
        let seat = Self::enrolled_seat(&ceremony, hospital)?;
        ensure!(ceremony.phase == Phase::Confirm, Error::<T>::WrongPhase);
        let fits = result.link.is_some() == ceremony.reshares.is_some();
        ensure!(fits, Error::<T>::WrongResult);
        let mut all = Confirmed::<T>::get();
        let seat = position(seat);
        let is_first = all.iter().all(|confirmation| confirmation.seat != seat);
        ensure!(is_first, Error::<T>::AlreadyConfirmed);

        all.try_push(Confirmation { seat, result }).map_err(|_| Error::<T>::AlreadyConfirmed)?;
        let equal = all.iter().filter(|confirmation| confirmation.result == result).count();
        Confirmed::<T>::put(all);
        Ok((equal >= usize::from(ceremony.threshold)).then_some(ceremony))
    }

    /// Counts what a member of the current epoch confirms after its begin, whatever ceremony is the newest.
    fn count_late(
        hospital: HospitalId,
        mut epoch: Epoch,
        result: CeremonyResult,
    ) -> DispatchResult {
        let member = epoch.seat(hospital).ok_or(Error::<T>::NotEnrolled)?;
        let of_epoch = CeremonyResult { mixing: epoch.mixing, link: epoch.link };
        ensure!(result == of_epoch, Error::<T>::WrongResult);
        ensure!(!epoch.confirmed.contains(member), Error::<T>::AlreadyConfirmed);
        epoch.confirmed.insert(member);
        Epochs::<T>::insert(epoch.id, epoch);
        Ok(())
    }

    /// Begins the epoch that a ceremony made.
    pub(crate) fn activate(
        mut ceremony: consortium::Ceremony,
        result: CeremonyResult,
    ) -> DispatchResult {
        let commitments = Self::combined(&ceremony).ok_or(Error::<T>::NoResult)?;
        let id = match Current::<T>::get() {
            Some(EpochId(current)) => current.checked_add(1).ok_or(ArithmeticError::Overflow)?,
            None => 0,
        };
        let key = match ceremony.reshares.and_then(Epochs::<T>::get) {
            Some(earlier) => earlier.key,
            None => Self::take_key()?,
        };
        let id = EpochId(id);
        let (members, confirmed) = Self::members(&ceremony, result);
        Epochs::<T>::insert(
            id,
            Epoch {
                id,
                key,
                ceremony: ceremony.id,
                members,
                threshold: ceremony.threshold,
                faulty: ceremony.faulty(),
                commitments,
                mixing: result.mixing,
                link: result.link,
                since: Self::now(),
                confirmed,
            },
        );
        Current::<T>::put(id);
        if let Some(replaced) = Kept::<T>::take() {
            Self::forget(&replaced);
        }
        Self::note_join();
        RefreshRequested::<T>::kill();
        if ceremony.reshares.is_none() {
            RenewalDecided::<T>::kill();
        }
        ceremony.phase = Phase::Activated;
        Self::note_end(ceremony.id, Ok(id), Self::now());
        Self::deposit_event(Event::Activated { ceremony: ceremony.id, epoch: id, key });
        Ceremony::<T>::put(ceremony);
        Ok(())
    }

    /// Notes that the hospital has joined that began the ceremony for this reason. Forgets those that may join again.
    fn note_join() {
        let Some(hospital) = Joining::<T>::take() else { return };
        let (now, phase) = (Self::now(), Schedule::<T>::get().phase);
        let mut joins = Joined::<T>::get().into_inner();
        joins.retain(|join| has_joined_lately(&[*join], join.0, now, phase));
        joins.push((hospital, now));
        // There are more only if the council made the phases longer.
        let surplus = joins.len().saturating_sub(MAX_JOINS as usize);
        joins.drain(..surplus);
        Joined::<T>::put(Joins::truncate_from(joins));
    }

    /// The number of a new key.
    fn take_key() -> Result<KeyId, DispatchError> {
        let key = NextKey::<T>::get();
        let next = key.0.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        NextKey::<T>::put(KeyId(next));
        Ok(key)
    }

    /// The members of the epoch: the seats that enrolled; and which of them confirmed this result.
    fn members(ceremony: &consortium::Ceremony, result: CeremonyResult) -> (Seats, SeatSet) {
        let equal: SeatSet = Confirmed::<T>::get()
            .into_iter()
            .filter(|confirmation| confirmation.result == result)
            .map(|confirmation| usize::from(confirmation.seat))
            .collect();
        let seats = ceremony.enrolled.iter();
        let confirmed = seats.enumerate().filter(|(_, seat)| equal.contains(*seat));
        let confirmed = confirmed.map(|(member, _)| member).collect();
        let seats = ceremony.enrolled.iter().filter_map(|seat| ceremony.seats.get(seat));
        (Seats::truncate_from(seats.copied().collect()), confirmed)
    }

    /// The commitments to the sum of the dealers' polynomials, or, for new shares, to the polynomial that passes
    /// through the dealers' shares. None if a commitment would be the identity, or if the key would change.
    pub(crate) fn combined(ceremony: &consortium::Ceremony) -> Option<CommitmentList> {
        let dealt = |dealer: usize| {
            let hospital = ceremony.dealers.get(dealer)?;
            let dealing = Dealings::<T>::get(ceremony.id, position(dealer))?;
            let commitments = Commitments::decode(&dealing.commitments)?;
            Some((Index::of_hospital(hospital.0), commitments))
        };
        let counted = ceremony.counted();
        let dealt = counted.iter().map(dealt).collect::<Option<Vec<_>>>()?;
        let combined = if let Some(earlier) = ceremony.reshares {
            let public = Epochs::<T>::get(earlier)?.public_key()?;
            Commitments::interpolate(&dealt).filter(|new| new.constant().encode() == public)?
        } else {
            let dealt: Vec<_> = dealt.into_iter().map(|(_, commitments)| commitments).collect();
            Commitments::sum(&dealt)?
        };
        CommitmentList::try_from(combined.encode()).ok()
    }
}
