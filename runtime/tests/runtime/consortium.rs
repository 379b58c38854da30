//! The consortium key on the real chain: who makes which call, and a whole ceremony of signed transactions.

use codec::Encode;
use epione_primitives::{
    Hash, HospitalId,
    consortium::{
        Ceremony, CeremonyId, CeremonyResult, CommitmentList, DealerContext, Epoch, KeyId, Phase,
        Schedule, SeatSet, Seats,
    },
    hospital::Duty,
    limits::{MAX_SEALED_SHARES_BYTES, MAX_THRESHOLD},
    profile::Role,
    refusal::Refusal::*,
};
use epione_runtime::{ConsortiumKey, Hospitals, Quotas, Runtime, RuntimeCall, System, invariants};
use epione_threshold::{Commitments, Index, MixingSecret, Polynomial, Share};
use frame_support::{
    dispatch::{DispatchClass, GetDispatchInfo},
    traits::Get,
};
use pallet_consortium_key::{Current, EnrolmentKey, Epochs, SealedSharesBytes};
use pallet_quotas::{Holder, Lane, Limits};
use sp_runtime::{DispatchError, traits::Dispatchable as _};

use crate::{
    caller::{batch, refused},
    chain::{A, Chain, PATIENT, account, apply, key, local, register, user_seed},
    council::pass,
    possession::{NEXT, admit, named},
};

type Call = pallet_consortium_key::Call<Runtime>;
type Error = pallet_consortium_key::Error<Runtime>;

/// The governance accounts of the preset; their agents are `//NAME//agent`.
const NAMES: [&str; 4] = ["Alice", "Bob", "Charlie", "Dave"];

fn agent(hospital: usize) -> String {
    format!("{}//agent", NAMES[hospital])
}

fn send(hospital: usize, call: Call) -> Result<(), DispatchError> {
    apply(&agent(hospital), call).unwrap()
}

/// The newest ceremony as it is in this block.
pub fn newest() -> Option<Ceremony> {
    let mut newest = pallet_consortium_key::Ceremony::<Runtime>::get()?;
    let phase = pallet_consortium_key::Schedule::<Runtime>::get().phase;
    newest.advance(System::block_number(), phase);
    Some(newest)
}

fn epoch() -> Option<Epoch> {
    Current::<Runtime>::get().and_then(Epochs::<Runtime>::get)
}

fn sealing_key(byte: u8) -> EnrolmentKey {
    EnrolmentKey::truncate_from(vec![byte; 1_217])
}

/// The polynomial of a dealer of a new key, and its part of the mixing secret.
fn dealt(ceremony: &Ceremony, dealer: HospitalId) -> (Polynomial, [u8; 32]) {
    let mut seed = [dealer.0 as u8 + 1; 32];
    seed[..4].copy_from_slice(&ceremony.id.0.to_be_bytes());
    let polynomial = Polynomial::generate(&seed, ceremony.threshold.into()).unwrap();
    (polynomial, [dealer.0 as u8 + 100; 32])
}

/// A valid dealing for a new key in the newest ceremony; with ids of nothing if there is none.
pub fn dealing(dealer: HospitalId) -> Call {
    let Some(newest) = newest() else {
        return empty_dealing(CeremonyId(0));
    };
    let (polynomial, part) = dealt(&newest, dealer);
    let genesis = System::block_hash(0);
    let context = DealerContext { genesis, ceremony: newest.id, dealer }.encode();
    Call::deal {
        ceremony: newest.id,
        commitments: CommitmentList::truncate_from(polynomial.commitments().encode()),
        proof: polynomial.prove(&context, &part).0,
        part: Hash::from(MixingSecret::part_hash(&part)),
        shares: SealedSharesBytes::truncate_from(vec![7; 5_000]),
    }
}

/// The answer of a dealer of [`dealing`] to the complaint of a seat.
pub fn answer(dealer: HospitalId, seat: u8) -> Call {
    let newest = newest().filter(|newest| usize::from(seat) < newest.seats.len());
    let Some(newest) = newest else {
        return Call::answer { ceremony: CeremonyId(0), seat, share: [0; 32], part: [0; 32] };
    };
    let (polynomial, part) = dealt(&newest, dealer);
    let share = polynomial.share(Index::of_hospital(newest.seats[usize::from(seat)].0));
    Call::answer { ceremony: newest.id, seat, share: *share.encode(), part }
}

/// What honest members of a ceremony for a new key confirm.
pub fn result() -> CeremonyResult {
    let parts: Vec<_> = newest()
        .map(|newest| {
            let counted = newest.counted();
            counted.iter().map(|dealer| newest.dealers[dealer]).collect::<Vec<_>>()
        })
        .unwrap_or_default()
        .into_iter()
        .map(|dealer| (dealer.0, [dealer.0 as u8 + 100; 32]))
        .collect();
    let mixing = MixingSecret::combine(&parts).map(|mixing| mixing.hash()).unwrap_or_default();
    CeremonyResult { mixing: Hash::from(mixing), link: None }
}

fn empty_dealing(ceremony: CeremonyId) -> Call {
    let commitments = CommitmentList::truncate_from(vec![[0; 32]; MAX_THRESHOLD as usize]);
    let shares = SealedSharesBytes::truncate_from(vec![1; MAX_SEALED_SHARES_BYTES as usize]);
    Call::deal { ceremony, commitments, proof: [0; 64], part: Hash::zero(), shares }
}

/// The calls of agents.
fn of_agents() -> [RuntimeCall; 6] {
    let ceremony = CeremonyId(9);
    [
        Call::begin { key: sealing_key(1) }.into(),
        Call::enrol { ceremony, key: sealing_key(1) }.into(),
        empty_dealing(ceremony).into(),
        Call::judge { ceremony, complaints: SeatSet::default() }.into(),
        answer(HospitalId(0), 99).into(),
        Call::confirm { ceremony, result: result() }.into(),
    ]
}

fn of_the_council() -> [RuntimeCall; 3] {
    let schedule = Schedule::default();
    [
        Call::renew {}.into(),
        Call::seat { committee: None }.into(),
        Call::schedule { schedule }.into(),
    ]
}

/// A new key of the four hospitals.
pub fn generate(chain: &mut Chain) {
    send(0, Call::begin { key: sealing_key(1) }).unwrap();
    let ceremony = newest().unwrap().id;
    for hospital in 1..4 {
        let key = sealing_key(hospital as u8 + 1);
        send(hospital, Call::enrol { ceremony, key }).unwrap();
    }
    chain.next_block();
    for hospital in 0..4 {
        send(hospital, dealing(HospitalId(hospital as u16))).unwrap();
    }
    chain.next_block();
    for hospital in 0..4 {
        let complaints = if hospital == 2 { SeatSet(0b10) } else { SeatSet::default() };
        send(hospital, Call::judge { ceremony, complaints }).unwrap();
    }
    chain.next_block();
    send(1, answer(HospitalId(1), 2)).unwrap();
    assert_eq!(newest().unwrap().phase, Phase::Confirm);
    for hospital in 0..4 {
        send(hospital, Call::confirm { ceremony, result: result() }).unwrap();
    }
    chain.next_block();
}

#[test]
fn four_hospitals_generate_a_key() {
    local(|chain| {
        assert_eq!(epoch(), None);
        generate(chain);
        assert_eq!(invariants::check(), Ok(()));
        let (epoch, newest) = (epoch().unwrap(), newest().unwrap());
        assert_eq!((epoch.key, epoch.threshold, epoch.members.len()), (KeyId(0), 3, 4));
        assert_eq!((newest.phase, epoch.confirmed), (Phase::Activated, SeatSet::first(4)));
        // Any three of the members' shares give the secret of the public key.
        let commitments = Commitments::decode(&epoch.commitments).unwrap();
        let share = |member: u16| {
            let at = Index::of_hospital(member);
            let dealers = newest.dealers.iter();
            let dealt: Vec<_> = dealers.map(|dealer| dealt(&newest, *dealer).0.share(at)).collect();
            let share = Share::sum(&dealt).unwrap();
            assert!(commitments.includes(at, &share));
            (at, share)
        };
        let secret = Share::interpolate(&[share(0), share(2), share(3)]).unwrap();
        assert_eq!(secret.public().map(|it| it.encode()), epoch.public_key());
    });
}

#[test]
fn an_admitted_hospital_gets_a_seat_after_its_worker_is_ready() {
    let begun = |is_ready: bool| {
        let mut seats = 0;
        local(|_| {
            admit(named("Eve", NEXT, Duty::Governance), named("Eve//agent", NEXT, Duty::Agent))
                .unwrap();
            if is_ready {
                apply("Eve//agent", pallet_hospitals::Call::<Runtime>::ready {}).unwrap().unwrap();
            } else {
                let refused = apply("Eve//agent", Call::begin { key: sealing_key(5) }).unwrap();
                assert_eq!(refused, Err(Error::NotSeat.into()));
            }
            send(0, Call::begin { key: sealing_key(1) }).unwrap();
            seats = newest().unwrap().seats.len();
            assert_eq!(invariants::check(), Ok(()));
        });
        seats
    };
    assert_eq!((begun(false), begun(true)), (4, 5));
}

#[test]
fn agents_alone_take_part_in_ceremonies() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        for call in of_agents() {
            assert_eq!(refused("Bob//agent", call.clone()), None, "{call:?}");
            assert_eq!(refused("Alice", call.clone()), Some(CallNotForRole), "{call:?}");
            let patient = refused(&user_seed(*PATIENT), call);
            assert!(matches!(patient, Some(CallNotForRole | CallTooLarge)), "{patient:?}");
        }
        for call in of_the_council() {
            for seed in ["Alice//agent", "Alice", &user_seed(*PATIENT)] {
                assert_eq!(refused(seed, call.clone()), Some(CallNotForRole), "{call:?}");
            }
        }
        let refresh = || RuntimeCall::from(Call::refresh {});
        assert_eq!(refused("Alice", refresh()), None);
        for seed in ["Alice//agent", &user_seed(*PATIENT)] {
            assert_eq!(refused(seed, refresh()), Some(CallNotForRole));
        }
    });
}

#[test]
fn what_has_a_body_is_in_no_batch() {
    local(|_| {
        let [begin, enrol, deal, judge, answer, confirm] = of_agents();
        for call in [begin, enrol, deal] {
            assert_eq!(refused("Alice//agent", batch(vec![call])), Some(CallNotForBatch));
        }
        assert_eq!(refused("Alice//agent", batch(vec![judge, answer, confirm])), None);
    });
}

/// The account of a hospital that the council suspended is refused before a block.
#[test]
fn a_suspended_hospital_does_not_take_part() {
    local(|_| {
        send(0, Call::begin { key: sealing_key(1) }).unwrap();
        Hospitals::suspend(crate::chain::council(), HospitalId(1)).unwrap();
        let enrol = Call::enrol { ceremony: CeremonyId(0), key: sealing_key(2) };
        assert_eq!(refused("Bob//agent", enrol), Some(HospitalNotActive));
        assert_eq!(invariants::check(), Ok(()));
    });
}

#[test]
fn the_largest_calls_fit_into_the_smallest_quota_and_a_block() {
    let records = <<Runtime as pallet_quotas::Config>::LeastLimits as Get<Limits>>::get().records;
    let weights = <Runtime as frame_system::Config>::BlockWeights::get();
    let most = weights.get(DispatchClass::Normal).max_extrinsic.unwrap();
    local(|_| {
        for call in of_agents() {
            let weight = call.get_dispatch_info().total_weight();
            assert!(weight.all_lte(most), "{weight:?}");
            assert!(weight.ref_time() <= records.account.ref_time, "{weight:?}");
            assert!(call.encoded_size() as u64 <= records.account.bytes);
        }
    });
}

/// Another hospital begins the ceremony that makes the new shares.
#[test]
fn who_requests_new_shares_pays_for_the_epoch_that_they_leave() {
    local(|chain| {
        generate(chain);
        let phase = pallet_consortium_key::Schedule::<Runtime>::get().phase;
        chain.reach(System::block_number() + 10 * phase);
        let used = || Quotas::usage(&Holder::Duty(A, Duty::Governance), Lane::Governance).bytes;
        let before = used();
        apply("Alice", Call::refresh {}).unwrap().unwrap();
        assert!(used() - before > 1_024, "{before} {}", used());
    });
}

#[test]
fn two_thirds_of_the_council_decide_about_a_new_key() {
    local(|chain| {
        generate(chain);
        chain.next_window();
        let renew = RuntimeCall::from(Call::renew {});
        let call = Box::new(renew);
        pass(epione_runtime::council_root::Call::<Runtime>::dispatch { call });
        assert!(pallet_consortium_key::RenewalDecided::<Runtime>::get());
    });
}

#[test]
fn two_thirds_of_the_council_choose_the_seats() {
    local(|_| {
        let committee = Seats::truncate_from(vec![HospitalId(0), HospitalId(3)]);
        let seat = || Call::seat { committee: Some(committee.clone()) };
        // A motion of more than half is not root.
        let refused = RuntimeCall::from(seat()).dispatch(crate::chain::council());
        assert_eq!(refused.map(drop).map_err(|it| it.error), Err(DispatchError::BadOrigin));
        let call = Box::new(RuntimeCall::from(seat()));
        pass(epione_runtime::council_root::Call::<Runtime>::dispatch { call });
        assert_eq!(send(1, Call::begin { key: sealing_key(1) }), Err(Error::NotSeat.into()));
        send(3, Call::begin { key: sealing_key(1) }).unwrap();
        assert_eq!(newest().unwrap().seats, committee);
    });
}

#[test]
fn more_than_half_of_the_council_change_the_schedule() {
    local(|_| {
        let schedule = Schedule { phase: 50, refresh: 5_000 };
        pass(Call::schedule { schedule });
        assert_eq!(pallet_consortium_key::Schedule::<Runtime>::get(), schedule);
    });
}

#[test]
fn one_hospital_alone_does_not_act_for_the_council() {
    local(|_| {
        let alone = || {
            let who = account(&key("Alice"));
            epione_runtime::RuntimeOrigin::signed(who)
        };
        let refused = Err(DispatchError::BadOrigin);
        assert_eq!(ConsortiumKey::renew(alone()), refused);
        assert_eq!(ConsortiumKey::seat(alone(), None), refused);
        assert_eq!(ConsortiumKey::schedule(alone(), Schedule::default()), refused);
    });
}
