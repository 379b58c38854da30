use epione_primitives::{
    AccountId, Hash, HospitalId,
    hospital::{Duty, HospitalStatus},
    limits::{MAX_CONSENT_BLOCKS, MAX_HOSPITALS},
    naming::NamedAccount,
};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};
use sp_core::Pair;
use sp_runtime::{DispatchError::BadOrigin, traits::Hash as _};

use crate::{Admitted, Error, Event, mock::*};

/// Admits a hospital with these fields.
fn admit(
    origin: RuntimeOrigin,
    number: u16,
    name: &[u8],
    url: &[u8],
    sealing_key: &[u8],
    accounts: (NamedAccount, NamedAccount),
) -> DispatchResult {
    Hospitals::admit(
        origin,
        name.to_vec().try_into().unwrap(),
        accounts.0,
        accounts.1,
        url.to_vec().try_into().unwrap(),
        sealing_key.to_vec().try_into().unwrap(),
        [number as u8; 32],
    )
}

/// The accounts of hospital `number`, which consent.
fn accounts(number: u16) -> (NamedAccount, NamedAccount) {
    (named(number, number, Duty::Governance), named(number, number, Duty::Agent))
}

/// An account with a consent of another key.
fn taken(account: AccountId) -> NamedAccount {
    NamedAccount { account, ..named(2, 2, Duty::Agent) }
}

fn plain(origin: RuntimeOrigin, number: u16) -> DispatchResult {
    admit(origin, number, b"New", b"https://new.example", &[1, 2], accounts(number))
}

#[test]
fn the_council_admits_a_hospital() {
    chain(3, || {
        assert_ok!(plain(council(), 3));

        let (governance, agent) = accounts(3);
        let (governance, agent) = (governance.account, agent.account);
        System::assert_last_event(
            Event::Admitted {
                hospital: HospitalId(3),
                governance: governance.clone(),
                agent: agent.clone(),
            }
            .into(),
        );
        let hospital = entry(3);
        assert_eq!(hospital.status, HospitalStatus::Active);
        assert_eq!(hospital.name.as_slice(), b"New");
        assert_eq!(hospital.worker_url.as_slice(), b"https://new.example");
        assert_eq!(hospital.sealing_key.as_slice(), &[1, 2]);
        assert_eq!(hospital.tls_key, [3; 32]);
        assert_eq!(
            Hospitals::hospital_of(governance.clone()),
            Some((HospitalId(3), Duty::Governance))
        );
        assert_eq!(Hospitals::hospital_of(agent.clone()), Some((HospitalId(3), Duty::Agent)));
        assert_eq!(System::providers(&governance), 1);
        assert_eq!(System::providers(&agent), 1);
        assert!(council_members().contains(&governance));
    });
}

#[test]
fn a_council_motion_admits_a_hospital() {
    chain(2, || {
        let call = RuntimeCall::Hospitals(admission(2));
        let proposal = Box::new(call.clone());
        let length = codec::Encode::encoded_size(&call) as u32;
        assert_ok!(CouncilMotions::propose(
            RuntimeOrigin::signed(governance(0)),
            2,
            proposal,
            length
        ));
        let hash = <Test as frame_system::Config>::Hashing::hash_of(&call);
        for number in 0..2 {
            assert_ok!(CouncilMotions::vote(
                RuntimeOrigin::signed(governance(number)),
                hash,
                0,
                true
            ));
        }
        assert_ok!(CouncilMotions::close(
            RuntimeOrigin::signed(governance(0)),
            hash,
            0,
            frame_support::weights::Weight::MAX,
            length
        ));

        assert_eq!(Admitted::<Test>::get(), 3);
        assert!(council_members().contains(&entry(2).governance));
    });
}

#[test]
fn only_the_council_admits() {
    chain(3, || {
        assert_noop!(plain(RuntimeOrigin::root(), 3), BadOrigin);
        assert_noop!(plain(RuntimeOrigin::none(), 3), BadOrigin);
        assert_noop!(plain(RuntimeOrigin::signed(governance(0)), 3), BadOrigin);
        let half = pallet_collective::RawOrigin::Members(1, 2).into();
        assert_noop!(plain(half, 3), BadOrigin);
    });
}

#[test]
fn an_account_has_one_hospital_and_one_duty() {
    chain(2, || {
        for account in [governance(0), agent(0)] {
            let (new_governance, new_agent) = accounts(2);
            let pairs =
                [(taken(account.clone()), new_agent), (new_governance, taken(account.clone()))];
            for pair in pairs {
                assert_noop!(
                    admit(council(), 2, b"New", b"https://new.example", &[1, 2], pair),
                    Error::<Test>::AccountInUse
                );
            }
        }
        let twice = (accounts(2).0, accounts(2).0);
        assert_noop!(
            admit(council(), 2, b"New", b"https://new.example", &[1, 2], twice),
            Error::<Test>::AccountInUse
        );
    });
}

#[test]
fn the_council_cannot_take_an_account_whose_key_holder_does_not_consent() {
    chain(2, || {
        let (governance_key, agent_key) = (key(2, Duty::Governance), key(2, Duty::Agent));
        let agreed = |duty| consenting(&agent_key, genesis(), HospitalId(2), duty, 10);
        let (stranger, id) = (key(9, Duty::Agent), HospitalId(2));
        let forged = [
            NamedAccount { account: agent_key.public().into(), ..named(9, 2, Duty::Agent) },
            NamedAccount {
                account: agent_key.public().into(),
                ..consenting(&stranger, genesis(), id, Duty::Agent, 10)
            },
            agreed(Duty::Governance),
            consenting(&agent_key, genesis(), HospitalId(3), Duty::Agent, 10),
            consenting(&agent_key, Hash::repeat_byte(1), id, Duty::Agent, 10),
            NamedAccount { until: 11, ..agreed(Duty::Agent) },
        ];
        let governance =
            || consenting(&governance_key, genesis(), HospitalId(2), Duty::Governance, 10);
        for agent in forged {
            let pair = (governance(), agent);
            assert_noop!(
                admit(council(), 2, b"New", b"https://new.example", &[1, 2], pair),
                Error::<Test>::InvalidConsent
            );
        }
        let pair = (governance(), agreed(Duty::Agent));
        assert_ok!(admit(council(), 2, b"New", b"https://new.example", &[1, 2], pair));
    });
}

#[test]
fn an_old_or_eternal_consent_is_refused() {
    chain(2, || {
        System::set_block_number(11);
        for until in [10, 11 + MAX_CONSENT_BLOCKS + 1] {
            let agent =
                consenting(&key(2, Duty::Agent), genesis(), HospitalId(2), Duty::Agent, until);
            let pair = (accounts(2).0, agent);
            assert_noop!(
                admit(council(), 2, b"New", b"https://new.example", &[1, 2], pair),
                Error::<Test>::ConsentExpired
            );
        }
    });
}

#[test]
fn a_users_account_cannot_become_a_hospitals() {
    chain(2, || {
        System::inc_sufficients(&accounts(2).1.account);
        assert_noop!(plain(council(), 2), Error::<Test>::AccountInUse);
    });
}

#[test]
fn a_name_must_be_text() {
    chain(1, || {
        for name in [b"".as_slice(), b"  ", &[0xff, 0xfe]] {
            assert_noop!(
                admit(council(), 1, name, b"https://new.example", &[1, 2], accounts(1)),
                Error::<Test>::InvalidName
            );
        }
    });
}

#[test]
fn a_url_needs_a_scheme_and_a_host() {
    chain(1, || {
        let urls =
            [b"".as_slice(), b"https://", b"ftp://new.example", b"http://a b", b"https://\xc3"];
        for url in urls {
            assert_noop!(
                admit(council(), 1, b"New", url, &[1, 2], accounts(1)),
                Error::<Test>::InvalidUrl
            );
        }
    });
}

#[test]
fn a_sealing_key_needs_more_than_its_suite_byte() {
    chain(1, || {
        for key in [[].as_slice(), &[1]] {
            assert_noop!(
                admit(council(), 1, b"New", b"https://new.example", key, accounts(1)),
                Error::<Test>::InvalidSealingKey
            );
        }
    });
}

#[test]
fn the_number_of_hospitals_is_bounded() {
    chain(1, || {
        for number in 1..MAX_HOSPITALS as u16 {
            assert_ok!(plain(council(), number));
        }
        let number = MAX_HOSPITALS as u16;
        assert_noop!(plain(council(), number), Error::<Test>::TooManyHospitals);
        assert_ok!(Hospitals::suspend(council(), HospitalId(7)));
        assert_noop!(plain(council(), number), Error::<Test>::TooManyHospitals);
    });
}

#[test]
fn a_removed_hospital_leaves_its_place_but_not_its_id() {
    chain(1, || {
        for number in 1..MAX_HOSPITALS as u16 {
            assert_ok!(plain(council(), number));
        }
        assert_ok!(Hospitals::remove(council(), HospitalId(7)));
        let number = MAX_HOSPITALS as u16;
        assert_ok!(plain(council(), number));
        assert_eq!(entry(number).governance, accounts(number).0.account);
        assert_eq!(entry(7).status, HospitalStatus::Removed);
        assert_eq!(u32::from(Admitted::<Test>::get()), MAX_HOSPITALS + 1);
    });
}
