//! A proof for somebody who has no node: that a record is committed, and who its signers were after the block that they
//! signed. The verifier knows the hash of the genesis block, and nothing else.
//!
//! The proof begins with the first authorities, follows each change of them to one final block, and shows values of the
//! state after it. This state has hashes of earlier blocks, whose states have hashes of blocks before them: so the
//! proof goes back to the block that the author signed.

use std::collections::BTreeSet;

use codec::{Decode, DecodeWithMemTracking, Encode};
use epione_envelope::record::Authorship;
use epione_primitives::{
    AccountId, BlockNumber, ChainHeader, Hash, HospitalId, Moment, RecordPointer, UserId,
    block::{Announcement, Entry, Header, SignedAt},
    hospital::Hospital,
    opening::OpeningId,
    profile::{Profile, Registration, RegistrationStatus},
    query::QueryId,
};
use epione_proofs::{
    Authorities, FinalizedHead, GenesisError, HandOverError, HeadError, ProvenState, StateError,
    StorageKey,
};
use sp_core::{ConstU32, bounded::BoundedVec};

use super::{
    Doubt,
    finality::{
        KNOWN_ANCESTORS, claimed_hand_over, claimed_hash, claimed_set, header_of,
        newest_justification, next_justification, prove_finality, read_proof,
    },
    keys,
};
use crate::chain::{Chain, ChainError, Member, Signers};

/// Changes of the authorities in one proof, at most.
pub(super) const MAX_HAND_OVERS: u32 = 4_096;
/// Blocks on the way back to the signed block, at most.
pub(super) const MAX_STEPS: u32 = 65_536;
/// How often the newest final block may hand over to other authorities while the proof is collected.
const ATTEMPTS: u32 = 3;

/// Is told which block of how many on the way back the client requests.
pub(crate) type Steps<'a> = dyn Fn(usize, usize) + Send + Sync + 'a;

/// A final block, and the votes that made it final.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
pub(super) struct Justified {
    pub header: ChainHeader,
    pub justification: Vec<u8>,
}

/// A block, and trie nodes of the state after it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
pub(super) struct Stated {
    pub header: ChainHeader,
    pub nodes: Vec<Vec<u8>>,
}

/// Proves a committed record, its patient's account, and the accounts and roles of its signers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking)]
pub(crate) struct RecordProof {
    /// The genesis block, and its authorities.
    genesis: Stated,
    hand_overs: BoundedVec<Justified, ConstU32<MAX_HAND_OVERS>>,
    head: Justified,
    /// Trie nodes of the state after the head.
    nodes: Vec<Vec<u8>>,
    /// Blocks before the head, each named by the state of the one before it in this list. The last one is the signed
    /// block.
    back: BoundedVec<Stated, ConstU32<MAX_STEPS>>,
}

/// Why a proof does not show what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    #[error("the first authorities are not proven: {0}")]
    Genesis(#[from] GenesisError),
    #[error("a change of the authorities is not proven: {0}")]
    HandOver(#[from] HandOverError),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("a value of the chain's state is not proven: {0}")]
    State(#[from] StateError),
    #[error("the chain has no record {0}")]
    NoRecord(RecordPointer),
    #[error("the chain's state has no {0}")]
    Absent(&'static str),
    #[error("the chain has no query {0}")]
    NoQuery(QueryId),
    #[error("the chain has no opening {0}")]
    NoOpening(OpeningId),
    #[error("patient {patient} has no receipt {number}")]
    NoReceipt { patient: UserId, number: u32 },
    #[error("block {number} is not proven to be an earlier block of the chain")]
    NotEarlier { number: BlockNumber },
    #[error("it does not show block {number}")]
    NotShown { number: BlockNumber },
    #[error("block {number} has no extrinsic {index} that an account signed")]
    NoExtrinsic { number: BlockNumber, index: u32 },
    #[error(
        "it does not lead to block {number}, which the record names as the one at which it was signed"
    )]
    OtherSignedBlock { number: BlockNumber },
}

/// A committed record, by the state after a final block.
pub(crate) struct Committed {
    state: ProvenState,
    /// The final block.
    pub head: SignedAt,
    pub time: Moment,
    pub entry: Entry,
    /// Number of other patients whose records are in the same lite block: the proof shows their entries.
    pub other_patients: usize,
    pub header: Header,
    pub announced_at: BlockNumber,
    /// Name of the hospital that announced it; UTF-8.
    pub hospital_name: Vec<u8>,
    /// The patient's account.
    pub patient: AccountId,
}

impl Chain {
    /// Collects the proof of a committed record at the newest final block. What the node sends is checked only as far
    /// as the next request needs it: the caller verifies the result.
    pub(crate) async fn prove_record(
        &self,
        pointer: RecordPointer,
        authorship: &Authorship,
        progress: &Steps<'_>,
    ) -> Result<RecordProof, ChainError> {
        let (genesis, hand_overs, head) = final_block(self).await?;
        let (number, hash) = (head.header.number, head.header.hash());
        let (header, patient) = entry_of(self, &head.header, pointer).await?;
        let way = way_back(number, authorship.signed_at.number).map_err(|it| self.doubt(it))?;
        let mut wanted = committed_keys(pointer, &header, patient);
        wanted.extend(way.first().map(|number| keys::block_hash(*number)));
        let nodes = read_proof(self, hash, &wanted).await?;
        let state = ProvenState::new(head.header.state_root, nodes.clone())
            .map_err(|error| self.doubt(error))?;
        let wanted = signers_keys(authorship);
        let back = walk_back(self, (number, state), &way, &wanted, progress).await?;
        Ok(RecordProof {
            genesis,
            hand_overs: hand_overs.try_into().map_err(|_| self.doubt(many_hand_overs()))?,
            head,
            nodes,
            back: back.try_into().map_err(|_| self.doubt(many_steps()))?,
        })
    }
}

/// The genesis block, the changes of the authorities after it, and the newest final block.
pub(super) async fn final_block(
    chain: &Chain,
) -> Result<(Stated, Vec<Justified>, Justified), ChainError> {
    let hash = chain.genesis_hash();
    let header = header_of(chain, hash).await?;
    let nodes = read_proof(chain, hash, &[Authorities::key()]).await?;
    let mut authorities =
        Authorities::genesis(hash, &header, nodes.clone()).map_err(|error| chain.doubt(error))?;
    let genesis = Stated { header, nodes };
    let mut hand_overs = Vec::new();
    let mut earliest = chain.finalized_head().await?.number;
    for _ in 0..ATTEMPTS {
        let head = justified(chain, earliest).await?;
        let number = head.header.number;
        let set = claimed_set(chain, number).await?;
        while authorities.set() < set {
            if hand_overs.len() as u32 >= MAX_HAND_OVERS {
                return Err(chain.doubt(many_hand_overs()));
            }
            let next = hand_over(chain, &authorities, number).await?;
            authorities = authorities
                .follow(&next.header, &next.justification)
                .map_err(|error| chain.doubt(error))?;
            hand_overs.push(next);
        }
        if number > authorities.after() {
            return Ok((genesis, hand_overs, head));
        }
        // This block hands over itself: the votes of the next authorities are for later blocks.
        earliest = authorities.after().saturating_add(1);
    }
    Err(chain.doubt(Doubt::TooLong))
}

/// The newest final block, if it is not before `earliest`; otherwise the next one that is not.
async fn justified(chain: &Chain, earliest: BlockNumber) -> Result<Justified, ChainError> {
    let newest = newest_justification(chain).await?;
    let (header, justification) = match newest.filter(|it| it.header.number >= earliest) {
        Some(newest) => (newest.header, newest.justification.0),
        None => next_justification(chain, earliest).await?,
    };
    Ok(Justified { header, justification })
}

/// The block with which these authorities hand over, which is not after block `latest`.
async fn hand_over(
    chain: &Chain,
    authorities: &Authorities,
    latest: BlockNumber,
) -> Result<Justified, ChainError> {
    let (after, set) = (authorities.after(), authorities.set());
    let number = claimed_hand_over(chain, after, set, latest).await?;
    let header = header_of(chain, claimed_hash(chain, number).await?).await?;
    let justification = prove_finality(chain, number).await?.unwrap_or_default();
    Ok(Justified { header, justification })
}

/// The header of the lite block with a record, and the patient of the record, by the state after a chain block.
async fn entry_of(
    chain: &Chain,
    block: &ChainHeader,
    pointer: RecordPointer,
) -> Result<(Header, UserId), ChainError> {
    let wanted = [keys::header(pointer.height), keys::entries(pointer.height)];
    let nodes = read_proof(chain, block.hash(), &wanted).await?;
    let state = ProvenState::new(block.state_root, nodes).map_err(|error| chain.doubt(error))?;
    let [header, entries] = &wanted;
    let header: Option<Header> = state.value(header).map_err(|error| chain.doubt(error))?;
    let entries: Option<Vec<Entry>> = state.value(entries).map_err(|error| chain.doubt(error))?;
    let entry = entries.unwrap_or_default().into_iter().nth(usize::from(pointer.index));
    let found = header.zip(entry).map(|(header, entry)| (header, entry.patient));
    found.ok_or_else(|| chain.doubt(Doubt::NoRecord { pointer }))
}

pub(super) fn many_hand_overs() -> Doubt {
    Doubt::LongProof { what: "changes of the authorities", max: MAX_HAND_OVERS }
}

pub(super) fn many_steps() -> Doubt {
    Doubt::LongProof { what: "steps back to the signed block", max: MAX_STEPS }
}

/// The blocks over which the proof goes back from one block to an earlier one, which is the last of them. Fails if they
/// are too many for a proof.
pub(super) fn way_back(from: BlockNumber, to: BlockNumber) -> Result<Vec<BlockNumber>, Doubt> {
    if from.saturating_sub(to).div_ceil(KNOWN_ANCESTORS) > MAX_STEPS {
        return Err(many_steps());
    }
    let (mut way, mut at) = (Vec::new(), from);
    while at.saturating_sub(to) > KNOWN_ANCESTORS {
        at -= KNOWN_ANCESTORS;
        way.push(at);
    }
    way.push(to);
    Ok(way)
}

/// The blocks on the way back from a block with a known state. The last one is shown with the keys in `wanted`.
async fn walk_back(
    chain: &Chain,
    (mut from, mut state): (BlockNumber, ProvenState),
    way: &[BlockNumber],
    wanted: &[StorageKey],
    progress: &Steps<'_>,
) -> Result<Vec<Stated>, ChainError> {
    let mut back = Vec::new();
    for (at, number) in way.iter().copied().enumerate() {
        progress(at + 1, way.len());
        let hash: Option<Hash> =
            state.value(&keys::block_hash(number)).map_err(|error| chain.doubt(error))?;
        let hash = hash.ok_or_else(|| chain.doubt(Doubt::NoAncestor { number, from }))?;
        let header = header_of(chain, hash).await?;
        let keys = match way.get(at + 1) {
            Some(next) => vec![keys::block_hash(*next)],
            None => wanted.to_vec(),
        };
        let nodes = read_proof(chain, hash, &keys).await?;
        state = ProvenState::new(header.state_root, nodes.clone())
            .map_err(|error| chain.doubt(error))?;
        from = number;
        back.push(Stated { header, nodes });
    }
    Ok(back)
}

/// What the state after the final block must show.
fn committed_keys(pointer: RecordPointer, header: &Header, patient: UserId) -> Vec<StorageKey> {
    vec![
        keys::now(),
        keys::header(pointer.height),
        keys::entries(pointer.height),
        keys::announcement(header.announcement),
        keys::hospital(header.announcer),
        keys::profile(patient),
    ]
}

/// What the state after the signed block must show.
fn signers_keys(authorship: &Authorship) -> Vec<StorageKey> {
    let users = [Some(authorship.author), authorship.nurse, Some(authorship.patient)];
    let of = |user| [keys::registration(authorship.hospital, user), keys::profile(user)];
    users.into_iter().flatten().flat_map(of).chain([keys::now()]).collect()
}

impl RecordProof {
    /// The record at this position of the chain with this genesis block.
    pub(crate) fn committed(
        &self,
        genesis: Hash,
        pointer: RecordPointer,
    ) -> Result<Committed, ProofFault> {
        let head = verified_head(genesis, self.genesis.clone(), &self.hand_overs, &self.head)?;
        let state = ProvenState::new(head.state_root(), self.nodes.clone())?;
        let unknown = || ProofFault::NoRecord(pointer);
        let header: Header = state.value(&keys::header(pointer.height))?.ok_or_else(unknown)?;
        let entries: Vec<Entry> = state.value(&keys::entries(pointer.height))?.unwrap_or_default();
        let mut patients: BTreeSet<UserId> = entries.iter().map(|entry| entry.patient).collect();
        let entry = entries.into_iter().nth(usize::from(pointer.index)).ok_or_else(unknown)?;
        patients.remove(&entry.patient);
        let announcement: Announcement = state
            .value(&keys::announcement(header.announcement))?
            .ok_or(ProofFault::Absent("announcement of the record"))?;
        let hospital: Hospital = state
            .value(&keys::hospital(header.announcer))?
            .ok_or(ProofFault::Absent("hospital of the record"))?;
        let patient: Profile = state
            .value(&keys::profile(entry.patient))?
            .ok_or(ProofFault::Absent("profile of the patient"))?;
        let time = time_of(&state)?;
        Ok(Committed {
            state,
            head: SignedAt { number: head.number(), hash: head.hash() },
            time,
            entry,
            other_patients: patients.len(),
            header,
            announced_at: announcement.announced_at,
            hospital_name: hospital.name.into_inner(),
            patient: patient.account,
        })
    }

    /// Who must have signed the record, by the state after the block that it names; and the time of that block.
    pub(crate) fn signers(
        &self,
        committed: &Committed,
        authorship: &Authorship,
    ) -> Result<(Signers, Moment), ProofFault> {
        let SignedAt { number, hash } = authorship.signed_at;
        let other = || ProofFault::OtherSignedBlock { number };
        let Some(last) = self.back.last() else { return Err(other()) };
        if last.header.hash() != hash || last.header.number != number {
            return Err(other());
        }
        let state = self.earlier_state(&committed.state)?;
        let Authorship { hospital, author, nurse, patient, .. } = *authorship;
        let signers = Signers {
            author: member(&state, hospital, author)?,
            nurse: match nurse {
                Some(nurse) => member(&state, hospital, nurse)?,
                None => None,
            },
            patient: member(&state, hospital, patient)?,
        };
        Ok((signers, time_of(&state)?))
    }

    /// The state after the last block on the way back.
    fn earlier_state(&self, head: &ProvenState) -> Result<ProvenState, ProofFault> {
        let mut reached: Option<ProvenState> = None;
        for Stated { header, nodes } in &self.back {
            let number = header.number;
            let state = reached.as_ref().unwrap_or(head);
            let named: Option<Hash> = state.value(&keys::block_hash(number))?;
            if named != Some(header.hash()) {
                return Err(ProofFault::NotEarlier { number });
            }
            reached = Some(ProvenState::new(header.state_root, nodes.clone())?);
        }
        reached.ok_or(ProofFault::Absent("earlier block"))
    }
}

/// The final block, by the authorities that follow from the genesis block with this hash.
pub(super) fn verified_head(
    genesis: Hash,
    Stated { header, nodes }: Stated,
    hand_overs: &[Justified],
    head: &Justified,
) -> Result<FinalizedHead, ProofFault> {
    let mut authorities = Authorities::genesis(genesis, &header, nodes)?;
    for Justified { header, justification } in hand_overs {
        authorities = authorities.follow(header, justification)?;
    }
    Ok(FinalizedHead::verify(&authorities, head.header.clone(), &head.justification)?)
}

/// The time of a block, which every state after the genesis block has.
pub(super) fn time_of(state: &ProvenState) -> Result<Moment, ProofFault> {
    state.value(&keys::now())?.ok_or(ProofFault::Absent("time"))
}

/// The user, if their registration at the hospital was active.
pub(super) fn member(
    state: &ProvenState,
    hospital: HospitalId,
    user: UserId,
) -> Result<Option<Member>, ProofFault> {
    let registration: Option<Registration> = state.value(&keys::registration(hospital, user))?;
    if registration.is_none_or(|it| it.status != RegistrationStatus::Active) {
        return Ok(None);
    }
    let profile: Option<Profile> = state.value(&keys::profile(user))?;
    Ok(profile.map(|it| Member { account: it.account, role: it.role }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_has_no_step_that_is_longer_than_the_state_remembers() {
        for (from, to) in [(1, 0), (5, 1), (6, 1), (100, 3), (100, 99)] {
            let way = way_back(from, to).unwrap();
            let mut at = from;
            for number in &way {
                assert!(*number < at && at - number <= KNOWN_ANCESTORS, "{from} to {to}: {way:?}");
                at = *number;
            }
            assert_eq!(at, to);
        }
    }

    #[test]
    fn a_way_back_that_no_verifier_accepts_is_refused_before_a_block_is_requested() {
        let longest = MAX_STEPS * KNOWN_ANCESTORS;
        assert_eq!(way_back(longest + 1, 1).unwrap().len() as u32, MAX_STEPS);
        let refused = way_back(longest + 2, 1).unwrap_err();
        assert_eq!(refused, many_steps());
        let said = refused.to_string();
        assert!(said.contains("cannot be proven offline") && !said.contains("trust"), "{said}");
    }
}
