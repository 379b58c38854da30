//! Why nodes reject a transaction before it reaches a block.

use core::fmt;

/// Why the chain rejects a transaction. Nodes report it as "Invalid Transaction" with the data
/// "Custom error: N", where N is the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No hospital and no user is registered with the signer's account.
    UnknownAccount,
    /// The signer belongs to a hospital that is suspended or removed.
    HospitalNotActive,
    /// The signer's role may not make this call.
    CallNotForRole,
    /// A batch contains a body, another batch, a motion, an upgrade, or a call that the signer's role may not make.
    CallNotForBatch,
    /// The call of a motion is longer than 4 KiB.
    MotionTooLarge,
    /// The council does not vote about this call.
    CallNotForMotion,
    /// The motion's threshold is not the number of votes that its call needs.
    WrongThreshold,
    /// The signer already has two live motions.
    TooManyMotions,
    /// The delay of the authorized upgrade has not passed.
    UpgradeTooEarly,
}

impl Refusal {
    pub const ALL: [Self; 9] = [
        Self::UnknownAccount,
        Self::HospitalNotActive,
        Self::CallNotForRole,
        Self::CallNotForBatch,
        Self::MotionTooLarge,
        Self::CallNotForMotion,
        Self::WrongThreshold,
        Self::TooManyMotions,
        Self::UpgradeTooEarly,
    ];

    /// The code within `InvalidTransaction::Custom`.
    pub const fn code(self) -> u8 {
        match self {
            Self::UnknownAccount => 1,
            Self::HospitalNotActive => 2,
            Self::CallNotForRole => 3,
            Self::CallNotForBatch => 4,
            Self::MotionTooLarge => 32,
            Self::CallNotForMotion => 33,
            Self::WrongThreshold => 34,
            Self::TooManyMotions => 35,
            Self::UpgradeTooEarly => 36,
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
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
                "the motion has the wrong threshold: it is the smallest number of votes above half of the members, and \
                 at least two thirds of the members for councilRoot.dispatch"
            }
            Self::TooManyMotions => {
                "the account already has two live motions: try again after one of them is closed"
            }
            Self::UpgradeTooEarly => {
                "the upgrade may not take effect yet: try again when the number of blocks in councilRoot.upgradeDelay \
                 has passed since the council authorized it"
            }
        })
    }
}

impl core::error::Error for Refusal {}
