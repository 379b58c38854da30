//! The runtime stores a body only if it is at the extrinsic's tail.

use epione_primitives::{
    ports::{BODY_NOT_AT_TAIL, Bodies, HashedBody},
    profile::Role,
};
use epione_runtime::{ExtrinsicTail, LiteBlocks, RuntimeOrigin, System};

use crate::chain::{A, PATIENT, account, announcement, key, local, register};

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
        register("Alice//agent", PATIENT, Role::Patient);
        let pallet_lite_blocks::Call::announce { header, entries, body } =
            announcement(A, &[PATIENT], 1)
        else {
            unreachable!()
        };
        System::note_extrinsic([&body[..], b"the next call of a batch"].concat());
        let agent = RuntimeOrigin::signed(account(&key("Alice//agent")));
        let refused = LiteBlocks::announce(agent, header, entries, body).unwrap_err();
        assert_eq!(refused.error, BODY_NOT_AT_TAIL);
    });
}
