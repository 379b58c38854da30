//! Why a hospital's part of an opening does not count, and why sections are not opened.

use std::{fmt, time::Duration};

use epione_primitives::{
    BlockNumber, HospitalId, RecordPointer, UserId, consortium::EpochId, opening::OpeningId,
};

/// Why a hospital's part of an opening does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartFault {
    #[error("gave no part: {0}")]
    NoAnswer(String),
    #[error(
        "the chain has no record that it hands out its part, {} s after it sent the part",
        .after.as_secs()
    )]
    NotHandedOut { after: Duration },
    #[error(
        "sent a part of epoch {sent}, and recorded on the chain that it hands out one of epoch {recorded}"
    )]
    OtherEpoch { sent: EpochId, recorded: EpochId },
    #[error("has no share of this key in epoch {0}")]
    NoShare(EpochId),
    #[error("its agent did not sign the part for this opening and your sealing key")]
    Signature,
    /// A record's hospital published new wraps, or the hospitals have a new key, since the hospital or this reader read
    /// the chain.
    #[error("made its part of other wraps of the sections than the chain had for you")]
    OtherWraps,
    #[error("sent a part for another number of sections: {found} instead of {expected}")]
    Count { found: usize, expected: usize },
    #[error("the proof that it made its part with its share is wrong")]
    Proof,
    #[error(
        "sent another mixing value for section {section} of record {pointer} than the one that opens the section"
    )]
    Mixing { pointer: RecordPointer, section: u16 },
}

impl PartFault {
    /// Whether the hospital sent something that it must not send. Otherwise it only did not help: an honest hospital,
    /// too, makes its part of other wraps or of another key if these change meanwhile.
    pub fn is_breach(&self) -> bool {
        !matches!(self, Self::NoAnswer(_) | Self::NoShare(_) | Self::OtherWraps)
    }
}

/// The hospitals whose parts do not count, ascending, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartFaults(pub Vec<(HospitalId, PartFault)>);

impl fmt::Display for PartFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (hospital, fault)) in self.0.iter().enumerate() {
            let before = if position == 0 { "" } else { "; " };
            write!(f, "{before}hospital {hospital}: {fault}")?;
        }
        Ok(())
    }
}

/// Why sections of an opening are not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningFault {
    #[error("there is no opening {0}: check its number")]
    Unknown(OpeningId),
    #[error(
        "opening {opening} is not for user {user}: only its requester gets the hospitals' parts"
    )]
    NotRequester { opening: OpeningId, user: UserId },
    #[error("record {pointer} is not in opening {opening}")]
    NotIncluded { opening: OpeningId, pointer: RecordPointer },
    #[error(
        "you have changed your account or sealing key since opening {0} was decided: it is for your earlier keys only"
    )]
    OtherKeys(OpeningId),
    #[error(
        "opening {opening} ended with chain block {last}: the hospitals hand out their parts for ten minutes only"
    )]
    Over { opening: OpeningId, last: BlockNumber },
    #[error("the hospitals have no consortium key yet, so they open nothing together")]
    NoKey,
    #[error(
        "section {section} of record {pointer} has no wrap under the present consortium key: the record's hospital has \
         not made it yet, or has no share of the key and cannot make it, or the record does not have this section, or \
         the section is no longer shared by the same consent"
    )]
    NotWrapped { pointer: RecordPointer, section: u16 },
    #[error("the node does not have the wraps of record {pointer}: it did not sync every block")]
    NoWraps { pointer: RecordPointer },
    #[error(
        "the hospital of a record renewed its wraps, or the hospitals their key, while opening {0} was collected: \
         nothing was opened"
    )]
    Rewrapped(OpeningId),
    #[error(
        "{found} of the {needed} hospitals that are needed gave a valid part of opening {opening}: nothing was opened \
         ({faults})"
    )]
    TooFew { opening: OpeningId, needed: usize, found: usize, faults: PartFaults },
    /// More hospitals lie than may be malicious, or the wrap is wrong: the answers do not show which.
    #[error(
        "the hospitals sent different mixing values for section {section} of record {pointer}, none of which opens it, \
         and too few agree to tell who is wrong: nothing of this record was opened"
    )]
    Undecided { pointer: RecordPointer, section: u16 },
    /// Everybody with the parts can show this: whoever opens a wrap makes it again.
    #[error(
        "hospital {hospital} wrapped a wrong key for section {section} of record {pointer}: nothing of this record was \
         opened; tell the patient and the other hospitals"
    )]
    WrongWrap { hospital: HospitalId, pointer: RecordPointer, section: u16 },
}
