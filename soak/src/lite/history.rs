//! A chain of lite blocks in the state of a chain's first block, so that a network has it from its start. To announce
//! and approve ten thousand blocks on a network takes much longer than to measure a copy of them.
//!
//! The runtime's pallets write this state: hospitals register patients, announce blocks and approve them by the same
//! calls as on a network. Different are:
//! - nobody signs a transaction, and the calls are dispatched without the checks of transactions, such as quotas;
//! - every call happens at block 0. Another number would be in the future of the network, and the invariants of the
//!   pallets forbid votes in the future. The time advances by a slot from block to block;
//! - the bytes of bodies and profiles are random. A node cannot serve them, because it stores bodies when it imports
//!   the transactions that contain them.

use std::{collections::BTreeMap, io::Read, iter::successors};

use anyhow::{Context, anyhow, ensure};
use epione_client::{Account, naming};
use epione_envelope::development;
use epione_primitives::{
    Hash, HospitalId, Moment, RecordId, UserId,
    block::{
        AnnouncedEntries, AnnouncedEntry, AnnouncedHeader, Range, Segments, record_hash,
        segments_root,
    },
    limits::SLOT_MILLIS,
    naming::Naming,
    profile::Role,
};
use epione_runtime::{Approvals, LiteBlocks, Profiles, Runtime, RuntimeOrigin, System, invariants};
use sp_io::{TestExternalities, hashing::twox_128, storage};
use sp_runtime::{
    DispatchError, Storage,
    traits::{BlakeTwo256, Hash as _},
};

use crate::content::Content;

/// The key of the runtime's code in a state.
pub const CODE: &[u8] = b":code";
/// Exists only while a transaction is applied.
const EXTRINSIC_INDEX: &[u8] = b":extrinsic_index";
/// Bytes of a record and of a profile: about as many as a short visit and a patient's profile have.
const SEALED_BYTES: usize = 1_000;

/// A state, by its keys.
pub type State = BTreeMap<Vec<u8>, Vec<u8>>;

/// The lite blocks to write. The hospitals announce them in turn.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// Number of lite blocks.
    pub blocks: u32,
    /// Number of records in each block.
    pub records: u16,
    /// Number of patients of each hospital.
    pub patients: u16,
    /// The time of the newest block.
    pub newest: Moment,
}

impl History {
    /// Adds the blocks to the state of a chain's first block, and checks the invariants of all pallets. `agents` are
    /// the agents of all hospitals, in the hospitals' order.
    pub fn after(&self, genesis: State, agents: &[Account]) -> anyhow::Result<State> {
        within(genesis, || {
            self.write(agents)?;
            check_invariants()?;
            Ok(stored())
        })
    }

    fn write(&self, agents: &[Account]) -> anyhow::Result<()> {
        ensure!(!agents.is_empty(), "a chain needs a hospital to announce lite blocks");
        ensure!(self.patients > 0, "a lite block needs a patient");
        System::set_extrinsic_index(0);
        self.set_time(0);
        let patients = (0..).map(HospitalId).zip(agents);
        let patients = patients.map(|(hospital, agent)| self.registered(hospital, agent));
        let patients: Vec<Vec<UserId>> = patients.collect::<Result<_, _>>()?;
        for height in 1..=self.blocks {
            self.set_time(height);
            self.commit(height, agents, &patients)
                .with_context(|| format!("lite block {height} was not committed"))?;
        }
        Ok(())
    }

    /// Sets the time at which the block of this height is committed.
    fn set_time(&self, height: u32) {
        let age = u64::from(self.blocks - height).saturating_mul(SLOT_MILLIS);
        pallet_timestamp::Now::<Runtime>::put(self.newest.saturating_sub(age));
    }

    /// Registers a hospital's patients.
    fn registered(&self, hospital: HospitalId, agent: &Account) -> anyhow::Result<Vec<UserId>> {
        let register = |number: u16| {
            let uri = format!("//Earlier//{hospital}//{number}");
            register(hospital, agent, &uri)
                .with_context(|| format!("{uri} was not registered at hospital {hospital}"))
        };
        (0..self.patients).map(register).collect()
    }

    /// Announces the block of this height, and approves it until it is committed.
    fn commit(
        &self,
        height: u32,
        agents: &[Account],
        patients: &[Vec<UserId>],
    ) -> anyhow::Result<()> {
        let turn = (height - 1) as usize;
        let announcer = turn % agents.len();
        let (entries, body) = self.packed(height, turn / agents.len(), &patients[announcer])?;
        let segments = Segments { root: segments_root(&[]), count: 0, bytes: 0 };
        let header = AnnouncedHeader { announcer: HospitalId(announcer as u16), segments };
        let subject = header.subject(&entries, BlakeTwo256::hash(&body));
        let id = LiteBlocks::next_announcement();
        apply(&body);
        LiteBlocks::announce(by(&agents[announcer]), header, entries, body)
            .map_err(|refused| refusal("announcement", refused.error))?;
        let others = (1..agents.len()).map(|step| &agents[(announcer + step) % agents.len()]);
        for voter in others {
            if LiteBlocks::height() == height {
                break;
            }
            Approvals::approve(by(voter), id, subject)
                .map_err(|refused| refusal("approval", refused.error))?;
        }
        ensure!(LiteBlocks::height() == height, "all hospitals approved it, and it is open");
        Ok(())
    }

    /// A block of records of the hospital's patients, who follow each other from block to block.
    fn packed(
        &self,
        height: u32,
        earlier: usize,
        patients: &[UserId],
    ) -> anyhow::Result<(AnnouncedEntries, Vec<u8>)> {
        let records = usize::from(self.records);
        let body = random(&format!("lite block {height}"), records * SEALED_BYTES)?;
        let mut entries = Vec::with_capacity(records);
        for (index, bytes) in body.chunks(SEALED_BYTES).enumerate() {
            let mut record = [0; 16];
            record.copy_from_slice(&bytes[..16]);
            let offset = (index * SEALED_BYTES) as u32;
            entries.push(AnnouncedEntry {
                record: RecordId(record),
                hash: record_hash(bytes),
                patient: patients[(earlier * records + index) % patients.len()],
                text: Range { offset, length: bytes.len() as u32 },
                media: Range::default(),
            });
        }
        let entries = AnnouncedEntries::try_from(entries)
            .map_err(|_| anyhow!("{records} records are too many for a lite block"))?;
        Ok((entries, body))
    }
}

/// Registers the patient with these development keys. Returns the patient's id.
fn register(hospital: HospitalId, agent: &Account, uri: &str) -> anyhow::Result<UserId> {
    let account = Account::development(uri)?;
    let sealing_key_hash = development::sealing_key(uri).public().hash();
    let user = UserId::of(&account.id(), sealing_key_hash);
    let naming = Naming::Registration { hospital, user, version: 0 };
    let consent = naming::sign(&account, genesis_hash(), naming);
    let body = random(uri, SEALED_BYTES)?;
    apply(&body);
    Profiles::register(
        by(agent),
        user,
        Role::Patient,
        account.id(),
        sealing_key_hash,
        consent,
        body,
    )
    .map_err(|refused| refusal("registration", refused))?;
    Ok(user)
}

/// What the chain takes for the hash of its first block before there is a second one. The real hash depends on the
/// state that is being written.
fn genesis_hash() -> Hash {
    System::block_hash(0)
}

/// A transaction that ends with these bytes is applied: the runtime accepts a body only at the end of a transaction.
fn apply(body: &[u8]) {
    System::note_extrinsic(body.to_vec());
}

fn by(agent: &Account) -> RuntimeOrigin {
    RuntimeOrigin::signed(agent.id())
}

fn refusal(what: &str, error: DispatchError) -> anyhow::Error {
    anyhow!("the runtime refused the {what}: {error:?}")
}

fn random(seed: &str, bytes: usize) -> anyhow::Result<Vec<u8>> {
    let mut random = Vec::with_capacity(bytes);
    Content::new(seed, bytes as u64).read_to_end(&mut random)?;
    Ok(random)
}

/// Checks the invariants of all pallets in the state that is being executed.
fn check_invariants() -> anyhow::Result<()> {
    invariants::check().map_err(|broken| anyhow!("the state breaks an invariant: {broken:?}"))
}

/// Executes the runtime's code with this state.
fn within<T>(state: State, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let code = state.get(CODE).cloned().unwrap_or_default();
    let storage = Storage { top: state, ..Storage::default() };
    TestExternalities::new_with_code(&code, storage).execute_with(work)
}

/// The whole state, without what exists only while a transaction is applied.
fn stored() -> State {
    let transaction = [twox_128(b"System"), twox_128(b"ExtrinsicData")].concat();
    successors(storage::next_key(&[]), |key| storage::next_key(key))
        .filter(|key| key != EXTRINSIC_INDEX && !key.starts_with(&transaction))
        .filter_map(|key| storage::get(&key).map(|value| (key, value.to_vec())))
        .collect()
}

#[cfg(test)]
mod tests {
    use codec::Encode;
    use epione_client::{chain::LiteBlock, lite::Tip};
    use epione_runtime::{
        Executive, Header, RuntimeCall, RuntimeGenesisConfig, UncheckedExtrinsic, genesis,
    };
    use serde_json::Value;
    use sp_runtime::{BuildStorage, Digest, DigestItem, traits::Header as _};

    use super::*;

    /// A Tuesday.
    const NEWEST: Moment = 1_764_633_600_000;

    fn history(blocks: u32) -> History {
        History { blocks, records: 3, patients: 2, newest: NEWEST }
    }

    fn agents() -> Vec<Account> {
        let names = ["Alice", "Bob", "Charlie", "Dave"];
        names.map(|name| Account::development(&format!("//{name}//agent")).unwrap()).into()
    }

    /// The state of the first block of the preset with four hospitals.
    fn first_block() -> State {
        let mut config = serde_json::to_value(RuntimeGenesisConfig::default()).unwrap();
        let patch = genesis::preset(&genesis::LOCAL.into()).unwrap();
        merge(&mut config, serde_json::from_slice(&patch).unwrap());
        let config: RuntimeGenesisConfig = serde_json::from_value(config).unwrap();
        let mut state = config.build_storage().unwrap().top;
        state.insert(CODE.to_vec(), b"the runtime".to_vec());
        state
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

    /// The lite block of a height in the state that is being executed.
    fn lite_block(height: u32) -> LiteBlock {
        let (header, hashes) = LiteBlocks::header(height).unwrap();
        let ballot = Approvals::ballot(header.announcement).unwrap();
        LiteBlock { header, hashes, entries: LiteBlocks::entries(height), ballot }
    }

    #[test]
    fn two_hundred_blocks_keep_the_invariants_and_pass_the_checks_of_a_peer() {
        let state = history(200).after(first_block(), &agents()).unwrap();
        within(state, || {
            check_invariants()?;
            let mut tip = Tip::default();
            for height in 1..=200 {
                let block = lite_block(height);
                for entry in &block.entries {
                    if !tip.knows(&entry.patient) {
                        tip.learn(entry.patient, None);
                    }
                }
                tip.advance(&block)?;
                let expected = NEWEST - u64::from(200 - height) * SLOT_MILLIS;
                assert_eq!((block.entries.len(), block.header.time), (3, expected));
                let votes = block.ballot.approvals.len();
                assert_eq!(votes, 2, "no vote is cast after the block is committed");
            }
            assert_eq!((tip.height(), LiteBlocks::height()), (200, 200));
            // Every hospital announces, and every patient has records that link to each other.
            let announcers: Vec<_> = (1..=4).map(|at| lite_block(at).header.announcer.0).collect();
            assert_eq!(announcers, [0, 1, 2, 3]);
            assert!(lite_block(200).entries.iter().all(|entry| entry.previous.is_some()));
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn a_network_continues_after_the_state_with_its_next_block() {
        let state = history(8).after(first_block(), &agents()).unwrap();
        within(state, || {
            let slot = NEWEST / SLOT_MILLIS + 100;
            let digest = Digest { logs: vec![DigestItem::PreRuntime(*b"aura", slot.encode())] };
            let header = Header::new(1, Hash::zero(), Hash::zero(), Hash::repeat_byte(1), digest);
            Executive::initialize_block(&header);
            let now = pallet_timestamp::Call::set { now: slot * SLOT_MILLIS };
            let now = UncheckedExtrinsic::new_bare(RuntimeCall::Timestamp(now));
            Executive::apply_extrinsic(now).unwrap().unwrap();
            Executive::finalize_block();
            assert_eq!(LiteBlocks::height(), 8);
            check_invariants()
        })
        .unwrap();
    }

    #[test]
    fn the_state_keeps_the_code_and_has_nothing_of_a_transaction() {
        let mut before = first_block();
        let after = history(4).after(before.clone(), &agents()).unwrap();
        // frame-system's genesis writes it, and every block again.
        before.remove(EXTRINSIC_INDEX);
        assert_eq!(after.get(CODE), before.get(CODE));
        assert!(before.keys().all(|key| after.contains_key(key)));
        let system = twox_128(b"System");
        let of_system = |state: &State| state.keys().filter(|key| key.starts_with(&system)).count();
        let patients = usize::from(history(4).patients) * agents().len();
        assert_eq!(of_system(&after), of_system(&before) + patients, "an account of each patient");
        let reserved = |state: &State| state.keys().filter(|key| key.starts_with(b":")).count();
        assert_eq!(reserved(&after), reserved(&before));
    }

    #[test]
    fn a_state_that_was_altered_breaks_an_invariant() {
        let state = history(4).after(first_block(), &agents()).unwrap();
        let of = |pallet: &[u8], name: &[u8]| [twox_128(pallet), twox_128(name)].concat();
        for (pallet, name) in
            [("LiteBlocks", "Hashes"), ("Approvals", "Ballots"), ("IndexLinks", "Latest")]
        {
            let prefix = of(pallet.as_bytes(), name.as_bytes());
            let mut altered = state.clone();
            let key = altered.keys().find(|key| key.starts_with(&prefix)).unwrap().clone();
            altered.remove(&key);
            assert!(within(altered, check_invariants).is_err(), "{pallet}.{name}");
        }
    }

    #[test]
    fn what_the_runtime_refuses_is_an_error() {
        let refused = |history: History, agents: &[Account]| {
            format!("{:#}", history.after(first_block(), agents).unwrap_err())
        };
        let strangers = [Account::development("//Stranger").unwrap()];
        let error = refused(history(1), &strangers);
        assert!(error.contains("//Earlier//0//0 was not registered"), "{error}");
        let too_large = History { records: 513, ..history(1) };
        let error = refused(too_large, &agents());
        assert!(error.contains("lite block 1") && error.contains("too many"), "{error}");
        let empty = History { records: 0, ..history(1) };
        assert!(refused(empty, &agents()).contains("announcement"));
        // Two of four hospitals are not enough.
        assert!(refused(history(1), &agents()[..2]).contains("it is open"));
        assert!(refused(history(1), &[]).contains("a hospital"));
        let nobody = History { patients: 0, ..history(1) };
        assert!(refused(nobody, &agents()).contains("a patient"));
    }
}
