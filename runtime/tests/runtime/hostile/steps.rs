//! The transactions of a random sequence: who sends what, and how it passes the pool and the block.

use codec::{DecodeAll, Encode};
use epione_primitives::refusal::Refusal;
use epione_runtime::{Executive, System, UncheckedExtrinsic};
use frame_support::storage::with_transaction_unchecked;
use proptest::{option, prelude::*, sample::select};
use sp_runtime::{
    ApplyExtrinsicResult, TransactionOutcome,
    transaction_validity::{
        InvalidTransaction, TransactionSource, TransactionValidity, TransactionValidityError,
    },
};

use super::calls::{self, Deed};
use crate::chain::{key, signed};

/// The accounts of Dave's hospital, of its users, and those that they rotate to; and one that nobody registered.
pub const HOSTILE: &[&str] = &[
    "Dave",
    "Dave//agent",
    "Dave//next",
    "Dave//next//agent",
    "Dave//third",
    "Dave//third//agent",
    "Dave//fourth",
    "user-40",
    "user-40//next",
    "user-41",
    "Mallory",
];

/// What honest members send. Alice's agent neither announces nor ends registrations: the oracle's visit is there.
const HONEST: &[(&str, Deed)] = &[
    ("Alice//agent", Deed::Approve),
    ("Alice//agent", Deed::Relate),
    ("Alice//agent", Deed::Unrelate),
    ("Alice//agent", Deed::Record),
    ("Alice//agent", Deed::Refuse),
    ("Bob//agent", Deed::Announce),
    ("Bob//agent", Deed::Approve),
    ("Bob//agent", Deed::Register),
    ("Bob//agent", Deed::SuspendUser),
    ("Charlie//agent", Deed::Announce),
    ("Charlie//agent", Deed::Reject),
    ("Charlie//agent", Deed::Withdraw),
    ("Bob", Deed::SetPolicies),
    ("Bob", Deed::IssueCredential),
    ("Bob", Deed::RevokeCredential),
    ("Charlie", Deed::Judge),
    ("Alice", Deed::SetEndpoint),
    ("user-7", Deed::RotateKeys),
    ("user-7", Deed::ObjectToRecovery),
    ("Bob//agent", Deed::ObjectToRecovery),
    ("user-7", Deed::GiveConsent),
    ("user-7", Deed::WithdrawConsent),
    ("user-7", Deed::PlaceSections),
    ("user-7", Deed::RemoveSections),
    ("Alice//agent", Deed::PlaceByKind),
    ("user-7", Deed::Note),
    ("user-7", Deed::AcceptQuery),
    ("user-7", Deed::RefuseQuery),
    ("user-7", Deed::WithdrawQuery),
    ("user-7", Deed::Appoint),
    ("user-7", Deed::Dismiss),
    ("user-7", Deed::Authorize),
    ("user-7", Deed::Revoke),
    ("user-7", Deed::Entrust),
    ("user-7", Deed::EndCustody),
    ("Alice//agent", Deed::KeepKey),
    ("user-8", Deed::Ask),
    ("user-8", Deed::WithdrawQuery),
    ("user-8", Deed::Unrelate),
    ("Alice//agent", Deed::Transfer),
    ("Alice//agent", Deed::BeginCeremony),
    ("Alice//agent", Deed::Enrol),
    ("Alice//agent", Deed::Deal),
    ("Alice//agent", Deed::JudgeDealings),
    ("Alice//agent", Deed::AnswerComplaint),
    ("Alice//agent", Deed::ConfirmCeremony),
    ("Bob//agent", Deed::Enrol),
    ("Bob//agent", Deed::Deal),
    ("Bob//agent", Deed::JudgeDealings),
    ("Bob//agent", Deed::AnswerComplaint),
    ("Bob//agent", Deed::ConfirmCeremony),
    ("Charlie//agent", Deed::Enrol),
    ("Charlie//agent", Deed::Deal),
    ("Charlie//agent", Deed::JudgeDealings),
    ("Charlie//agent", Deed::AnswerComplaint),
    ("Charlie//agent", Deed::ConfirmCeremony),
    ("Bob", Deed::RefreshKey),
    ("Alice//agent", Deed::PublishWraps),
    ("Alice//agent", Deed::HandOut),
    ("user-8", Deed::AskForOpening),
];

/// One transaction.
#[derive(Clone, Debug)]
pub struct Step {
    signer: &'static str,
    deed: Deed,
    /// They choose the arguments of the call.
    numbers: [u8; 3],
    /// Whether the call is sent without a signature. Reports of equivocations always are.
    bare: bool,
    /// Which byte is changed after the transaction was signed, counted modulo its length.
    damage: Option<u16>,
}

pub fn hostile() -> impl Strategy<Value = Step> {
    let damage = option::weighted(0.1, any::<u16>());
    let bare = proptest::bool::weighted(0.1);
    (select(HOSTILE), select(Deed::ALL), any::<[u8; 3]>(), bare, damage).prop_map(
        |(signer, deed, numbers, bare, damage)| Step { signer, deed, numbers, bare, damage },
    )
}

pub fn honest() -> impl Strategy<Value = Step> {
    (select(HONEST), any::<[u8; 3]>()).prop_map(|((signer, deed), numbers)| Step {
        signer,
        deed,
        numbers,
        bare: false,
        damage: None,
    })
}

/// Sends a transaction: the pool validates it, and the block's author applies it in any case, as a hostile author
/// would.
pub fn submit(step: &Step) {
    let call = calls::make(step.deed, step.signer, step.numbers);
    let is_report = matches!(step.deed, Deed::ReportEquivocation);
    if is_report || step.bare {
        return submit_bare(step, UncheckedExtrinsic::new_bare(call), is_report);
    }
    let mut bytes = signed(&key(step.signer), call).encode();
    if let Some(position) = step.damage {
        let position = usize::from(position) % bytes.len();
        bytes[position] ^= 0x55;
    }
    let Ok(received) = UncheckedExtrinsic::decode_all(&mut &bytes[..]) else { return };
    let validity = validate(received.clone());
    let applied = Executive::apply_extrinsic(received);
    if step.damage.is_some() {
        assert!(applied.is_err(), "a damaged transaction is applied: {applied:?}");
    } else {
        pool_and_block_agree(step, &validity, &applied);
    }
}

/// Of the calls without a signature, a block accepts only reports. The pool of another node accepts none.
fn submit_bare(step: &Step, sent: UncheckedExtrinsic, is_report: bool) {
    assert!(validate(sent.clone()).is_err(), "a pool accepts a call without a signature: {step:?}");
    // The block's time is set already, and a second time panics.
    if !matches!(step.deed, Deed::SetTime) {
        let applied = Executive::apply_extrinsic(sent);
        assert!(is_report || applied.is_err(), "a block accepts {step:?} without a signature");
    }
}

/// What the pool refuses for a reason of the runtime, a block refuses for the same reason, and the reverse. The pool
/// validates for the next block, in which budgets may be full again and an upgrade may be due.
fn pool_and_block_agree(step: &Step, pool: &TransactionValidity, block: &ApplyExtrinsicResult) {
    const UNTIL_LATER: [Refusal; 3] =
        [Refusal::QuotaExceeded, Refusal::HospitalQuotaExceeded, Refusal::UpgradeTooEarly];

    // A query may expire in the next block. Then its patient can withdraw it, and refuse it no longer.
    if matches!(step.deed, Deed::RefuseQuery | Deed::WithdrawQuery) {
        return;
    }
    if let Err(refused) = pool {
        assert!(block.is_err(), "the pool refuses {step:?} with {refused:?}, but a block does not");
    }
    let (by_pool, by_block) = (refusal(pool), refusal(block));
    let only_now = by_block.is_some_and(|refused| UNTIL_LATER.contains(&refused));
    // The SDK's pool refuses a mandatory call, such as the block's time, before it asks the runtime.
    let unasked = pool.is_err() && by_pool.is_none();
    if !only_now && !unasked {
        assert_eq!(by_pool, by_block, "pool and block differ about {step:?}");
    }
}

/// The runtime's reason in a result, if that has one.
fn refusal<T>(result: &Result<T, TransactionValidityError>) -> Option<Refusal> {
    match result {
        Err(TransactionValidityError::Invalid(InvalidTransaction::Custom(code))) => {
            Some(Refusal::from_code(*code).expect("the runtime uses no other codes"))
        }
        _ => None,
    }
}

/// As the pool of another node validates it. Its changes of the state are discarded.
pub fn validate(extrinsic: UncheckedExtrinsic) -> TransactionValidity {
    with_transaction_unchecked(|| {
        TransactionOutcome::Rollback(Executive::validate_transaction(
            TransactionSource::External,
            extrinsic,
            System::parent_hash(),
        ))
    })
}
