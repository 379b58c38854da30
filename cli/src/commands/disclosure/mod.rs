//! `epione disclose` and `verify-disclosure`: a patient shows sections of a record to somebody outside the network, who
//! verifies without a node what the author signed.

mod disclose;
mod verify;

pub use disclose::{DiscloseArgs, Disclosed, disclose};
pub use verify::{Examined, ExaminedSection, VerifyDisclosureArgs, verify};
