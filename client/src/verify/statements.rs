//! What the hospitals' agents signed about a block: the announcement and the approvals. Each is a transaction of a
//! chain block, so anybody can verify that the hospital made it (component C).

use std::collections::{BTreeMap, btree_map::Entry};

use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId,
    approval::Approval,
    block::{AnnouncedEntries, Announcement},
};

use super::{Evidence, Verification};
use crate::chain::{
    Call, Chain, ChainError, SignedCall,
    calls::{approvals, lite_blocks},
};

const CLAIM: &str = "a transaction that the hospital's agent signed";

/// A call that a hospital made, according to the chain's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub hospital: HospitalId,
    /// The chain block that should contain the call.
    pub block: BlockNumber,
    /// The hospital's agent in the state before that block; none if there was no such hospital or block.
    pub agent: Option<AccountId>,
    /// The transactions of that block with exactly this call.
    pub found: Vec<SignedCall>,
}

/// Announcement and approvals of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statements {
    /// None without an announcement or a body, which have checks of their own.
    pub announced: Option<Statement>,
    /// In the order of the ballot.
    pub approved: Vec<Statement>,
}

/// Reads the chain blocks that should contain announcement and approvals.
pub(super) async fn gather(chain: &Chain, evidence: &Evidence) -> Result<Statements, ChainError> {
    let mut blocks = Blocks { chain, read: BTreeMap::new() };
    let announced = match (&evidence.announcement, announcing(evidence)) {
        (Some(Announcement { announcer, announced_at, .. }), Some(call)) => {
            Some(blocks.statement(*announcer, *announced_at, &call).await?)
        }
        _ => None,
    };
    let approve = approvals::approve(evidence.header.announcement, subject(evidence));
    let mut approved = Vec::new();
    for Approval { hospital, block } in evidence.ballot.iter().flat_map(|it| &it.approvals) {
        approved.push(blocks.statement(*hospital, *block, &approve).await?);
    }
    Ok(Statements { announced, approved })
}

/// The call that announces exactly this block; none without the body, or with more entries than any block has.
fn announcing(evidence: &Evidence) -> Option<Call> {
    let (header, entries) = evidence.announced();
    let entries = AnnouncedEntries::try_from(entries).ok()?;
    Some(lite_blocks::announce(&header, &entries, evidence.body.as_ref()?))
}

/// What the hospitals approved if they approved this block.
fn subject(evidence: &Evidence) -> Hash {
    let (header, entries) = evidence.announced();
    header.subject(&entries, evidence.header.body_hash)
}

/// The chain blocks that were read; most votes about a lite block are in the same few.
struct Blocks<'a> {
    chain: &'a Chain,
    read: BTreeMap<BlockNumber, Vec<Vec<u8>>>,
}

impl Blocks<'_> {
    async fn statement(
        &mut self,
        hospital: HospitalId,
        block: BlockNumber,
        call: &Call,
    ) -> Result<Statement, ChainError> {
        let chain = self.chain;
        let agent = agent_before(chain, hospital, block).await?;
        let found = chain.signed_calls(call, block, self.extrinsics(block).await?).await?;
        Ok(Statement { hospital, block, agent, found })
    }

    /// The extrinsics of a finalized block; none if there is no such block.
    async fn extrinsics(&mut self, block: BlockNumber) -> Result<&[Vec<u8>], ChainError> {
        let read: &Vec<Vec<u8>> = match self.read.entry(block) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(unread) => unread.insert(match self.chain.block_hash(block).await? {
                Some(hash) => self.chain.extrinsics(hash).await?,
                None => Vec::new(),
            }),
        };
        Ok(read)
    }
}

async fn agent_before(
    chain: &Chain,
    hospital: HospitalId,
    block: BlockNumber,
) -> Result<Option<AccountId>, ChainError> {
    let Some(parent) = block.checked_sub(1) else { return Ok(None) };
    let Some(parent) = chain.block_hash(parent).await? else { return Ok(None) };
    Ok(chain.at(parent).hospital(hospital).await?.map(|hospital| hospital.agent))
}

/// Checks the subject of the ballot, and that announcement and approvals are by the hospitals' agents.
pub(super) fn check(evidence: &Evidence, report: &mut Verification) {
    let Statements { announced, approved } = &evidence.statements;
    report.holds(
        "announcer's signature",
        CLAIM,
        match announced {
            Some(statement) => made(statement),
            None => Err("announcement or body is missing".into()),
        },
    );
    let Some(ballot) = &evidence.ballot else { return };
    report.same("ballot's subject", &subject(evidence), &ballot.subject);
    for approval in &ballot.approvals {
        let is_its =
            |it: &&Statement| (it.hospital, it.block) == (approval.hospital, approval.block);
        let signed =
            approved.iter().find(is_its).map_or_else(|| Err(missing(approval.block)), made);
        report.holds(&format!("signature of hospital {}", approval.hospital), CLAIM, signed);
    }
}

fn missing(block: BlockNumber) -> String {
    format!("chain block {block} does not contain it")
}

fn made(statement: &Statement) -> Result<(), String> {
    let Statement { hospital, block, agent, found } = statement;
    let agent = agent
        .as_ref()
        .ok_or_else(|| format!("before chain block {block} there was no hospital {hospital}"))?;
    if found.iter().any(|call| call.signer == *agent && call.is_authentic()) {
        return Ok(());
    }
    Err(match found.iter().find(|call| call.signer == *agent).or(found.first()) {
        None => missing(*block),
        Some(call) if call.signer == *agent => {
            format!("in chain block {block} it has a signature that the agent {agent} did not make")
        }
        Some(call) => format!(
            "in chain block {block} it is by {}, but the hospital's agent was {agent}",
            call.signer
        ),
    })
}
