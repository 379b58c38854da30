//! Watches the final blocks of all nodes during a drill: no two nodes may ever have different final blocks at one
//! height.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use epione_primitives::{BlockNumber, Hash, HospitalId};
use serde::Serialize;
use tokio::{sync::Mutex, task::JoinHandle, time::sleep};

use crate::node::Node;

/// The pause between two looks at all nodes: the time of a block.
const PAUSE: Duration = Duration::from_secs(3);

/// What was seen of the final blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finality {
    /// Heights at which final blocks were compared.
    pub heights: usize,
    /// The longest time in which no node had a new final block.
    pub longest_without_seconds: f64,
    /// The most blocks by which the final block of a node was behind its own best block.
    pub largest_lag: u32,
}

/// The watch over a network's nodes, until it is dropped.
pub struct Watch {
    ledger: Arc<Mutex<Ledger>>,
    task: JoinHandle<()>,
}

impl Watch {
    pub fn begin(nodes: BTreeMap<HospitalId, Node>) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::new(nodes)));
        let task = tokio::spawn({
            let ledger = ledger.clone();
            async move {
                loop {
                    ledger.lock().await.look().await;
                    sleep(PAUSE).await;
                }
            }
        });
        Self { ledger, task }
    }

    /// Fails if two nodes have had different final blocks at one height.
    pub async fn check(&self) -> anyhow::Result<()> {
        self.ledger.lock().await.account.check()
    }

    /// The newest block that any node has said to be final.
    pub async fn newest(&self) -> BlockNumber {
        self.ledger.lock().await.account.newest
    }

    /// What was seen until now.
    pub async fn seen(&self) -> Finality {
        self.ledger.lock().await.account.seen()
    }

    /// Watches another node, too.
    pub async fn follow(&self, hospital: HospitalId, node: Node) {
        self.ledger.lock().await.nodes.insert(hospital, node);
    }

    /// Forgets a node that is gone for good: [`settle`](Self::settle) does not wait for it.
    pub async fn forget(&self, hospital: HospitalId) {
        self.ledger.lock().await.nodes.remove(&hospital);
    }

    /// Waits until every node's final blocks are compared up to the newest one of now, and returns what was seen.
    pub async fn settle(&self, limit: Duration) -> anyhow::Result<Finality> {
        let begun = Instant::now();
        let wanted = self.newest().await;
        loop {
            let mut ledger = self.ledger.lock().await;
            ledger.look().await;
            ledger.account.check()?;
            let behind = ledger.behind(wanted);
            let Some(hospital) = behind else { return Ok(ledger.account.seen()) };
            ensure!(
                begun.elapsed() < limit,
                "the node of hospital {hospital} has not finalized block {wanted} after {} s",
                limit.as_secs()
            );
            drop(ledger);
            sleep(PAUSE).await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The nodes, and what they have said.
struct Ledger {
    nodes: BTreeMap<HospitalId, Node>,
    account: Account,
}

impl Ledger {
    fn new(nodes: BTreeMap<HospitalId, Node>) -> Self {
        Self { nodes, account: Account::new(Instant::now()) }
    }

    /// Asks every node for its final blocks since the last look. A node that does not answer is asked again next time.
    async fn look(&mut self) {
        for (hospital, node) in &self.nodes {
            // The node may be down or cut off: that is what drills are about.
            let _ = read(*hospital, node, &mut self.account).await;
        }
    }

    /// A node whose final blocks are not compared up to this height.
    fn behind(&self, height: BlockNumber) -> Option<HospitalId> {
        self.nodes.keys().find(|hospital| self.account.next(**hospital) <= height).copied()
    }
}

async fn read(hospital: HospitalId, node: &Node, account: &mut Account) -> anyhow::Result<()> {
    let finalized = node.finalized().await?;
    let best = node.number(None).await?;
    account.see_newest(finalized, best, Instant::now());
    for height in account.unread(hospital, finalized) {
        let hash = node.hash(height).await?.context("a final block without a hash")?;
        account.see(hospital, height, hash);
    }
    Ok(())
}

/// The final blocks that nodes have named.
struct Account {
    hashes: BTreeMap<BlockNumber, (Hash, HospitalId)>,
    /// The first height of each node that was not compared yet.
    next: BTreeMap<HospitalId, BlockNumber>,
    fork: Option<String>,
    newest: BlockNumber,
    newest_since: Instant,
    longest: Duration,
    largest_lag: u32,
}

impl Account {
    fn new(now: Instant) -> Self {
        Self {
            hashes: BTreeMap::new(),
            next: BTreeMap::new(),
            fork: None,
            newest: 0,
            newest_since: now,
            longest: Duration::ZERO,
            largest_lag: 0,
        }
    }

    fn next(&self, hospital: HospitalId) -> BlockNumber {
        self.next.get(&hospital).copied().unwrap_or(1)
    }

    /// The heights of a node that are to be compared. If the node has lost its database, all are compared again.
    fn unread(
        &mut self,
        hospital: HospitalId,
        finalized: BlockNumber,
    ) -> std::ops::RangeInclusive<BlockNumber> {
        if finalized + 1 < self.next(hospital) {
            self.next.insert(hospital, 1);
        }
        self.next(hospital)..=finalized
    }

    fn see(&mut self, hospital: HospitalId, height: BlockNumber, hash: Hash) {
        let (first, by) = *self.hashes.entry(height).or_insert((hash, hospital));
        if first != hash {
            self.fork.get_or_insert_with(|| {
                format!(
                    "two final blocks at height {height}: {first:?} at hospital {by}, {hash:?} at hospital {hospital}"
                )
            });
        }
        self.next.insert(hospital, height + 1);
    }

    fn see_newest(&mut self, finalized: BlockNumber, best: BlockNumber, now: Instant) {
        let since = now.saturating_duration_since(self.newest_since);
        self.longest = self.longest.max(since);
        if finalized > self.newest {
            (self.newest, self.newest_since) = (finalized, now);
        }
        self.largest_lag = self.largest_lag.max(best.saturating_sub(finalized));
    }

    fn check(&self) -> anyhow::Result<()> {
        let fork = self.fork.as_deref();
        ensure!(fork.is_none(), "a final block was forked: {}", fork.unwrap_or_default());
        Ok(())
    }

    fn seen(&self) -> Finality {
        Finality {
            heights: self.hashes.len(),
            longest_without_seconds: self.longest.as_secs_f64(),
            largest_lag: self.largest_lag,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HospitalId = HospitalId(0);
    const B: HospitalId = HospitalId(1);

    #[test]
    fn two_final_blocks_at_one_height_are_a_fork() {
        let mut account = Account::new(Instant::now());
        let [one, other] = [1, 2].map(Hash::repeat_byte);
        account.see(A, 1, one);
        account.see(B, 1, one);
        account.see(A, 2, one);
        account.check().unwrap();
        account.see(B, 2, other);
        let error = account.check().unwrap_err().to_string();
        assert!(error.contains("height 2"), "{error}");
        // It stays a fork, whatever is seen afterwards.
        account.see(B, 2, one);
        assert!(account.check().is_err());
    }

    #[test]
    fn the_blocks_of_a_node_that_lost_its_database_are_compared_again() {
        let mut account = Account::new(Instant::now());
        assert_eq!(account.unread(A, 2), 1..=2);
        account.see(A, 1, Hash::repeat_byte(1));
        account.see(A, 2, Hash::repeat_byte(2));
        assert_eq!(account.unread(A, 3), 3..=3);
        assert!(account.unread(A, 2).is_empty(), "nothing is new");
        assert_eq!(account.unread(A, 1), 1..=1);
        account.see(A, 1, Hash::repeat_byte(9));
        assert!(account.check().is_err());
    }

    #[test]
    fn stalls_and_lags_are_measured() {
        let begun = Instant::now();
        let after = |seconds| begun + Duration::from_secs(seconds);
        let mut account = Account::new(begun);
        account.see_newest(1, 2, after(5));
        account.see_newest(1, 9, after(65));
        account.see_newest(9, 10, after(66));
        account.see_newest(8, 10, after(67));
        let seen = account.seen();
        assert_eq!((seen.longest_without_seconds, seen.largest_lag), (61.0, 8));
        assert_eq!(account.newest, 9);
    }
}
