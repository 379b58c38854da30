//! An RPC client with the runtime's own types.

use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, Hash, HospitalId, Nonce, UserId,
    naming::{Naming, NamingConsent},
    profile::Role,
};
use epione_runtime::{
    Runtime, RuntimeCall, RuntimeEvent, SignedPayload, TxExtension, UncheckedExtrinsic, VERSION,
    caller::CheckCaller, in_flight::CheckInFlight, lifetime::CheckLifetime,
};
use jsonrpsee::{
    core::{
        ClientError,
        client::{ClientT, Subscription, SubscriptionClientT},
    },
    rpc_params,
    ws_client::{WsClient, WsClientBuilder},
};
use serde_json::Value;
use sp_core::{Bytes, Pair, sr25519};
use sp_io::hashing::twox_128;
use sp_runtime::{MultiSignature, generic::Era};

use crate::process::PATIENCE;

const MESSAGE_BYTES: u32 = 64 * 1024 * 1024;

pub struct Rpc {
    pub client: WsClient,
}

/// The hospital of the development chain.
pub const HOSPITAL: HospitalId = HospitalId(0);
pub const AGENT: &str = "//Alice//agent";

/// For how many blocks a transaction is valid, unless a test chooses the number.
pub const LIFETIME: u64 = 64;

/// The hash of every patient's sealing key.
const SEALING_KEY: Hash = Hash::repeat_byte(1);

fn pair_of(seed: &str) -> sr25519::Pair {
    sr25519::Pair::from_string(seed, None).unwrap()
}

/// The seed of the account of the patient with this number.
pub fn patients_seed(number: u8) -> String {
    format!("//patient-{number}")
}

fn patients_pair(number: u8) -> sr25519::Pair {
    pair_of(&patients_seed(number))
}

/// The patient with this number, whose id follows from the keys.
pub fn patient(number: u8) -> UserId {
    UserId::of(&patients_pair(number).public().into(), SEALING_KEY)
}

impl Rpc {
    pub async fn connect(url: &str) -> Self {
        let client = WsClientBuilder::default()
            .max_request_size(MESSAGE_BYTES)
            .max_response_size(MESSAGE_BYTES)
            .build(url)
            .await
            .unwrap();
        Self { client }
    }

    pub async fn finalized(&self) -> (u32, Hash) {
        let hash: Hash =
            self.client.request("chain_getFinalizedHead", rpc_params![]).await.unwrap();
        let header: Value =
            self.client.request("chain_getHeader", rpc_params![hash]).await.unwrap();
        (number_of(&header), hash)
    }

    /// The number of the newest block, which may not be final.
    pub async fn newest(&self) -> u32 {
        number_of(&self.client.request("chain_getHeader", rpc_params![]).await.unwrap())
    }

    /// A block's number, and its transactions as they are encoded.
    pub async fn block(&self, hash: Hash) -> (u32, Vec<Bytes>) {
        let found: Value = self.client.request("chain_getBlock", rpc_params![hash]).await.unwrap();
        let block = &found["block"];
        let extrinsics = serde_json::from_value(block["extrinsics"].clone()).unwrap();
        (number_of(&block["header"]), extrinsics)
    }

    /// The transactions in the pool that a block may include, as they are encoded. Those that wait for an earlier
    /// nonce are not among them.
    pub async fn pending(&self) -> Vec<Bytes> {
        self.client.request("author_pendingExtrinsics", rpc_params![]).await.unwrap()
    }

    async fn genesis(&self) -> Hash {
        self.client.request("chain_getBlockHash", rpc_params![0]).await.unwrap()
    }

    /// The account's next nonce, after those of its transactions in the pool.
    pub async fn next_nonce(&self, seed: &str) -> Nonce {
        let account = AccountId::from(pair_of(seed).public());
        self.client.request("system_accountNextIndex", rpc_params![account]).await.unwrap()
    }

    /// Signs with the account's next nonce, for the next 64 blocks.
    pub async fn sign(&self, seed: &str, call: impl Into<RuntimeCall>) -> UncheckedExtrinsic {
        let nonce = self.next_nonce(seed).await;
        self.sign_for(seed, call, nonce, Some(LIFETIME)).await
    }

    /// Signs with a nonce, for this number of blocks; without a number, forever.
    pub async fn sign_for(
        &self,
        seed: &str,
        call: impl Into<RuntimeCall>,
        nonce: Nonce,
        blocks: Option<u64>,
    ) -> UncheckedExtrinsic {
        let pair = pair_of(seed);
        let account = AccountId::from(pair.public());
        let genesis = self.genesis().await;
        let (number, finalized) = self.finalized().await;
        let (era, checkpoint) = match blocks {
            Some(blocks) => (Era::mortal(blocks, number.into()), finalized),
            None => (Era::Immortal, genesis),
        };
        let extension: TxExtension = (
            CheckCaller,
            frame_system::CheckNonZeroSender::<Runtime>::new(),
            frame_system::CheckSpecVersion::new(),
            frame_system::CheckTxVersion::new(),
            frame_system::CheckGenesis::new(),
            CheckLifetime(era),
            CheckInFlight(nonce),
            frame_system::CheckWeight::new(),
            frame_system::WeightReclaim::new(),
        );
        let implicit = (
            (),
            (),
            VERSION.spec_version,
            VERSION.transaction_version,
            genesis,
            checkpoint,
            (),
            (),
            (),
        );
        let payload = SignedPayload::from_raw(call.into(), extension.clone(), implicit);
        let signature = payload.using_encoded(|bytes| pair.sign(bytes));
        UncheckedExtrinsic::new_signed(
            payload.deconstruct().0,
            account.into(),
            MultiSignature::Sr25519(signature),
            extension,
        )
    }

    /// Submits a transaction to the pool. Returns its hash.
    pub async fn submit(&self, extrinsic: &UncheckedExtrinsic) -> Result<Hash, ClientError> {
        let parameters = rpc_params![Bytes(extrinsic.encode())];
        self.client.request("author_submitExtrinsic", parameters).await
    }

    /// Submits a transaction to the pool. Returns the statuses that it has from then on.
    pub async fn watch(
        &self,
        extrinsic: &UncheckedExtrinsic,
    ) -> Result<Subscription<Value>, ClientError> {
        let parameters = rpc_params![Bytes(extrinsic.encode())];
        let (begin, end) = ("author_submitAndWatchExtrinsic", "author_unwatchExtrinsic");
        self.client.subscribe(begin, parameters, end).await
    }

    /// Submits a transaction, and waits until a block includes it. Returns the block.
    pub async fn include(&self, extrinsic: &UncheckedExtrinsic) -> Result<Hash, ClientError> {
        let mut watched = self.watch(extrinsic).await?;
        Ok(block_at(&mut watched, "inBlock").await)
    }

    /// Submits a signed call, and waits until it is finalized. Returns its block's events.
    pub async fn finalize(
        &self,
        seed: &str,
        call: impl Into<RuntimeCall>,
    ) -> Result<Vec<RuntimeEvent>, ClientError> {
        let mut watched = self.watch(&self.sign(seed, call).await).await?;
        Ok(self.events(block_at(&mut watched, "finalized").await).await)
    }

    pub async fn events(&self, block: Hash) -> Vec<RuntimeEvent> {
        let key = Bytes([twox_128(b"System"), twox_128(b"Events")].concat());
        let stored: Bytes =
            self.client.request("state_getStorage", rpc_params![key, block]).await.unwrap();
        Vec::<frame_system::EventRecord<RuntimeEvent, Hash>>::decode(&mut &stored.0[..])
            .unwrap()
            .into_iter()
            .map(|record| record.event)
            .collect()
    }

    /// The call that registers the patient with this number at the hospital.
    pub async fn registration(&self, number: u8) -> pallet_profiles::Call<Runtime> {
        let (pair, user) = (patients_pair(number), patient(number));
        let naming = Naming::Registration { hospital: HOSPITAL, user, version: 0 };
        let consent = NamingConsent::new(self.genesis().await, naming);
        pallet_profiles::Call::<Runtime>::register {
            user,
            role: Role::Patient,
            account: pair.public().into(),
            sealing_key_hash: SEALING_KEY,
            consent: pair.sign(&consent.encode()).into(),
            body: vec![number; 100],
        }
    }

    /// Registers the patient with this number at the hospital.
    pub async fn register(&self, number: u8) {
        let call = self.registration(number).await;
        assert_no_failure(&self.finalize(AGENT, call).await.unwrap());
    }
}

fn number_of(header: &Value) -> u32 {
    let number = header["number"].as_str().unwrap().trim_start_matches("0x");
    u32::from_str_radix(number, 16).unwrap()
}

/// Waits until a watched transaction has this status, and returns the block that the status names.
pub async fn block_at(watched: &mut Subscription<Value>, wanted: &str) -> Hash {
    loop {
        let status = next_status(watched).await;
        if let Some(block) = status.get(wanted) {
            return serde_json::from_value(block.clone()).unwrap();
        }
        let failed = ["invalid", "dropped", "usurped"];
        assert!(!failed.iter().any(|end| status.to_string().contains(end)), "{status}");
    }
}

/// The next status of a watched transaction.
pub async fn next_status(watched: &mut Subscription<Value>) -> Value {
    let next = tokio::time::timeout(PATIENCE, watched.next()).await;
    next.expect("a transaction's next status in time").unwrap().unwrap()
}

pub fn assert_no_failure(events: &[RuntimeEvent]) {
    for event in events {
        if let RuntimeEvent::System(frame_system::Event::ExtrinsicFailed {
            dispatch_error, ..
        }) = event
        {
            panic!("failed in its block: {dispatch_error:?}");
        }
    }
}

/// The code of a refused request, and its message with data.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, ClientError>) -> (i32, String) {
    match result {
        Err(ClientError::Call(error)) => (
            error.code(),
            format!("{}: {}", error.message(), error.data().map_or("", |data| data.get())),
        ),
        other => panic!("expected a refusal: {other:?}"),
    }
}
