//! What the hospitals' agents signed about a block: the announcement and the approvals. Each is a transaction of a
//! chain block, so anybody can verify that the hospital made it (component C).

use std::collections::BTreeMap;

use epione_primitives::{
    AccountId, BlockNumber, Hash, HospitalId,
    approval::{Approval, Ballot},
    block::{AnnouncedEntries, Announcement},
};

use super::{Evidence, Verification};
use crate::chain::{
    BlockEvent, Call, Chain, ChainError, ChainEvent, SignedCall,
    calls::{approvals, lite_blocks},
};

const CLAIM: &str = "a transaction that the hospital's agent signed";
/// Maximum number of transactions that a statement keeps. One is enough, and a lying node may send many.
const MAX_FOUND: usize = 8;

/// A call that a hospital made, according to the chain's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub hospital: HospitalId,
    /// The chain block that should contain the call.
    pub block: BlockNumber,
    /// The hospital's agents before, in and after that block: several if the hospital rotated its accounts in it, none
    /// if there was no such hospital or block.
    pub agents: Vec<AccountId>,
    /// Transactions of that block with exactly this call: those that name an agent as signer, or another one.
    pub found: Vec<SignedCall>,
}

/// Announcement and approvals of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statements {
    /// None without an announcement or a body, which have checks of their own.
    pub announced: Option<Statement>,
    /// In the order of their chain blocks.
    pub approved: Vec<Statement>,
}

/// Reads the chain blocks that should contain announcement and approvals: one at a time, since each may have
/// megabytes.
pub(super) async fn gather(chain: &Chain, evidence: &Evidence) -> Result<Statements, ChainError> {
    let announced = match (&evidence.announcement, announcing(evidence)) {
        (Some(Announcement { announcer, announced_at, .. }), Some(call)) => {
            statements(chain, &call, *announced_at, &[*announcer]).await?.pop()
        }
        _ => None,
    };
    let approve = approvals::approve(evidence.header.announcement, subject(evidence));
    let mut approved = Vec::new();
    for (block, hospitals) in evidence.ballot.as_ref().map(by_block).unwrap_or_default() {
        approved.extend(statements(chain, &approve, block, &hospitals).await?);
    }
    Ok(Statements { announced, approved })
}

/// The hospitals that approved, by the chain blocks of their votes. Most votes are in the same few.
fn by_block(ballot: &Ballot) -> BTreeMap<BlockNumber, Vec<HospitalId>> {
    let mut blocks: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Approval { hospital, block } in &ballot.approvals {
        blocks.entry(*block).or_default().push(*hospital);
    }
    blocks
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

/// Searches a chain block for a call that these hospitals made.
async fn statements(
    chain: &Chain,
    call: &Call,
    block: BlockNumber,
    hospitals: &[HospitalId],
) -> Result<Vec<Statement>, ChainError> {
    let all = transactions(chain, call, block).await?;
    let mut statements = Vec::new();
    for &hospital in hospitals {
        let agents = agents(chain, hospital, block).await?;
        let own = all.iter().filter(|call| agents.contains(&call.signer)).take(MAX_FOUND);
        let mut found: Vec<_> = own.cloned().collect();
        if found.is_empty() {
            found.extend(all.first().cloned());
        }
        statements.push(Statement { hospital, block, agents, found });
    }
    Ok(statements)
}

/// The transactions of a finalized block with this call; none if there is no such block.
async fn transactions(
    chain: &Chain,
    call: &Call,
    block: BlockNumber,
) -> Result<Vec<SignedCall>, ChainError> {
    let Some(hash) = chain.block_hash(block).await? else { return Ok(Vec::new()) };
    let extrinsics = chain.extrinsics(hash).await?;
    chain.signed_calls(call, block, &extrinsics).await
}

/// The agents of a hospital before, in and after a chain block. A hospital may vote and then rotate its accounts in the
/// same block, or rotate and then vote, or vote between two rotations.
async fn agents(
    chain: &Chain,
    hospital: HospitalId,
    block: BlockNumber,
) -> Result<Vec<AccountId>, ChainError> {
    let agents = agents_around(chain, hospital, block).await?;
    // No account becomes an agent twice. So if both are the same, there was no rotation of the agent.
    if agents.len() < 2 {
        return Ok(agents);
    }
    let Some(hash) = chain.block_hash(block).await? else { return Ok(agents) };
    Ok(with_those_between(agents, hospital, &chain.events(hash).await?))
}

/// Adds the agents to which a hospital rotated in a block with these events.
fn with_those_between(
    mut agents: Vec<AccountId>,
    hospital: HospitalId,
    events: &[BlockEvent],
) -> Vec<AccountId> {
    for BlockEvent { event, .. } in events {
        if let ChainEvent::AccountsRotated { hospital: rotated, agent, .. } = event
            && *rotated == hospital
            && !agents.contains(agent)
        {
            agents.push(agent.clone());
        }
    }
    agents
}

/// The agents of a hospital in the states before and after a chain block.
async fn agents_around(
    chain: &Chain,
    hospital: HospitalId,
    block: BlockNumber,
) -> Result<Vec<AccountId>, ChainError> {
    let mut agents = Vec::new();
    for number in block.checked_sub(1).into_iter().chain([block]) {
        let Some(hash) = chain.block_hash(number).await? else { continue };
        if let Some(known) = chain.at(hash).hospital(hospital).await?
            && !agents.contains(&known.agent)
        {
            agents.push(known.agent);
        }
    }
    Ok(agents)
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
    let Statement { hospital, block, agents, found } = statement;
    if agents.is_empty() {
        return Err(format!("at chain block {block} there was no hospital {hospital}"));
    }
    let is_own = |call: &&SignedCall| agents.contains(&call.signer);
    if found.iter().any(|call| is_own(&call) && call.is_authentic()) {
        return Ok(());
    }
    Err(match found.iter().find(is_own).or(found.first()) {
        None => missing(*block),
        Some(call) if is_own(&call) => format!(
            "in chain block {block} it has a signature that the agent {} did not make",
            call.signer
        ),
        Some(call) => format!(
            "in chain block {block} it is by {}, but the hospital's agent was {}",
            call.signer,
            listed(agents)
        ),
    })
}

fn listed(agents: &[AccountId]) -> String {
    agents.iter().map(AccountId::to_string).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests;
