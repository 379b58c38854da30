//! An RPC client with the runtime's own types.

use codec::{Decode, Encode};
use epione_primitives::{
    AccountId, Hash, HospitalId, Nonce, UserId,
    consent::{Consent, Naming},
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

/// The hash of every patient's sealing key.
const SEALING_KEY: Hash = Hash::repeat_byte(1);

fn patients_pair(number: u8) -> sr25519::Pair {
    sr25519::Pair::from_string(&format!("//patient-{number}"), None).unwrap()
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
        let number = header["number"].as_str().unwrap().trim_start_matches("0x").to_string();
        (u32::from_str_radix(&number, 16).unwrap(), hash)
    }

    /// Signs with the account's next nonce, for the next 64 blocks.
    pub async fn sign(&self, seed: &str, call: impl Into<RuntimeCall>) -> UncheckedExtrinsic {
        let pair = sr25519::Pair::from_string(seed, None).unwrap();
        let account = AccountId::from(pair.public());
        let nonce: Nonce = self
            .client
            .request("system_accountNextIndex", rpc_params![account.clone()])
            .await
            .unwrap();
        let genesis: Hash =
            self.client.request("chain_getBlockHash", rpc_params![0]).await.unwrap();
        let (number, checkpoint) = self.finalized().await;
        let extension: TxExtension = (
            CheckCaller,
            frame_system::CheckNonZeroSender::<Runtime>::new(),
            frame_system::CheckSpecVersion::new(),
            frame_system::CheckTxVersion::new(),
            frame_system::CheckGenesis::new(),
            CheckLifetime(Era::mortal(64, number.into())),
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

    /// Submits a signed call, and waits until it is finalized. Returns its block's events.
    pub async fn finalize(
        &self,
        seed: &str,
        call: impl Into<RuntimeCall>,
    ) -> Result<Vec<RuntimeEvent>, ClientError> {
        let extrinsic = Bytes(self.sign(seed, call).await.encode());
        let mut watched: Subscription<Value> = self
            .client
            .subscribe(
                "author_submitAndWatchExtrinsic",
                rpc_params![extrinsic],
                "author_unwatchExtrinsic",
            )
            .await?;
        let block = tokio::time::timeout(PATIENCE, async {
            loop {
                let status = watched.next().await.unwrap().unwrap();
                if let Some(block) = status.get("finalized") {
                    break serde_json::from_value(block.clone()).unwrap();
                }
                let failed = ["invalid", "dropped", "usurped"];
                assert!(!failed.iter().any(|end| status.to_string().contains(end)), "{status}");
            }
        })
        .await
        .expect("finalized in time");
        Ok(self.events(block).await)
    }

    async fn events(&self, block: Hash) -> Vec<RuntimeEvent> {
        let key = Bytes([twox_128(b"System"), twox_128(b"Events")].concat());
        let stored: Bytes =
            self.client.request("state_getStorage", rpc_params![key, block]).await.unwrap();
        Vec::<frame_system::EventRecord<RuntimeEvent, Hash>>::decode(&mut &stored.0[..])
            .unwrap()
            .into_iter()
            .map(|record| record.event)
            .collect()
    }

    /// Registers the patient with this number at the hospital.
    pub async fn register(&self, number: u8) {
        let (pair, user) = (patients_pair(number), patient(number));
        let genesis: Hash =
            self.client.request("chain_getBlockHash", rpc_params![0]).await.unwrap();
        let naming = Naming::Registration { hospital: HOSPITAL, user, version: 0 };
        let call = pallet_profiles::Call::<Runtime>::register {
            user,
            role: Role::Patient,
            account: pair.public().into(),
            sealing_key_hash: SEALING_KEY,
            consent: pair.sign(&Consent::new(genesis, naming).encode()).into(),
            body: vec![number; 100],
        };
        let events = self.finalize(AGENT, call).await.unwrap();
        assert_no_failure(&events);
    }
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
