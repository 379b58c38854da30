//! The invariants of this pallet's state.
//!
//! Invariants, which `try_state` checks:
//! 1. the schedule is within its bounds; a committee ascends, and has 2 to `MAX_SEATS` hospitals;
//! 2. the newest ceremony has the last number; its seats and its dealers ascend; its threshold follows from
//!    them, from who enrolled, and from the least threshold; only enrolled seats judged, only those that judged
//!    complained, each about few dealers, only about dealers that dealt, and only complaints are answered; the same
//!    holds for the ceremony that made the current epoch, which is the newest one or is kept beside it;
//! 3. enrolments, dealings and answers are stored for exactly the seats and dealers of these two; a dealing has as many
//!    commitments as the threshold; each answer contains the share and the part to which the dealer is committed;
//! 4. each confirmation is of another enrolled seat; fewer equal ones than the threshold are stored while no epoch
//!    began;
//! 5. epochs are numbered without gaps up to the current one; members ascend and are at least as many as the threshold;
//!    at least as many members may be faulty as of these alone, and fewer than the threshold; the public key stays the
//!    same in all epochs of a key, and no key comes back; an epoch has a link exactly if the epoch before it has the
//!    same key;
//! 6. the past ceremonies ascend, and the newest of them is the newest ceremony if that is over;
//! 7. new shares are requested, and a new key is decided, only if there is a key; nobody requested or joined in the
//!    future; a hospital joins by its own ceremony only in one that runs and in which it has a seat.

use alloc::vec::Vec;
use epione_primitives::{
    BlockNumber,
    consortium::{
        self, CommitmentList, Epoch, EpochId, Failure, Phase, SeatSet, faulty, most_accused,
        threshold, threshold_of_enrolled,
    },
    limits::MAX_SEATS,
};
use epione_threshold::Commitments;
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

use crate::{
    AnswersOf, Ceremony, Committee, Config, Confirmed, Current, Dealings, Enrolments, Epochs,
    Joined, Joining, Kept, LastRequest, NextCeremony, NextKey, Pallet, Past, RefreshRequested,
    RenewalDecided, Schedule,
    ceremony::{ascends, position},
};

impl<T: Config> Pallet<T> {
    pub fn check_state() -> Result<(), TryRuntimeError> {
        ensure!(Schedule::<T>::get().is_valid(), "the schedule is out of bounds");
        ensure!(
            Committee::<T>::get().is_none_or(|seats| Self::is_committee(&seats)),
            "a committee is too small or does not ascend"
        );
        let newest = Ceremony::<T>::get();
        let begun = NextCeremony::<T>::get().0;
        ensure!(
            newest.as_ref().map_or(0, |newest| newest.id.0.saturating_add(1)) == begun,
            "the newest ceremony does not have the last number"
        );
        let kept = Kept::<T>::get();
        let stored: Vec<_> = newest.iter().chain(&kept).collect();
        for ceremony in &stored {
            check_ceremony(ceremony)?;
            Self::check_published(ceremony)?;
        }
        Self::check_nothing_else(&stored)?;
        Self::check_confirmations(newest.as_ref())?;
        Self::check_epochs()?;
        Self::check_past(newest.as_ref())?;
        Self::check_kept(newest.as_ref(), kept.as_ref())?;
        Self::check_reasons(newest.as_ref())
    }

    /// Checks that what a ceremony says is stored, and that it is what the dealers committed to.
    fn check_published(ceremony: &consortium::Ceremony) -> Result<(), TryRuntimeError> {
        let id = ceremony.id;
        let enrolled: SeatSet = Enrolments::<T>::iter_key_prefix(id).map(usize::from).collect();
        let dealt: SeatSet = Dealings::<T>::iter_key_prefix(id).map(usize::from).collect();
        ensure!(
            enrolled == ceremony.enrolled
                && Enrolments::<T>::iter_key_prefix(id).count() == enrolled.len(),
            "the sealing keys differ from the enrolled seats"
        );
        ensure!(
            dealt == ceremony.dealt && Dealings::<T>::iter_key_prefix(id).count() == dealt.len(),
            "the dealings differ from the dealers that dealt"
        );
        for (_, dealing) in Dealings::<T>::iter_prefix(id) {
            check_commitments(&dealing.commitments, ceremony.threshold)?;
        }
        ensure!(
            AnswersOf::<T>::iter_key_prefix(id).all(|dealer| dealt.contains(dealer.into())),
            "an answer has no dealer"
        );
        for (dealer, answered) in ceremony.answered.iter().enumerate() {
            let answers = AnswersOf::<T>::get(id, position(dealer));
            let stored: SeatSet = answers.iter().map(|answer| usize::from(answer.seat)).collect();
            ensure!(
                stored == *answered && answers.len() == answered.len(),
                "the answers differ from the seats whose complaints are answered"
            );
            for answer in &answers {
                ensure!(
                    Self::check_share(ceremony, dealer, answer).is_ok(),
                    "an answer is not what its dealer committed to"
                );
            }
        }
        Ok(())
    }

    /// Checks that nothing is stored of any other ceremony.
    fn check_nothing_else(stored: &[&consortium::Ceremony]) -> Result<(), TryRuntimeError> {
        let is_stored = |id| stored.iter().any(|ceremony| ceremony.id == id);
        let enrolments = Enrolments::<T>::iter_keys().map(|(id, _)| id);
        let dealings = Dealings::<T>::iter_keys().map(|(id, _)| id);
        let answers = AnswersOf::<T>::iter_keys().map(|(id, _)| id);
        ensure!(
            enrolments.chain(dealings).chain(answers).all(is_stored),
            "something is stored of a ceremony that is over"
        );
        Ok(())
    }

    /// Checks that the ceremony is there that made the current epoch, once.
    fn check_kept(
        newest: Option<&consortium::Ceremony>,
        kept: Option<&consortium::Ceremony>,
    ) -> Result<(), TryRuntimeError> {
        let made = Self::current_epoch().map(|epoch| epoch.ceremony);
        let is_newest = |it: &&consortium::Ceremony| it.phase == Phase::Activated;
        let activated = newest.filter(is_newest).or(kept).map(|ceremony| ceremony.id);
        let is_once = kept.is_none_or(|kept| kept.phase == Phase::Activated)
            && (kept.is_none() || newest.filter(is_newest).is_none());
        ensure!(made == activated && is_once, "the ceremony of the current epoch is not kept");
        Ok(())
    }

    /// Checks the requests, and who joins.
    fn check_reasons(newest: Option<&consortium::Ceremony>) -> Result<(), TryRuntimeError> {
        let joined = Joined::<T>::get();
        let in_future = |block: BlockNumber| block > Self::now();
        ensure!(
            !LastRequest::<T>::iter_values().any(in_future)
                && joined.is_sorted_by_key(|(_, block)| *block)
                && !joined.iter().any(|(_, block)| in_future(*block)),
            "somebody requested or joined in the future"
        );
        let joining = Joining::<T>::get();
        let has_seat = |hospital| newest.is_some_and(|newest| newest.seat(hospital).is_some());
        let activated = newest.is_some_and(|newest| newest.phase == Phase::Activated);
        ensure!(
            joining.is_none_or(|hospital| has_seat(hospital) && !activated),
            "a hospital joins without a ceremony"
        );
        Ok(())
    }

    fn check_confirmations(newest: Option<&consortium::Ceremony>) -> Result<(), TryRuntimeError> {
        let all = Confirmed::<T>::get();
        let seats: SeatSet = all.iter().map(|it| usize::from(it.seat)).collect();
        let enrolled = newest.map_or(SeatSet::default(), |newest| newest.enrolled);
        ensure!(
            seats.len() == all.len() && enrolled.contains_all(seats),
            "a confirmation is not of another enrolled seat"
        );
        let Some(newest) = newest else { return Ok(()) };
        let most = all
            .iter()
            .map(|one| all.iter().filter(|other| other.result == one.result).count())
            .max()
            .unwrap_or_default();
        let decided = most >= usize::from(newest.threshold);
        ensure!(
            decided == (newest.phase == Phase::Activated),
            "an epoch did not begin with enough equal confirmations"
        );
        let may_confirm = matches!(
            newest.phase,
            Phase::Confirm | Phase::Activated | Phase::Failed(consortium::Failure::TooFewConfirmed)
        );
        ensure!(may_confirm || all.is_empty(), "a ceremony was confirmed before its last phase");
        Ok(())
    }

    fn check_epochs() -> Result<(), TryRuntimeError> {
        let count = Current::<T>::get().map_or(0, |current| current.0.saturating_add(1));
        ensure!(
            Epochs::<T>::iter_keys().count() == count as usize,
            "an epoch is not numbered up to the current one"
        );
        let mut earlier: Option<Epoch> = None;
        for id in (0..count).map(EpochId) {
            let epoch = Epochs::<T>::get(id).ok_or("an epoch is missing")?;
            ensure!(epoch.id == id, "an epoch has another number");
            ensure!(
                epoch.since <= Self::now() && epoch.ceremony < NextCeremony::<T>::get(),
                "an epoch began in the future"
            );
            check_members(&epoch)?;
            check_commitments(&epoch.commitments, epoch.threshold)?;
            check_succession(earlier.as_ref(), &epoch)?;
            earlier = Some(epoch);
        }
        ensure!(
            earlier.as_ref().map_or(0, |last| last.key.0.saturating_add(1))
                == NextKey::<T>::get().0,
            "the next key does not follow the current one"
        );
        ensure!(
            earlier.is_some() || !(RefreshRequested::<T>::get() || RenewalDecided::<T>::get()),
            "new shares or a new key are due though there is no key"
        );
        Ok(())
    }

    fn check_past(newest: Option<&consortium::Ceremony>) -> Result<(), TryRuntimeError> {
        let past = Past::<T>::get();
        ensure!(
            past.is_sorted_by(|one, next| one.id < next.id && one.block <= next.block),
            "the past ceremonies do not ascend"
        );
        for ended in &past {
            if let Ok(id) = ended.outcome {
                let made = Epochs::<T>::get(id).is_some_and(|epoch| epoch.ceremony == ended.id);
                ensure!(made, "a past ceremony made another epoch");
            }
        }
        let last = past.last().map(|ended| ended.id);
        let over = newest.map(|newest| (newest.id, newest.is_running()));
        let agrees = match over {
            Some((id, false)) => last == Some(id),
            Some((id, true)) => last.is_none_or(|last| last < id),
            None => last.is_none(),
        };
        ensure!(agrees, "the past ceremonies do not end with the newest one that is over");
        Ok(())
    }
}

fn check_ceremony(ceremony: &consortium::Ceremony) -> Result<(), TryRuntimeError> {
    let (seats, dealers) = (ceremony.seats.len(), ceremony.dealers.len());
    let expected = match ceremony.phase {
        Phase::Enrol | Phase::Failed(Failure::TooFewSeats) => threshold(seats),
        _ => threshold_of_enrolled(seats, ceremony.enrolled.len()).max(ceremony.least.into()),
    };
    // All seats were active when the ceremony began, and perhaps more hospitals.
    let leasts = threshold(seats).min(faulty(seats).saturating_add(1))..=threshold(seats);
    ensure!(
        ascends(&ceremony.seats) && ascends(&ceremony.dealers) && seats >= 2,
        "the seats or the dealers do not ascend"
    );
    ensure!(
        usize::from(ceremony.threshold) == expected
            && leasts.contains(&usize::from(ceremony.least))
            && usize::from(ceremony.needed) <= dealers
            && ceremony.needed > 0
            && (ceremony.reshares.is_some() || ceremony.dealers == ceremony.seats),
        "the thresholds of a ceremony do not follow from its seats"
    );
    ensure!(
        SeatSet::first(seats).contains_all(ceremony.enrolled)
            && SeatSet::first(dealers).contains_all(ceremony.dealt)
            && ceremony.enrolled.contains_all(ceremony.judged),
        "somebody took part who does not belong to the ceremony"
    );
    ensure!(
        ceremony.complaints.len() == dealers && ceremony.answered.len() == dealers,
        "the complaints are not about the dealers"
    );
    let accused_by = |seat: usize| {
        ceremony.complaints.iter().filter(|complaints| complaints.contains(seat)).count()
    };
    ensure!(
        (0..seats).all(|seat| accused_by(seat) <= most_accused(seats, dealers)),
        "a seat accuses more dealers than may be faulty"
    );
    let pairs = ceremony.complaints.iter().zip(&ceremony.answered).enumerate();
    for (dealer, (complaints, answered)) in pairs {
        ensure!(
            ceremony.judged.contains_all(*complaints)
                && (complaints.is_empty() || ceremony.dealt.contains(dealer)),
            "a complaint is by a seat that did not judge, or about no dealing"
        );
        ensure!(
            complaints.contains_all(*answered) && answered.len() <= faulty(seats),
            "an answer is to no complaint, or to more than may be wrong"
        );
    }
    Ok(())
}

/// Checks that there are as many commitments as the threshold, all of them canonical points.
fn check_commitments(commitments: &CommitmentList, threshold: u8) -> Result<(), TryRuntimeError> {
    ensure!(
        commitments.len() == usize::from(threshold) && Commitments::decode(commitments).is_some(),
        "commitments are not as many points as the threshold"
    );
    Ok(())
}

fn check_members(epoch: &Epoch) -> Result<(), TryRuntimeError> {
    let members = epoch.members.len();
    ensure!(
        ascends(&epoch.members)
            && members >= usize::from(epoch.threshold)
            && members <= MAX_SEATS as usize,
        "an epoch has too few members, or they do not ascend"
    );
    ensure!(
        (faulty(members)..usize::from(epoch.threshold)).contains(&usize::from(epoch.faulty)),
        "as many members of an epoch may be faulty as no ceremony allows"
    );
    ensure!(
        SeatSet::first(members).contains_all(epoch.confirmed)
            && epoch.confirmed.len() >= usize::from(epoch.threshold),
        "an epoch was confirmed by too few, or by somebody who is no member"
    );
    Ok(())
}

/// Checks an epoch and the one before it.
fn check_succession(earlier: Option<&Epoch>, epoch: &Epoch) -> Result<(), TryRuntimeError> {
    let next = earlier.map_or(0, |earlier| earlier.key.0.saturating_add(1));
    let same = earlier.filter(|earlier| earlier.key == epoch.key);
    ensure!(same.is_some() || epoch.key.0 == next, "a key is not the same or the next one");
    ensure!(
        same.is_none_or(|earlier| earlier.public_key() == epoch.public_key()),
        "the public key changed within the epochs of a key"
    );
    ensure!(epoch.link.is_some() == same.is_some(), "an epoch lacks a link, or links another key");
    ensure!(
        earlier.is_none_or(|earlier| earlier.ceremony < epoch.ceremony
            && earlier.since <= epoch.since),
        "epochs do not follow each other"
    );
    Ok(())
}
