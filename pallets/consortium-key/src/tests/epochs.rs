use std::collections::BTreeMap;

use epione_primitives::{
    HospitalId,
    consortium::{EpochId, KeyId, MixingLink},
    limits::{MAX_PAST_CEREMONIES, MAX_SEATS},
};
use epione_threshold::{Index, MixingSecret, Share};
use frame_support::{assert_noop, assert_ok};

use crate::{Call, Epochs, Error, NextKey, Past, mock::*};

/// The public key of the secret that these shares give.
fn recovered(shares: Vec<(u16, Share)>) -> Option<[u8; 32]> {
    let of = |(hospital, share)| (Index::of_hospital(hospital), share);
    let secret = Share::interpolate(&shares.into_iter().map(of).collect::<Vec<_>>())?;
    secret.public().map(|public| public.encode())
}

#[test]
fn four_generate_five_and_then_others_reshare_and_the_key_stays() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        let public = current().public_key();
        assert_eq!(members.recovered(&[0, 2, 3]), public);
        assert_ne!(members.recovered(&[0, 2]), public, "two of four are too few");

        // One joins.
        admit([HospitalId(4)]);
        assert_eq!(members.hold(4), EpochId(1));
        assert_eq!((current().members, current().threshold), (hospitals(0..5), 4));
        assert_eq!(members.recovered(&[1, 2, 3, 4]), public);

        // One is removed.
        set_active(HospitalId(1), false);
        assert_eq!(members.hold(0), EpochId(2));
        assert_eq!((current().members, current().threshold), (hospitals([0, 2, 3, 4]), 3));
        assert_eq!(members.recovered(&[0, 3, 4]), public);

        // The shares get old.
        let before: BTreeMap<_, _> = members.shares.clone();
        pass(REFRESH);
        assert_eq!(members.hold(3), EpochId(3));
        assert_eq!(members.recovered(&[2, 3, 4]), public);
        assert!(before.iter().all(|(hospital, share)| members.shares[hospital] != *share));

        for id in 0..4 {
            let epoch = Epochs::<Test>::get(EpochId(id)).unwrap();
            assert_eq!((epoch.public_key(), epoch.key), (public, KeyId(0)));
        }
        assert_eq!(NextKey::<Test>::get(), KeyId(1));
    });
}

#[test]
fn shares_of_different_epochs_do_not_fit_together() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        let (public, old) = (current().public_key(), members.shares.clone());
        pass(REFRESH);
        members.hold(0);
        let new = &members.shares;
        let mixed = |old_ones: &[u16], new_ones: &[u16]| {
            let old_ones = old_ones.iter().map(|it| (*it, old[it].clone()));
            recovered(old_ones.chain(new_ones.iter().map(|it| (*it, new[it].clone()))).collect())
        };
        assert_eq!(mixed(&[0, 1, 2], &[]), public);
        assert_eq!(mixed(&[], &[0, 1, 2]), public);
        for (old_ones, new_ones) in [(&[0][..], &[1, 2][..]), (&[0, 1], &[2]), (&[3], &[0, 1])] {
            assert_ne!(mixed(old_ones, new_ones), public);
        }
    });
}

/// A removed hospital has its old share, the old mixing secret, and the help of one member less than the threshold.
#[test]
fn a_removed_member_gets_nothing_from_later_epochs() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        let (public, old_share) = (current().public_key(), members.shares[&3].clone());
        let old_mixing = members.mixing.clone().unwrap();
        set_active(HospitalId(3), false);
        members.hold(0);
        assert_eq!((current().members, current().threshold), (hospitals(0..3), 2));
        let with_help = vec![(3, old_share), (0, members.shares[&0].clone())];
        assert_ne!(recovered(with_help), public);
        let new_mixing = members.mixing.clone().unwrap();
        assert!(new_mixing != old_mixing);
        // The link leads back only.
        let link = current().link.unwrap();
        assert!(new_mixing.follow(&link).unwrap() == old_mixing);
        assert!(old_mixing.follow(&link).is_none());
    });
}

/// A newcomer opens what was sealed in the first epoch: the links lead to each earlier mixing secret.
#[test]
fn the_links_lead_back_to_the_first_epoch() {
    run(|| {
        let mut members = Members::default();
        let mut secrets: Vec<MixingSecret> = Vec::new();
        for round in 0..4_u16 {
            if round > 0 {
                admit([HospitalId(3 + round)]);
            }
            members.hold(if round == 0 { 0 } else { 3 + round });
            secrets.push(members.mixing.clone().unwrap());
        }
        let mut known = secrets.pop().unwrap();
        for id in (1..4).rev() {
            let link: MixingLink = Epochs::<Test>::get(EpochId(id)).unwrap().link.unwrap();
            known = known.follow(&link).unwrap();
            assert!(known == secrets.pop().unwrap());
        }
        assert_eq!(Epochs::<Test>::get(EpochId(0)).unwrap().link, None);
    });
}

/// While a ceremony runs because one joined, another is removed, and a third one joins.
#[test]
fn two_changes_of_the_membership_at_once_take_two_ceremonies() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        let public = current().public_key();
        pass(PHASE);
        admit([HospitalId(4)]);
        assert_ok!(begin(4));
        enrol_others();
        set_active(HospitalId(0), false);
        admit([HospitalId(5)]);
        assert_noop!(enrol(5), Error::<Test>::WrongPhase);
        assert_noop!(begin(5), Error::<Test>::CeremonyRunning);
        for dealer in [1, 2, 3] {
            assert_ok!(members.deal(dealer));
        }
        pass_phase();
        for hospital in [1, 2, 3, 4] {
            assert_ok!(judge(hospital, &[]));
        }
        pass_phase();
        let result = members.result();
        for hospital in [1, 2, 3, 4] {
            assert_ok!(confirm(hospital, result));
        }
        members.learn();
        assert_eq!(current().members, hospitals(0..5), "the ceremony goes on as it began");
        assert_eq!(members.hold(5), EpochId(2));
        assert_eq!((current().members, current().threshold), (hospitals(1..6), 4));
        assert_eq!(current().public_key(), public);
        assert_eq!(members.recovered(&[2, 3, 4, 5]), public);
    });
}

#[test]
fn thirty_one_hospitals_generate_and_reshare() {
    run_with(MAX_SEATS as u16, || {
        let mut members = Members::default();
        members.hold(7);
        let public = current().public_key();
        assert_eq!((current().members.len(), current().threshold), (31, 21));
        let most: Vec<u16> = (10..31).collect();
        assert_eq!(members.recovered(&most), public);
        assert_ne!(members.recovered(&most[1..]), public);
        pass(REFRESH);
        members.hold(30);
        assert_eq!(current().public_key(), public);
        assert_eq!(members.recovered(&most), public);
    });
}

#[test]
fn two_and_three_hospitals_have_a_key() {
    for count in [2, 3] {
        run_with(count, || {
            let mut members = Members::default();
            members.hold(0);
            assert_eq!((current().threshold, members.shares.len()), (2, usize::from(count)));
            assert_eq!(members.recovered(&[0, 1]), current().public_key());
            assert_ne!(members.recovered(&[1]), current().public_key());
        });
    }
}

#[test]
fn a_new_key_shares_nothing_with_the_earlier_one() {
    run(|| {
        let mut members = Members::default();
        members.hold(0);
        let former = current();
        assert_ok!(dispatch(Call::renew {}, RuntimeOrigin::root()));
        members.hold(1);
        let renewed = current();
        assert_eq!((renewed.id, renewed.key, renewed.link), (EpochId(1), KeyId(1), None));
        assert_ne!(renewed.public_key(), former.public_key());
        assert_eq!(NextKey::<Test>::get(), KeyId(2));
        // It is decided once.
        pass(PHASE);
        assert_noop!(begin(0), Error::<Test>::NothingToDo);
        // The epochs of the new key go on.
        set_active(HospitalId(0), false);
        members.hold(2);
        assert_eq!((current().key, current().public_key()), (KeyId(1), renewed.public_key()));
    });
}

#[test]
fn the_oldest_ceremonies_are_forgotten() {
    run(|| {
        let most = MAX_PAST_CEREMONIES;
        for _ in 0..most + 3 {
            assert_ok!(begin(0));
            pass(3 * PHASE);
        }
        let past = Past::<Test>::get();
        assert_eq!(past.len(), most as usize);
        assert_eq!(past.first().unwrap().id.0, 2);
        assert_eq!(past.last().unwrap().id.0, most + 1);
    });
}
