//! Keeping patient keys, and the attacks on their wraps.

use curve25519_dalek::{
    constants::RISTRETTO_BASEPOINT_POINT,
    ristretto::{CompressedRistretto, RistrettoPoint},
};
use epione_mocks::{
    begin_epoch, end_custody, governance_account, register, set_active, set_profile_body,
    without_key,
};
use epione_primitives::{
    Hash, HospitalId, RecordPointer,
    consortium::{EpochId, KeyId},
    custody::{CustodyLabel, Kept},
    opening::WrapLabel,
    sharing::SlotId,
};
use frame_support::{assert_noop, assert_ok};

use crate::{Error, Event, KeptKeys, mock::*};

/// Publishes a wrap as that of the patient's newest key.
fn publish(wrap: [u8; 168]) -> Result<(), sp_runtime::DispatchError> {
    dispatch(publication(PATIENT, profile_body(DEPARTED, PATIENT), wrap), agent(DEPARTED))
}

/// Checks that the chain refuses a wrap, and stores nothing.
fn is_refused(wrap: [u8; 168], what: &str) {
    assert_noop!(publish(wrap), Error::<Test>::InvalidWrap);
    assert!(kept(PATIENT).is_none(), "{what}");
}

#[test]
fn a_hospital_keeps_the_newest_key_of_a_patient_who_entrusts_it() {
    run(|| {
        let of = label(PATIENT);
        assert_ok!(keep(&of));
        let (profile, wrap) = (of.profile, wrap_of(&of));
        let expected = Kept { profile, key: KEY, epoch: EPOCH, wrap, block: 1 };
        assert_eq!(kept(PATIENT), Some(expected));
        assert_eq!(expected.label(GENESIS, DEPARTED, PATIENT), of);
        let event = Event::<Test>::KeyKept { hospital: DEPARTED, patient: PATIENT };
        System::assert_last_event(event.into());
        assert!(kept(OTHER_PATIENT).is_none());
    });
}

#[test]
fn a_rotation_and_a_new_consortium_key_replace_what_was_kept() {
    run(|| {
        let first = label(PATIENT);
        assert_ok!(keep(&first));
        set_profile_body(DEPARTED, PATIENT, Hash::repeat_byte(44));
        // The wrap of the version before does not pass any more, whatever the hospital says about it.
        let replaced = publication(PATIENT, first.profile, wrap_of(&first));
        assert_noop!(dispatch(replaced, agent(DEPARTED)), Error::<Test>::OtherProfile);
        let renamed = publication(PATIENT, label(PATIENT).profile, wrap_of(&first));
        assert_noop!(dispatch(renamed, agent(DEPARTED)), Error::<Test>::InvalidWrap);
        pass_blocks(1);
        assert_ok!(keep(&label(PATIENT)));
        let second = kept(PATIENT).unwrap();
        assert_eq!((second.profile, second.block), (Hash::repeat_byte(44), 2));

        begin_epoch(KeyId(3), EpochId(6), [DEPARTED]);
        let later = CustodyLabel { key: KeyId(3), epoch: EpochId(6), ..label(PATIENT) };
        assert_ok!(keep(&later));
        let third = kept(PATIENT).unwrap();
        assert_eq!((third.key, third.epoch), (KeyId(3), EpochId(6)));
        assert_eq!(KeptKeys::<Test>::iter_keys().count(), 1);
    });
}

/// A wrap that was made correctly for something else does not pass here.
#[test]
fn a_wrap_of_another_label_is_refused() {
    run(|| {
        let this = label(PATIENT);
        let others = [
            CustodyLabel { genesis: Hash::zero(), ..this },
            CustodyLabel { key: KeyId(1), ..this },
            CustodyLabel { key: KeyId(3), ..this },
            CustodyLabel { epoch: EpochId(4), ..this },
            CustodyLabel { epoch: EpochId(6), ..this },
            CustodyLabel { hospital: HEIR, ..this },
            CustodyLabel { patient: OTHER_PATIENT, ..this },
            CustodyLabel { profile: Hash::zero(), ..this },
        ];
        for other in others {
            is_refused(wrap_of(&other), &format!("{other:?}"));
        }
        assert_ok!(publish(wrap_of(&this)));
    });
}

/// A hospital could otherwise have a section opened as a patient key, or a key as a section.
#[test]
fn a_wrap_of_a_section_is_not_kept_as_that_of_a_key() {
    run(|| {
        let of_section = WrapLabel {
            genesis: GENESIS,
            key: KEY,
            epoch: EPOCH,
            hospital: DEPARTED,
            patient: PATIENT,
            slot: SlotId(3),
            pointer: RecordPointer { height: 1, index: 0 },
            section: 0,
        };
        is_refused(wrap_for(&of_section.bytes()), "a section");
        let of_key = label(PATIENT).bytes();
        assert!(!of_key.starts_with(b"epione/wrap-label"));
    });
}

/// The attack that the proof in each wrap prevents: a hospital publishes the wrap of a victim, or its points, as that of
/// a patient who works for it and is registered at the hospital's heir.
#[test]
fn the_wrap_of_a_victim_is_not_kept_for_a_puppet() {
    run(|| {
        assert_ok!(keep(&label(PATIENT)));
        let (victim, of_puppet) = (wrap_of(&label(PATIENT)), label(OTHER_PATIENT));
        let stolen = publication(OTHER_PATIENT, of_puppet.profile, victim);
        assert_noop!(dispatch(stolen, agent(DEPARTED)), Error::<Test>::InvalidWrap);
        let mut mixed = wrap_of(&of_puppet);
        mixed[..64].copy_from_slice(&victim[..64]);
        let mixed = publication(OTHER_PATIENT, of_puppet.profile, mixed);
        assert_noop!(dispatch(mixed, agent(DEPARTED)), Error::<Test>::InvalidWrap);
        assert_ok!(keep(&of_puppet));
    });
}

fn point(bytes: &[u8]) -> RistrettoPoint {
    CompressedRistretto::from_slice(bytes).unwrap().decompress().unwrap()
}

fn put(bytes: &mut [u8], point: RistrettoPoint) {
    bytes.copy_from_slice(point.compress().as_bytes());
}

#[test]
fn a_wrap_whose_points_were_moved_or_whose_bits_were_flipped_is_refused() {
    run(|| {
        let valid = wrap_of(&label(PATIENT));
        let mut moved = valid;
        put(&mut moved[..32], point(&valid[..32]) + RISTRETTO_BASEPOINT_POINT);
        is_refused(moved, "the first point");
        let (mut sum, added) = (valid, wrap_of(&label(OTHER_PATIENT)));
        for half in [0..32, 32..64] {
            put(&mut sum[half.clone()], point(&valid[half.clone()]) + point(&added[half]));
        }
        is_refused(sum, "both points");
        for position in 0..valid.len() {
            let mut damaged = valid;
            damaged[position] ^= 1 << (position % 8);
            is_refused(damaged, &format!("byte {position}"));
        }
        is_refused([0; 168], "identities");
        is_refused([0xff; 168], "no encodings");
    });
}

#[test]
fn nothing_is_kept_without_the_patients_decision_or_after_its_end() {
    run(|| {
        assert_noop!(keep(&label(RELUCTANT)), Error::<Test>::NotEntrusted);
        assert_ok!(keep(&label(PATIENT)));
        end_custody(PATIENT, DEPARTED);
        assert_noop!(keep(&label(PATIENT)), Error::<Test>::NotEntrusted);
    });
}

#[test]
fn a_hospital_keeps_nothing_for_another_one() {
    run(|| {
        // The patient entrusts the keys at one hospital only, and another hospital has other keys.
        let profile = profile_body(HEIR, PATIENT);
        let of_heir = CustodyLabel { hospital: HEIR, profile, ..label(PATIENT) };
        assert_noop!(keep(&of_heir), Error::<Test>::NotEntrusted);
        epione_mocks::entrust(PATIENT, HEIR);
        let copied = publication(PATIENT, profile, wrap_of(&label(PATIENT)));
        assert_noop!(dispatch(copied, agent(HEIR)), Error::<Test>::InvalidWrap);
        let foreign = publication(PATIENT, label(PATIENT).profile, wrap_of(&label(PATIENT)));
        assert_noop!(dispatch(foreign, agent(HEIR)), Error::<Test>::OtherProfile);
        assert_ok!(keep(&of_heir));
        assert!(kept(PATIENT).is_none());
    });
}

#[test]
fn only_agents_of_active_members_keep_keys() {
    run(|| {
        let of = label(PATIENT);
        let call = || publication(PATIENT, of.profile, wrap_of(&of));
        let governance = RuntimeOrigin::signed(governance_account(DEPARTED.0));
        for origin in [governance, user(PATIENT), agent(HospitalId(9))] {
            assert_noop!(dispatch(call(), origin), Error::<Test>::NotAgent);
        }
        set_active(DEPARTED, false);
        assert_noop!(keep(&of), Error::<Test>::NotAgent);
        set_active(DEPARTED, true);
        begin_epoch(KEY, EPOCH, [HEIR, THIRD]);
        assert_noop!(keep(&of), Error::<Test>::NotMember);
        without_key();
        assert_noop!(keep(&of), Error::<Test>::NoKey);
        register(OUTSIDE, PATIENT, 0);
        begin_epoch(KEY, EPOCH, [DEPARTED]);
        assert_ok!(keep(&of));
    });
}
