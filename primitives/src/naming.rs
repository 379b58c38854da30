//! What the holder of an account's key signs before a call may name the account.
//!
//! Without this signature, anyone could take the accounts of others: an account that belongs or belonged to a user or a
//! hospital is never assigned again.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use sp_runtime::traits::Verify;

use crate::{AccountId, BlockNumber, Hash, HospitalId, Signature, UserId, hospital::Duty};

/// What a call names an account for. Every variant contains a bound, so that a signature is valid once or for a limited
/// time.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Naming {
    /// A hospital registers the user, whose account this is or becomes.
    #[codec(index = 0)]
    Registration {
        hospital: HospitalId,
        user: UserId,
        /// The version of the user's previous registration at this hospital, or 0 if there is none.
        version: u32,
    },
    /// The account becomes the user's next account.
    #[codec(index = 1)]
    Rotation {
        user: UserId,
        /// The version of the profile that is replaced.
        version: u32,
    },
    /// The account becomes an account of the hospital.
    #[codec(index = 2)]
    Hospital {
        hospital: HospitalId,
        duty: Duty,
        /// The last chain block in which the consent is valid.
        until: BlockNumber,
    },
    /// The account becomes the next account of a user who has lost the keys, if nobody objects.
    #[codec(index = 3)]
    Recovery {
        /// The hospital that proposes the new keys.
        hospital: HospitalId,
        user: UserId,
        /// Blake2-256 of the new public sealing key, so that the hospital cannot propose the account with another one.
        sealing_key_hash: Hash,
        /// The version of the profile that is replaced.
        version: u32,
        /// The last chain block in which the consent is valid.
        until: BlockNumber,
    },
}

/// The message that the holder of an account's key signs. No other message has this prefix.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NamingConsent {
    prefix: [u8; 14],
    /// Hash of the chain's first block.
    pub genesis: Hash,
    pub naming: Naming,
}

impl NamingConsent {
    pub fn new(genesis: Hash, naming: Naming) -> Self {
        Self { prefix: *b"epione/consent", genesis, naming }
    }

    /// Whether the account's key made this signature over the message.
    pub fn is_signed_by(&self, account: &AccountId, signature: &Signature) -> bool {
        signature.verify(&self.encode()[..], account)
    }
}

/// An account that a call names for a hospital or for a recovery, with the consent of the holder of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct NamedAccount {
    pub account: AccountId,
    /// The last chain block in which the consent is valid: at most
    /// [`MAX_CONSENT_BLOCKS`](crate::limits::MAX_CONSENT_BLOCKS) after the current one.
    pub until: BlockNumber,
    /// The signature over the [`NamingConsent`] to [`Naming::Hospital`] or [`Naming::Recovery`].
    pub consent: Signature,
}
