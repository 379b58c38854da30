//! The runtime stores a body only if it is at the extrinsic's tail.

use epione_primitives::{
    naming::Naming,
    ports::{BODY_NOT_AT_TAIL, Bodies, HashedBody},
    profile::Role,
};
use epione_runtime::{
    ExtrinsicTail, LiteBlocks, Profiles, Runtime, RuntimeOrigin, System, invariants,
};

use crate::chain::{
    A, B, PATIENT, SEALING_KEY, account, announcement, apply, approve, consent, key, local,
    register, user, user_seed,
};

#[test]
fn a_body_at_the_tail_is_stored() {
    local(|_| {
        System::note_extrinsic(b"call and body".to_vec());
        assert_eq!(ExtrinsicTail::keep(HashedBody::new(b"body")), Ok(()));
    });
}

#[test]
fn a_body_not_at_the_tail_is_refused() {
    local(|_| {
        System::note_extrinsic(b"body and more".to_vec());
        assert_eq!(ExtrinsicTail::keep(HashedBody::new(b"body")), Err(BODY_NOT_AT_TAIL));
        System::note_extrinsic(b"short".to_vec());
        assert_eq!(ExtrinsicTail::keep(HashedBody::new(b"longer than it")), Err(BODY_NOT_AT_TAIL));
    });
}

#[test]
fn the_runtime_refuses_an_announcement_within_another_call() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let pallet_lite_blocks::Call::announce { header, entries, body } =
            announcement(A, &[*PATIENT], 1)
        else {
            unreachable!()
        };
        System::note_extrinsic([&body[..], b"the next call of a batch"].concat());
        let agent = RuntimeOrigin::signed(account(&key("Alice//agent")));
        let refused = LiteBlocks::announce(agent, header, entries, body).unwrap_err();
        assert_eq!(refused.error, BODY_NOT_AT_TAIL);
    });
}

/// Another hospital can use the bytes of an announcement in the pool for a profile: nodes store both under one hash.
#[test]
fn the_bytes_of_a_block_in_another_hospitals_profile_do_not_stop_its_announcement() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let pallet_lite_blocks::Call::announce { body, .. } = announcement(A, &[*PATIENT], 1)
        else {
            unreachable!()
        };
        let thief = user(9);
        let pair = key(&user_seed(thief));
        let naming = Naming::Registration { hospital: B, user: thief, version: 0 };
        let copied = pallet_profiles::Call::<Runtime>::register {
            user: thief,
            role: Role::Patient,
            account: account(&pair),
            sealing_key_hash: SEALING_KEY,
            consent: consent(&pair, naming),
            body: body.clone(),
        };
        apply("Bob//agent", copied).unwrap().unwrap();
        apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
        chain.next_block();
        for agent in ["Bob//agent", "Charlie//agent"] {
            approve(agent, 0);
        }
        assert_eq!(LiteBlocks::height(), 1);

        // In the reverse order: the bytes of a committed block may become a profile.
        let previous = Profiles::registration(B, thief).unwrap().body_hash;
        let copied = pallet_profiles::Call::<Runtime>::update { user: thief, previous, body };
        apply("Bob//agent", copied).unwrap().unwrap();
        assert_eq!(invariants::check(), Ok(()));
    });
}
