//! A chain of four hospitals in memory.

use std::sync::LazyLock;

use codec::Encode;
use epione_primitives::{
    AccountId, AnnouncementId, Hash, HospitalId, RecordId, RecordPointer, UserId,
    access::Purpose,
    block::{
        AnnouncedEntries, AnnouncedEntry, AnnouncedHeader, Range, Segments, record_hash,
        segments_root,
    },
    limits::{SLOT_MILLIS, WEIGHT_WINDOW_BLOCKS},
    naming::{Naming, NamingConsent},
    profile::Role,
    release::{ReleasedRecord, Request, SectionSet},
};
use epione_runtime::{
    Approvals, Executive, Header, Hospitals, Nonce, Runtime, RuntimeCall, RuntimeGenesisConfig,
    RuntimeOrigin, Session, Signature, SignedPayload, System, Timestamp, TxExtension,
    UncheckedExtrinsic, caller::CheckCaller, genesis, in_flight::CheckInFlight,
    lifetime::CheckLifetime,
};
use frame_support::storage::with_transaction;
use sc_executor::WasmExecutor;
use serde_json::Value;
use sp_core::{Pair, sr25519, traits::ReadRuntimeVersionExt};
use sp_keystore::{KeystoreExt, testing::MemoryKeystore};
use sp_runtime::{
    ApplyExtrinsicResult, BuildStorage, Digest, DigestItem, DispatchError, MultiSignature,
    TransactionOutcome,
    generic::Era,
    traits::{Hash as _, Header as _, IdentifyAccount, Verify},
    transaction_validity::{InvalidTransaction, TransactionSource, TransactionValidity},
};

pub const A: HospitalId = HospitalId(0);
pub const B: HospitalId = HospitalId(1);
pub static PATIENT: LazyLock<UserId> = LazyLock::new(|| user(7));
/// The hash of every user's first sealing key.
pub const SEALING_KEY: Hash = Hash::repeat_byte(1);

/// The users whose accounts have the seeds `user-0`, `user-1` and so on.
static USERS: LazyLock<Vec<UserId>> = LazyLock::new(|| {
    let id = |number| UserId::of(&account(&key(&format!("user-{number}"))), SEALING_KEY);
    (0..64).map(id).collect()
});

/// The user with this number, whose id follows from the first keys.
pub fn user(number: u8) -> UserId {
    USERS[usize::from(number)]
}

/// The seed of a user's first account.
pub fn user_seed(user: UserId) -> String {
    let number = USERS.iter().position(|known| *known == user).expect("a user with a number");
    format!("user-{number}")
}

/// A chain during a block. A test in it sees the state, and its transactions are applied in the
/// block.
pub struct Chain {
    parent: Hash,
    slot: u64,
    /// The hospitals whose nodes make no blocks.
    pub silent: Vec<HospitalId>,
}

/// Runs a test on the preset `local`, in its first block.
pub fn local(test: impl FnOnce(&mut Chain)) {
    let mut state =
        sp_io::TestExternalities::new(configuration(genesis::LOCAL).build_storage().unwrap());
    state.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    let executor = WasmExecutor::<sp_io::SubstrateHostFunctions>::builder().build();
    state.register_extension(ReadRuntimeVersionExt::new(executor));
    state.execute_with(|| {
        let mut chain = Chain { parent: System::block_hash(0), slot: 1_000, silent: Vec::new() };
        chain.begin();
        test(&mut chain);
        chain.end();
    });
}

pub fn configuration(preset: &str) -> RuntimeGenesisConfig {
    let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).unwrap();
    let patch = genesis::preset(&preset.into()).unwrap();
    merge(&mut config, serde_json::from_slice(&patch).unwrap());
    serde_json::from_value(config).unwrap()
}

fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, patch) => *into = patch,
    }
}

impl Chain {
    /// Begins a block in the next slot of a validator that is neither disabled nor silent.
    fn begin(&mut self) {
        let validators = Session::validators();
        let disabled = Session::disabled_validators();
        let makes_none = |slot: u64| {
            let index = (slot % validators.len() as u64) as usize;
            disabled.contains(&(index as u32)) || self.silent.contains(&validators[index])
        };
        let mut next = self.slot + 1;
        while makes_none(next) {
            next += 1;
        }
        self.slot = next;
        let slot = DigestItem::PreRuntime(sp_consensus_aura::AURA_ENGINE_ID, self.slot.encode());
        let header = Header::new(
            System::block_number() + 1,
            Hash::zero(),
            Hash::zero(),
            self.parent,
            Digest { logs: vec![slot] },
        );
        Executive::initialize_block(&header);
        let now = pallet_timestamp::Call::set { now: self.slot * SLOT_MILLIS };
        Executive::apply_extrinsic(UncheckedExtrinsic::new_bare(RuntimeCall::Timestamp(now)))
            .unwrap()
            .unwrap();
    }

    fn end(&mut self) -> Header {
        let header = Executive::finalize_block();
        self.parent = header.hash();
        header
    }

    /// Ends the block, and begins the next one. Returns the header of the ended block.
    pub fn next_block(&mut self) -> Header {
        let header = self.end();
        self.begin();
        header
    }

    /// Waits until the quotas of weight are full again.
    pub fn next_window(&mut self) {
        self.reach((System::block_number() / WEIGHT_WINDOW_BLOCKS + 1) * WEIGHT_WINDOW_BLOCKS);
    }

    /// Ends the block, and begins the next one this much later, in milliseconds.
    pub fn sleep(&mut self, millis: u64) {
        self.end();
        self.slot += millis / SLOT_MILLIS;
        self.begin();
    }

    /// Makes blocks until the current block has this number.
    pub fn reach(&mut self, block: u32) {
        while System::block_number() < block {
            self.next_block();
        }
    }
}

/// Three of four members of the council.
pub fn council() -> RuntimeOrigin {
    pallet_collective::RawOrigin::Members(3, 4).into()
}

/// The key of a development seed, as in `//Alice//agent`.
pub fn key(seed: &str) -> sr25519::Pair {
    sr25519::Pair::from_string(&format!("//{seed}"), None).unwrap()
}

pub fn account(pair: &sr25519::Pair) -> AccountId {
    <Signature as Verify>::Signer::from(pair.public()).into_account()
}

/// Signs a call with the account's next nonce, for the next 64 blocks.
pub fn signed(pair: &sr25519::Pair, call: impl Into<RuntimeCall>) -> UncheckedExtrinsic {
    let era = Era::mortal(64, u64::from(System::block_number()) - 1);
    signed_for(pair, call, era, System::account_nonce(account(pair)))
}

/// Signs a call with this lifetime and nonce.
pub fn signed_for(
    pair: &sr25519::Pair,
    call: impl Into<RuntimeCall>,
    era: Era,
    nonce: Nonce,
) -> UncheckedExtrinsic {
    let extension: TxExtension = (
        CheckCaller,
        frame_system::CheckNonZeroSender::new(),
        frame_system::CheckSpecVersion::new(),
        frame_system::CheckTxVersion::new(),
        frame_system::CheckGenesis::new(),
        CheckLifetime(era),
        CheckInFlight(nonce),
        frame_system::CheckWeight::new(),
        frame_system::WeightReclaim::new(),
    );
    let payload = SignedPayload::new(call.into(), extension.clone()).unwrap();
    let signature = payload.using_encoded(|bytes| pair.sign(bytes));
    UncheckedExtrinsic::new_signed(
        payload.deconstruct().0,
        account(pair).into(),
        MultiSignature::Sr25519(signature),
        extension,
    )
}

/// Applies a signed call in the current block.
pub fn apply(seed: &str, call: impl Into<RuntimeCall>) -> ApplyExtrinsicResult {
    Executive::apply_extrinsic(signed(&key(seed), call))
}

/// Applies a signed call, and in the next block the same transaction again, as somebody who saw it could send it. Checks
/// that it counts once.
pub fn counts_once(chain: &mut Chain, seed: &str, call: impl Into<RuntimeCall>) {
    let transaction = signed(&key(seed), call);
    Executive::apply_extrinsic(transaction.clone()).unwrap().unwrap();
    chain.next_block();
    let again = Executive::apply_extrinsic(transaction);
    assert_eq!(again, Err(InvalidTransaction::Stale.into()), "{seed}");
}

/// Checks a transaction as a node does before it accepts it into its pool. Changes nothing.
pub fn validate(transaction: UncheckedExtrinsic) -> TransactionValidity {
    with_transaction(|| {
        let parent = Hash::repeat_byte(1);
        let source = TransactionSource::External;
        let validity = Executive::validate_transaction(source, transaction, parent);
        TransactionOutcome::Rollback(Ok::<_, DispatchError>(validity))
    })
    .unwrap()
}

/// The consent of a key's holder to be named.
pub fn consent(pair: &sr25519::Pair, naming: Naming) -> Signature {
    pair.sign(&NamingConsent::new(System::block_hash(0), naming).encode()).into()
}

/// Registers a user with the first keys, in which the user consents.
pub fn register(agent: &str, user: UserId, role: Role) {
    let pair = key(&user_seed(user));
    let hospital = Hospitals::hospital_of(account(&key(agent))).unwrap().0;
    let naming = Naming::Registration { hospital, user, version: 0 };
    let call = pallet_profiles::Call::<Runtime>::register {
        user,
        role,
        account: account(&pair),
        sealing_key_hash: SEALING_KEY,
        consent: consent(&pair, naming),
        body: b"sealed profile of ".iter().copied().chain(user.0).collect(),
    };
    apply(agent, call).unwrap().unwrap();
}

/// The id of a record with these bytes, at this index of its block.
pub fn record(byte: u8, index: u16) -> RecordId {
    let mut id = [byte; 16];
    id[14..].copy_from_slice(&index.to_be_bytes());
    RecordId(id)
}

/// An announcement of one record for each of the patients, whose bytes are all `byte`.
pub fn announcement(
    announcer: HospitalId,
    patients: &[UserId],
    byte: u8,
) -> pallet_lite_blocks::Call<Runtime> {
    const LENGTH: u32 = 100;
    let entries: Vec<_> = (0_u16..)
        .zip(patients)
        .map(|(index, &patient)| AnnouncedEntry {
            record: record(byte, index),
            hash: record_hash(&[byte; LENGTH as usize]),
            patient,
            text: Range { offset: u32::from(index) * LENGTH, length: LENGTH },
            media: Range::default(),
        })
        .collect();
    pallet_lite_blocks::Call::announce {
        header: AnnouncedHeader {
            announcer,
            segments: Segments { root: segments_root(&[]), count: 0, bytes: 0 },
        },
        body: vec![byte; entries.len() * LENGTH as usize],
        entries: AnnouncedEntries::try_from(entries).unwrap(),
    }
}

/// The hash that the hospitals vote on; zero if there is no such announcement.
pub fn subject(id: AnnouncementId) -> Hash {
    Approvals::ballot(id).map(|ballot| ballot.subject).unwrap_or_default()
}

/// A vote for what was announced.
pub fn vote(id: AnnouncementId) -> pallet_approvals::Call<Runtime> {
    pallet_approvals::Call::approve { id, subject: subject(id) }
}

pub fn approve(agent: &str, announcement: u64) {
    apply(agent, vote(AnnouncementId(announcement))).unwrap().unwrap();
}

/// What a requester signs to read the first section of records of the patient at hospital A, for treatment.
pub fn request(requester: UserId, records: &[RecordPointer], nonce: u8) -> Request {
    let records: Vec<_> = records
        .iter()
        .map(|&pointer| ReleasedRecord { pointer, sections: SectionSet(1) })
        .collect();
    Request {
        requester,
        patient: *PATIENT,
        hospital: A,
        records: records.try_into().unwrap(),
        purpose: Purpose::Treatment,
        emergency: None,
        at: Timestamp::get(),
        nonce: [nonce; 16],
    }
}

/// The signature of an account over a request.
pub fn sign_request(pair: &sr25519::Pair, request: &Request) -> Signature {
    pair.sign(&request.signed_bytes(System::block_hash(0))).into()
}

/// The hash under which nodes store a body.
pub fn body_hash(body: &[u8]) -> Hash {
    sp_runtime::traits::BlakeTwo256::hash(body)
}
