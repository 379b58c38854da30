//! `epione council apply-upgrade`: the code of a runtime that the council authorized.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::Args;
use epione_client::chain::{AuthorizedUpgrade, calls::council};
use epione_primitives::{BlockNumber, Hash, limits::BLOCK_BYTES};
use serde::Serialize;
use sp_crypto_hashing::blake2_256;

use super::{Signing, in_block, read_file, state::Council};
use crate::{
    commands::consortium::lasting,
    confirmation::confirm,
    context::{Context, Output},
    failure::Failure,
};

/// The first bytes of WebAssembly.
const WASM: &[u8] = b"\0asm";
/// The first bytes of a compressed runtime: those of `sp-maybe-compressed-blob`.
const COMPRESSED: &[u8] = &[82, 188, 83, 118, 70, 219, 142, 5];

#[derive(Clone, Debug, Args)]
pub struct ApplyUpgradeArgs {
    /// File with the code of the new runtime (WebAssembly), as it was built
    #[arg(value_name = "CODE")]
    pub code: PathBuf,
    #[command(flatten)]
    pub signing: Signing,
}

/// A runtime that is in force from the next block on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    pub code_hash: Hash,
    /// The chain block that replaced the runtime.
    pub block: BlockNumber,
    #[serde(rename = "final")]
    pub is_final: bool,
    /// The command that goes on.
    pub next: String,
}

impl Output for Applied {}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code_hash, block, is_final, next } = self;
        let block = in_block(*block, *is_final);
        write!(
            f,
            "the runtime with the hash {code_hash:?} is in force after {block}\nnext, with the version of epione for \
             this runtime:\n  {next}"
        )
    }
}

/// The code of a runtime, and its hash.
fn code(path: &Path) -> Result<(Vec<u8>, Hash), Failure> {
    let code = read_file(path, BLOCK_BYTES.into())?;
    let hash = Hash::from(blake2_256(&code));
    Ok((code, hash))
}

/// The hash of code that the council shall authorize. A motion about any other file would pass, take a day, and could
/// never be applied.
pub(super) fn new_code(path: &Path) -> Result<Hash, Failure> {
    let (code, hash) = code(path)?;
    if [WASM, COMPRESSED].iter().any(|begin| code.starts_with(begin)) {
        return Ok(hash);
    }
    Err(Failure::usage(
        format!(
            "{} is no runtime: it is neither WebAssembly nor compressed as the build of a runtime does it; nothing \
             was sent",
            path.display()
        ),
        "give the file whose name ends with .compact.compressed.wasm",
    ))
}

/// Checks that the council authorized this code, and that the delay has passed.
fn check(
    hash: Hash,
    authorized: Option<AuthorizedUpgrade>,
    block: BlockNumber,
) -> Result<AuthorizedUpgrade, Failure> {
    let Some(upgrade @ AuthorizedUpgrade { code_hash, first: Some(first), .. }) = authorized else {
        return Err(Failure::new(
            "the council has authorized no upgrade; nothing was sent",
            "propose it first: `epione council propose upgrade --code FILE`",
        ));
    };
    if code_hash != hash {
        return Err(Failure::new(
            format!(
                "the council authorized the code with the hash {code_hash:?}, and this code has the hash {hash:?}; \
                 nothing was sent"
            ),
            "build the code that the council authorized, from the same sources and with the same tools",
        ));
    }
    let next = block.saturating_add(1);
    if next < first {
        let left = lasting(first.saturating_sub(next));
        return Err(Failure::new(
            format!("the upgrade may be applied from block {first} on; nothing was sent"),
            format!("wait for {left}"),
        ));
    }
    Ok(upgrade)
}

/// What the governance confirms.
fn applying(hospital: &str, hash: Hash, checks: bool) -> String {
    let unchecked = match checks {
        true => "",
        false => {
            "\n  THE CHAIN DOES NOT CHECK that it is a runtime of this chain with a higher version."
        }
    };
    format!(
        "{hospital} replaces the runtime by the code with the hash {hash:?}, which the council authorized.\n  Every \
         node executes it from the next block on. Workers and clients must have the version for it.{unchecked}"
    )
}

/// Replaces the runtime.
pub async fn apply_upgrade(args: &ApplyUpgradeArgs, context: &Context) -> Result<Applied, Failure> {
    let ApplyUpgradeArgs { code: path, signing } = args;
    let (code, hash) = code(path)?;
    let council = Council::read(signing.era, context).await?;
    let chain = context.chain().await?;
    let authorized = chain.at(council.at.hash).authorized_upgrade().await?;
    let authorized = check(hash, authorized, council.at.number)?;
    let (hospital, account) = council.member(signing, context).await?;
    let statement = applying(&council.hospital(hospital), hash, authorized.checks);
    confirm(context, &statement, signing.yes).await?;
    let birth = signing.era.birth(context)?;
    let sent = chain.submit_from(birth, &council::apply_upgrade(&code), &account).await?;
    if !sent.has_upgraded() {
        return Err(Failure::new(
            format!("the chain did not accept the code in block {}", sent.block.number),
            "nothing was changed: the code must be of this chain and have a higher version; the council must authorize \
             code that is",
        ));
    }
    Ok(Applied {
        code_hash: hash,
        block: sent.block.number,
        is_final: signing.era.is_final(),
        next: context.command(["hospital", "list"]).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_runtime_is_proposed_as_an_upgrade() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runtime.wasm");
        for begin in [WASM, COMPRESSED] {
            let code = [begin, &[1, 2, 3]].concat();
            std::fs::write(&file, &code).unwrap();
            assert_eq!(new_code(&file).unwrap(), Hash::from(blake2_256(&code)));
        }
        for wrong in [&b""[..], b"\0as", b"# Epione", b"\x7fELF\x02", b"{\"code\": \"0x\"}"] {
            std::fs::write(&file, wrong).unwrap();
            let refused = new_code(&file).unwrap_err();
            assert!(refused.error.contains("is no runtime"), "{refused}");
        }
    }

    #[test]
    fn who_applies_an_upgrade_without_checks_reads_it() {
        let said = |checks| applying("hospital 0 (Alice)", Hash::repeat_byte(1), checks);
        assert!(said(false).contains("DOES NOT CHECK") && said(false).contains("0x0101"));
        assert!(!said(true).contains("DOES NOT CHECK"));
    }

    #[test]
    fn only_the_authorized_code_is_sent_and_not_too_early() {
        let hash = Hash::repeat_byte(1);
        let authorized = |first| Some(AuthorizedUpgrade { code_hash: hash, checks: true, first });
        check(hash, authorized(Some(100)), 99).unwrap();
        let early = check(hash, authorized(Some(100)), 59).unwrap_err();
        assert!(early.error.contains("block 100") && early.help.contains("40 blocks"), "{early}");
        let other = check(Hash::repeat_byte(2), authorized(Some(100)), 99).unwrap_err();
        assert!(other.error.contains("0x0101") && other.error.contains("0x0202"), "{other}");
        for none in [None, authorized(None)] {
            assert!(check(hash, none, 99).unwrap_err().help.contains("propose upgrade"));
        }
    }
}
