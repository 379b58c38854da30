//! Publishing wraps, and the attacks on them.

use curve25519_dalek::{
    constants::RISTRETTO_BASEPOINT_POINT,
    ristretto::{CompressedRistretto, RistrettoPoint},
};
use epione_mocks::{BodyAtTail, Kept, begin_epoch, governance_account, set_active, without_key};
use epione_primitives::{
    Hash, HospitalId,
    consortium::{EpochId, KeyId},
    opening::{OpeningId, WRAP_BYTES, WrapLabel, Wrapped},
    ports::BODY_NOT_AT_TAIL,
    release::SectionSet,
    sharing::{Consent, SlotId, Term},
};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::{Error, Event, Wraps, mock::*};

/// Publishes bytes as the wraps of the first two sections of the first record, which are placed.
fn publish(bytes: &[u8]) -> Result<(), sp_runtime::DispatchError> {
    dispatch(publication(&label(0), 0b11, bytes.to_vec()), agent(HOME))
}

/// Checks that the chain refuses bytes as these wraps, and stores nothing.
fn is_refused(bytes: &[u8], what: &str) {
    assert_noop!(publish(bytes), Error::<Test>::InvalidWrap);
    assert!(Wraps::<Test>::get(FIRST, SLOT).is_none(), "{what}");
}

fn valid() -> Vec<u8> {
    wraps_like(&label(0), 0b11)
}

#[test]
fn the_hospital_of_a_record_publishes_the_wraps_of_what_is_placed() {
    run(|| {
        share();
        assert_ok!(publish(&valid()));
        let wrapped = Wrapped {
            sections: SectionSet(0b11),
            key: KEY,
            epoch: EPOCH,
            hospital: HOME,
            body: BlakeTwo256::hash(&valid()),
            block: 1,
        };
        assert_eq!(Wraps::<Test>::get(FIRST, SLOT), Some(wrapped));
        let kept = Kept::get();
        let (bytes, state) = kept.last().unwrap();
        assert_eq!(*bytes, valid());
        assert_eq!(*state, epione_mocks::state(), "the body is stored last");
        System::assert_last_event(
            Event::<Test>::Wrapped { patient: PATIENT, slot: SLOT, pointer: FIRST, hospital: HOME }
                .into(),
        );
    });
}

#[test]
fn wraps_of_more_sections_or_of_a_new_key_replace_the_ones_before() {
    run(|| {
        share_and_wrap();
        place(PATIENT, SLOT, FIRST, 0b100);
        pass_blocks(1);
        assert_ok!(wrap(&label(0), 0b111));
        let wrapped = Wraps::<Test>::get(FIRST, SLOT).unwrap();
        assert_eq!((wrapped.sections, wrapped.block), (SectionSet(0b111), 2));
        begin_epoch(KeyId(3), EpochId(6), [HOME]);
        let later = WrapLabel { key: KeyId(3), epoch: EpochId(6), ..label(0) };
        assert_ok!(wrap(&later, 0b111));
        let wrapped = Wraps::<Test>::get(FIRST, SLOT).unwrap();
        assert_eq!((wrapped.key, wrapped.epoch), (KeyId(3), EpochId(6)));
        assert_eq!(Wraps::<Test>::iter_keys().count(), 1);
    });
}

#[test]
fn every_section_that_a_record_can_have_is_wrapped_at_once() {
    run(|| {
        give(PATIENT, SLOT, standing(&AUDIENCE));
        place(PATIENT, SLOT, FIRST, u64::MAX);
        assert_ok!(wrap(&label(0), u64::MAX));
        assert_eq!(Wraps::<Test>::get(FIRST, SLOT).unwrap().sections, SectionSet::ALL);
    });
}

/// A wrap that was made correctly for another place does not pass at this one.
#[test]
fn a_wrap_of_another_label_is_refused() {
    run(|| {
        share();
        let this = label(0);
        let others = [
            WrapLabel { genesis: Hash::zero(), ..this },
            WrapLabel { key: KeyId(1), ..this },
            WrapLabel { key: KeyId(3), ..this },
            WrapLabel { epoch: EpochId(4), ..this },
            WrapLabel { epoch: EpochId(6), ..this },
            WrapLabel { hospital: AWAY, ..this },
            WrapLabel { patient: PUPPET, ..this },
            WrapLabel { slot: OTHER_SLOT, ..this },
            WrapLabel { pointer: SECOND, ..this },
            WrapLabel { section: 5, ..this },
        ];
        for other in others {
            is_refused(&wraps_of(&[other, label(1)]), &format!("{other:?}"));
        }
        is_refused(&wraps_of(&[label(1), label(0)]), "in another order");
        is_refused(&wraps_of(&[label(0), label(0)]), "one twice");
        assert_ok!(publish(&valid()));
    });
}

/// The attack that the proof in each wrap prevents: a hospital copies the wrap of a victim into the record of a patient
/// who works for it, whose consent admits everybody whom it wants.
#[test]
fn the_wrap_of_a_victim_is_not_published_for_the_record_of_a_puppet() {
    run(|| {
        share_and_wrap();
        give(PUPPET, SLOT, standing(&[Term::User(RESEARCHER)]));
        place(PUPPET, SLOT, PUPPETS, 0b11);
        let of_puppet = WrapLabel { patient: PUPPET, pointer: PUPPETS, ..label(0) };
        let stolen = publication(&of_puppet, 0b11, valid());
        assert_noop!(dispatch(stolen, agent(HOME)), Error::<Test>::InvalidWrap);

        // With its own proof and encrypted key, and only the points of the victim.
        let mut mixed = wraps_like(&of_puppet, 0b11);
        mixed[..64].copy_from_slice(&valid()[..64]);
        let mixed = publication(&of_puppet, 0b11, mixed);
        assert_noop!(dispatch(mixed, agent(HOME)), Error::<Test>::InvalidWrap);
        assert_ok!(wrap(&of_puppet, 0b11));
    });
}

fn point(bytes: &[u8]) -> RistrettoPoint {
    CompressedRistretto::from_slice(bytes).unwrap().decompress().unwrap()
}

fn put(bytes: &mut [u8], point: RistrettoPoint) {
    bytes.copy_from_slice(point.compress().as_bytes());
}

/// Who has such a wrap opened would subtract what they added, and open the victim's.
#[test]
fn a_wrap_whose_points_were_moved_is_refused() {
    run(|| {
        share();
        let mut moved = valid();
        let first = point(&moved[..32]) + RISTRETTO_BASEPOINT_POINT;
        put(&mut moved[..32], first);
        is_refused(&moved, "the first point");

        // Both points of another wrap, of which the attacker knows the scalar, are added: the two still belong together.
        let (mut sum, added) = (valid(), wrap_of(&label(9)));
        for half in [0..32, 32..64] {
            let both = point(&sum[half.clone()]) + point(&added[half.clone()]);
            put(&mut sum[half], both);
        }
        is_refused(&sum, "both points");
        sum[64..128].copy_from_slice(&added[64..128]);
        is_refused(&sum, "both points, with the proof of the other wrap");
    });
}

#[test]
fn a_wrap_with_a_flipped_bit_is_refused() {
    run(|| {
        share();
        for position in 0..valid().len() {
            let mut damaged = valid();
            damaged[position] ^= 1 << (position % 8);
            is_refused(&damaged, &format!("byte {position}"));
        }
    });
}

#[test]
fn the_identity_and_encodings_that_are_not_canonical_are_refused() {
    // The prime of the field, and 1 more: other encodings of 0 and 1.
    let mut prime = [0xff; 32];
    (prime[0], prime[31]) = (0xed, 0x7f);
    let mut beyond = prime;
    beyond[0] = 0xee;
    run(|| {
        share();
        for wrong in [[0; 32], prime, beyond, [0xff; 32]] {
            for at in [0, 32] {
                let mut bytes = valid();
                bytes[at..at + 32].copy_from_slice(&wrong);
                is_refused(&bytes, &format!("{wrong:?} at {at}"));
            }
        }
        let mut all_zero = valid();
        all_zero[..128].fill(0);
        is_refused(&all_zero, "identities with a proof of zeros");
        for at in [64, 96] {
            let mut bytes = valid();
            bytes[at..at + 32].fill(0xff);
            is_refused(&bytes, "a scalar that is not reduced");
        }
    });
}

#[test]
fn more_or_fewer_bytes_than_the_sections_need_are_refused() {
    run(|| {
        share();
        let three = wraps_like(&label(0), 0b111);
        for length in [0, 1, WRAP_BYTES, 2 * WRAP_BYTES - 1, 2 * WRAP_BYTES + 1, three.len()] {
            assert_noop!(publish(&three[..length]), Error::<Test>::WrongLength);
        }
        assert_ok!(publish(&three[..2 * WRAP_BYTES]));
    });
}

#[test]
fn other_sections_than_those_in_the_slot_are_refused() {
    run(|| {
        share();
        place(PATIENT, OTHER_SLOT, FIRST, 0b100);
        for bits in [0, 0b100, 0b110, 0b111, u64::MAX] {
            assert_noop!(wrap(&label(0), bits), Error::<Test>::OtherSections);
        }
        remove(SLOT, FIRST, 0b10);
        assert_noop!(wrap(&label(0), 0b11), Error::<Test>::OtherSections);
        assert_ok!(wrap(&label(0), 0b01));
    });
}

/// The patient, or an old client, placed a section that the record does not have. The hospital cannot wrap it, and the
/// others open all the same.
#[test]
fn some_of_the_placed_sections_are_wrapped_and_opened_without_the_others() {
    run(|| {
        share();
        place(PATIENT, SLOT, FIRST, 1 << 63);
        assert_ok!(wrap(&label(0), 0b11));
        assert_eq!(Wraps::<Test>::get(FIRST, SLOT).unwrap().sections, SectionSet(0b11));
        assert_noop!(ask(&[(FIRST, 0b11 | (1 << 63))]), Error::<Test>::NotWrapped);
        assert_ok!(ask(&[(FIRST, 0b11)]));
        assert_ok!(hand_out(AWAY, OpeningId(0)));
        // The hospital of the record decides what it wraps: fewer sections replace more.
        assert_ok!(wrap(&label(0), 0b10));
        assert_noop!(hand_out(THIRD, OpeningId(0)), Error::<Test>::NotWrapped);
    });
}

#[test]
fn a_slot_without_a_standing_consent_in_force_is_refused() {
    run(|| {
        place(PATIENT, SLOT, FIRST, 0b11);
        let refused = || {
            assert_noop!(wrap(&label(0), 0b11), Error::<Test>::NotStanding);
        };
        refused();
        give(PATIENT, SLOT, Consent { standing: false, ..standing(&AUDIENCE) });
        refused();
        give(PATIENT, SLOT, standing(&AUDIENCE));
        assert_ok!(wrap(&label(0), 0b11));
        withdraw(SLOT);
        refused();
        give(PATIENT, SLOT, standing(&AUDIENCE));
        epione_mocks::pass(UNTIL - START);
        refused();
        for slot in [OTHER_SLOT, SlotId(16), SlotId(255)] {
            let elsewhere = WrapLabel { slot, ..label(0) };
            assert_noop!(wrap(&elsewhere, 0b11), Error::<Test>::NotStanding);
        }
    });
}

#[test]
fn only_the_hospital_of_the_record_wraps_its_keys() {
    run(|| {
        share();
        for hospital in [AWAY, THIRD] {
            let by_another = WrapLabel { hospital, ..label(0) };
            assert_noop!(wrap(&by_another, 0b11), Error::<Test>::RecordOfAnotherHospital);
            let copied = publication(&label(0), 0b11, valid());
            let foreign = Error::<Test>::RecordOfAnotherHospital;
            assert_noop!(dispatch(copied, agent(hospital)), foreign);
        }
        place(PATIENT, SLOT, ELSEWHERE, 1);
        let elsewhere = WrapLabel { pointer: ELSEWHERE, ..label(0) };
        assert_noop!(wrap(&elsewhere, 1), Error::<Test>::RecordOfAnotherHospital);
        assert_ok!(wrap(&WrapLabel { hospital: AWAY, ..elsewhere }, 1));
    });
}

#[test]
fn only_agents_of_active_members_publish_wraps() {
    run(|| {
        share();
        let call = || publication(&label(0), 0b11, valid());
        let governance = RuntimeOrigin::signed(governance_account(HOME.0));
        for origin in [governance, user(PATIENT), user(RESEARCHER), agent(HospitalId(9))] {
            assert_noop!(dispatch(call(), origin), Error::<Test>::NotAgent);
        }
        set_active(HOME, false);
        assert_noop!(publish(&valid()), Error::<Test>::NotAgent);
        set_active(HOME, true);
        begin_epoch(KEY, EPOCH, [AWAY, THIRD]);
        assert_noop!(publish(&valid()), Error::<Test>::NotMember);
        without_key();
        assert_noop!(publish(&valid()), Error::<Test>::NoKey);
        begin_epoch(KEY, EPOCH, [HOME]);
        assert_ok!(publish(&valid()));
    });
}

#[test]
fn records_that_do_not_exist_or_belong_to_another_patient_are_refused() {
    run(|| {
        share();
        let uncommitted = WrapLabel { pointer: UNCOMMITTED, ..label(0) };
        assert_noop!(wrap(&uncommitted, 0b11), Error::<Test>::UnknownRecord);
        let of_puppet = WrapLabel { pointer: PUPPETS, ..label(0) };
        assert_noop!(wrap(&of_puppet, 0b11), Error::<Test>::RecordOfAnotherPatient);
        let of_patient = WrapLabel { patient: PUPPET, ..label(0) };
        assert_noop!(wrap(&of_patient, 0b11), Error::<Test>::RecordOfAnotherPatient);
    });
}

#[test]
fn wraps_within_another_call_are_refused() {
    run(|| {
        share();
        BodyAtTail::set(false);
        assert_noop!(publish(&valid()), BODY_NOT_AT_TAIL);
        assert!(Kept::get().is_empty());
    });
}
