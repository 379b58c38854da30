//! A chain with committed records, for the tests of disclosures, and the proofs of these records.

use codec::Encode;
use epione_envelope::{
    account::{AccountKey, Scheme, Signer},
    record::Record,
};
use epione_primitives::{
    Hash, HospitalId, RecordPointer, UserId,
    block::{Announcement, Entry, Header, Range, Segments, SignedAt, Stage, record_hash},
    hospital::{Hospital, HospitalStatus},
    profile::{Profile, Registration, RegistrationStatus, Role},
};

use super::{
    HOSPITAL, honest, keys,
    node::{Network, Node},
};
use crate::chain::Chain;

pub(crate) const PATIENT: UserId = UserId([0x11; 32]);
pub(crate) const DOCTOR: UserId = UserId([0x22; 32]);
/// The hospital of the records.
pub(crate) const AT: HospitalId = HOSPITAL;
/// The lite block with the records.
const HEIGHT: u32 = 1;
/// The chain block at which the records are signed.
const SIGNED: u32 = 3;

/// The account of a person.
pub(crate) fn account(name: &str) -> AccountKey {
    AccountKey::from_seed(Scheme::Sr25519, blake3::hash(name.as_bytes()).as_bytes())
}

/// The position of a record of [`committed`].
pub(crate) fn pointer(index: u16) -> RecordPointer {
    RecordPointer { height: HEIGHT, index }
}

pub(super) fn hospital() -> Hospital {
    Hospital {
        name: b"Alice".to_vec().try_into().unwrap(),
        governance: account("governance").account(),
        agent: account("agent").account(),
        worker_url: Default::default(),
        sealing_key: Default::default(),
        tls_key: [0; 32],
        storage_origin: None,
        status: HospitalStatus::Active,
    }
}

pub(super) fn register(
    network: &mut Network,
    user: UserId,
    role: Role,
    name: &str,
    status: RegistrationStatus,
) {
    let profile = Profile {
        role,
        account: account(name).account(),
        sealing_key_hash: Hash::repeat_byte(3),
        version: 1,
        since: 0,
    };
    let body_hash = Hash::repeat_byte(4);
    let registration = Registration { status, periods: Default::default(), version: 1, body_hash };
    network.put(keys::profile(user), &profile);
    network.put(keys::registration(AT, user), &registration);
}

/// What a chain of committed records has.
pub(crate) struct Setup {
    /// The hospitals that vote.
    pub voters: std::ops::Range<u8>,
    /// The doctor's status when the records are signed.
    pub doctor: RegistrationStatus,
    /// Whether the state after the signed block has a time.
    pub dated: bool,
    /// Who announces the records.
    pub announcer: HospitalId,
    /// What the announcing hospital changes in the entry of the second record, which has these bytes.
    pub change: fn(&mut Entry, &[u8]),
}

impl Default for Setup {
    fn default() -> Self {
        let doctor = RegistrationStatus::Active;
        Self { voters: 0..4, doctor, dated: true, announcer: AT, change: |_, _| {} }
    }
}

/// The node of a chain that goes on.
pub(crate) struct Growing(Node);

impl Growing {
    /// The patient's account is replaced by `new patient`, and later blocks are final.
    pub(crate) fn replace_account_of_patient(&self) {
        self.0.edit(|network| {
            let status = RegistrationStatus::Active;
            register(network, PATIENT, Role::Patient, "new patient", status);
            network.push();
            network.push();
        });
    }
}

/// A verified connection to a chain whose authorities change after the records are signed. `make` seals the records,
/// for the chain with this genesis block, signed at this block.
pub(crate) async fn committed(
    setup: Setup,
    make: impl Fn(Hash, SignedAt) -> Vec<Record>,
) -> (Chain, Vec<Record>, Growing) {
    let Setup { voters, doctor, dated, announcer, change } = setup;
    let mut network = Network::new(voters.clone());
    network.put(keys::hospital(AT), &hospital());
    network.put(keys::hospital(announcer), &hospital());
    register(&mut network, PATIENT, Role::Patient, "patient", RegistrationStatus::Active);
    register(&mut network, DOCTOR, Role::Doctor, "doctor", doctor);
    (1..SIGNED).for_each(|_| network.push());
    match dated {
        true => network.push(),
        false => network.push_without_time(),
    }
    let signed_at = SignedAt { number: SIGNED, hash: network.hashes()[SIGNED as usize] };
    // What happens to the doctor later does not change what was right then.
    register(&mut network, DOCTOR, Role::Doctor, "new doctor", RegistrationStatus::Ended);
    network.change(voters.start + 1..voters.end + 1);
    network.push();
    let records = make(network.genesis(), signed_at);
    commit(&mut network, &records, announcer, change);
    (0..8).for_each(|_| network.push());
    network.change(voters);
    network.push();
    network.push();
    let (node, chain) = honest(network).await;
    (chain, records, Growing(node))
}

fn commit(
    network: &mut Network,
    records: &[Record],
    announcer: HospitalId,
    change: fn(&mut Entry, &[u8]),
) {
    let entry = |record: &Record| {
        let bytes = record.encode();
        Entry {
            record: record.id(),
            hash: record_hash(&bytes),
            patient: record.patient(),
            text: Range { offset: 0, length: bytes.len() as u32 },
            media: Range::default(),
            previous: None,
        }
    };
    let mut entries: Vec<Entry> = records.iter().map(entry).collect();
    change(&mut entries[1], &records[1].encode());
    let (body_hash, body_bytes) = (Hash::repeat_byte(5), 1_000);
    let (count, segments) = (records.len() as u16, Segments::default());
    let header = Header {
        height: HEIGHT,
        previous_lite: Hash::zero(),
        previous_cloud: Hash::zero(),
        announcer,
        announcement: Default::default(),
        time: 7,
        records: count,
        body_hash,
        body_bytes,
        segments,
    };
    let announcement = Announcement {
        announcer,
        body_hash,
        body_bytes,
        records: count,
        segments,
        announced_at: SIGNED + 1,
        stage: Stage::Committed { height: HEIGHT },
    };
    network.put(keys::header(HEIGHT), &header);
    network.put(keys::entries(HEIGHT), &entries);
    network.put(keys::announcement(header.announcement), &announcement);
}
