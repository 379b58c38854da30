//! `epione verify-evidence`, and how formal transactions are shown.

mod shown;
mod verify;

pub(super) use shown::{About, Transactions};
pub use verify::{Examined, VerifyEvidenceArgs, verify};
