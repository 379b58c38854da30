use epione_mocks::{
    Users, agent_account, end_registration, pass, register, set_active, user_account,
};
use epione_primitives::{
    AccountId, Hash, HospitalId, Moment, QueryId, RecordPointer,
    limits::MAX_QUERY_ACCESS_MILLIS,
    query::{Acceptance, Answer},
};
use frame_support::{assert_noop, assert_ok, dispatch::DispatchResult};

use super::accounts_of_no_user;
use crate::{Error, Event, mock::*};

fn accept_sections(query: QueryId, named: &[(RecordPointer, u64)]) -> DispatchResult {
    dispatch(acceptance_of(query, records(named), UNTIL, HOME), user(PATIENT))
}

fn accept_until(query: QueryId, until: Moment) -> DispatchResult {
    dispatch(acceptance_of(query, asked_records(), until, HOME), user(PATIENT))
}

fn accept_with_mailbox(query: QueryId, mailbox: HospitalId) -> DispatchResult {
    dispatch(acceptance_of(query, asked_records(), UNTIL, mailbox), user(PATIENT))
}

#[test]
fn an_acceptance_names_the_requesters_keys_of_that_moment() {
    run(|| {
        let id = ask();
        let (account, key) = (AccountId::new([8; 32]), Hash::repeat_byte(8));
        Users::set_account(RESEARCHER, account.clone());
        Users::set_sealing_key(RESEARCHER, key);
        System::set_block_number(5);
        pass(30);
        accept(id);
        let expected = Acceptance {
            by: PATIENT,
            records: asked_records(),
            grant: GRANT,
            until: UNTIL,
            audience: account,
            sealing_key: key,
            mailbox: HOME,
            block: 5,
            at: BEGIN + 30,
        };
        assert_eq!(query(id).acceptance(), Some(&expected));
        assert_eq!(query(id).answer, Some(Answer::Accepted(expected)));
        let event = Event::<Test>::Accepted {
            query: id,
            patient: PATIENT,
            requester: RESEARCHER,
            by: PATIENT,
            mailbox: HOME,
        };
        System::assert_last_event(event.into());
    });
}

#[test]
fn nobody_but_the_patient_accepts() {
    run(|| {
        let id = ask();
        let users = [RESEARCHER, OTHER_PATIENT, DOCTOR].map(user_account);
        for account in users.into_iter().chain(accounts_of_no_user()) {
            let origin = RuntimeOrigin::signed(account);
            assert_noop!(dispatch(acceptance(id), origin), Error::<Test>::NotPatient);
        }
        Users::set_account(PATIENT, AccountId::new([8; 32]));
        assert_noop!(dispatch(acceptance(id), user(PATIENT)), Error::<Test>::NotPatient);
        let new_account = RuntimeOrigin::signed(AccountId::new([8; 32]));
        assert_ok!(dispatch(acceptance(id), new_account));
    });
}

#[test]
fn only_a_pending_query_is_accepted() {
    run(|| {
        let unknown = dispatch(acceptance(QueryId(0)), user(PATIENT));
        assert_eq!(unknown, Err(Error::<Test>::UnknownQuery.into()));
        let [accepted, refused] = [ask(), ask()];
        accept(accepted);
        assert_ok!(refuse(user(PATIENT), refused));
        let [withdrawn, expired] = [ask(), ask()];
        assert_ok!(withdraw(user(RESEARCHER), withdrawn));
        for answered in [accepted, refused, withdrawn] {
            let again = dispatch(acceptance(answered), user(PATIENT));
            assert_eq!(again, Err(Error::<Test>::NotPending.into()));
        }
        System::set_block_number(EXPIRES);
        assert_noop!(dispatch(acceptance(expired), user(PATIENT)), Error::<Test>::Expired);
        System::set_block_number(EXPIRES - 1);
        accept(expired);
    });
}

#[test]
fn a_patient_accepts_fewer_sections_but_no_others() {
    run(|| {
        let id = ask();
        let beyond: [&[(RecordPointer, u64)]; 3] =
            [&[(FIRST, 0b111)], &[(FIRST, 0b100)], &[(FIRST, 1), (OTHERS, 1)]];
        for named in beyond {
            assert_noop!(accept_sections(id, named), Error::<Test>::NotAsked);
        }
        let invalid: [&[(RecordPointer, u64)]; 4] =
            [&[], &[(FIRST, 0)], &[(SECOND, 1), (FIRST, 1)], &[(FIRST, 1), (FIRST, 2)]];
        for named in invalid {
            assert_noop!(accept_sections(id, named), Error::<Test>::InvalidRecords);
        }
        assert_ok!(accept_sections(id, &[(SECOND, 1 << 63)]));
        let accepted = query(id).acceptance().map(|acceptance| acceptance.records.clone());
        assert_eq!(accepted, Some(records(&[(SECOND, 1 << 63)])));
        assert_eq!(query(id).records, asked_records());
    });
}

#[test]
fn an_acceptance_ends_later_and_within_the_longest_time() {
    run(|| {
        let id = ask();
        for until in [0, BEGIN, BEGIN + MAX_QUERY_ACCESS_MILLIS + 1, Moment::MAX] {
            assert_noop!(accept_until(id, until), Error::<Test>::WrongUntil);
        }
        assert_ok!(accept_until(id, BEGIN + 1));
        assert_ok!(accept_until(ask(), BEGIN + MAX_QUERY_ACCESS_MILLIS));
    });
}

#[test]
fn the_mailbox_is_an_active_hospital() {
    run(|| {
        let id = ask();
        assert_noop!(accept_with_mailbox(id, NOWHERE), Error::<Test>::UnknownHospital);
        set_active(AWAY, false);
        assert_noop!(accept_with_mailbox(id, AWAY), Error::<Test>::UnknownHospital);
        set_active(AWAY, true);
        assert_ok!(accept_with_mailbox(id, AWAY));
    });
}

#[test]
fn what_the_patient_did_not_consider_is_not_accepted() {
    run(|| {
        let [id, similar] = [ask(), ask()];
        let call = acceptance(id);
        let (account, key) = (AccountId::new([80; 32]), Hash::repeat_byte(80));
        let changes: [fn(AccountId, Hash); 2] = [
            |account, _| Users::set_account(RESEARCHER, account),
            |_, key| Users::set_sealing_key(RESEARCHER, key),
        ];
        for change in changes {
            change(account.clone(), key);
            let changed = dispatch(call.clone(), user(PATIENT));
            assert_eq!(changed, Err(Error::<Test>::RequesterChanged.into()));
            change(user_account(RESEARCHER), first_key(RESEARCHER));
        }
        for other in [considered(similar), Hash::zero()] {
            let mut call = acceptance(id);
            if let crate::Call::accept { considered, .. } = &mut call {
                *considered = other;
            }
            assert_noop!(dispatch(call, user(PATIENT)), Error::<Test>::RequesterChanged);
        }
        assert_ok!(dispatch(call, user(PATIENT)));
    });
}

/// Two institutions ask for the same sections, and the patient accepts for one of them.
#[test]
fn an_acceptance_for_one_institution_is_of_no_use_to_another() {
    run(|| {
        let first = ask();
        let second = ask_with(question_for(HOME), DOCTOR);
        let mut replayed = acceptance(first);
        if let crate::Call::accept { query, .. } = &mut replayed {
            *query = second;
        }
        accept(first);
        assert_noop!(dispatch(replayed, user(PATIENT)), Error::<Test>::RequesterChanged);
        for mailbox in [HOME, AWAY] {
            let agent = RuntimeOrigin::signed(agent_account(mailbox.0));
            assert_noop!(transfer(agent, second), Error::<Test>::NotAccepted);
        }
        assert_eq!(query(second).answer, None);
        // The account of the first institution is the only one for which the mailbox records a transfer.
        Users::set_account(RESEARCHER, user_account(DOCTOR));
        let agent = || RuntimeOrigin::signed(agent_account(HOME.0));
        assert_noop!(transfer(agent(), first), Error::<Test>::RequesterChanged);
        Users::set_account(RESEARCHER, user_account(RESEARCHER));
        assert_ok!(transfer(agent(), first));
    });
}

#[test]
fn only_a_requester_whose_registration_at_the_querys_hospital_is_in_force_is_accepted() {
    run(|| {
        let id = ask();
        let not_in_force = || Error::<Test>::NotInForce;
        set_active(AWAY, false);
        assert_noop!(dispatch(acceptance(id), user(PATIENT)), not_in_force());
        set_active(AWAY, true);
        end_registration(AWAY, RESEARCHER);
        register(HOME, RESEARCHER, 0);
        assert_noop!(dispatch(acceptance(id), user(PATIENT)), not_in_force());
        register(AWAY, RESEARCHER, 0);
        accept(id);
    });
}
