//! `epione verify-evidence`, and how formal transactions are shown.

mod shown;
mod verify;

pub(super) use shown::Transactions;
pub use verify::{Examined, VerifyEvidenceArgs, verify};
