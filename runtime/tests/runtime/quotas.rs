//! No member can fill the chain's blocks, nor delay what is more important.

use codec::Encode;
use epione_primitives::{
    HospitalId,
    hospital::Duty,
    limits::{
        LARGE_TRANSACTION_BYTES, MAX_AGENT_NONCE_LEAD, MAX_BATCH_BYTES, MAX_BODY_BYTES,
        MAX_GOVERNANCE_NONCE_LEAD, MAX_LARGE_NONCE_LEAD, MAX_LIFETIME_BLOCKS,
        MAX_PROFILE_BODY_BYTES, MAX_TRANSACTION_BYTES, MAX_USER_LIFETIME_BLOCKS,
        MAX_USER_NONCE_LEAD, WEIGHT_WINDOW_BLOCKS,
    },
    naming::{Naming, NamingConsent},
    profile::Role,
    refusal::{Refusal, Refusal::*},
};
use epione_runtime::{
    CouncilRoot, Profiles, Quotas, Runtime, RuntimeCall, RuntimeOrigin, System,
    configs::{BLOCK_WEIGHT, NORMAL_SHARE},
    council_root,
    lanes::priority,
};
use frame_support::{dispatch::GetDispatchInfo, traits::Get};
use pallet_quotas::{Budget, Cost, CurrentLimits, Debit, Holder, Lane, Limits, Share, Usage};
use sp_core::Pair;
use sp_runtime::{
    generic::Era,
    transaction_validity::{
        InvalidTransaction, TransactionValidity, TransactionValidityError, ValidTransaction,
    },
};

use crate::{
    caller::{announce, approve, batch, refused, relate, rotate_keys, set_policies},
    chain::{
        A, B, PATIENT, account, announcement, apply, key, local, register, signed, signed_for,
        user, user_seed, validate, vote,
    },
    possession::named,
};

const GUIDE: &str = include_str!("../../../docs/operations.md");
/// The agent of hospital A.
const AGENT: Holder = Holder::Duty(A, Duty::Agent);

/// Why a node does not accept a transaction into its pool.
fn reason(validity: TransactionValidity) -> Refusal {
    match validity {
        Err(TransactionValidityError::Invalid(InvalidTransaction::Custom(code))) => {
            Refusal::from_code(code).unwrap()
        }
        other => panic!("not refused with a code: {other:?}"),
    }
}

/// Sends calls of a user in the current block until one is refused. Returns how many were included, and the reason.
fn spam(seed: &str) -> (usize, Refusal) {
    for sent in 0..1_000 {
        if let Some(refusal) = refused(seed, relate()) {
            return (sent, refusal);
        }
    }
    panic!("a thousand calls were included");
}

fn valid(seed: &str, call: RuntimeCall) -> ValidTransaction {
    validate(signed(&key(seed), call)).unwrap()
}

/// A transaction that uses a whole budget.
fn all(signer: Holder, hospital: HospitalId, lane: Lane) -> Debit {
    let budget = CurrentLimits::<Runtime>::get().of(lane).account;
    let cost = Cost { ref_time: budget.ref_time, bytes: budget.bytes };
    Debit { signer, hospital: Some(hospital), lane, cost }
}

#[test]
fn a_patients_key_cannot_fill_blocks() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let patient = user_seed(*PATIENT);
        let (sent, refusal) = spam(&patient);
        assert_eq!(refusal, QuotaExceeded);
        assert!((3..20).contains(&sent), "{sent}");
        let used = Quotas::usage(&Holder::User(*PATIENT), Lane::User).ref_time;
        assert!(used < (NORMAL_SHARE * BLOCK_WEIGHT).ref_time() / 20, "{used} ps");
        // Further ones do not even enter the pool, also in the next blocks.
        for _ in 0..3 {
            chain.next_block();
            assert_eq!(reason(validate(signed(&key(&patient), relate()))), QuotaExceeded);
        }
        assert_eq!(refused("Alice//agent", relate()), None);
    });
}

#[test]
fn a_quota_is_renewed_in_the_next_window() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let patient = user_seed(*PATIENT);
        spam(&patient);
        chain.reach(WEIGHT_WINDOW_BLOCKS - 1);
        assert_eq!(refused(&patient, relate()), Some(QuotaExceeded));
        chain.reach(WEIGHT_WINDOW_BLOCKS);
        assert_eq!(refused(&patient, relate()), None);
    });
}

#[test]
fn many_users_of_one_hospital_share_a_budget() {
    local(|_| {
        let limits = CurrentLimits::<Runtime>::get();
        let hospital = Budget { ref_time: 12_000_000_000, ..limits.users.hospital };
        let limits = Limits { users: Share { hospital, ..limits.users }, ..limits };
        Quotas::set_limits(RuntimeOrigin::root(), limits).unwrap();
        let users = [1, 2, 3].map(user);
        for user in users {
            register("Alice//agent", user, Role::Patient);
        }
        register("Bob//agent", *PATIENT, Role::Patient);
        let seeds = users.map(user_seed);
        assert_eq!(spam(&seeds[0]).1, QuotaExceeded);
        assert_eq!(spam(&seeds[1]).1, HospitalQuotaExceeded);
        assert_eq!(spam(&seeds[2]), (0, HospitalQuotaExceeded));
        assert_eq!(refused(&user_seed(*PATIENT), relate()), None, "of another hospital");
        assert_eq!(refused("Alice//agent", relate()), None, "the hospital's own worker");
    });
}

#[test]
fn hostile_users_of_a_hospital_cannot_stop_a_rotation_after_a_theft() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let hostile = (20..33).map(user);
        for user in hostile {
            register("Alice//agent", user, Role::Patient);
            spam(&user_seed(user));
        }
        let patient = user_seed(*PATIENT);
        assert_eq!(refused(&patient, relate()), Some(HospitalQuotaExceeded));
        assert_eq!(refused(&patient, rotate_keys()), None);
    });
}

#[test]
fn a_user_cannot_renew_a_budget_by_rotating_to_a_new_account() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let patient = user_seed(*PATIENT);
        assert_eq!(spam(&patient).1, QuotaExceeded);
        let next = key("user-7//next");
        let naming = Naming::Rotation { user: *PATIENT, version: 1 };
        let consent = NamingConsent::new(System::block_hash(0), naming).encode();
        let rotate = pallet_profiles::Call::<Runtime>::rotate_keys {
            account: Some((account(&next), next.sign(&consent).into())),
            sealing_key_hash: None,
        };
        apply(&patient, rotate).unwrap().unwrap();
        assert_eq!(refused("user-7//next", relate()), Some(QuotaExceeded));
    });
}

#[test]
fn a_user_cannot_send_large_transactions() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let large = batch(vec![relate(); 60]);
        assert_eq!(refused(&user_seed(*PATIENT), large), Some(CallTooLarge));
    });
}

/// Calls that are longer than they need to be would fill the blocks' bytes.
#[test]
fn an_agent_or_a_governance_account_cannot_send_large_transactions() {
    local(|_| {
        let large = |bytes: u32| vec![0; bytes as usize];
        let register = pallet_profiles::Call::<Runtime>::register {
            user: *PATIENT,
            role: Role::Patient,
            account: account(&key("Alice")),
            sealing_key_hash: Default::default(),
            consent: key("Alice").sign(b"").into(),
            body: large(MAX_PROFILE_BODY_BYTES + 5 * 1024),
        };
        assert_eq!(refused("Alice//agent", register), Some(CallTooLarge));
        let body = large(MAX_PROFILE_BODY_BYTES + 5 * 1024);
        let previous = Default::default();
        let update = pallet_profiles::Call::<Runtime>::update { user: *PATIENT, previous, body };
        assert_eq!(refused("Alice//agent", update), Some(CallTooLarge));
        let remark = frame_system::Call::<Runtime>::remark { remark: large(60 * 1024) };
        let hidden = batch(vec![batch(vec![remark.into()]), relate()]);
        assert_eq!(refused("Alice//agent", hidden), Some(CallNotForBatch), "within the bound");
        let remark = frame_system::Call::<Runtime>::remark { remark: large(MAX_BATCH_BYTES) };
        assert_eq!(refused("Alice//agent", batch(vec![remark.into()])), Some(CallTooLarge));
        let code = large(MAX_TRANSACTION_BYTES);
        let call: RuntimeCall = frame_system::Call::set_code { code }.into();
        let proposal = Box::new(call);
        let motion =
            pallet_collective::Call::propose { threshold: 3, proposal, length_bound: u32::MAX };
        assert_eq!(refused("Alice", RuntimeCall::Council(motion)), Some(CallTooLarge));
    });
}

#[test]
fn bodies_above_their_bound_cannot_fill_blocks() {
    local(|_| {
        let announce = |bytes: u32| {
            let mut call = announcement(A, &[*PATIENT], 1);
            if let pallet_lite_blocks::Call::announce { body, .. } = &mut call {
                *body = vec![0; bytes as usize];
            }
            call
        };
        assert_eq!(refused("Alice//agent", announce(MAX_BODY_BYTES)), None);
        assert_eq!(refused("Alice//agent", announce(MAX_BODY_BYTES * 2)), Some(CallTooLarge));
    });
}

#[test]
fn large_transactions_of_one_account_cannot_fill_the_pool() {
    local(|_| {
        let era = Era::mortal(64, u64::from(System::block_number()) - 1);
        let pair = key("Alice//agent");
        let large = || {
            let mut call = announcement(A, &[*PATIENT], 1);
            if let pallet_lite_blocks::Call::announce { body, .. } = &mut call {
                *body = vec![0; LARGE_TRANSACTION_BYTES as usize];
            }
            call
        };
        let last = System::account_nonce(account(&pair)) + MAX_LARGE_NONCE_LEAD;
        validate(signed_for(&pair, large(), era, last)).unwrap();
        let beyond = validate(signed_for(&pair, large(), era, last + 1));
        assert_eq!(reason(beyond), TooManyInFlight);
        validate(signed_for(&pair, approve(), era, last + 1)).unwrap();
    });
}

#[test]
fn announcements_cannot_starve_the_same_agents_votes() {
    local(|_| {
        Quotas::debit(&all(AGENT, A, Lane::Record));
        assert_eq!(refused("Alice//agent", announce()), Some(QuotaExceeded));
        assert_eq!(refused("Alice//agent", approve()), None);
        assert_eq!(refused("Alice", set_policies()), None);
        assert_eq!(refused("Bob//agent", relate()), None);
    });
}

#[test]
fn an_agent_that_writes_profiles_in_a_loop_uses_up_its_bytes_of_the_day() {
    local(|chain| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let limits = CurrentLimits::<Runtime>::get();
        let budget = Budget { bytes: 16 * 1024 * 1024, ..limits.records.account };
        let records = Share { account: budget, hospital: budget };
        Quotas::set_limits(RuntimeOrigin::root(), Limits { records, ..limits }).unwrap();
        let largest = || pallet_profiles::Call::<Runtime>::update {
            user: *PATIENT,
            previous: Profiles::registration(A, *PATIENT).unwrap().body_hash,
            body: vec![1; MAX_PROFILE_BODY_BYTES as usize],
        };
        let mut written = 0;
        let refusal = loop {
            match refused("Alice//agent", largest()) {
                Some(refusal) => break refusal,
                None => written += 1,
            }
            if written % 100 == 0 {
                chain.next_block();
            }
        };
        assert_eq!(refusal, QuotaExceeded);
        assert!((900..1_024).contains(&written), "{written}");
        // Unlike weight, bytes do not count from zero after some minutes.
        chain.reach(2 * WEIGHT_WINDOW_BLOCKS);
        assert_eq!(refused("Alice//agent", largest()), Some(QuotaExceeded));
        assert_eq!(refused("Alice//agent", approve()), None);
    });
}

#[test]
fn a_new_agent_account_does_not_renew_its_hospitals_budget() {
    local(|_| {
        Quotas::debit(&all(AGENT, A, Lane::Record));
        let rotate = pallet_hospitals::Call::<Runtime>::rotate_accounts {
            governance: None,
            agent: Some(named("Alice//next", A, Duty::Agent)),
        };
        apply("Alice", rotate).unwrap().unwrap();
        assert_eq!(refused("Alice//next", relate()), Some(QuotaExceeded));
    });
}

#[test]
fn an_undecisive_vote_is_refunded_the_commit() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        apply("Alice//agent", announcement(A, &[*PATIENT], 1)).unwrap().unwrap();
        let vote: RuntimeCall = vote(Default::default()).into();
        let declared = vote.get_dispatch_info().call_weight.ref_time();
        apply("Bob//agent", vote).unwrap().unwrap();
        let used = Quotas::usage(&Holder::Hospital(B), Lane::Vote).ref_time;
        assert!(0 < used && used < declared, "{used} of {declared} ps");
    });
}

fn used_by(signer: Holder, lane: Lane) -> Usage {
    Quotas::usage(&signer, lane)
}

/// A relationship of 100 bytes stays in the state of all nodes forever.
#[test]
fn short_calls_that_leave_entries_pay_for_the_state() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let registration = used_by(AGENT, Lane::Record).bytes;
        assert!(registration > 2_048, "{registration} bytes");
        assert_eq!(refused("Alice//agent", relate()), None);
        let alone = used_by(AGENT, Lane::Record).bytes - registration;
        assert!(alone > 512, "{alone} bytes");
        assert_eq!(refused("Alice//agent", batch(vec![relate(); 10])), None);
        let batched = used_by(AGENT, Lane::Record).bytes - registration - alone;
        assert!(batched > 10 * 512, "a batch is not cheaper: {batched} bytes");
        assert_eq!(refused("Alice//agent", announce()), None);
        let announced = used_by(AGENT, Lane::Record).bytes - registration - alone - batched;
        assert!(announced > 1_024, "{announced} bytes");
    });
}

#[test]
fn rotations_and_motions_pay_for_what_they_leave_in_the_state() {
    local(|_| {
        let used = || used_by(Holder::Duty(A, Duty::Governance), Lane::Governance).bytes;
        let agent = Some(named("Alice//next//agent", A, Duty::Agent));
        let rotate = pallet_hospitals::Call::<Runtime>::rotate_accounts { governance: None, agent };
        assert_eq!(refused("Alice", rotate), None);
        let rotated = used();
        assert!(rotated > 512, "{rotated} bytes");
        let suspend = RuntimeCall::from(pallet_hospitals::Call::suspend { hospital: B });
        let propose = pallet_collective::Call::propose {
            threshold: 3,
            proposal: Box::new(suspend),
            length_bound: 100,
        };
        assert_eq!(refused("Alice", RuntimeCall::Council(propose)), None);
        let proposed = used() - rotated;
        assert!(proposed > 512, "{proposed} bytes");
    });
}

/// Each extrinsic uses its base weight in a block, whatever its call.
#[test]
fn calls_that_need_little_weight_cannot_fill_blocks_by_their_number() {
    local(|_| {
        let before = System::block_weight().total().ref_time();
        assert_eq!(refused("Alice//agent", relate()), None);
        let in_block = System::block_weight().total().ref_time() - before;
        let debited = used_by(AGENT, Lane::Record).ref_time;
        assert!(debited >= in_block, "{debited} of {in_block} ps");
    });
}

#[test]
fn votes_come_before_rotations_and_these_before_announcements() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let lanes = [
            valid("Alice", set_policies()),
            valid("Alice//agent", approve()),
            valid("Alice//agent", batch(vec![approve(), approve()])),
            valid("Alice//agent", announce()),
            valid("Alice//agent", batch(vec![approve(), relate()])),
            valid("Alice//agent", batch(vec![])),
            valid(&user_seed(*PATIENT), rotate_keys()),
            valid(&user_seed(*PATIENT), relate()),
        ]
        .map(|transaction| transaction.priority);
        let [governance, vote, record, rotation, user] =
            [Lane::Governance, Lane::Vote, Lane::Record, Lane::Rotation, Lane::User].map(priority);
        assert!(governance > vote && vote > rotation && rotation > record && record > user);
        assert_eq!(priority(Lane::Ending), rotation);
        assert!(Lane::ALL.is_sorted_by_key(|lane| priority(*lane)));
        assert_eq!(lanes, [governance, vote, vote, record, record, record, rotation, user]);
    });
}

#[test]
fn the_class_of_a_councils_call_does_not_raise_its_priority() {
    local(|_| {
        let motion = pallet_collective::Call::propose {
            threshold: 3,
            proposal: Box::new(set_policies()),
            length_bound: 100,
        };
        let motion = valid("Alice", RuntimeCall::Council(motion));
        assert_eq!(motion.priority, valid("Alice", set_policies()).priority);
    });
}

#[test]
fn an_immortal_or_long_lived_transaction_is_refused() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let now = u64::from(System::block_number()) - 1;
        let longest = Era::mortal(256, now);
        for seed in ["Alice", "Alice//agent"] {
            let pair = key(seed);
            let call = || if seed == "Alice" { set_policies() } else { approve() };
            let next = System::account_nonce(account(&pair));
            for era in [Era::Immortal, Era::mortal(512, now)] {
                let refused = validate(signed_for(&pair, call(), era, next));
                assert_eq!(reason(refused), LifetimeTooLong);
            }
            validate(signed_for(&pair, call(), longest, next)).unwrap();
        }
        validate(signed_for(&key(&user_seed(*PATIENT)), relate(), longest, 0)).unwrap();
    });
}

/// Of transactions with the same priority, the pool takes the one with the shortest longevity first.
#[test]
fn a_short_lifetime_does_not_come_before_the_others_of_its_lane() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let now = u64::from(System::block_number()) - 1;
        let patient = user_seed(*PATIENT);
        for (seed, call, longevity) in [
            ("Alice", set_policies(), MAX_LIFETIME_BLOCKS),
            ("Alice//agent", announce(), MAX_LIFETIME_BLOCKS),
            ("Alice//agent", approve(), MAX_LIFETIME_BLOCKS),
            (&patient[..], relate(), MAX_USER_LIFETIME_BLOCKS),
        ] {
            let pair = key(seed);
            let next = System::account_nonce(account(&pair));
            for period in [4, 32, 256] {
                let era = Era::mortal(period, now);
                let sent = validate(signed_for(&pair, call.clone(), era, next)).unwrap();
                assert_eq!(sent.longevity, u64::from(longevity), "{seed} for {period} blocks");
            }
        }
    });
}

/// A hospital that sends what it can has used its share of a window after a few blocks. The window is short, so the
/// others wait for seconds.
#[test]
fn a_hostile_hospital_fills_at_most_its_share_of_ten_blocks_in_succession() {
    let window = (NORMAL_SHARE * BLOCK_WEIGHT).ref_time() * u64::from(WEIGHT_WINDOW_BLOCKS);
    local(|_| {
        let limits = CurrentLimits::<Runtime>::get();
        for (lane, percent) in [(Lane::Record, 20), (Lane::Vote, 25), (Lane::Governance, 10)] {
            let share = limits.of(lane).hospital.ref_time;
            assert!(share <= window / 100 * percent, "{lane:?}: {share} ps");
        }
        assert_eq!(WEIGHT_WINDOW_BLOCKS, 10);
    });
}

#[test]
fn an_account_cannot_fill_the_pool_with_later_nonces() {
    local(|_| {
        register("Alice//agent", *PATIENT, Role::Patient);
        let era = Era::mortal(64, u64::from(System::block_number()) - 1);
        for (seed, call, lead) in [
            ("Alice", set_policies(), MAX_GOVERNANCE_NONCE_LEAD),
            ("Alice//agent", approve(), MAX_AGENT_NONCE_LEAD),
            (&user_seed(*PATIENT)[..], relate(), MAX_USER_NONCE_LEAD),
        ] {
            let pair = key(seed);
            let last = System::account_nonce(account(&pair)) + lead;
            let waiting = validate(signed_for(&pair, call.clone(), era, last)).unwrap();
            assert_eq!(waiting.requires.len(), usize::from(lead > 0));
            let beyond = validate(signed_for(&pair, call, era, last + 1));
            assert_eq!(reason(beyond), TooManyInFlight);
        }
    });
}

#[test]
fn the_council_can_raise_a_limit_although_a_hospital_has_used_its_own() {
    local(|_| {
        let limits = CurrentLimits::<Runtime>::get();
        let more = Budget { ref_time: 2 * limits.records.account.ref_time, bytes: u64::MAX };
        let raised = Limits { records: Share { account: more, hospital: more }, ..limits };
        Quotas::debit(&all(AGENT, A, Lane::Record));
        assert_eq!(refused("Alice//agent", relate()), Some(QuotaExceeded));
        let set = pallet_quotas::Call::<Runtime>::set_limits { limits: raised };
        let council = RuntimeOrigin::from(pallet_collective::RawOrigin::Members(3, 4));
        CouncilRoot::dispatch(council, Box::new(set.clone().into())).unwrap();
        assert_eq!(CurrentLimits::<Runtime>::get(), raised);
        assert_eq!(refused("Alice//agent", relate()), None);
        // Nobody can do so alone.
        let alone = council_root::Call::<Runtime>::dispatch { call: Box::new(set.clone().into()) };
        assert_eq!(refused("Alice", set), Some(CallNotForRole));
        assert_eq!(refused("Alice", alone), Some(CallNotForRole));
    });
}

#[test]
fn the_guide_for_operators_has_the_limits_and_the_lowest_ones() {
    let limits = <<Runtime as pallet_quotas::Config>::DefaultLimits as Get<Limits>>::get();
    let lowest = <<Runtime as pallet_quotas::Config>::LeastLimits as Get<Limits>>::get();
    for (names, budget, least) in [
        ("`users.account`", limits.users.account, lowest.users.account),
        ("`users.hospital`", limits.users.hospital, lowest.users.hospital),
        ("`emergencies.account`", limits.emergencies.account, lowest.emergencies.account),
        ("`emergencies.hospital`", limits.emergencies.hospital, lowest.emergencies.hospital),
        ("`rotations.account`", limits.rotations.account, lowest.rotations.account),
        ("`rotations.hospital`", limits.rotations.hospital, lowest.rotations.hospital),
        ("`endings.account`", limits.endings.account, lowest.endings.account),
        ("`endings.hospital`", limits.endings.hospital, lowest.endings.hospital),
        ("`records.account`, `records.hospital`", limits.records.hospital, lowest.records.hospital),
        ("`votes.account`, `votes.hospital`", limits.votes.hospital, lowest.votes.hospital),
        (
            "`governance.account`, `governance.hospital`",
            limits.governance.hospital,
            lowest.governance.hospital,
        ),
    ] {
        let (time, least_time) = (budget.ref_time, least.ref_time);
        let row =
            format!("| {names} | {time} | {least_time} | {} | {} |", budget.bytes, least.bytes);
        assert!(GUIDE.contains(&row), "docs/operations.md has no line: {row}");
    }
}
