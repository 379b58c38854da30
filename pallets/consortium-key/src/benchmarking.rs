//! Measures every call at its largest: as many hospitals as possible are active, as many as possible have seats, and
//! what can be stored about a ceremony is. The ceremony makes new shares, which needs more computation than a new key.

use alloc::{vec, vec::Vec};
use epione_primitives::{
    AccountId, Hash, HospitalId,
    consortium::{
        self, Answers, CeremonyId, CeremonyResult, CommitmentList, Confirmation, Confirmations,
        Dealing, Epoch, EpochId, Failure, Joins, KeyId, PastCeremony, Phase, RevealedShare,
        SeatSet, Seats, most_accused, threshold,
    },
    limits::{
        MAX_ENROLMENT_BYTES, MAX_FAULTY_SEATS, MAX_HOSPITALS, MAX_JOINS, MAX_PAST_CEREMONIES,
        MAX_SEALED_SHARES_BYTES, MAX_SEATS, MAX_THRESHOLD,
    },
    ports::{Bodies as _, Hospitals as _},
};
use epione_threshold::{Index, Polynomial};
use frame_benchmarking::{account, v2::*};
use frame_support::traits::EnsureOrigin;
use frame_system::{RawOrigin, pallet_prelude::BlockNumberFor};
use sp_runtime::traits::Zero as _;

use crate::{
    AnswersOf, Call, Ceremony, Committee, Config, Confirmed, Current, Dealings, EnrolmentKey,
    Enrolments, Epochs, Joined, Joining, Kept, LastBegun, NextCeremony, NextKey, Pallet, Past,
    PastCeremonies, RefreshRequested, RenewalDecided, Schedule, SealedSharesBytes,
    ceremony::position, member::Deal,
};

/// A result of a ceremony that makes new shares.
const RESULT: CeremonyResult = CeremonyResult { mixing: Hash::repeat_byte(1), link: Some([2; 40]) };

/// A hospital with its accounts.
struct Seated {
    hospital: HospitalId,
    agent: AccountId,
    governance: AccountId,
}

/// The committee, and what its members have.
struct World {
    seated: Vec<Seated>,
    seats: Seats,
    /// The secret polynomial of the current epoch.
    secret: Polynomial,
}

impl World {
    fn agent(&self, seat: usize) -> RawOrigin<AccountId> {
        RawOrigin::Signed(self.seated[seat].agent.clone())
    }
}

/// Admits as many hospitals as possible, and lets the last ones be the committee and the members of an epoch. A request
/// and a decision wait, and as many ceremonies as possible are over.
fn set_up<T: Config>() -> Result<World, BenchmarkError> {
    let mut seated = Vec::new();
    for number in 0..MAX_HOSPITALS {
        if T::Hospitals::active().len() == MAX_HOSPITALS as usize {
            break;
        }
        let agent: AccountId = account("agent", number, 0);
        let governance: AccountId = account("governance", number, 0);
        let hospital = T::Hospitals::set_up(governance.clone(), agent.clone());
        seated.push(Seated { hospital, agent, governance });
    }
    let surplus = seated.len().saturating_sub(MAX_SEATS as usize);
    seated.drain(..surplus);
    seated.sort_by_key(|it| it.hospital);
    let seats = Seats::truncate_from(seated.iter().map(|it| it.hospital).collect());
    if seats.len() != MAX_SEATS as usize {
        return Err(BenchmarkError::Stop("too few hospitals can be admitted"));
    }
    Committee::<T>::put(&seats);
    let most = threshold(seats.len());
    let secret = Polynomial::generate(&[7; 32], most)
        .ok_or(BenchmarkError::Stop("a polynomial has at least one coefficient"))?;
    let commitments = CommitmentList::truncate_from(secret.commitments().encode());
    Epochs::<T>::insert(
        EpochId(0),
        Epoch {
            id: EpochId(0),
            key: KeyId(0),
            ceremony: CeremonyId(0),
            members: seats.clone(),
            threshold: position(most),
            faulty: MAX_FAULTY_SEATS as u8,
            commitments,
            mixing: Hash::repeat_byte(3),
            link: None,
            since: 0,
            confirmed: SeatSet::first(seats.len()),
        },
    );
    Current::<T>::put(EpochId(0));
    NextKey::<T>::put(KeyId(1));
    NextCeremony::<T>::put(CeremonyId(1_000));
    let past = |number: u32| {
        let outcome = Err(Failure::TooFewConfirmed);
        PastCeremony { id: CeremonyId(number), outcome, block: 0 }
    };
    Past::<T>::put(PastCeremonies::truncate_from((0..MAX_PAST_CEREMONIES).map(past).collect()));
    Ok(World { seated, seats, secret })
}

fn genesis<T: Config>() -> Hash {
    frame_system::Pallet::<T>::block_hash(BlockNumberFor::<T>::zero())
}

/// The newest ceremony, which makes new shares, in its first phase.
fn ceremony<T: Config>(world: &World) -> consortium::Ceremony {
    let epoch = Epochs::<T>::get(EpochId(0));
    let (seats, dealers) = (world.seats.clone(), world.seats.clone());
    let deadline = Pallet::<T>::now().saturating_add(Schedule::<T>::get().phase);
    consortium::Ceremony::begin(CeremonyId(999), epoch.as_ref(), seats, dealers, deadline)
}

fn dealing_of<T: Config>(world: &World, ceremony: &consortium::Ceremony, seat: usize) -> Deal {
    let hospital = world.seats[seat];
    let share = world.secret.share(Index::of_hospital(hospital.0));
    Deal::new(genesis::<T>(), ceremony, hospital, Some(&share))
}

/// Stores the ceremony in a phase, after everybody enrolled and dealt, and after as many judged as is told.
fn store<T: Config>(world: &World, phase: Phase, judged: usize) -> consortium::Ceremony {
    let mut ceremony = ceremony::<T>(world);
    let all = ceremony.seats.len();
    ceremony.phase = phase;
    ceremony.enrolled = SeatSet::first(all);
    ceremony.dealt = SeatSet::first(all);
    ceremony.judged = SeatSet::first(judged);
    for seat in 0..all {
        let key = Hash::repeat_byte(position(seat));
        Enrolments::<T>::insert(ceremony.id, position(seat), key);
        let deal = dealing_of::<T>(world, &ceremony, seat);
        let agent = world.seated[seat].agent.clone();
        let (commitments, part) = (deal.commitments.clone(), deal.part_hash());
        let dealing = Dealing { agent, commitments, part, body: Hash::repeat_byte(4) };
        Dealings::<T>::insert(ceremony.id, position(seat), dealing);
    }
    Ceremony::<T>::put(&ceremony);
    ceremony
}

/// What the last dealer publishes about a seat.
fn revealed<T: Config>(world: &World, seat: usize) -> RevealedShare {
    let ceremony = ceremony::<T>(world);
    let deal = dealing_of::<T>(world, &ceremony, world.seats.len() - 1);
    let share = *deal.share(world.seats[seat]).encode();
    RevealedShare { seat: position(seat), share, part: deal.part }
}

/// Stores as many answers of each dealer as there can be.
fn answer_all<T: Config>(world: &World, ceremony: CeremonyId) {
    for dealer in 0..world.seats.len() {
        let answers = vec![revealed::<T>(world, 0); MAX_FAULTY_SEATS as usize];
        AnswersOf::<T>::insert(ceremony, position(dealer), Answers::truncate_from(answers));
    }
}

/// Keeps an earlier ceremony, with all that it left, as the one that made the current epoch.
fn keep<T: Config>(world: &World) {
    let newest = store::<T>(world, Phase::Activated, MAX_SEATS as usize);
    let earlier = CeremonyId(500);
    for seat in (0..world.seats.len()).map(position) {
        if let Some(key) = Enrolments::<T>::take(newest.id, seat) {
            Enrolments::<T>::insert(earlier, seat, key);
        }
        if let Some(dealing) = Dealings::<T>::take(newest.id, seat) {
            Dealings::<T>::insert(earlier, seat, dealing);
        }
    }
    answer_all::<T>(world, earlier);
    Kept::<T>::put(consortium::Ceremony { id: earlier, ..newest });
    Ceremony::<T>::kill();
}

/// Stores equal confirmations of the first seats.
fn confirm_by<T: Config>(count: usize) {
    let confirmation = |seat: usize| Confirmation { seat: position(seat), result: RESULT };
    Confirmed::<T>::put(Confirmations::truncate_from((0..count).map(confirmation).collect()));
}

/// As many hospitals as can be remembered have joined.
fn most_joins(world: &World) -> Joins {
    Joins::truncate_from(vec![(world.seats[0], 0); MAX_JOINS as usize])
}

fn largest_key() -> EnrolmentKey {
    EnrolmentKey::truncate_from(vec![1; MAX_ENROLMENT_BYTES as usize])
}

#[benchmarks]
mod benchmarks {
    use super::*;

    /// A ceremony failed since somebody acted for the last time, and all that it left is removed.
    #[benchmark]
    fn begin() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let mut failed = store::<T>(&world, Phase::Confirm, MAX_SEATS as usize);
        failed.deadline = 0;
        Ceremony::<T>::put(failed);
        answer_all::<T>(&world, CeremonyId(999));
        confirm_by::<T>(MAX_THRESHOLD as usize - 1);
        RefreshRequested::<T>::put(true);
        Joined::<T>::put(most_joins(&world));
        // The failed one ended at its deadline, so the pause is over.
        let pause = Schedule::<T>::get().phase.saturating_add(1);
        frame_system::Pallet::<T>::set_block_number(BlockNumberFor::<T>::from(pause));
        let key = largest_key();
        T::Bodies::set_up(&key);
        let last = world.seats.len() - 1;

        #[extrinsic_call]
        _(world.agent(last), key);

        let begun = Ceremony::<T>::get().ok_or(BenchmarkError::Stop("no ceremony began"))?;
        assert_eq!((begun.id, begun.reshares), (CeremonyId(1_000), Some(EpochId(0))));
        assert_eq!(Enrolments::<T>::iter_keys().count(), 1);
        Ok(())
    }

    /// The last seat enrols, which ends the phase.
    #[benchmark]
    fn enrol() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let last = world.seats.len() - 1;
        let mut ceremony = ceremony::<T>(&world);
        ceremony.enrolled = SeatSet::first(last);
        Ceremony::<T>::put(&ceremony);
        let key = largest_key();
        T::Bodies::set_up(&key);

        #[extrinsic_call]
        _(world.agent(last), ceremony.id, key);

        assert_eq!(Ceremony::<T>::get().map(|it| it.phase), Some(Phase::Deal));
        Ok(())
    }

    /// The last dealer makes new shares.
    #[benchmark]
    fn deal() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let last = world.seats.len() - 1;
        let mut ceremony = store::<T>(&world, Phase::Deal, 0);
        ceremony.dealt = SeatSet::first(last);
        Ceremony::<T>::put(&ceremony);
        Dealings::<T>::remove(ceremony.id, position(last));
        let dealt = dealing_of::<T>(&world, &ceremony, last);
        let shares = vec![1; MAX_SEALED_SHARES_BYTES as usize];
        let shares = SealedSharesBytes::truncate_from(shares);
        T::Bodies::set_up(&shares);
        let (commitments, part) = (dealt.commitments.clone(), dealt.part_hash());

        #[extrinsic_call]
        _(world.agent(last), ceremony.id, commitments, dealt.proof, part, shares);

        assert_eq!(Ceremony::<T>::get().map(|it| it.phase), Some(Phase::Judge));
        Ok(())
    }

    /// The last seat complains about as many dealers as it can.
    #[benchmark]
    fn judge() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let last = world.seats.len() - 1;
        let ceremony = store::<T>(&world, Phase::Judge, last);
        let accused = most_accused(ceremony.seats.len(), ceremony.dealers.len());
        let most = SeatSet::first(accused);

        #[extrinsic_call]
        _(world.agent(last), ceremony.id, most);

        assert_eq!(Ceremony::<T>::get().map(|it| it.phase), Some(Phase::Answer));
        Ok(())
    }

    /// The last dealer answers the last of as many complaints as it can.
    #[benchmark]
    fn answer() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let (last, most) = (world.seats.len() - 1, MAX_FAULTY_SEATS as usize);
        let mut ceremony = store::<T>(&world, Phase::Answer, world.seats.len());
        ceremony.complaints[last] = SeatSet::first(most);
        ceremony.answered[last] = SeatSet::first(most - 1);
        Ceremony::<T>::put(&ceremony);
        let answers: Vec<_> = (0..most - 1).map(|of| revealed::<T>(&world, of)).collect();
        AnswersOf::<T>::insert(ceremony.id, position(last), Answers::truncate_from(answers));
        let last_one = revealed::<T>(&world, most - 1);

        #[extrinsic_call]
        _(world.agent(last), ceremony.id, last_one.seat, last_one.share, last_one.part);

        assert_eq!(Ceremony::<T>::get().map(|it| it.phase), Some(Phase::Confirm));
        Ok(())
    }

    /// All others have confirmed something else, so that nothing is decided.
    #[benchmark]
    fn confirm() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let last = world.seats.len() - 1;
        let ceremony = store::<T>(&world, Phase::Confirm, world.seats.len());
        confirm_by::<T>(last);
        let other = CeremonyResult { link: Some([9; 40]), ..RESULT };

        #[extrinsic_call]
        _(world.agent(last), ceremony.id, other);

        assert_eq!(Confirmed::<T>::get().len(), world.seats.len());
        Ok(())
    }

    /// The deciding confirmation combines the dealings of as many dealers as the threshold, and removes what the
    /// ceremony of the earlier epoch left. A hospital joins by it, after as many others as can be remembered.
    #[benchmark]
    fn activate() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let last = world.seats.len() - 1;
        keep::<T>(&world);
        Joined::<T>::put(most_joins(&world));
        Joining::<T>::put(world.seats[last]);
        let ceremony = store::<T>(&world, Phase::Confirm, world.seats.len());
        confirm_by::<T>(MAX_THRESHOLD as usize - 1);

        #[extrinsic_call]
        confirm(world.agent(last), ceremony.id, RESULT);

        let begun = Epochs::<T>::get(EpochId(1)).ok_or(BenchmarkError::Stop("no epoch began"))?;
        assert_eq!(begun.members, world.seats);
        assert_eq!(Dealings::<T>::iter_keys().count(), world.seats.len());
        Ok(())
    }

    #[benchmark]
    fn refresh() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let mut failed = store::<T>(&world, Phase::Confirm, MAX_SEATS as usize);
        failed.deadline = 0;
        Ceremony::<T>::put(failed);
        LastBegun::<T>::put(0);
        let pause = Schedule::<T>::get().phase.saturating_mul(10);
        frame_system::Pallet::<T>::set_block_number(BlockNumberFor::<T>::from(pause));
        let governance = world.seated[world.seats.len() - 1].governance.clone();

        #[extrinsic_call]
        _(RawOrigin::Signed(governance));

        assert!(RefreshRequested::<T>::get());
        Ok(())
    }

    #[benchmark]
    fn renew() -> Result<(), BenchmarkError> {
        set_up::<T>()?;

        #[extrinsic_call]
        _(RawOrigin::Root);

        assert!(RenewalDecided::<T>::get());
        Ok(())
    }

    #[benchmark]
    fn seat() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        Committee::<T>::kill();

        #[extrinsic_call]
        _(RawOrigin::Root, Some(world.seats));

        assert!(Committee::<T>::exists());
        Ok(())
    }

    /// A ceremony failed since somebody acted for the last time.
    #[benchmark]
    fn schedule() -> Result<(), BenchmarkError> {
        let world = set_up::<T>()?;
        let mut failed = store::<T>(&world, Phase::Confirm, MAX_SEATS as usize);
        failed.deadline = 0;
        Ceremony::<T>::put(failed);
        frame_system::Pallet::<T>::set_block_number(BlockNumberFor::<T>::from(10_u32));
        let origin = T::ScheduleOrigin::try_successful_origin()
            .map_err(|()| BenchmarkError::Stop("the council has no origin"))?;
        let changed = consortium::Schedule { phase: 50, refresh: 500 };

        #[extrinsic_call]
        _(origin as T::RuntimeOrigin, changed);

        assert_eq!(Schedule::<T>::get(), changed);
        Ok(())
    }

    impl_benchmark_test_suite!(Pallet, crate::mock::externalities(), crate::mock::Test);
}
