//! The transactions of a random sequence: who sends what, and how it passes the pool and the block.

use codec::{DecodeAll, Encode};
use epione_runtime::{Executive, System, UncheckedExtrinsic};
use frame_support::storage::with_transaction_unchecked;
use proptest::{option, prelude::*, sample::select};
use sp_runtime::{
    TransactionOutcome,
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
    ("Charlie", Deed::Judge),
    ("Alice", Deed::SetEndpoint),
    ("user-7", Deed::RotateKeys),
    ("user-8", Deed::Unrelate),
];

/// One transaction.
#[derive(Clone, Debug)]
pub struct Step {
    signer: &'static str,
    deed: Deed,
    /// They choose the arguments of the call.
    numbers: [u8; 3],
    /// Which byte is changed after the transaction was signed, counted modulo its length.
    damage: Option<u16>,
}

pub fn hostile() -> impl Strategy<Value = Step> {
    let damage = option::weighted(0.1, any::<u16>());
    (select(HOSTILE), select(Deed::ALL), any::<[u8; 3]>(), damage)
        .prop_map(|(signer, deed, numbers, damage)| Step { signer, deed, numbers, damage })
}

pub fn honest() -> impl Strategy<Value = Step> {
    (select(HONEST), any::<[u8; 3]>()).prop_map(|((signer, deed), numbers)| Step {
        signer,
        deed,
        numbers,
        damage: None,
    })
}

/// Sends a transaction: the pool validates it, and the block's author applies it in any case, as a hostile author
/// would.
pub fn submit(step: &Step) {
    let sent = signed(&key(step.signer), calls::make(step.deed, step.signer, step.numbers));
    let mut bytes = sent.encode();
    if let Some(position) = step.damage {
        let position = usize::from(position) % bytes.len();
        bytes[position] ^= 0x55;
    }
    let Ok(received) = UncheckedExtrinsic::decode_all(&mut &bytes[..]) else { return };
    let validity = validate(received.clone());
    let applied = Executive::apply_extrinsic(received);
    if step.damage.is_some() {
        assert!(applied.is_err(), "a damaged transaction is applied: {applied:?}");
    }
    if let Err(TransactionValidityError::Invalid(InvalidTransaction::Custom(code))) = validity {
        assert!(applied.is_err(), "the pool refuses with code {code}, but a block does not");
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
