//! Identifiers. Each has its own type, so the compiler tells them apart.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::{fmt, str::FromStr};
use scale_info::TypeInfo;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use crate::{AccountId, Hash};

/// The number of a hospital, in the order of admission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct HospitalId(pub u16);

impl fmt::Display for HospitalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Always fails. pallet-session requires this conversion for chains whose validators are accounts. Here
/// a validator is a hospital, and no account determines its id.
impl TryFrom<AccountId> for HospitalId {
    type Error = ();

    fn try_from(_: AccountId) -> Result<Self, ()> {
        Err(())
    }
}

/// The number of an announcement of a lite block, in the order of arrival.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
#[serde(transparent)]
pub struct AnnouncementId(pub u64);

impl fmt::Display for AnnouncementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The position of a committed record: the lite block's height and the entry's index in the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub struct RecordPointer {
    /// The height of the lite block. The first block has height 1.
    pub height: u32,
    /// The index of the record's entry in that block, from 0.
    pub index: u16,
}

impl fmt::Display for RecordPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.height, self.index)
    }
}

/// The text does not name a record as [`RecordPointer`] is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPointer;

impl fmt::Display for InvalidPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record is written as HEIGHT/INDEX, as in 12/0")
    }
}

impl core::error::Error for InvalidPointer {}

impl FromStr for RecordPointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, InvalidPointer> {
        let (height, index) = text.split_once('/').ok_or(InvalidPointer)?;
        let height = height.parse().map_err(|_| InvalidPointer)?;
        let index = index.parse().map_err(|_| InvalidPointer)?;
        Ok(Self { height, index })
    }
}

/// The text is not a hexadecimal identifier of the right length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId;

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an identifier consists of two hexadecimal digits for each byte, after an optional 0x",
        )
    }
}

impl core::error::Error for InvalidId {}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
        pub struct $name(pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x")?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut bytes = [0; $bytes];
                hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut bytes)
                    .map_err(|_| InvalidId)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = alloc::string::String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

opaque_id! {
    /// The id of a patient, professional, researcher or auditor: a pseudonym, derived from the user's first keys
    /// ([`UserId::of`]). It is never derived from a name or a number.
    UserId, 32
}

impl UserId {
    /// The id of the user whose first account and first sealing key these are: Blake2-256 over the SCALE encoding of
    /// `"epione/user"`, the account and the hash of the sealing key. So nobody can register another user under an id
    /// that they saw.
    pub fn of(account: &AccountId, sealing_key_hash: Hash) -> Self {
        Self(BlakeTwo256::hash_of(&(b"epione/user", account, sealing_key_hash)).0)
    }
}

opaque_id! {
    /// The id of a record (one visit): random, generated by its author's client.
    RecordId, 16
}
