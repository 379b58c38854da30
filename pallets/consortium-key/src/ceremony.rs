//! The ceremonies: when one may begin, who takes part, and what makes a dealing or an answer valid.

use alloc::vec::Vec;
use codec::Encode as _;
use epione_primitives::{
    BlockNumber, Hash, HospitalId,
    consortium::{
        self, Answers, CeremonyId, CommitmentList, DealerContext, Epoch, EpochId, Failure,
        PastCeremony, Phase, RevealedShare, SeatSet, Seats, are_enough_seats, faulty,
        has_joined_lately, most_accused,
    },
    limits::{MAX_PAST_CEREMONIES, PHASES_BETWEEN_OWN_REASONS, PHASES_BETWEEN_REFRESHES},
    ports::Hospitals as _,
};
use epione_threshold::{Commitments, Index, KnowledgeProof, MixingSecret, Share};
use frame_support::ensure;
use frame_system::pallet_prelude::BlockNumberFor;
use sp_runtime::{ArithmeticError, DispatchError, SaturatedConversion as _, traits::Zero as _};

use crate::{
    AnswersOf, Ceremony, Committee, Config, Confirmed, Current, Dealings, Enrolments, Epochs,
    Error, Event, Joined, Joining, Kept, LastBegun, LastEnded, LastRequest, NextCeremony, Pallet,
    Past, PastCeremonies, RefreshRequested, RenewalDecided, Schedule,
};

/// A key that one hospital has alone is none of the consortium.
const LEAST_SEATS: usize = 2;

/// A position in a list of seats or dealers, as the storage has it. There are fewer than 256.
pub(crate) fn position(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}

impl<T: Config> Pallet<T> {
    /// The present block.
    pub(crate) fn now() -> BlockNumber {
        frame_system::Pallet::<T>::block_number().saturated_into()
    }

    /// Whether `length` blocks have passed since a block, if there was one.
    pub(crate) fn has_passed(since: Option<BlockNumber>, length: BlockNumber) -> bool {
        since.is_none_or(|since| Self::now() >= since.saturating_add(length))
    }

    /// The epoch whose members have the shares that count now.
    pub(crate) fn current_epoch() -> Option<Epoch> {
        Current::<T>::get().and_then(Epochs::<T>::get)
    }

    /// Whether these hospitals can be a committee: at least two, ascending.
    pub(crate) fn is_committee(seats: &Seats) -> bool {
        seats.len() >= LEAST_SEATS && ascends(seats)
    }

    /// Whether the council may choose this committee: its active members are enough seats.
    pub(crate) fn can_be_chosen(seats: &Seats) -> bool {
        let is_known = seats.iter().all(|hospital| T::Hospitals::exists(*hospital));
        let active = T::Hospitals::active();
        let seated = seats.iter().filter(|seat| contains(&active, **seat)).count();
        is_known && are_enough_seats(seated, active.len()) && Self::is_committee(seats)
    }

    /// Checks that a hospital may request new shares now.
    pub(crate) fn check_request(hospital: HospitalId) -> Result<(), Error<T>> {
        ensure!(Current::<T>::exists(), Error::<T>::NoKey);
        ensure!(!RefreshRequested::<T>::get(), Error::<T>::AlreadyRequested);
        let is_running = Self::newest().is_some_and(|newest| newest.is_running());
        ensure!(!is_running, Error::<T>::CeremonyRunning);
        let phases = |count| Schedule::<T>::get().phase.saturating_mul(count);
        let last = (LastBegun::<T>::get(), LastRequest::<T>::get(hospital));
        let is_over = Self::has_passed(last.0, phases(PHASES_BETWEEN_REFRESHES))
            && Self::has_passed(last.1, phases(PHASES_BETWEEN_OWN_REASONS));
        ensure!(is_over, Error::<T>::TooSoon);
        Ok(())
    }

    /// The newest ceremony as it is in this block.
    pub(crate) fn newest() -> Option<consortium::Ceremony> {
        Self::settle();
        Ceremony::<T>::get()
    }

    /// The newest ceremony, if it has this number and is in this phase.
    pub(crate) fn in_phase(id: CeremonyId, phase: Phase) -> Result<consortium::Ceremony, Error<T>> {
        let newest = Self::newest().filter(|newest| newest.id == id);
        let newest = newest.ok_or(Error::<T>::AnotherCeremony)?;
        ensure!(newest.phase == phase, Error::<T>::WrongPhase);
        Ok(newest)
    }

    /// Ends the phases that are over by now.
    pub(crate) fn settle() {
        if let Some(ceremony) = Ceremony::<T>::get() {
            Self::store(ceremony);
        }
    }

    /// Stores the ceremony, after the phases that are over by now.
    pub(crate) fn store(mut ceremony: consortium::Ceremony) {
        let was_running = ceremony.is_running();
        let length = Schedule::<T>::get().phase;
        ceremony.advance(Self::now(), length);
        if let Phase::Failed(failure) = ceremony.phase
            && was_running
        {
            // `advance` has set the deadline as if a phase followed.
            let end = ceremony.deadline.saturating_sub(length);
            Self::note_end(ceremony.id, Err(failure), end);
            Self::deposit_event(Event::Failed { ceremony: ceremony.id, failure });
        }
        Ceremony::<T>::put(ceremony);
    }

    /// Adds a ceremony to the past ones. `end` is its last block, whichever call notices it.
    pub(crate) fn note_end(id: CeremonyId, outcome: Result<EpochId, Failure>, end: BlockNumber) {
        LastEnded::<T>::put(end);
        let mut past = Past::<T>::get().into_inner();
        past.push(PastCeremony { id, outcome, block: Self::now() });
        let surplus = past.len().saturating_sub(MAX_PAST_CEREMONIES as usize);
        past.drain(..surplus);
        Past::<T>::put(PastCeremonies::truncate_from(past));
    }

    /// A new ceremony, if there is a reason and the hospital gets a seat. It replaces the newest one.
    pub(crate) fn start(hospital: HospitalId) -> Result<consortium::Ceremony, DispatchError> {
        let is_running = Self::newest().is_some_and(|newest| newest.is_running());
        ensure!(!is_running, Error::<T>::CeremonyRunning);
        let phase = Schedule::<T>::get().phase;
        ensure!(Self::has_passed(LastEnded::<T>::get(), phase), Error::<T>::TooEarly);
        let active = T::Hospitals::active();
        let seats = Self::next_seats(&active)?;
        ensure!(seats.binary_search(&hospital).is_ok(), Error::<T>::NotSeat);
        let (reshares, joining) = Self::due(hospital, &seats)?;
        let dealers = match &reshares {
            Some(epoch) => Self::active_members(epoch, &active)?,
            None => seats.clone(),
        };

        let id = NextCeremony::<T>::get();
        let next = id.0.checked_add(1).ok_or(ArithmeticError::Overflow)?;
        NextCeremony::<T>::put(CeremonyId(next));
        LastBegun::<T>::put(Self::now());
        Joining::<T>::set(joining);
        // Who has no seat any more can join again as soon as it has one.
        Joined::<T>::mutate(|joins| joins.retain(|(joined, _)| contains(&seats, *joined)));
        Self::replace();
        let deadline = Self::now().saturating_add(phase);
        let reshares = reshares.as_ref();
        let begun = consortium::Ceremony::begin(id, reshares, seats, dealers, deadline);
        Ok(begun.among(active.len()))
    }

    /// The hospitals that get seats ([`consortium::next_seats`]).
    fn next_seats(active: &[HospitalId]) -> Result<Seats, Error<T>> {
        let (committee, unready) = (Committee::<T>::get(), T::Hospitals::unready());
        let epoch = Self::current_epoch();
        let seats = consortium::next_seats(active, &unready, committee.as_ref(), epoch.as_ref());
        ensure!(seats.len() >= LEAST_SEATS, Error::<T>::TooFewSeats);
        // Since the council chose the committee, some of it may have left, or others may have joined, ready or not.
        ensure!(are_enough_seats(seats.len(), active.len()), Error::<T>::WrongCommittee);
        Seats::try_from(seats).map_err(|_| Error::<T>::TooManySeats)
    }

    /// What a ceremony with these seats is for, if the agent of this hospital may begin it: for new shares of the key
    /// of an epoch, or for a new key. Also the hospital, if there is no other reason than that it has no share.
    fn due(
        hospital: HospitalId,
        seats: &[HospitalId],
    ) -> Result<(Option<Epoch>, Option<HospitalId>), Error<T>> {
        let Some(epoch) = Self::current_epoch().filter(|_| !RenewalDecided::<T>::get()) else {
            return Ok((None, None));
        };
        let schedule = Schedule::<T>::get();
        let has_left = epoch.members.iter().any(|member| !contains(seats, *member));
        let is_old = Self::has_passed(Some(epoch.since), schedule.refresh);
        if has_left || is_old || RefreshRequested::<T>::get() {
            return Ok((Some(epoch), None));
        }
        let lacks_share = epoch.lacks_share(hospital, Self::now(), schedule.phase);
        ensure!(lacks_share, Error::<T>::NothingToDo);
        let joins = Joined::<T>::get();
        let is_lately = has_joined_lately(&joins, hospital, Self::now(), schedule.phase);
        ensure!(!is_lately, Error::<T>::JoinedLately);
        Ok((Some(epoch), Some(hospital)))
    }

    /// The members of an epoch that deal new shares.
    fn active_members(epoch: &Epoch, active: &[HospitalId]) -> Result<Seats, Error<T>> {
        let members = epoch.members.iter().copied();
        let members: Vec<_> = members.filter(|member| contains(active, *member)).collect();
        ensure!(members.len() >= usize::from(epoch.threshold), Error::<T>::TooFewMembers);
        Ok(Seats::truncate_from(members))
    }

    /// Makes place for a new ceremony. The newest one is kept if it made the current epoch; otherwise it failed, and
    /// what it left is removed.
    fn replace() {
        Confirmed::<T>::kill();
        let Some(former) = Ceremony::<T>::get() else { return };
        if former.phase == Phase::Activated {
            Kept::<T>::put(former);
        } else {
            Self::forget(&former);
        }
    }

    /// Removes what a ceremony left.
    pub(crate) fn forget(former: &consortium::Ceremony) {
        for seat in (0..former.seats.len()).map(position) {
            Enrolments::<T>::remove(former.id, seat);
        }
        for dealer in (0..former.dealers.len()).map(position) {
            Dealings::<T>::remove(former.id, dealer);
            AnswersOf::<T>::remove(former.id, dealer);
        }
    }

    /// Enrols a hospital with the sealing key of this hash.
    pub(crate) fn enlist(
        ceremony: &mut consortium::Ceremony,
        hospital: HospitalId,
        key: Hash,
    ) -> Result<(), Error<T>> {
        let seat = ceremony.seat(hospital).ok_or(Error::<T>::NotSeat)?;
        ensure!(!ceremony.enrolled.contains(seat), Error::<T>::AlreadyEnrolled);
        ceremony.enrolled.insert(seat);
        Enrolments::<T>::insert(ceremony.id, position(seat), key);
        Self::deposit_event(Event::Enrolled { ceremony: ceremony.id, hospital, key });
        Ok(())
    }

    /// The seat of a hospital that has enrolled.
    pub(crate) fn enrolled_seat(
        ceremony: &consortium::Ceremony,
        hospital: HospitalId,
    ) -> Result<usize, Error<T>> {
        let seat = ceremony.seat(hospital).ok_or(Error::<T>::NotSeat)?;
        ensure!(ceremony.enrolled.contains(seat), Error::<T>::NotEnrolled);
        Ok(seat)
    }

    /// Checks the commitments of a dealer: their number and form, the constant term if the dealer makes new shares of
    /// its own one, and that it knows this term. Without the last check, the last dealer could choose the key.
    pub(crate) fn check_commitments(
        ceremony: &consortium::Ceremony,
        dealer: HospitalId,
        commitments: &CommitmentList,
        proof: [u8; 64],
    ) -> Result<(), Error<T>> {
        let has_degree = commitments.len() == usize::from(ceremony.threshold);
        ensure!(has_degree, Error::<T>::WrongDegree);
        let decoded = Commitments::decode(commitments).ok_or(Error::<T>::WrongCommitments)?;
        if let Some(epoch) = ceremony.reshares {
            let share = Epochs::<T>::get(epoch)
                .and_then(|epoch| Commitments::decode(&epoch.commitments))
                .and_then(|earlier| earlier.evaluate(Index::of_hospital(dealer.0)));
            ensure!(share == Some(decoded.constant()), Error::<T>::WrongConstant);
        }
        let genesis = frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero());
        let context = DealerContext { genesis, ceremony: ceremony.id, dealer }.encode();
        let is_known = KnowledgeProof(proof).verify(&decoded.constant(), &context);
        ensure!(is_known, Error::<T>::WrongProof);
        Ok(())
    }

    /// Notes that a seat has judged, and about which dealers it complains.
    pub(crate) fn accuse(
        ceremony: &mut consortium::Ceremony,
        seat: usize,
        complaints: SeatSet,
    ) -> Result<(), Error<T>> {
        ensure!(ceremony.dealt.contains_all(complaints), Error::<T>::UnknownDealer);
        let most = most_accused(ceremony.seats.len(), ceremony.dealers.len());
        ensure!(complaints.len() <= most, Error::<T>::TooManyAccused);
        ceremony.judged.insert(seat);
        for (dealer, of_dealer) in ceremony.complaints.iter_mut().enumerate() {
            if complaints.contains(dealer) {
                of_dealer.insert(seat);
            }
        }
        Ok(())
    }

    /// Stores the answer of a dealer, if it is right and can help.
    pub(crate) fn publish(
        ceremony: &mut consortium::Ceremony,
        dealer: usize,
        revealed: RevealedShare,
    ) -> Result<(), Error<T>> {
        Self::check_open(ceremony, dealer, revealed.seat)?;
        Self::check_share(ceremony, dealer, &revealed)?;
        let keep = |all: &mut Answers| all.try_push(revealed);
        AnswersOf::<T>::try_mutate(ceremony.id, position(dealer), keep)
            .map_err(|_| Error::<T>::TooManyComplaints)?;
        if let Some(answered) = ceremony.answered.get_mut(dealer) {
            answered.insert(revealed.seat.into());
        }
        Ok(())
    }

    /// Checks that a dealer still has to answer the complaint of a seat, and that an answer can help.
    fn check_open(
        ceremony: &consortium::Ceremony,
        dealer: usize,
        seat: u8,
    ) -> Result<(), Error<T>> {
        let complaints = ceremony.complaints.get(dealer).copied().unwrap_or_default();
        let answered = ceremony.answered.get(dealer).copied().unwrap_or_default();
        ensure!(complaints.contains(seat.into()), Error::<T>::NoComplaint);
        let is_refuted = complaints.len() > faulty(ceremony.seats.len());
        ensure!(!is_refuted, Error::<T>::TooManyComplaints);
        ensure!(!answered.contains(seat.into()), Error::<T>::AlreadyAnswered);
        Ok(())
    }

    /// Checks that a published share is the one to which its dealer is committed, and the part, too.
    pub(crate) fn check_share(
        ceremony: &consortium::Ceremony,
        dealer: usize,
        revealed: &RevealedShare,
    ) -> Result<(), Error<T>> {
        let dealing = Dealings::<T>::get(ceremony.id, position(dealer));
        let dealing = dealing.ok_or(Error::<T>::UnknownDealer)?;
        let seat = ceremony.seats.get(usize::from(revealed.seat)).ok_or(Error::<T>::NoComplaint)?;
        let share = Share::decode(&revealed.share).ok_or(Error::<T>::WrongShare)?;
        let is_committed = Commitments::decode(&dealing.commitments)
            .is_some_and(|committed| committed.includes(Index::of_hospital(seat.0), &share));
        ensure!(is_committed, Error::<T>::WrongShare);
        let part = Hash::from(MixingSecret::part_hash(&revealed.part));
        ensure!(part == dealing.part, Error::<T>::WrongPart);
        Ok(())
    }
}

/// Whether each hospital has a higher number than the one before it.
pub(crate) fn ascends(hospitals: &[HospitalId]) -> bool {
    hospitals.is_sorted_by(|earlier, later| earlier < later)
}

fn contains(ascending: &[HospitalId], hospital: HospitalId) -> bool {
    ascending.binary_search(&hospital).is_ok()
}
