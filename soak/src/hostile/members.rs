//! The attackers: a user, and the agent and the governance account of a hospital. They use every node and every worker.

use std::{io::Read, sync::Arc, time::Duration};

use epione_client::{
    chain::{
        Call, Chain, ChainEvent, Snapshot,
        calls::{approvals, lite_blocks},
    },
    reader::SignedRequest,
    signer::Account,
};
use epione_devnet::HospitalState;
use epione_primitives::{
    AnnouncementId, Hash, HospitalId, RecordPointer, access::Policies, approval::RejectReason,
};
use futures::future::join_all;
use serde_json::json;
use tokio::{spawn, task::JoinHandle, time::sleep};

use super::{calls, honest, sockets, tally::Tally};
use crate::{
    content::Content,
    council,
    dice::Dice,
    node::{self, Node},
    people::{Practice, TREATMENT},
};

/// Transactions of the user that wait at each node at the same time; every second is a batch.
const USERS_TRANSACTIONS: u64 = 8;
/// Calls in one batch.
const BATCHED: usize = 200;
/// Looks of the user at the same time.
const LOOKS: usize = 4;
/// Connections to each worker that stay silent, and that send slowly.
const SILENT: usize = 60;
const SLOW: usize = 20;
/// Bytes of a block that is announced and withdrawn.
const ANNOUNCED: u64 = 256 * 1024;
/// Different motions through each node.
const MOTIONS: u64 = 8;
/// The pause between two requests that a node or worker refuses at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Who attacks, and what they know.
pub struct Attackers {
    /// A doctor of an honest hospital, with a patient.
    pub user: Practice,
    /// A doctor of the hostile hospital, with a patient.
    pub hospital: Practice,
    pub agent: Account,
    pub governance: Account,
    /// An honest doctor, whose patient's records they would like to read.
    pub victim: Practice,
    pub members: Vec<HospitalState>,
}

/// An attack that lasts until it is ended or dropped.
pub struct Attack {
    tasks: Vec<JoinHandle<()>>,
}

impl Attack {
    /// Ends all attacks. What the nodes' pools still contain may be included later.
    pub async fn end(mut self) {
        for task in &mut self.tasks {
            task.abort();
            // It was aborted.
            let _ = task.await;
        }
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What one attacker uses at one node.
#[derive(Clone)]
struct Place {
    attackers: Arc<Attackers>,
    tally: Arc<Tally>,
    chain: Chain,
    node: Node,
    /// The hospital of the node.
    at: HospitalId,
    /// The newest record of the victim's patient.
    wanted: RecordPointer,
    /// The record of the user's own patient.
    own: RecordPointer,
    policies: Policies,
}

/// Begins all attacks. Before, the user and the victim each submit a visit.
pub async fn attack(attackers: Attackers, tally: &Arc<Tally>, seed: u64) -> anyhow::Result<Attack> {
    let own = honest::commit(&attackers.user, "a visit to read again and again").await?;
    let wanted =
        honest::commit(&attackers.victim, "a visit that others would like to read").await?;
    let state = attackers.hospital.chain.finalized().await?;
    let set = state.policies(attackers.hospital.hospital, Some(0)).await?;
    let policies = set.map(|(_, set)| set.policies).unwrap_or_default();
    let attackers = Arc::new(attackers);
    let mut attack = Attack { tasks: Vec::new() };
    for member in &attackers.members {
        let place = Place {
            attackers: attackers.clone(),
            tally: tally.clone(),
            // Not the honest doctors' connection, whose transactions would wait for these.
            chain: Chain::connect(&member.node_url).await?,
            node: Node::new(&member.node_url)?,
            at: member.id,
            wanted,
            own,
            policies: policies.clone(),
        };
        attack.tasks.extend(place.attack(seed));
        let worker = node::address(&member.worker_url)?;
        let silent = || spawn(sockets::silent(worker.clone(), tally.clone()));
        attack.tasks.extend((0..SILENT).map(|_| silent()));
        let slow = || spawn(sockets::slow(worker.clone(), tally.clone()));
        attack.tasks.extend((0..SLOW).map(|_| slow()));
    }
    Ok(attack)
}

impl Place {
    /// Begins what the attackers do at this node, and at this worker if the user is registered there.
    fn attack(self, seed: u64) -> Vec<JoinHandle<()>> {
        let dice = |label: &str| Dice::new(seed, &format!("{label} {}", self.at));
        let looks = if self.at == self.attackers.user.hospital { LOOKS } else { 0 };
        let mut tasks = vec![
            spawn(self.clone().send_garbage(dice("garbage"))),
            spawn(self.clone().announce_and_withdraw()),
            spawn(self.clone().vote(dice("votes"))),
            spawn(self.clone().fabricate_receipts()),
            spawn(self.clone().propose()),
            spawn(self.clone().replace_policies()),
        ];
        tasks.extend((0..looks).map(|_| spawn(self.clone().look_again())));
        tasks.extend(
            (0..USERS_TRANSACTIONS).map(|number| spawn(self.clone().fill_blocks(number % 2 == 0))),
        );
        tasks
    }

    async fn send(&self, attack: &'static str, call: &Call, from: &Account) {
        let outcome = self.chain.submit(call, from).await;
        self.tally.submitted(attack, &outcome);
        if outcome.is_err() {
            sleep(PAUSE).await;
        }
    }

    /// A number that no other place uses.
    fn unique(&self, number: u64) -> u64 {
        (number << 16) | u64::from(self.at.0)
    }

    /// The user sends valid transactions that fail.
    async fn fill_blocks(self, in_batches: bool) {
        let user = &self.attackers.user;
        loop {
            if in_batches {
                let call = calls::failing_batch(user.doctor, user.hospital, BATCHED);
                self.send("user's batch", &call, &user.account).await;
            } else {
                let call = calls::failing(user.doctor, user.hospital);
                self.send("user's call", &call, &user.account).await;
            }
        }
    }

    /// The user sends bytes that are no transaction.
    async fn send_garbage(self, mut dice: Dice) {
        loop {
            let bytes: Vec<u8> =
                (0..dice.within(1..1_024)).map(|_| dice.within(0..256) as u8).collect();
            let sent = self
                .node
                .call("author_submitExtrinsic", json!([format!("0x{}", hex::encode(&bytes))]));
            let outcome = match sent.await {
                Ok(_) => "accepted".to_owned(),
                Err(error) => format!("refused: {error}"),
            };
            self.tally.count("garbage at a node", &outcome);
            sleep(PAUSE).await;
        }
    }

    /// The user requests a grant for the same record again and again.
    async fn look_again(self) {
        let user = &self.attackers.user;
        let genesis = self.chain.genesis_hash();
        let records = [self.own.into()];
        loop {
            // A request with the same nonce would be answered once.
            let request = SignedRequest::new(
                genesis,
                &user.worker,
                user.doctor,
                user.patient,
                &records,
                TREATMENT,
            );
            let outcome = match request {
                Ok(request) => match user.worker.grant(&request.to_api()).await {
                    Ok(_) => "granted".to_owned(),
                    Err(error) => format!("refused: {error}"),
                },
                Err(error) => format!("not sent: {error}"),
            };
            self.tally.count("repeated grant", &outcome);
            sleep(PAUSE).await;
        }
    }

    /// The agent announces blocks of new bytes, and withdraws them.
    async fn announce_and_withdraw(self) {
        let Attackers { hospital, agent, .. } = &*self.attackers;
        for number in 0_u64.. {
            let mut body = Vec::new();
            let seed = format!("{}-{number}", self.at);
            // Content never fails to be read.
            let _ = Content::new(&seed, ANNOUNCED).read_to_end(&mut body);
            let call = calls::announce(hospital.hospital, hospital.patient, &body);
            let outcome = self.chain.submit(&call, agent).await;
            self.tally.submitted("agent's announcement", &outcome);
            let announced = outcome.iter().flat_map(|included| &included.events);
            let ids: Vec<_> = announced
                .filter_map(|event| match event {
                    ChainEvent::Announced { id, .. } => Some(*id),
                    _ => None,
                })
                .collect();
            for id in ids {
                self.send("agent's withdrawal", &lite_blocks::withdraw(id), agent).await;
            }
            sleep(PAUSE).await;
        }
    }

    /// The agent votes on every open ballot, for or against, whatever it is about.
    async fn vote(self, mut dice: Dice) {
        loop {
            let open = self.open_ballots().await;
            let votes: Vec<_> = open
                .into_iter()
                .map(|(id, subject)| {
                    // Some votes are about something that no ballot is about.
                    let subject = if dice.chance(20) { Hash::zero() } else { subject };
                    if dice.chance(50) {
                        approvals::approve(id, subject)
                    } else {
                        approvals::reject(id, subject, RejectReason::MalformedBody)
                    }
                })
                .collect();
            join_all(votes.into_iter().map(|vote| self.cast(vote))).await;
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// The open ballots, and what each is about.
    async fn open_ballots(&self) -> Vec<(AnnouncementId, Hash)> {
        let Ok(state) = self.chain.finalized().await else { return Vec::new() };
        let open = state.open_announcements().await.unwrap_or_default();
        let subjects = open.into_iter().map(|id| subject(&state, id));
        join_all(subjects).await.into_iter().flatten().collect()
    }

    async fn cast(&self, vote: Call) {
        self.send("agent's vote", &vote, &self.attackers.agent).await;
    }

    /// The agent records releases that nobody requested, of another hospital's records, and of records that its own
    /// hospital would have in the name of a victim who signed nothing.
    async fn fabricate_receipts(self) {
        let Attackers { hospital, agent, victim, .. } = &*self.attackers;
        for number in 0_u64.. {
            let is_own = number.is_multiple_of(2);
            let number = self.unique(number);
            let at = match self.chain.finalized().await {
                Ok(state) => state.time().await.unwrap_or_default(),
                Err(_) => 0,
            };
            // The first is signed by its requester, who has no right; the second by the agent.
            let (requester, signer) =
                if is_own { (hospital.doctor, &hospital.account) } else { (victim.doctor, agent) };
            let forged = calls::Forged {
                genesis: self.chain.genesis_hash(),
                requester,
                patient: victim.patient,
                hospital: hospital.hospital,
                pointer: self.wanted,
                at,
                number,
            };
            self.send("agent's fabricated receipt", &forged.receipt(signer), agent).await;
        }
    }

    /// The governance account proposes motions, votes for them, and tries to close them: to suspend an honest
    /// hospital, and without an effect.
    async fn propose(self) {
        let governance = &self.attackers.governance;
        let victim = council::suspend(self.attackers.victim.hospital);
        let remarks = (0..MOTIONS).map(|number| council::remark(self.unique(number)));
        let motions: Vec<_> = remarks.chain([victim]).collect();
        for number in 0_usize.. {
            let motion = &motions[number % motions.len()];
            // A threshold of two would be too low, three is right.
            let threshold = if number.is_multiple_of(2) { 3 } else { 2 };
            self.send("governance's motion", &council::propose(threshold, motion), governance)
                .await;
            let key = council::votes_key(motion.hash());
            let Ok(Some(index)) = self.node.stored_number(&key).await else { continue };
            let vote = council::vote(motion.hash(), index, true);
            self.send("governance's vote", &vote, governance).await;
            self.send("governance's closing", &council::close(motion, index), governance).await;
        }
    }

    /// The governance account sets the hospital's policies again and again. All versions are kept.
    async fn replace_policies(self) {
        let call = calls::set_policies(&self.policies);
        loop {
            self.send("governance's policies", &call, &self.attackers.governance).await;
        }
    }
}

/// What a ballot is about, if it is still there.
async fn subject(state: &Snapshot, id: AnnouncementId) -> Option<(AnnouncementId, Hash)> {
    let ballot = state.ballot(id).await.ok()??;
    Some((id, ballot.subject))
}
