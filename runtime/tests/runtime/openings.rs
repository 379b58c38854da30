//! Sections that hospitals open together, with hospitals, profiles, lite-blocks, sharing, the consortium key and
//! openings together.

use epione_primitives::{
    Hash, RecordPointer,
    access::Purpose,
    api::{runtime_decl_for_openings_api::OpeningsApi, runtime_decl_for_releases_api::ReleasesApi},
    consortium::{EpochId, KeyId},
    hospital::Duty,
    limits::{MAX_OPENED_SECTIONS, MAX_QUERIED_RECORDS, MAX_WRAPS_BYTES},
    opening::{OpeningId, WrapLabel, WrapsBytes},
    profile::Role,
    query::QueriedRecords,
    refusal::Refusal::{CallNotForRole, HospitalQuotaExceeded, QuotaExceeded},
    release::{EmergencyReason, ReleasedRecord, ReviewId, ReviewStatus, SectionSet},
    sharing::{Consent, Term},
};
use epione_runtime::{
    Executive, Hospitals, Quotas, Runtime, RuntimeCall, Sharing, System, invariants,
    lanes::priority as priority_of,
};
use epione_threshold::{MixingSecret, Point, Wrap};
use pallet_quotas::{Cost, CurrentLimits, Debit, Holder, Lane};
use sp_runtime::{DispatchError, transaction_validity::InvalidTransaction};

use crate::{
    caller::refused,
    chain::{
        A, B, Chain, PATIENT, account, apply, council, counts_once, key, local, register, signed,
        user, validate,
    },
    consortium,
    queries::{FIRST, RESEARCHER, committed},
    sharing::{self, SLOT, place, withdraw},
};

type Call = pallet_openings::Call<Runtime>;
type Error = pallet_openings::Error<Runtime>;

const OPENING: OpeningId = OpeningId(0);
const SECTIONS: SectionSet = SectionSet(0b11);

/// The wraps of sections of the first record.
fn wrap() -> Call {
    let epoch = pallet_consortium_key::Epochs::<Runtime>::get(EpochId(0)).unwrap();
    let public = Point::decode(&epoch.public_key().unwrap()).unwrap();
    let wrap = |section| {
        let label = WrapLabel {
            genesis: System::block_hash(0),
            key: KeyId(0),
            epoch: EpochId(0),
            hospital: A,
            patient: *PATIENT,
            slot: SLOT,
            pointer: FIRST,
            section,
        };
        Wrap::make(&public, &MixingSecret::from_bytes([1; 32]), &label.bytes(), &[3; 32]).encode()
    };
    Call::wrap {
        patient: *PATIENT,
        slot: SLOT,
        pointer: FIRST,
        sections: SECTIONS,
        wraps: WrapsBytes::truncate_from(SECTIONS.iter().flat_map(wrap).collect()),
    }
}

fn ask_for(records: Vec<ReleasedRecord>) -> Call {
    Call::ask {
        hospital: B,
        patient: *PATIENT,
        records: QueriedRecords::truncate_from(records),
        purpose: Purpose::Research,
        emergency: None,
    }
}

/// The same question in an emergency.
fn in_emergency(mut asked: Call) -> Call {
    if let Call::ask { purpose, emergency, .. } = &mut asked {
        (*purpose, *emergency) = (Purpose::Emergency, Some(EmergencyReason::LifeThreatening));
    }
    asked
}

fn ask() -> Call {
    ask_for(vec![ReleasedRecord { pointer: FIRST, sections: SECTIONS }])
}

fn hand_out() -> Call {
    Call::hand_out { opening: OPENING }
}

fn send(seed: &str, call: impl Into<RuntimeCall>) -> Result<(), DispatchError> {
    apply(seed, call).unwrap()
}

fn give_to(audience: &[Term]) -> RuntimeCall {
    let consent = Consent { standing: true, ..sharing::consent(audience) };
    let seen = Sharing::slot_height(*PATIENT, SLOT);
    pallet_sharing::Call::give { slot: SLOT, consent, seen }.into()
}

/// A patient of hospital A shares two sections with a researcher of hospital B while away. A has wrapped them.
fn shared(chain: &mut Chain) {
    committed(chain);
    consortium::generate(chain);
    send("user-7", give_to(&[Term::User(*RESEARCHER)])).unwrap();
    chain.next_block();
    send("user-7", place(SECTIONS.0)).unwrap();
    send("Alice//agent", wrap()).unwrap();
    chain.next_block();
}

#[test]
fn sections_are_opened_while_the_patient_and_the_hospital_of_the_record_are_away() {
    local(|chain| {
        shared(chain);
        Hospitals::suspend(council(), A).unwrap();
        send("user-8", ask()).unwrap();
        let opening = Runtime::opening(OPENING).unwrap();
        assert_eq!((opening.requester, opening.patient), (*RESEARCHER, *PATIENT));
        assert_eq!(opening.audience, account(&key("user-8")));
        let listed = [(0, OPENING, opening)];
        assert_eq!(Runtime::openings_of_patient(*PATIENT, None, 8), listed);
        assert_eq!(Runtime::openings_of_requester(*RESEARCHER, None, 8), listed);
        let [(slot, wrapped)] = Runtime::wraps(FIRST)[..] else { panic!("one slot has wraps") };
        assert_eq!((slot, wrapped.sections, wrapped.hospital), (SLOT, SECTIONS, A));
        chain.next_block();
        // Three of the four members are enough.
        for agent in ["Bob//agent", "Charlie//agent", "Dave//agent"] {
            send(agent, hand_out()).unwrap();
        }
        assert_eq!(Runtime::handed_out(OPENING).len(), 3);
        assert_eq!(invariants::check(), Ok(()));
    });
}

#[test]
fn a_withdrawal_ends_an_opening_in_the_next_block_and_comes_before_the_parts() {
    local(|chain| {
        shared(chain);
        send("user-8", ask()).unwrap();
        send("Bob//agent", hand_out()).unwrap();
        chain.next_window();
        let priority =
            |seed: &str, call: RuntimeCall| validate(signed(&key(seed), call)).unwrap().priority;
        let part = priority("Charlie//agent", hand_out().into());
        assert!(priority("user-7", withdraw()) > part);
        assert!(part > priority("user-8", ask().into()));
        send("user-7", withdraw()).unwrap();
        assert_eq!(send("Charlie//agent", hand_out()), Err(Error::NotAdmitted.into()));
        assert_eq!(send("Bob//agent", hand_out()), Err(Error::NotAdmitted.into()), "no longer");
        chain.next_window();
        assert_eq!(send("user-8", ask()), Err(Error::NotAdmitted.into()));
    });
}

/// Somebody who saw the transactions sends them again. What the requester asked for ten minutes ago stays old.
#[test]
fn a_question_and_a_part_count_once_however_often_they_are_sent() {
    local(|chain| {
        shared(chain);
        counts_once(chain, "user-8", ask());
        counts_once(chain, "Bob//agent", hand_out());
        assert_eq!(Runtime::openings_of_requester(*RESEARCHER, None, 8).len(), 1);
        assert_eq!(Runtime::handed_out(OPENING).len(), 1);
        assert_eq!(invariants::check(), Ok(()));
    });
}

/// A question names the block from which on it is valid. Where the chain has another block, it is not: nobody can take
/// a question from a branch that became stale, and send it on the branch that became final.
#[test]
fn a_question_that_was_signed_on_another_branch_is_not_valid() {
    local(|chain| {
        shared(chain);
        let question = signed(&key("user-8"), ask());
        let birth = System::block_number() - 1;
        frame_system::BlockHash::<Runtime>::insert(birth, Hash::repeat_byte(9));
        let refused = Executive::apply_extrinsic(question);
        assert_eq!(refused, Err(InvalidTransaction::BadProof.into()));
        assert_eq!(Runtime::opening(OPENING), None);
        send("user-8", ask()).unwrap();
        assert!(Runtime::opening(OPENING).is_some());
    });
}

/// The chain finds out at the first call after it: nobody has to tell the members.
#[test]
fn another_version_of_the_consent_and_a_rotation_end_an_opening() {
    local(|chain| {
        shared(chain);
        send("user-8", ask()).unwrap();
        send("user-7", give_to(&[Term::User(*PATIENT)])).unwrap();
        chain.next_block();
        assert_eq!(send("Bob//agent", hand_out()), Err(Error::NotAdmitted.into()));
        send("user-7", give_to(&[Term::User(*RESEARCHER)])).unwrap();
        chain.next_block();
        send("Bob//agent", hand_out()).unwrap();
        let rotation = pallet_profiles::Call::<Runtime>::rotate_keys {
            account: None,
            sealing_key_hash: Some(Hash::repeat_byte(8)),
        };
        send("user-8", rotation).unwrap();
        assert_eq!(send("Charlie//agent", hand_out()), Err(Error::RequesterChanged.into()));
    });
}

/// A doctor of hospital B opens the emergency summary of a patient of hospital A, which is down.
#[test]
fn an_emergency_summary_is_opened_and_reviewed_while_the_hospital_of_the_record_is_down() {
    local(|chain| {
        committed(chain);
        consortium::generate(chain);
        register("Bob//agent", user(9), Role::Doctor);
        let purposes = vec![Purpose::Emergency].try_into().unwrap();
        let audience = [Term::Role(Role::Doctor)];
        let consent = Consent { standing: true, purposes, ..sharing::consent(&audience) };
        let seen = Sharing::slot_height(*PATIENT, SLOT);
        send("user-7", pallet_sharing::Call::give { slot: SLOT, consent, seen }).unwrap();
        chain.next_block();
        send("user-7", place(SECTIONS.0)).unwrap();
        send("Alice//agent", wrap()).unwrap();
        chain.next_block();
        Hospitals::suspend(council(), A).unwrap();
        let asked = in_emergency(ask());
        assert_eq!(refused("user-8", asked.clone()), Some(CallNotForRole));
        send("user-9", asked).unwrap();
        let reviews = Runtime::reviews(None, 8);
        let [(id, review)] = &reviews[..] else { panic!("one review is open") };
        assert_eq!((*id, review.hospital, review.requester), (ReviewId(0), B, user(9)));
        assert_eq!(invariants::check(), Ok(()));
        chain.next_block();
        for agent in ["Bob//agent", "Charlie//agent"] {
            send(agent, hand_out()).unwrap();
        }
        // The hospital for which the doctor asked does not judge.
        let judge = || pallet_releases::Call::<Runtime>::judge { review: *id, justified: false };
        let own = pallet_releases::Error::<Runtime>::OwnReview;
        assert_eq!(send("Bob", judge()), Err(own.into()));
        for governance in ["Charlie", "Dave"] {
            send(governance, judge()).unwrap();
        }
        let (_, closed) = Runtime::reviews(None, 8).remove(0);
        assert!(matches!(closed.status, ReviewStatus::Closed { justified: false, .. }));
        chain.next_block();
        assert_eq!(send("Dave//agent", hand_out()), Err(Error::Unjustified.into()));
        assert_eq!(invariants::check(), Ok(()));
    });
}

/// The chain decides about the largest question as it does about others: the quota does not prevent it.
#[test]
fn the_largest_opening_fits_into_the_quota_of_a_user() {
    local(|chain| {
        shared(chain);
        register("Bob//agent", user(9), Role::Doctor);
        let sections = SectionSet((1 << (MAX_OPENED_SECTIONS / MAX_QUERIED_RECORDS)) - 1);
        let record = |index| {
            let pointer = RecordPointer { height: FIRST.height, index };
            ReleasedRecord { pointer, sections }
        };
        let most: Vec<_> = (0..MAX_QUERIED_RECORDS as u16).map(record).collect();
        for (seed, largest) in
            [("user-8", ask_for(most.clone())), ("user-9", in_emergency(ask_for(most)))]
        {
            chain.next_window();
            assert_eq!(refused(seed, largest), None);
        }
    });
}

#[test]
fn the_most_wraps_fit_into_a_transaction_of_a_worker() {
    local(|chain| {
        shared(chain);
        let mut most = wrap();
        if let Call::wrap { sections, wraps, .. } = &mut most {
            *sections = SectionSet::ALL;
            *wraps = WrapsBytes::truncate_from(vec![1; MAX_WRAPS_BYTES as usize]);
        }
        assert_eq!(refused("Alice//agent", most), None);
    });
}

#[test]
fn openings_wraps_and_parts_pay_for_what_they_leave_in_the_state() {
    local(|chain| {
        committed(chain);
        consortium::generate(chain);
        register("Bob//agent", user(9), Role::Doctor);
        let used = |holder: Holder, lane| Quotas::usage(&holder, lane).bytes;
        let (researcher, doctor) = (Holder::User(*RESEARCHER), Holder::User(user(9)));
        let agent = Holder::Duty(B, Duty::Agent);
        for (seed, call, holder, lane, least) in [
            ("user-8", ask(), researcher, Lane::User, 1_024),
            ("user-9", in_emergency(ask()), doctor, Lane::Emergency, 2_048),
            ("Bob//agent", hand_out(), agent, Lane::Record, 512),
            ("Bob//agent", wrap(), agent, Lane::Record, 512 + 2 * 168),
        ] {
            chain.next_window();
            let before = used(holder, lane);
            assert_eq!(refused(seed, call), None);
            assert!(used(holder, lane) - before > least, "{seed}");
        }
    });
}

/// A flood of questions ends at the requester's own quota.
#[test]
fn a_requester_who_asks_without_end_stops_nobody_else() {
    local(|chain| {
        shared(chain);
        register("Bob//agent", user(9), Role::Researcher);
        chain.next_window();
        let asked = (0..100).take_while(|_| refused("user-8", ask()).is_none()).count();
        assert!((1..20).contains(&asked), "{asked}");
        assert_eq!(Runtime::openings_of_requester(*RESEARCHER, None, 100).len(), asked);
        assert_eq!(refused("user-8", ask()), Some(QuotaExceeded));
        assert_eq!(refused("user-9", ask()), None);
        chain.next_window();
        assert_eq!(refused("user-8", ask()), None);
    });
}

/// Users of the doctor's hospital use up its budget, and fill the pool.
#[test]
fn ordinary_users_cannot_stop_a_doctor_in_an_emergency() {
    local(|chain| {
        committed(chain);
        consortium::generate(chain);
        register("Bob//agent", user(9), Role::Doctor);
        chain.next_window();
        let used_up = |lane| {
            let budget = CurrentLimits::<Runtime>::get().of(lane).hospital;
            let cost = Cost { ref_time: budget.ref_time, bytes: budget.bytes };
            let signer = Holder::User(user(60));
            Quotas::debit(&Debit { signer, hospital: Some(B), lane, cost });
        };
        used_up(Lane::User);
        assert_eq!(refused("user-8", ask()), Some(HospitalQuotaExceeded));
        let priority =
            |seed: &str, call: Call| validate(signed(&key(seed), call)).unwrap().priority;
        let urgent = priority("user-9", in_emergency(ask()));
        assert!(urgent > priority("Bob//agent", hand_out()));
        // The consent has to exist before somebody can end it, so the lanes are compared.
        assert!(urgent < priority_of(Lane::Ending));
        assert_eq!(refused("user-9", in_emergency(ask())), None);
        chain.next_window();
        used_up(Lane::Emergency);
        assert_eq!(refused("user-9", in_emergency(ask())), Some(HospitalQuotaExceeded));
    });
}

/// Who is no doctor uses neither the budget of doctors nor their places in a block.
#[test]
fn a_question_in_an_emergency_of_who_is_no_doctor_is_refused_before_it_costs_anything() {
    local(|chain| {
        committed(chain);
        register("Bob//agent", user(9), Role::Nurse);
        for seed in ["user-7", "user-8", "user-9"] {
            assert_eq!(refused(seed, in_emergency(ask())), Some(CallNotForRole), "{seed}");
        }
        for hospital in [A, B] {
            let used = Quotas::usage(&Holder::Hospital(hospital), Lane::Emergency);
            assert_eq!((used.ref_time, used.bytes), (0, 0));
        }
    });
}
