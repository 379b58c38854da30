//! `epione council complete-replacement` and `object-to-replacement`: another governance account for a hospital, on
//! which the council decided, takes effect after its delay, unless the present account objects.

use std::fmt;

use clap::Args;
use epione_client::{
    Account,
    chain::{Call, ChainEvent, Included, calls::hospitals},
};
use epione_primitives::{AccountId, BlockNumber, HospitalId, hospital::Replacement};
use serde::Serialize;

use super::{Signing, in_block, state::Council};
use crate::{
    commands::consortium::lasting,
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
    let decided = context.chain().await?.at(council.at.hash).replacement(hospital).await?;
    let decided = decision(decided, hospital, council.at.number)?;
    let statement = completing(&council, own, hospital, &decided);
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
    let decided = context.chain().await?.at(council.at.hash).replacement(hospital).await?;
    let Replacement { governance, .. } = decided.ok_or_else(|| {
        Failure::new(
            "the council has decided on no other governance account of this hospital; nothing was sent",
            "there is nothing to do: the hospital keeps its account",
        )
    })?;
    let statement = format!(
        "{} keeps its present governance account. It does not become {governance}, on which the council decided.",
        council.hospital(hospital)
    );
    let call = hospitals::object_to_replacement();
    let sent = send(&call, &statement, &account, signing, context).await?;
    Ok(replaced(hospital, None, &sent, signing, context))
}

/// The council's decision, if it can be completed in the next block.
fn decision(
    decided: Option<Replacement>,
    hospital: HospitalId,
    block: BlockNumber,
) -> Result<Replacement, Failure> {
    let next = block.saturating_add(1);
    let decided = decided.filter(|decided| !decided.has_lapsed(next));
    let decided = decided.ok_or_else(|| undecided(hospital))?;
    if next < decided.from {
        return Err(Failure::new(
            format!(
                "the replacement can be completed from block {} on; nothing was sent",
                decided.from
            ),
            format!("wait for {}", lasting(decided.from.saturating_sub(next))),
        ));
    }
    Ok(decided)
}

fn undecided(hospital: HospitalId) -> Failure {
    Failure::new(
        format!(
            "the council has decided on no other governance account of hospital {hospital}, or more than a week \
             before, or the hospital objected; nothing was sent"
        ),
        format!(
            "propose it first: `epione council propose replace-governance {hospital} --consent FILE`"
        ),
    )
}

/// What the governance confirms.
pub(super) fn completing(
    council: &Council,
    own: HospitalId,
    hospital: HospitalId,
    decided: &Replacement,
) -> String {
    let present = council.hospitals.iter().find(|(id, _)| *id == hospital);
    let present = present.map_or_else(String::new, |(_, it)| format!(" {}", it.governance));
    format!(
        "{} completes what the council decided: {} gets the governance account {}.\n  Its present governance \
         account{present} loses all rights at once. Its agent and its session keys stay.",
        council.hospital(own),
        council.hospital(hospital),
        decided.governance,
    )
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
    fn only_a_decision_of_the_council_is_completed_and_not_too_early() {
        let governance = AccountId::new([7; 32]);
        let decided = || Some(Replacement { governance: governance.clone(), from: 100 });
        assert_eq!(decision(decided(), HospitalId(3), 99).unwrap().governance, governance);
        let early = decision(decided(), HospitalId(3), 59).unwrap_err();
        assert!(early.error.contains("block 100") && early.help.contains("40 blocks"), "{early}");
        for (none, block) in [(None, 99), (decided(), 1_000_000)] {
            let refused = decision(none, HospitalId(3), block).unwrap_err();
            assert!(refused.help.contains("replace-governance 3"), "{refused}");
        }
    }

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
