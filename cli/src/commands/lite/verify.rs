//! `epione lite verify`: checks the whole file, and compares its end with the chain.

use std::{ffi::OsStr, fmt, path::PathBuf};

use clap::Args;
use epione_client::lite::{self, LiteError, Source, Store, WrongBlock};
use epione_primitives::BlockNumber;
use serde::Serialize;

use super::{Counter, FileArgs, blocking};
use crate::{
    context::{Context, Output},
    failure::Failure,
    invocation::Invocation,
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
    /// Whether the blocks of the file are right, and the chain has the same if they were compared. The chain may have
    /// newer ones.
    pub passed: bool,
    /// All lite blocks up to this height are right.
    pub height: u32,
    /// The newest chain block in whose state there were no other lite blocks than these, as the file says; absent if
    /// the last copy was interrupted, or a block is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_at: Option<BlockNumber>,
    pub records: u64,
    /// Sealed records that were compared with the hashes in their entries.
    pub sealed_records: u64,
    /// The first lite block that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrong: Option<Wrong>,
    /// The chain block with whose state the newest lite block was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// Why it was not compared, although it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_compared: Option<Failure>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Wrong {
    pub height: u32,
    pub reason: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    pub block: BlockNumber,
    /// Whether it was proven that this block is final, and that all blocks of the file were copied from final states.
    pub proven: bool,
    /// Height of the newest lite block on the chain.
    pub chain_height: u32,
    /// The command that copies the newer lite blocks, if the chain has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
}

impl From<WrongBlock> for Wrong {
    fn from(wrong: WrongBlock) -> Self {
        Self { height: wrong.height, reason: wrong.to_string() }
    }
}

impl Verified {
    /// The chain has the same lite blocks, and maybe later ones, which `sync` would copy.
    fn agrees(mut self, source: Source, sync: &Invocation) -> Self {
        let Source { number: block, proven, height: chain_height, .. } = source;
        let sync = (chain_height > self.height).then(|| sync.to_string());
        self.compared = Some(Compared { block, proven, chain_height, sync });
        self
    }

    /// The file is right in itself, and the chain could not be asked.
    fn not_compared(mut self, mut failure: Failure) -> Self {
        failure.help += "; or verify only the file, with --offline";
        self.passed = false;
        self.not_compared = Some(failure);
        self
    }

    fn contradicted(mut self, reason: String) -> Self {
        self.passed = false;
        self.wrong = Some(Wrong { height: self.height, reason });
        self
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
        match self.complete_at {
            Some(block) => writeln!(f, "the file was complete at chain block {block}")?,
            None if self.wrong.is_none() => writeln!(f, "the last copy into the file did not end")?,
            None => {}
        }
        if let Some(wrong) = &self.wrong {
            return write!(f, "FAILED at height {}: {}", wrong.height, wrong.reason);
        }
        if let Some(failure) = &self.not_compared {
            return write!(f, "NOT COMPARED with the chain\n{failure}");
        }
        let Some(Compared { block, proven, chain_height, sync }) = &self.compared else {
            return write!(f, "not compared with the chain");
        };
        let proof = match proven {
            true => "proven to be final",
            false => "NOT PROVEN: this command, or an earlier copy, believed a node",
        };
        match self.height {
            0 => writeln!(f, "nothing to compare with chain block {block}, {proof}")?,
            _ => {
                writeln!(f, "the chain has the same, by chain block {block}, {proof}")?;
                writeln!(
                    f,
                    "approvals are compared only when they are copied, by epione lite sync"
                )?;
            }
        }
        let Some(sync) = sync else { return Ok(()) };
        let newer = chain_height.saturating_sub(self.height);
        let newer = counted(newer, "newer lite block", "newer lite blocks");
        write!(f, "the chain has {newer}, which the file does not have yet; run: {sync}")
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
    let verified = Verified {
        file: path,
        passed: checked.wrong.is_none(),
        height: checked.height,
        complete_at: checked.complete_at,
        records: checked.records,
        sealed_records: checked.sealed_records,
        wrong: checked.wrong.clone().map(Wrong::from),
        compared: None,
        not_compared: None,
    };
    if args.offline || !verified.passed {
        return Ok(verified);
    }
    let chain = match context.chain().await {
        Ok(chain) => chain,
        Err(failure) => return Ok(verified.not_compared(failure)),
    };
    Ok(match lite::compare(chain, &store, &checked).await {
        Ok(source) => verified.agrees(source, &sync(args, context)),
        Err(error @ (LiteError::Fork { .. } | LiteError::RolledBack { .. })) => {
            verified.contradicted(error.to_string())
        }
        Err(error) => verified.not_compared(error.into()),
    })
}

/// The command that copies into the same file what it lacks.
fn sync(args: &VerifyArgs, context: &Context) -> Invocation {
    let file = args.file.file.iter().flat_map(|file| [OsStr::new("--file"), file.as_os_str()]);
    context.command(["lite", "sync"]).with(file)
}

#[cfg(test)]
mod tests {
    use epione_primitives::Hash;

    use super::*;

    /// A state of the chain with so many lite blocks.
    fn source(height: u32, proven: bool) -> Source {
        Source { number: 9, hash: Hash::zero(), time: 1, height, proven }
    }

    /// The result for a file of so many blocks, without a fault, before it is compared.
    fn verified(height: u32) -> Verified {
        Verified {
            file: "lite.sqlite".into(),
            passed: true,
            height,
            complete_at: (height > 0).then_some(8),
            records: height.into(),
            sealed_records: 0,
            wrong: None,
            compared: None,
            not_compared: None,
        }
    }

    #[test]
    fn the_result_of_the_check_is_printed_although_no_node_answers() {
        let verified = verified(3).not_compared(Failure::new("no node answers", "start it"));
        assert!(!verified.passed());
        let text = verified.to_string();
        assert!(text.starts_with("3 lite blocks verified"), "{text}");
        for said in ["NOT COMPARED", "no node answers", "start it", "--offline"] {
            assert!(text.contains(said), "{text}");
        }
        let json = serde_json::to_value(&verified).unwrap();
        assert_eq!(json["height"], 3, "{json}");
        assert_eq!(json["passed"], false, "{json}");
        assert_eq!(json["notCompared"]["error"], "no node answers");
    }

    #[test]
    fn what_is_not_proven_is_not_called_proven_and_approvals_are_never_called_compared() {
        for proven in [true, false] {
            let sync = Invocation::new(["lite", "sync"]);
            let text = verified(3).agrees(source(3, proven), &sync).to_string();
            assert_eq!(text.contains("proven to be final"), proven, "{text}");
            assert_eq!(text.contains("NOT PROVEN"), !proven, "{text}");
            assert!(text.contains("approvals are compared only when they are copied"), "{text}");
        }
    }

    #[test]
    fn newer_blocks_of_the_chain_are_no_fault_and_the_command_that_copies_them_is_printed() {
        let sync = Invocation::new(["lite", "sync"]);
        for (height, chain, newer) in [
            (0, 0, None),
            (3, 3, None),
            (0, 3, Some("3 newer lite blocks")),
            (2, 3, Some("1 newer")),
        ] {
            let verified = verified(height).agrees(source(chain, true), &sync);
            assert!(verified.passed());
            let text = verified.to_string();
            assert_eq!(text.contains("nothing to compare"), height == 0, "{text}");
            assert_eq!(text.contains("the chain has the same"), height > 0, "{text}");
            assert_eq!(text.contains("complete at chain block 8"), height > 0, "{text}");
            assert_eq!(text.ends_with("run: epione lite sync"), newer.is_some(), "{text}");
            assert!(newer.is_none_or(|newer| text.contains(newer)), "{text}");
            let json = serde_json::to_value(&verified).unwrap();
            assert_eq!(json["compared"]["chainHeight"], chain);
            assert_eq!(json["compared"]["sync"] == "epione lite sync", newer.is_some(), "{json}");
            assert_eq!(json["completeAt"] == 8, height > 0, "{json}");
        }
    }

    #[test]
    fn a_chain_that_contradicts_the_file_fails() {
        let verified = verified(3).contradicted("the chain has two histories".into());
        assert!(!verified.passed());
        let text = verified.to_string();
        assert!(text.ends_with("FAILED at height 3: the chain has two histories"), "{text}");
    }
}
