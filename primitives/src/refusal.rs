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
    /// A batch contains a body, another batch, or a call that the signer's role may not make.
    CallNotForBatch,
}

impl Refusal {
    pub const ALL: [Self; 4] = [
        Self::UnknownAccount,
        Self::HospitalNotActive,
        Self::CallNotForRole,
        Self::CallNotForBatch,
    ];

    /// The code within `InvalidTransaction::Custom`.
    pub const fn code(self) -> u8 {
        match self {
            Self::UnknownAccount => 1,
            Self::HospitalNotActive => 2,
            Self::CallNotForRole => 3,
            Self::CallNotForBatch => 4,
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
                "a batch may not contain a body, another batch, or a call that the account's role may not make"
            }
        })
    }
}

impl core::error::Error for Refusal {}
