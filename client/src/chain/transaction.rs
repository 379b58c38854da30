//! Submits calls, and reports their outcome.
//!
//! A submission ends when the call is in a final block. Transactions are mortal: one that the node no longer watches is
//! either found in a finalized block, or can no longer be included. Only then is the call sent again. A call
//! therefore takes effect at most once per submission.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use epione_primitives::{
    AccountId, BlockNumber, Hash, limits::MAX_LIFETIME_BLOCKS, refusal::Refusal,
};
use serde::Deserialize;
use sp_core::{Bytes, crypto::Ss58Codec};
use sp_runtime::traits::{BlakeTwo256, Hash as _};
use subxt::{
    SubstrateConfig,
    error::ExtrinsicError,
    rpcs::client::{RpcSubscription, rpc_params},
    transactions::{TransactionInvalid, ValidationResult},
};
use tokio::sync::Mutex;

use super::{
    BlockRef, Call, Chain, ChainError, ChainEvent, DispatchFailure, SubmitError,
    error::unknown_number,
    signing::{self, Lifetime, NamedCall},
};
use crate::{
    signer::Account,
    waiting::{Awaited, Waiting},
};

/// How long a submission may take until it is final.
const LIMIT: Duration = Duration::from_secs(120);
/// Number of chain blocks after the newest finalized one in which a transaction may be included.
const MORTALITY: u32 = 32;
const _: () = assert!(MORTALITY <= MAX_LIFETIME_BLOCKS);
/// Transactions that one submission sends at most.
const MAX_ATTEMPTS: u32 = 4;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Serializes the choice of nonces: one queue for each account that submits through this connection.
#[derive(Default)]
pub(super) struct Queues(StdMutex<HashMap<AccountId, Arc<Mutex<()>>>>);

impl Queues {
    fn of(&self, account: &AccountId) -> Arc<Mutex<()>> {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry(account.clone()).or_default().clone()
    }
}

/// The block at which the lifetime of a transaction begins, and when its submission is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Birth {
    /// The newest final block. The submission is over when the call is final.
    #[default]
    Finalized,
    /// The newest block, final or not: while finality stalls, lifetimes that begin at the last final block are over.
    /// The submission is over when a block has the call, which another branch of the chain can still leave out. Nothing
    /// proves the newest block, so this is only for a handle that believes its node.
    Best,
}

/// A call that took effect, in a final block, or for [`Birth::Best`] in one of the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Included {
    pub block: BlockRef,
    /// Its index in the block.
    pub extrinsic: u32,
    /// The events that it caused.
    pub events: Vec<ChainEvent>,
}

/// A transaction that was sent.
struct Sent {
    account: AccountId,
    nonce: u32,
    bytes: Vec<u8>,
    /// The last block that may include it.
    last: BlockNumber,
    birth: Birth,
    /// None after the connection was lost.
    watch: Option<RpcSubscription<WatchEvent>>,
}

impl Sent {
    /// Ends the subscription. A node could fill this process's memory with events that nobody reads.
    fn stop_watching(&mut self) {
        self.watch = None;
    }
}

/// The outcome of a transaction.
enum Fate {
    /// In a final block, or in the newest ones if that is enough.
    Included { block: Hash, extrinsic: u32 },
    /// No block includes it, and no block can include it any more.
    Lost,
}

/// Whether the call may be sent again.
enum Refused {
    Now(String),
    ForGood(SubmitError),
}

/// The events of `transactionWatch_v1_submitAndWatch` that matter here.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
enum WatchEvent {
    /// None if the block that included it is no longer part of the best chain.
    BestChainBlockIncluded {
        block: Option<IncludedAt>,
    },
    Finalized {
        block: IncludedAt,
    },
    Invalid {
        error: String,
    },
    Error {
        error: String,
    },
    Dropped {
        error: String,
    },
    #[serde(other)]
    Underway,
}

#[derive(Debug, Deserialize)]
struct IncludedAt {
    hash: Hash,
    index: u32,
}

impl Chain {
    /// Signs a call, submits it and waits until it is final.
    ///
    /// Several submissions may run at the same time, also for the same account. If another process used the nonce, or
    /// the node dropped the transaction, the call is sent again, a few times.
    pub async fn submit(&self, call: &Call, signer: &Account) -> Result<Included, SubmitError> {
        self.submit_from(Birth::Finalized, call, signer).await
    }

    /// As [`submit`](Self::submit), from this block on.
    pub async fn submit_from(
        &self,
        birth: Birth,
        call: &Call,
        signer: &Account,
    ) -> Result<Included, SubmitError> {
        tokio::time::timeout(LIMIT, self.submit_unbounded(birth, call, signer))
            .await
            .unwrap_or(Err(SubmitError::TimedOut { after: LIMIT }))
    }

    /// The newest block from which a lifetime can begin.
    pub async fn newest_for(&self, birth: Birth) -> Result<BlockRef, ChainError> {
        match birth {
            Birth::Finalized => self.finalized_head().await,
            Birth::Best => self.best_head().await,
        }
    }

    async fn submit_unbounded(
        &self,
        birth: Birth,
        call: &Call,
        signer: &Account,
    ) -> Result<Included, SubmitError> {
        let mut reason = String::from("the node lost the transaction");
        let waiting = self.waits().begin(Awaited::Inclusion, None);
        for attempt in 0..MAX_ATTEMPTS {
            if attempt > 0 {
                tracing::debug!(?call, attempt, reason, "submitting again");
                waiting.becomes(Awaited::Inclusion);
                waiting.because(&reason);
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            let sent = match self.send_in_turn(birth, call, signer, &waiting).await? {
                Ok(sent) => sent,
                Err(Refused::Now(why)) => {
                    reason = why;
                    continue;
                }
                Err(Refused::ForGood(error)) => return Err(error),
            };
            match self.follow(sent, &waiting).await? {
                Fate::Included { block, extrinsic } => return self.outcome(block, extrinsic).await,
                Fate::Lost => reason = "no block included the transaction in time".into(),
            }
        }
        Err(SubmitError::Invalid(format!("{reason}; {MAX_ATTEMPTS} attempts")))
    }

    /// Sends a call after the account's calls that came before it. While too many transactions of the account wait for
    /// a block, this waits too; the time limit of the submission ends it.
    async fn send_in_turn(
        &self,
        birth: Birth,
        call: &Call,
        signer: &Account,
        waiting: &Waiting,
    ) -> Result<Result<Sent, Refused>, SubmitError> {
        let queue = self.inner.queues.of(&signer.id());
        let _held_until_sent = queue.lock().await;
        loop {
            match self.send(birth, call, signer).await? {
                Err(Refused::ForGood(SubmitError::Refused(full @ Refusal::TooManyInFlight))) => {
                    waiting.because(full);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                sent => return Ok(sent),
            }
        }
    }

    /// Chooses a nonce, signs and sends; waits until the node has accepted or rejected the transaction.
    async fn send(
        &self,
        birth: Birth,
        call: &Call,
        signer: &Account,
    ) -> Result<Result<Sent, Refused>, SubmitError> {
        let account = signer.id();
        let newest = self.newest_for(birth).await?;
        let nonce: u32 =
            self.request("system_accountNextIndex", rpc_params![account.to_ss58check()]).await?;
        let transaction = self.sign(call, signer, (birth, newest), nonce).await?;
        let bytes = transaction.encoded().to_vec();
        let mut watch = self.watch(&bytes).await?;
        let last = newest.number.saturating_add(MORTALITY);

        match watch.next().await {
            Some(Ok(WatchEvent::Invalid { error } | WatchEvent::Error { error })) => {
                Ok(Err(refusal(&error, transaction.validate().await.ok())))
            }
            Some(Ok(WatchEvent::Dropped { error })) => Ok(Err(Refused::Now(error))),
            event => {
                let watch = event.is_some().then_some(watch);
                Ok(Ok(Sent { account, nonce, bytes, last, birth, watch }))
            }
        }
    }

    async fn watch(&self, transaction: &[u8]) -> Result<RpcSubscription<WatchEvent>, ChainError> {
        const METHOD: &str = "transactionWatch_v1_submitAndWatch";
        let params = rpc_params![Bytes(transaction.to_vec())];
        self.within_limit(async {
            self.inner
                .rpc
                .subscribe(METHOD, params, "transactionWatch_v1_unwatch")
                .await
                .map_err(|error| self.rpc_error(METHOD, error))
        })
        .await
    }

    async fn sign(
        &self,
        call: &Call,
        signer: &Account,
        (birth, newest): (Birth, BlockRef),
        nonce: u32,
    ) -> Result<Submittable, SubmitError> {
        let at = self.within_limit(async { self.client_at(newest.hash).await }).await?;
        let lifetime = Lifetime { birth: newest, blocks: MORTALITY.into() };
        let unknown = |error: ExtrinsicError| SubmitError::UnknownCall {
            call: format!("{}.{}", call.pallet, call.name),
            reason: error.to_string(),
        };
        let named = NamedCall::from(call);
        // Who begins at the newest block believes a node about the state, and still not about which call is signed.
        if self.is_verified() || birth == Birth::Best {
            let encoded = at.transactions().call_data(&named).map_err(unknown)?;
            self.check_call(call, &encoded)?;
        }
        let mut signable =
            signing::signable(&at, &named, lifetime, nonce.into()).map_err(unknown)?;
        signable.sign(signer).map_err(unknown)
    }

    /// Waits until a transaction is final or lost. After a lost connection the same transaction is sent again, because
    /// the node may have lost its pool.
    async fn follow(&self, mut sent: Sent, waiting: &Waiting) -> Result<Fate, SubmitError> {
        loop {
            let Some(watch) = &mut sent.watch else {
                sent.watch = Some(patiently(|| self.watch(&sent.bytes)).await?);
                continue;
            };
            match watch.next().await {
                Some(Ok(WatchEvent::Finalized { block })) => {
                    let IncludedAt { hash, index } = block;
                    sent.stop_watching();
                    patiently(|| self.check_inclusion(hash, index, &sent.bytes)).await?;
                    return Ok(Fate::Included { block: hash, extrinsic: index });
                }
                Some(Ok(WatchEvent::BestChainBlockIncluded {
                    block: Some(IncludedAt { hash, index }),
                })) if sent.birth == Birth::Best => {
                    sent.stop_watching();
                    return Ok(Fate::Included { block: hash, extrinsic: index });
                }
                Some(Ok(WatchEvent::BestChainBlockIncluded { block: Some(_) })) => {
                    waiting.becomes(Awaited::Finality);
                }
                Some(Ok(WatchEvent::BestChainBlockIncluded { block: None })) => {
                    waiting.becomes(Awaited::Inclusion);
                }
                Some(Ok(WatchEvent::Underway)) => {}
                Some(Ok(
                    WatchEvent::Invalid { error }
                    | WatchEvent::Error { error }
                    | WatchEvent::Dropped { error },
                )) => {
                    tracing::debug!(error, "the node stopped watching a transaction");
                    waiting.because(error);
                    sent.stop_watching();
                    return self.search(sent).await;
                }
                Some(Err(_)) | None => {
                    waiting.because(format!("the connection to {} was lost", self.url()));
                    sent.stop_watching();
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Searches for a transaction in the blocks that may include it, as these become final, or are made.
    async fn search(&self, sent: Sent) -> Result<Fate, SubmitError> {
        let mut next = sent.last.saturating_sub(MORTALITY).saturating_add(1);
        loop {
            let head = patiently(|| self.newest_for(sent.birth)).await?.number;
            while next <= head.min(sent.last) {
                let block = patiently(|| self.canonical_hash(next)).await?;
                let block = block.ok_or_else(|| unknown_number(next))?;
                let state = self.at(block);
                if patiently(|| state.nonce(&sent.account)).await? > sent.nonce {
                    return self.find_in(block, BlakeTwo256::hash(&sent.bytes)).await;
                }
                next += 1;
            }
            if head >= sent.last {
                return Ok(Fate::Lost);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// This block used the nonce, for this transaction or for another one of the same account.
    async fn find_in(&self, block: Hash, transaction: Hash) -> Result<Fate, SubmitError> {
        let extrinsics = patiently(|| self.extrinsics(block)).await?;
        let index = extrinsics.iter().position(|bytes| BlakeTwo256::hash(bytes) == transaction);
        Ok(match index.and_then(|index| u32::try_from(index).ok()) {
            Some(extrinsic) => Fate::Included { block, extrinsic },
            None => Fate::Lost,
        })
    }

    async fn outcome(&self, block: Hash, extrinsic: u32) -> Result<Included, SubmitError> {
        let number = patiently(|| self.number_of(block)).await?;
        let (events, failure) = patiently(|| self.extrinsic_events(block, extrinsic)).await?;
        match failure {
            Some(failure) => Err(SubmitError::Dispatch(failure)),
            None => Ok(Included { block: BlockRef { hash: block, number }, extrinsic, events }),
        }
    }
}

/// Repeats a request until the node answers, so that the outcome of a sent transaction is found. The time limit of the
/// submission ends it.
async fn patiently<T, Reply>(mut ask: impl FnMut() -> Reply) -> Result<T, ChainError>
where
    Reply: Future<Output = Result<T, ChainError>>,
{
    loop {
        match ask().await {
            Err(error) if error.is_transient() => tokio::time::sleep(RETRY_PAUSE).await,
            answer => return answer,
        }
    }
}

type Submittable = subxt::transactions::SubmittableTransaction<
    SubstrateConfig,
    subxt::client::OnlineClientAtBlockImpl<SubstrateConfig>,
>;

/// Classifies a transaction that the node rejected with `error`; `checked` is the result of validating it again.
fn refusal(error: &str, checked: Option<ValidationResult>) -> Refused {
    let custom = error.strip_prefix("Invalid transaction with custom error: ");
    let code = match checked {
        Some(ValidationResult::Invalid(TransactionInvalid::Custom(code))) => Some(code),
        _ => custom.and_then(|code| code.trim().parse().ok()),
    };
    if let Some(code) = code {
        return Refused::ForGood(match Refusal::from_code(code) {
            Some(refusal) => SubmitError::Refused(refusal),
            None => SubmitError::Invalid(format!("{error} (code {code})")),
        });
    }
    match checked {
        // For an account that does not exist, the runtime reports that it cannot pay.
        Some(ValidationResult::Invalid(TransactionInvalid::Payment)) => {
            Refused::ForGood(SubmitError::Refused(Refusal::UnknownAccount))
        }
        Some(ValidationResult::Invalid(
            TransactionInvalid::Call
            | TransactionInvalid::ExhaustsResources
            | TransactionInvalid::BadSigner
            | TransactionInvalid::MandatoryValidation
            | TransactionInvalid::BadMandatory,
        )) => Refused::ForGood(SubmitError::Invalid(error.into())),
        _ => Refused::Now(error.into()),
    }
}

impl From<DispatchFailure> for SubmitError {
    fn from(failure: DispatchFailure) -> Self {
        Self::Dispatch(failure)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// It is enough that this compiles: workers submit from spawned tasks.
    #[test]
    fn a_submission_may_move_between_threads() {
        fn moves<T: Send>(_: fn(&'static Chain, &'static Call, &'static Account) -> T) {}
        moves(|chain, call, account| chain.submit(call, account));
    }

    #[test]
    fn a_refusal_of_the_runtime_is_recognized_by_its_code() {
        for known in Refusal::ALL {
            let said = format!("Invalid transaction with custom error: {}", known.code());
            let Refused::ForGood(SubmitError::Refused(reason)) = refusal(&said, None) else {
                panic!("{said}");
            };
            assert_eq!(reason, known);
        }
    }

    #[test]
    fn an_account_that_cannot_pay_is_an_unknown_account() {
        let checked = Some(ValidationResult::Invalid(TransactionInvalid::Payment));
        let refused = refusal("Invalid transaction: Inability to pay some fees", checked);
        assert!(matches!(refused, Refused::ForGood(SubmitError::Refused(Refusal::UnknownAccount))));
    }

    #[test]
    fn a_nonce_that_another_process_used_is_retried() {
        for invalid in [TransactionInvalid::Stale, TransactionInvalid::Future] {
            let refused = refusal("whatever", Some(ValidationResult::Invalid(invalid)));
            assert!(matches!(refused, Refused::Now(_)));
        }
    }

    #[test]
    fn watch_events_are_read_as_nodes_write_them() {
        let event = |json| serde_json::from_str::<WatchEvent>(json).unwrap();
        assert!(matches!(event(r#"{"event":"validated"}"#), WatchEvent::Underway));
        assert!(matches!(
            event(r#"{"event":"bestChainBlockIncluded","block":null}"#),
            WatchEvent::BestChainBlockIncluded { block: None }
        ));
        let hash = Hash::repeat_byte(7);
        let json = format!(
            r#"{{"event":"bestChainBlockIncluded","block":{{"hash":"{hash:?}","index":3}}}}"#
        );
        assert!(matches!(event(&json), WatchEvent::BestChainBlockIncluded { block: Some(_) }));
        let json = format!(r#"{{"event":"finalized","block":{{"hash":"{hash:?}","index":3}}}}"#);
        let WatchEvent::Finalized { block } = event(&json) else { panic!("{json}") };
        assert_eq!((block.hash, block.index), (hash, 3));
        assert!(matches!(
            event(r#"{"event":"invalid","error":"Invalid transaction: Transaction is outdated"}"#),
            WatchEvent::Invalid { .. }
        ));
    }
}
