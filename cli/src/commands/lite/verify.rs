//! `epione lite verify`: checks the whole file, and compares its end with the chain.

use std::{fmt, path::PathBuf};

use clap::Args;
use epione_client::lite::{self, LiteError, Store, WrongBlock};
use epione_primitives::BlockNumber;
use serde::Serialize;

use super::{Counter, FileArgs, blocking};
use crate::{
    context::{Context, Output},
    failure::Failure,
    progress,
    wording::counted,
};

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Do not compare the newest lite block with the chain; needs no node
    #[arg(long)]
    pub offline: bool,
    #[command(flatten)]
    pub file: FileArgs,
}

/// The result of the check.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    pub file: PathBuf,
    pub passed: bool,
    /// All lite blocks up to this height are right.
    pub height: u32,
    pub records: u64,
    /// Sealed records that were compared with the hashes in their entries.
    pub sealed_records: u64,
    /// The first lite block that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<Wrong>,
    /// The chain block with whose state the newest lite block was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Wrong {
    pub height: u32,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    pub block: BlockNumber,
    /// Whether it was proven that this block is final, and that all blocks of the file were copied from final states.
    pub proven: bool,
}

impl From<WrongBlock> for Wrong {
    fn from(wrong: WrongBlock) -> Self {
        Self { height: wrong.height, reason: wrong.to_string() }
    }
}

impl Output for Verified {
    fn passed(&self) -> bool {
        self.passed
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = counted(self.height, "lite block", "lite blocks");
        let records = counted(self.records, "record", "records");
        let sealed = counted(self.sealed_records, "sealed record", "sealed records");
        writeln!(f, "{blocks} verified: {records}, and the bytes of {sealed}")?;
        if let Some(wrong) = &self.wrong {
            return write!(f, "FAILED at height {}: {}", wrong.height, wrong.reason);
        }
        let Some(Compared { block, proven }) = &self.compared else {
            return write!(f, "not compared with the chain");
        };
        let proof = match proven {
            true => "proven to be final",
            false => "NOT PROVEN: this command, or an earlier copy, believed a node",
        };
        writeln!(f, "the chain has the same, by chain block {block}, {proof}")?;
        write!(f, "approvals are compared only when they are copied, by epione lite sync")
    }
}

/// Checks the file, and unless it is wrong or --offline is given, compares it with the chain.
pub(super) async fn verified(args: &VerifyArgs, context: &Context) -> Result<Verified, Failure> {
    let path = args.file.path(context)?;
    let mut counter = Counter::new(progress::waiting(context, "verifying the lite blocks"));
    let file = path.clone();
    let (store, checked) = blocking(move || {
        let store = Store::open(&file)?;
        let checked = lite::check(&store, |height, newest| {
            counter.reached("verifying lite block", height, newest);
        })?;
        Ok((store, checked))
    })
    .await?;
    let mut verified = Verified {
        file: path,
        passed: checked.wrong.is_none(),
        height: checked.height,
        records: checked.records,
        sealed_records: checked.sealed_records,
        wrong: checked.wrong.clone().map(Wrong::from),
        compared: None,
    };
    if args.offline || !verified.passed {
        return Ok(verified);
    }
    let chain = context.chain().await.map_err(not_compared)?;
    match lite::compare(chain, &store, &checked).await {
        Ok(source) => {
            let (block, proven) = (source.number, source.proven);
            verified.compared = Some(Compared { block, proven });
        }
        Err(error @ (LiteError::Fork { .. } | LiteError::RolledBack { .. })) => {
            verified.passed = false;
            verified.wrong = Some(Wrong { height: verified.height, reason: error.to_string() });
        }
        Err(error) => return Err(not_compared(error.into())),
    }
    Ok(verified)
}

fn not_compared(failure: Failure) -> Failure {
    let error = format!(
        "the file is right in itself, but it was not compared with the chain: {}",
        failure.error
    );
    let help = format!("{}; or verify only the file, with --offline", failure.help);
    Failure::new(error, help)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result for a file of so many blocks, without a fault, before it is compared.
    fn verified(height: u32) -> Verified {
        Verified {
            file: "lite.sqlite".into(),
            passed: true,
            height,
            records: height.into(),
            sealed_records: 0,
            wrong: None,
            compared: None,
        }
    }

    #[test]
    fn what_is_not_proven_is_not_called_proven_and_approvals_are_never_called_compared() {
        for proven in [true, false] {
            let compared = Some(Compared { block: 9, proven });
            let text = Verified { compared, ..verified(3) }.to_string();
            assert_eq!(text.contains("proven to be final"), proven, "{text}");
            assert_eq!(text.contains("NOT PROVEN"), !proven, "{text}");
            assert!(text.contains("approvals are compared only when they are copied"), "{text}");
        }
    }
}
