//! `epione council complete-replacement` and `object-to-replacement`: another governance account for a hospital, on
//! which the council decided, takes effect after its delay, unless the present account objects.

use std::fmt;

use clap::Args;
use epione_client::{
    Account,
    chain::{Call, ChainEvent, Included, calls::hospitals},
};
use epione_primitives::{AccountId, BlockNumber, HospitalId};
use serde::Serialize;

use super::{Signing, in_block, state::Council};
use crate::{
    confirmation::confirm,
    context::{Context, HospitalRef, Output},
    failure::Failure,
};

#[derive(Clone, Debug, Args)]
pub struct CompleteReplacementArgs {
    /// Number or name of the hospital that gets another governance account
    #[arg(value_name = "WHICH")]
    pub which: HospitalRef,
    #[command(flatten)]
    pub signing: Signing,
}

#[derive(Clone, Debug, Args)]
pub struct ObjectArgs {
    #[command(flatten)]
    pub signing: Signing,
}

/// A replacement that took effect, or that will not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replaced {
    pub hospital: HospitalId,
    /// The new governance account; none after an objection.
    pub governance: Option<AccountId>,
    /// The chain block of the change.
    pub block: BlockNumber,
    #[serde(rename = "final")]
    pub is_final: bool,
    /// The command that goes on.
    pub next: String,
}

impl Output for Replaced {}

impl fmt::Display for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hospital, governance, block, is_final, next } = self;
        let block = in_block(*block, *is_final);
        match governance {
            Some(governance) => write!(
                f,
                "hospital {hospital} has the governance account {governance} since {block}; the earlier account has no \
                 rights. Rotate the hospital's other keys if they may be lost, too"
            )?,
            None => write!(
                f,
                "hospital {hospital} objected in {block}: it keeps its governance account, unless the council decides \
                 again"
            )?,
        }
        write!(f, "\nnext:\n  {next}")
    }
}

/// Has the council's decision about a hospital take effect.
pub async fn complete_replacement(
    args: &CompleteReplacementArgs,
    context: &Context,
) -> Result<Replaced, Failure> {
    let CompleteReplacementArgs { which, signing } = args;
    let council = Council::read(signing.era, context).await?;
    let hospital = context.hospital(which).await?;
    let (own, account) = council.member(signing, context).await?;
    let statement = format!(
        "{} completes what the council decided: {} gets another governance account.\n  Its present governance account \
         loses all rights at once. Its agent and its session keys stay.",
        council.hospital(own),
        council.hospital(hospital),
    );
    let call = hospitals::complete_replacement(hospital);
    let sent = send(&call, &statement, &account, signing, context).await?;
    let governance = sent.events.iter().find_map(|event| match event {
        ChainEvent::AccountsRotated { hospital: of, governance, .. } if *of == hospital => {
            Some(governance.clone())
        }
        _ => None,
    });
    Ok(replaced(hospital, governance, &sent, signing, context))
}

/// Keeps the hospital's present governance account.
pub async fn object_to_replacement(
    args: &ObjectArgs,
    context: &Context,
) -> Result<Replaced, Failure> {
    let ObjectArgs { signing } = args;
    let council = Council::read(signing.era, context).await?;
    let (hospital, account) = council.member(signing, context).await?;
    let statement = format!(
        "{} keeps its present governance account: what the council decided about another one does not happen.",
        council.hospital(hospital)
    );
    let call = hospitals::object_to_replacement();
    let sent = send(&call, &statement, &account, signing, context).await?;
    Ok(replaced(hospital, None, &sent, signing, context))
}

async fn send(
    call: &Call,
    statement: &str,
    account: &Account,
    signing: &Signing,
    context: &Context,
) -> Result<Included, Failure> {
    confirm(context, statement, signing.yes).await?;
    let birth = signing.era.birth(context)?;
    Ok(context.chain().await?.submit_from(birth, call, account).await?)
}

fn replaced(
    hospital: HospitalId,
    governance: Option<AccountId>,
    sent: &Included,
    signing: &Signing,
    context: &Context,
) -> Replaced {
    Replaced {
        hospital,
        governance,
        block: sent.block.number,
        is_final: signing.era.is_final(),
        next: context.command(["hospital", "list"]).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_says_which_account_governs() {
        let replaced = |governance| Replaced {
            hospital: HospitalId(3),
            governance,
            block: 9,
            is_final: true,
            next: "epione hospital list".into(),
        };
        let account = AccountId::new([7; 32]);
        let said = replaced(Some(account.clone())).to_string();
        assert!(said.contains(&format!("governance account {account} since block 9")), "{said}");
        let said = replaced(None).to_string();
        assert!(said.contains("objected in block 9: it keeps"), "{said}");
        assert!(said.ends_with("\n  epione hospital list"), "{said}");
    }
}
