//! Why nodes reject a transaction before it reaches a block.

use core::fmt;

/// Why the chain rejects a transaction. Nodes report it as "Invalid Transaction" with the data
/// "Custom error: N", where N is the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No hospital and no user is registered with the signer's account.
    UnknownAccount,
    /// The signer belongs to a hospital that is suspended or removed, or is a user whose registrations in force
    /// are all at such hospitals.
    HospitalNotActive,
    /// The signer's role may not make this call.
    CallNotForRole,
    /// A batch contains a body, another batch, a motion, an upgrade, or a call that the signer's role may not make.
    CallNotForBatch,
    /// No registration of the user is in force.
    NotInForce,
    /// The quota of the account's user or duty does not cover the transaction.
    QuotaExceeded,
    /// The quota of each hospital that answers for the account is too small for the transaction.
    HospitalQuotaExceeded,
    /// The transaction is immortal, or its lifetime is longer than `MAX_LIFETIME_BLOCKS`.
    LifetimeTooLong,
    /// The nonce is too far ahead: too many of the account's transactions wait for a block.
    TooManyInFlight,
    /// The transaction is larger than its call needs. The maximum is `MAX_USER_TRANSACTION_BYTES` for a user,
    /// `MAX_BATCH_BYTES` for a batch, and `MAX_TRANSACTION_BYTES` for most others.
    CallTooLarge,
    /// A batch has more than `MAX_BATCH_CALLS` calls.
    BatchTooLong,
    /// The call of a motion is longer than 4 KiB.
    MotionTooLarge,
    /// The council does not vote about this call.
    CallNotForMotion,
    /// The motion's threshold is not the number of votes that its call needs.
    WrongThreshold,
    /// The signer's hospital already has two live motions.
    TooManyMotions,
    /// The delay of the authorized upgrade has not passed.
    UpgradeTooEarly,
    /// The call of a motion, or the weight that is declared to close it, is more than a fifth of a block.
    MotionTooHeavy,
    /// The council authorized the upgrade more than `UPGRADE_BLOCKS` ago.
    UpgradeExpired,
    /// The council has authorized no upgrade, or another one.
    UpgradeNotAuthorized,
    /// The signer's hospital is leaving: it only serves its patients and readers.
    HospitalLeaving,
}

impl Refusal {
    pub const ALL: [Self; 20] = [
        Self::UnknownAccount,
        Self::HospitalNotActive,
        Self::CallNotForRole,
        Self::CallNotForBatch,
        Self::NotInForce,
        Self::QuotaExceeded,
        Self::HospitalQuotaExceeded,
        Self::LifetimeTooLong,
        Self::TooManyInFlight,
        Self::CallTooLarge,
        Self::BatchTooLong,
        Self::MotionTooLarge,
        Self::CallNotForMotion,
        Self::WrongThreshold,
        Self::TooManyMotions,
        Self::UpgradeTooEarly,
        Self::MotionTooHeavy,
        Self::UpgradeExpired,
        Self::UpgradeNotAuthorized,
        Self::HospitalLeaving,
    ];

    /// The code within `InvalidTransaction::Custom`.
    pub const fn code(self) -> u8 {
        match self {
            Self::UnknownAccount => 1,
            Self::HospitalNotActive => 2,
            Self::CallNotForRole => 3,
            Self::CallNotForBatch => 4,
            Self::NotInForce => 5,
            Self::QuotaExceeded => 6,
            Self::HospitalQuotaExceeded => 7,
            Self::LifetimeTooLong => 8,
            Self::TooManyInFlight => 9,
            Self::CallTooLarge => 10,
            Self::BatchTooLong => 11,
            Self::MotionTooLarge => 12,
            Self::CallNotForMotion => 13,
            Self::WrongThreshold => 14,
            Self::TooManyMotions => 15,
            Self::UpgradeTooEarly => 16,
            Self::MotionTooHeavy => 17,
            Self::UpgradeExpired => 18,
            Self::UpgradeNotAuthorized => 19,
            Self::HospitalLeaving => 20,
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }

    /// Whether the chain may accept the same call later, although nobody changes a role or a registration.
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::QuotaExceeded | Self::HospitalQuotaExceeded | Self::TooManyInFlight)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownAccount => {
                "the account is not registered on this chain: a hospital must register it first"
            }
            Self::HospitalNotActive => {
                "the account's hospital is suspended or removed: the council can reinstate it"
            }
            Self::HospitalLeaving => {
                "the account's hospital is leaving: it serves its patients and readers, and takes part in nothing else"
            }
            Self::CallNotForRole => "the account's role may not make this call",
            Self::CallNotForBatch => {
                "a batch may not contain a body, another batch, a motion, an upgrade, or a call that the account's \
                 role may not make"
            }
            Self::MotionTooLarge => {
                "the call of a motion has at most 4096 bytes: authorize an upgrade by the hash of its code"
            }
            Self::CallNotForMotion => {
                "the council does not vote about this call: propose a call of the hospitals' pallet, or one call in \
                 councilRoot.dispatch"
            }
            Self::WrongThreshold => {
                "the motion has the wrong threshold: it must be the smallest number of votes above half of the \
                 members, or for councilRoot.dispatch the smallest number that is at least two thirds of the members"
            }
            Self::TooManyMotions => {
                "the account's hospital already has two live motions: try again after one of them is closed"
            }
            Self::UpgradeTooEarly => {
                "the upgrade may not take effect yet: try again when the number of blocks in councilRoot.upgradeDelay \
                 has passed since the council authorized it"
            }
            Self::UpgradeExpired => {
                "the council authorized the upgrade more than seven days ago: try again after the council has \
                 authorized it again"
            }
            Self::UpgradeNotAuthorized => {
                "the council has not authorized this code: try again after a motion with its hash in \
                 system.authorizeUpgrade has passed"
            }
            Self::MotionTooHeavy => {
                "the motion needs too much computation: its call, and the weight bound with which it is closed, may \
                 each have at most a fifth of a block"
            }
            Self::NotInForce => {
                "no registration of this user is in force: a hospital must register or reinstate the user first"
            }
            Self::QuotaExceeded => {
                "the account has used up its quota: try again in half a minute, or within 24 hours if it has sent too \
                 many bytes"
            }
            Self::HospitalQuotaExceeded => {
                "the accounts of this hospital have used up their common quota: try again in half a minute, or within \
                 24 hours if they have sent too many bytes"
            }
            Self::LifetimeTooLong => {
                "the transaction is valid for too long: sign it for at most 256 blocks, and not as immortal"
            }
            Self::TooManyInFlight => {
                "too many transactions of this account wait for a block: try again after the next blocks"
            }
            Self::CallTooLarge => {
                "the transaction is too large: a user's may have at most 4 KiB, a batch 64 KiB, a call with a body \
                 its own limit, and most other calls 32 KiB"
            }
            Self::BatchTooLong => "a batch may have at most 64 calls",
        })
    }
}

impl core::error::Error for Refusal {}
