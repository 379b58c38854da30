//! A node of a chain in memory, which answers as its test says.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use codec::{Decode, Encode};
use epione_primitives::{
    BlockNumber, ChainHeader, Hash, Moment, RecordPointer,
    rpc::{FinalityReply, RecordReply},
};
use epione_proofs::{Authorities, StorageKey};
use futures::stream;
use serde_json::{Value, json};
use sp_consensus_grandpa::ConsensusLog;
use sp_core::Bytes;
use sp_runtime::{
    StateVersion,
    traits::{BlakeTwo256, Hash as _},
};
use subxt::rpcs::{
    Error, RpcClient, UserError,
    client::{RawRpcFuture, RawRpcSubscription, RawValue, RpcClientT},
};

use super::{
    evident::BUILT,
    keys,
    made::{State, change, header, justified, list, with_log},
    nodes,
};
use crate::chain::{Chain, bodies::cid};

#[derive(Clone)]
struct Block {
    header: ChainHeader,
    time: Moment,
    values: BTreeMap<StorageKey, Vec<u8>>,
    state: Arc<State>,
    justification: Vec<u8>,
    extrinsics: Vec<Vec<u8>>,
}

/// A chain: blocks, and what the next block will contain.
#[derive(Clone)]
pub struct Network {
    blocks: Vec<Block>,
    values: BTreeMap<StorageKey, Vec<u8>>,
    set: u64,
    /// Sets that the state has counted and that never voted.
    ahead: u64,
    /// Who votes.
    voters: Range<u8>,
    next_voters: Option<Range<u8>>,
    time: Option<Moment>,
    is_timeless: bool,
    /// The blocks that handed over, and the sets that they ended.
    hand_overs: Vec<(BlockNumber, u64)>,
    /// Committed records, the oldest first.
    records: Vec<RecordReply>,
    /// The extrinsics of the next block.
    extrinsics: Vec<Vec<u8>>,
    /// What nodes store outside the state, by the content identifier.
    bodies: BTreeMap<String, Vec<u8>>,
}

impl Network {
    pub fn new(authorities: Range<u8>) -> Self {
        let list = list(authorities.clone());
        let values = BTreeMap::from([(Authorities::key(), list.encode())]);
        let mut network = Self {
            blocks: Vec::new(),
            values,
            set: 0,
            ahead: 0,
            voters: authorities,
            next_voters: None,
            time: None,
            is_timeless: false,
            hand_overs: Vec::new(),
            records: Vec::new(),
            extrinsics: Vec::new(),
            bodies: BTreeMap::new(),
        };
        network.add(0, Hash::zero(), 0, None);
        network
    }

    /// Changes the state of the next block.
    pub fn put(&mut self, key: StorageKey, value: &impl Encode) {
        self.values.insert(key, value.encode());
    }

    /// A value that the state of the next block has.
    pub fn value<T: Decode>(&self, key: &StorageKey) -> Option<T> {
        self.values.get(key).map(|value| T::decode(&mut value.as_slice()).unwrap())
    }

    /// Removes a value from the state of the next block.
    pub fn remove(&mut self, key: &StorageKey) {
        self.values.remove(key);
    }

    /// The next block has this extrinsic.
    pub fn include(&mut self, extrinsic: Vec<u8>) {
        self.extrinsics.push(extrinsic);
    }

    /// Nodes serve this body.
    pub fn store(&mut self, body: &[u8]) {
        self.bodies.insert(cid(BlakeTwo256::hash(body)), body.to_vec());
    }

    /// Nodes serve this record.
    pub fn serve(&mut self, record: RecordReply) {
        self.records.push(record);
    }

    /// The time of the next block.
    pub fn set_time(&mut self, time: Moment) {
        self.time = Some(time);
    }

    /// From the next block on, these vote, whether or not they are the authorities.
    pub fn sign_as(&mut self, voters: Range<u8>) {
        self.voters = voters;
    }

    /// The next block hands over to these authorities.
    pub fn change(&mut self, authorities: Range<u8>) {
        self.next_voters = Some(authorities);
    }

    /// As [`Network::push`], but the state after this block has no time.
    pub fn push_without_time(&mut self) {
        self.is_timeless = true;
        self.values.remove(&keys::now());
        self.push();
        self.is_timeless = false;
    }

    /// Adds a block that is final.
    pub fn push(&mut self) {
        let (set, voters) = (self.set, self.voters.clone());
        let (number, parent) = (self.newest().header.number, self.newest().header.hash());
        self.values.insert(keys::block_hash(number), parent.encode());
        let log = self.next_voters.take().map(|next| {
            self.set += 1;
            self.voters = next.clone();
            self.hand_overs.push((number + 1, set));
            self.state_names(next.clone());
            ConsensusLog::ScheduledChange(change(next, 0))
        });
        self.add(number + 1, parent, self.time.unwrap_or_else(now), log);
        if let Some(block) = self.blocks.last_mut() {
            block.justification = justified(set, voters, &block.header);
        }
    }

    /// The state of the next block counts and names these authorities.
    fn state_names(&mut self, authorities: Range<u8>) {
        self.values.insert(keys::current_set(), (self.set + self.ahead).encode());
        self.values.insert(Authorities::key(), list(authorities).encode());
    }

    /// Adds a block that announces these authorities, while nothing becomes final: they never vote.
    pub fn announce_in_vain(&mut self, authorities: Range<u8>) {
        self.ahead += 1;
        self.state_names(authorities.clone());
        self.push_without_votes(ConsensusLog::ScheduledChange(change(authorities, 0)));
    }

    /// Adds a block that makes these the authorities by force, after the newest final block.
    pub fn force(&mut self, authorities: Range<u8>) {
        let last = self.blocks.iter().rfind(|block| !block.justification.is_empty()).unwrap();
        let last = last.header.number;
        self.hand_overs.push((last, self.set));
        self.set += 1;
        self.voters = authorities.clone();
        self.state_names(authorities.clone());
        self.push_without_votes(ConsensusLog::ForcedChange(last, change(authorities, 0)));
    }

    fn push_without_votes(&mut self, log: ConsensusLog<BlockNumber>) {
        let (number, parent) = (self.newest().header.number, self.newest().header.hash());
        self.values.insert(keys::block_hash(number), parent.encode());
        self.add(number + 1, parent, now(), Some(log));
    }

    /// Adds a block with this number, for which nobody voted.
    pub fn forge(&mut self, number: BlockNumber) {
        let parent = self.newest().header.hash();
        self.add(number, parent, now(), None);
    }

    fn add(
        &mut self,
        number: BlockNumber,
        parent: Hash,
        time: Moment,
        log: Option<ConsensusLog<BlockNumber>>,
    ) {
        if number > 0 && !self.is_timeless {
            self.values.insert(keys::now(), time.encode());
        }
        let values: Vec<_> =
            self.values.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let state = State::new(&values);
        let mut header = header(number, parent, state.root);
        if let Some(log) = log {
            header = with_log(header, log);
        }
        let extrinsics = std::mem::take(&mut self.extrinsics);
        if !extrinsics.is_empty() {
            header.extrinsics_root =
                BlakeTwo256::ordered_trie_root(extrinsics.clone(), StateVersion::V0);
        }
        let (values, state) = (self.values.clone(), Arc::new(state));
        let justification = Vec::new();
        let block = Block { header, time, values, state, justification, extrinsics };
        self.blocks.push(block);
    }

    /// The chain up to this block.
    pub fn until(mut self, number: BlockNumber) -> Self {
        self.blocks.truncate(number as usize + 1);
        self.values = self.newest().values.clone();
        self
    }

    fn newest(&self) -> &Block {
        self.blocks.last().unwrap()
    }

    pub fn genesis(&self) -> Hash {
        self.blocks[0].header.hash()
    }

    pub fn hashes(&self) -> Vec<Hash> {
        self.blocks.iter().map(|block| block.header.hash()).collect()
    }

    pub fn times(&self) -> Vec<Moment> {
        self.blocks.iter().map(|block| block.time).collect()
    }

    pub fn header(&self, number: BlockNumber) -> ChainHeader {
        self.blocks[number as usize].header.clone()
    }

    pub fn newest_header(&self) -> ChainHeader {
        self.newest().header.clone()
    }

    /// The justification of the newest block.
    pub fn justification(&self) -> Vec<u8> {
        self.newest().justification.clone()
    }

    /// As `finality_newest`.
    pub fn finality(&self) -> Value {
        let Block { header, justification, .. } = self.newest().clone();
        json!(FinalityReply { header, justification: Bytes(justification) })
    }

    /// The JSON of the proof of a key of the newest state.
    pub fn proof_of_newest(&self, key: &StorageKey) -> Value {
        nodes(self.newest().state.proof(std::slice::from_ref(key)))
    }

    fn with_hash(&self, hash: &Value) -> Option<&Block> {
        self.blocks.iter().rev().find(|block| json!(block.header.hash()) == *hash)
    }

    /// As `grandpa_proveFinality`: the end of the block's set, or the newest block.
    fn prove_finality(&self, number: BlockNumber) -> Result<Value, String> {
        let ended = self.hand_overs.iter().find(|(end, _)| number <= *end);
        let target = match ended {
            Some((end, _)) => &self.blocks[*end as usize],
            None if self.hand_overs.is_empty() => return Err("not covered".into()),
            None => self.newest(),
        };
        let between = number + 1..=target.header.number;
        let headers: Vec<_> = between.map(|number| self.header(number)).collect();
        let proof = (target.header.hash(), &target.justification, headers).encode();
        Ok(json!(Bytes(proof)))
    }

    /// As `liteBlocks_history`: the user's records before another one, newest first.
    fn history(&self, user: &Value, before: &Value) -> Value {
        let before: Option<RecordPointer> = serde_json::from_value(before.clone()).unwrap();
        let records = self.records.iter().rev();
        let records = records.filter(|it| json!(it.entry.patient) == *user);
        let records = records.filter(|it| before.is_none_or(|before| it.pointer < before));
        json!(records.collect::<Vec<_>>())
    }

    fn answer(&self, method: &str, params: &[Value]) -> Result<Value, String> {
        let number = || params[0].as_u64().unwrap() as BlockNumber;
        Ok(match method {
            "chain_getBlockHash" => {
                json!(self.blocks.get(number() as usize).map(|block| block.header.hash()))
            }
            "chain_getFinalizedHead" => json!(self.newest().header.hash()),
            "chain_getHeader" => json!(self.with_hash(&params[0]).map(|block| &block.header)),
            "state_getReadProof" => {
                let block = self.with_hash(&params[1]).unwrap();
                let keys: Vec<Bytes> = serde_json::from_value(params[0].clone()).unwrap();
                let proof = block.state.proof_of(keys.iter().map(|key| key.0.as_slice()));
                json!({ "at": params[1], "proof": nodes(proof) })
            }
            "state_getStorage" => {
                let values = &self.with_hash(&params[1]).unwrap().values;
                let found = values.iter().find(|(key, _)| json!(key.to_string()) == params[0]);
                json!(found.map(|(_, value)| Bytes(value.clone())))
            }
            "state_getKeysPaged" => {
                let values = &self.with_hash(&params[3]).unwrap().values;
                let (prefix, limit) = (params[0].as_str().unwrap(), params[1].as_u64().unwrap());
                let start = params[2].as_str().unwrap_or_default();
                let keys = values.keys().map(StorageKey::to_string);
                let keys = keys.filter(|key| key.starts_with(prefix) && key.as_str() > start);
                json!(keys.take(limit as usize).collect::<Vec<_>>())
            }
            "chain_getBlock" => {
                let block = self.with_hash(&params[0]).unwrap();
                let extrinsics: Vec<_> = block.extrinsics.iter().cloned().map(Bytes).collect();
                json!({ "block": { "extrinsics": extrinsics } })
            }
            "state_getRuntimeVersion" => {
                let (spec, transaction) = BUILT;
                json!({ "specVersion": spec, "transactionVersion": transaction })
            }
            "bitswap_v1_get" => {
                let body = self.bodies.get(params[0].as_str().unwrap()).ok_or("no such body")?;
                json!(Bytes(body.clone()))
            }
            "finality_newest" => self.finality(),
            "grandpa_proveFinality" => return self.prove_finality(number()),
            "justification" => json!(Bytes(self.justification())),
            "state_call" => return Err("this node has no runtime".into()),
            "liteBlocks_record" => {
                let found = self.records.iter().find(|it| json!(it.pointer) == params[0]);
                json!(found.ok_or("no such record")?)
            }
            "liteBlocks_history" => self.history(&params[0], &params[1]),
            other => panic!("{other} is not served"),
        })
    }
}

type Lie = dyn Fn(&str, &[Value], Value) -> Value + Send + Sync;

/// A node. Clones are the same node.
#[derive(Clone)]
pub struct Node {
    network: Arc<Mutex<Network>>,
    lie: Arc<Mutex<Option<Arc<Lie>>>>,
    /// The error codes of refused methods.
    refused: Arc<Mutex<BTreeMap<String, i32>>>,
    /// Methods that the node does not answer.
    silent: Arc<Mutex<BTreeSet<String>>>,
    requests: Arc<AtomicUsize>,
    subscriptions: Arc<AtomicUsize>,
}

/// A subscription while it is open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Node {
    pub fn new(network: Network) -> Self {
        let network = Arc::new(Mutex::new(network));
        Self {
            network,
            lie: Arc::default(),
            refused: Arc::default(),
            silent: Arc::default(),
            requests: Arc::default(),
            subscriptions: Arc::default(),
        }
    }

    /// A connection that believes the node.
    pub async fn connect(&self) -> Chain {
        Chain::over(RpcClient::new(self.clone()), "ws://memory").await.unwrap()
    }

    /// From now on, the node's answers are what this makes of the true ones.
    pub fn lie(&self, lie: impl Fn(&str, &[Value], Value) -> Value + Send + Sync + 'static) {
        *self.lie.lock().unwrap() = Some(Arc::new(lie));
    }

    /// From now on, the node refuses this method.
    pub fn refuse(&self, method: &str, code: i32) {
        self.refused.lock().unwrap().insert(method.into(), code);
    }

    /// From now on, the node does not answer this method.
    pub fn silence(&self, method: &str) {
        self.silent.lock().unwrap().insert(method.into());
    }

    pub fn edit(&self, edit: impl FnOnce(&mut Network)) {
        edit(&mut self.network.lock().unwrap());
    }

    pub fn replace(&self, network: Network) {
        *self.network.lock().unwrap() = network;
    }

    /// The number of requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The number of open subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    fn answer(&self, method: &str, params: &[Value]) -> Result<Value, Error> {
        if let Some(code) = self.refused.lock().unwrap().get(method) {
            return Err(refusal(*code, "this node refuses the method"));
        }
        let truth = self.network.lock().unwrap().answer(method, params);
        let lie = self.lie.lock().unwrap().clone();
        match (truth, lie) {
            (Ok(truth), Some(lie)) => Ok(lie(method, params, truth)),
            (Err(_), Some(lie)) if method == "state_call" => Ok(lie(method, params, json!("0x"))),
            (Ok(truth), None) => Ok(truth),
            (Err(message), _) => Err(refusal(-1, &message)),
        }
    }
}

impl RpcClientT for Node {
    fn request_raw<'a>(
        &'a self,
        method: &'a str,
        params: Option<Box<RawValue>>,
    ) -> RawRpcFuture<'a, Box<RawValue>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if self.silent.lock().unwrap().contains(method) {
            return Box::pin(futures::future::pending());
        }
        let params: Vec<Value> =
            params.map_or_else(Vec::new, |params| serde_json::from_str(params.get()).unwrap());
        let answer = self.answer(method, &params);
        Box::pin(async move { Ok(RawValue::from_string(answer?.to_string()).unwrap()) })
    }

    /// Repeats the justification of the newest block.
    fn subscribe_raw<'a>(
        &'a self,
        method: &'a str,
        _: Option<Box<RawValue>>,
        _: &'a str,
    ) -> RawRpcFuture<'a, RawRpcSubscription> {
        assert_eq!(method, "grandpa_subscribeJustifications");
        let start = (self.clone(), Open::new(&self.subscriptions));
        let justifications = stream::unfold(start, |(node, open)| async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let answer = node.answer("justification", &[]);
            let item = answer.map(|json| RawValue::from_string(json.to_string()).unwrap());
            Some((item, (node, open)))
        });
        Box::pin(
            async move { Ok(RawRpcSubscription { stream: Box::pin(justifications), id: None }) },
        )
    }
}

fn refusal(code: i32, message: &str) -> Error {
    Error::User(UserError { code, message: message.into(), data: None })
}

fn now() -> Moment {
    crate::now() - 1_000
}
