//! The invariants of this pallet's state, which the crate documentation lists.

use epione_primitives::{
    consortium::{self, CommitmentList, Epoch, EpochId, Phase, SeatSet, faulty, threshold},
    limits::MAX_SEATS,
};
use epione_threshold::Commitments;
use frame_support::ensure;
use sp_runtime::TryRuntimeError;

use crate::{
    AnswersOf, Ceremony, Committee, Config, Confirmed, Current, Dealings, Enrolments, Epochs,
    NextCeremony, NextKey, Pallet, Past, RefreshRequested, RenewalDecided, Schedule,
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
        if let Some(newest) = &newest {
            check_ceremony(newest)?;
        }
        Self::check_published(newest.as_ref())?;
        Self::check_confirmations(newest.as_ref())?;
        Self::check_epochs()?;
        Self::check_past(newest.as_ref())
    }

    /// Checks that exactly what the newest ceremony says is stored, and that it is what the dealers committed to.
    fn check_published(newest: Option<&consortium::Ceremony>) -> Result<(), TryRuntimeError> {
        let none = SeatSet::default();
        let enrolled: SeatSet = Enrolments::<T>::iter_keys().map(usize::from).collect();
        let dealt: SeatSet = Dealings::<T>::iter_keys().map(usize::from).collect();
        ensure!(
            enrolled == newest.map_or(none, |newest| newest.enrolled)
                && Enrolments::<T>::iter_keys().count() == enrolled.len(),
            "the sealing keys differ from the enrolled seats"
        );
        ensure!(
            dealt == newest.map_or(none, |newest| newest.dealt)
                && Dealings::<T>::iter_keys().count() == dealt.len(),
            "the dealings differ from the dealers that dealt"
        );
        let Some(newest) = newest else {
            ensure!(AnswersOf::<T>::iter_keys().next().is_none(), "an answer has no dealer");
            return Ok(());
        };
        for (_, dealing) in Dealings::<T>::iter() {
            check_commitments(&dealing.commitments, newest.threshold)?;
        }
        ensure!(
            AnswersOf::<T>::iter_keys().all(|dealer| newest.dealt.contains(dealer.into())),
            "an answer has no dealer"
        );
        for (dealer, answered) in newest.answered.iter().enumerate() {
            let answers = AnswersOf::<T>::get(position(dealer));
            let stored: SeatSet = answers.iter().map(|answer| answer.seat.into()).collect();
            ensure!(
                stored == *answered && answers.len() == answered.len(),
                "the answers differ from the seats whose complaints are answered"
            );
            for answer in &answers {
                ensure!(
                    Self::check_share(newest, dealer, answer).is_ok(),
                    "an answer is not what its dealer committed to"
                );
            }
        }
        Ok(())
    }

    fn check_confirmations(newest: Option<&consortium::Ceremony>) -> Result<(), TryRuntimeError> {
        let all = Confirmed::<T>::get();
        let seats: SeatSet = all.iter().map(|confirmation| confirmation.seat.into()).collect();
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
    ensure!(
        ascends(&ceremony.seats) && ascends(&ceremony.dealers) && seats >= 2,
        "the seats or the dealers do not ascend"
    );
    ensure!(
        usize::from(ceremony.threshold) == threshold(seats)
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
