//! `epione hospital leave`: a hospital stops validating, announcing and voting, and serves its patients until the
//! council removes it.

use std::{fmt, path::PathBuf};

use clap::Args;
use epione_client::chain::calls::hospitals;
use epione_primitives::{BlockNumber, HospitalId, consortium::faulty, hospital::HospitalStatus};
use serde::Serialize;

use super::folder::Folder;
use crate::{
    confirmation::confirm,
    context::{Context, Output},
    failure::Failure,
    identity::KeySource,
    wording::{counted, legible},
};

#[derive(Debug, Args)]
pub struct LeaveArgs {
    /// Folder of the hospital, which `epione hospital init` made [default: the node and the chain are given]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Key file of the hospital's governance [default: governance.json in DIR, or the devnet's]
    #[arg(long = "as", value_name = "FILE")]
    pub signer: Option<KeySource>,
    /// Sign without asking
    #[arg(long)]
    pub yes: bool,
}

/// A hospital that leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Left {
    pub hospital: HospitalId,
    pub name: String,
    /// The chain block from which on it leaves.
    pub block: BlockNumber,
    /// The hospitals that stay active.
    pub remaining: usize,
    /// Shows the hospital's status.
    pub next: String,
}

impl Output for Left {}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hospital, name, block, remaining, next } = self;
        writeln!(f, "from block {block} on, hospital {hospital} ({name}) leaves:")?;
        afterwards(*hospital).iter().try_for_each(|line| writeln!(f, "- {line}"))?;
        if let Some(line) = scarce(*remaining) {
            writeln!(f, "- {line}")?;
        }
        writeln!(f, "stop node and worker when the hospital is removed. To see its status:")?;
        write!(f, "  {next}")
    }
}

/// What a person reads before signing. What must happen first cannot be made up for afterwards.
fn beforehand(hospital: &str, remaining: usize) -> String {
    let mut lines = vec![
        format!(
            "{hospital} leaves the chain: it stops validating, announcing and voting at once. Only the council can \
             change that: by removing it, or by suspending and reinstating it"
        ),
        "wait first until the metric epione_worker_queued_visits is 0: what is queued later is never announced, and \
         the worker accepts no further visits"
            .into(),
        "ask patients first to entrust their keys (epione mandate entrust --help): the other hospitals soon renew \
         their shares of the consortium key without this one, which can then keep no further keys and wrap no \
         further sections"
            .into(),
    ];
    lines.extend(scarce(remaining));
    lines.join("\n- ")
}

/// What a hospital that leaves can expect, and what its operators and the others do.
fn afterwards(hospital: HospitalId) -> [String; 5] {
    [
        "it makes no blocks, announces nothing, and neither approves nor votes in the council".into(),
        "it still hands out records to its patients and to those whom they permit: keep node and worker running"
            .into(),
        format!("a member of the council proposes to remove it: epione council propose remove {hospital}"),
        format!(
            "then two thirds of the council can appoint a custodian for its patients' keys: epione council propose \
             custodian appoint --departed {hospital} --custodian WHICH"
        ),
        "patients who have not entrusted their keys can still open their records with their own key files: tell them"
            .into(),
    ]
}

/// What the others must know if none of those that stay may be silent.
fn scarce(remaining: usize) -> Option<String> {
    (faulty(remaining) == 0).then(|| {
        format!(
            "only {} active: finality and the ceremonies of the consortium key then need every one of them",
            counted(remaining, "hospital stays", "hospitals stay")
        )
    })
}

/// Leaves the chain.
pub async fn leave(args: &LeaveArgs, context: Context) -> Result<Left, Failure> {
    let (context, signer) = match &args.dir {
        Some(dir) => {
            let folder = Folder::open(dir)?;
            (folder.aim(context)?, Some(folder.signer(args.signer.as_ref())?))
        }
        None => (context, args.signer.clone()),
    };
    let (hospital, governance) = context.own_governance(signer.as_ref(), None).await?;
    let chain = context.chain().await?;
    let hospitals = chain.finalized().await?.hospitals().await?;
    let own = hospitals.iter().find(|(id, _)| *id == hospital);
    let name = own.map(|(_, entry)| legible(&entry.name)).unwrap_or_default();
    let others = hospitals
        .iter()
        .filter(|(id, entry)| *id != hospital && entry.status == HospitalStatus::Active);
    let remaining = others.count();
    let asked = beforehand(&format!("hospital {hospital} ({name})"), remaining);
    confirm(&context, &asked, args.yes).await?;
    let block = chain.submit(&hospitals::leave(), &governance).await?.block.number;
    let next = context.command(["hospital", "list"]).to_string();
    Ok(Left { hospital, name, block, remaining, next })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn a_person_reads_first_what_must_happen_before() {
        let said = beforehand("hospital 2 (East)", 5);
        assert!(said.starts_with("hospital 2 (East) leaves the chain"), "{said}");
        for needed in ["epione_worker_queued_visits is 0", "entrust their keys", "suspending"] {
            assert!(said.contains(needed), "{needed}: {said}");
        }
        assert!(!said.contains("active"), "{said}");
        let said = beforehand("hospital 2 (East)", 3);
        assert!(said.contains("\n- only 3 hospitals stay active: finality and"), "{said}");
        assert!(said.ends_with("need every one of them"), "{said}");
    }

    #[test]
    fn with_four_that_stay_one_may_be_silent() {
        assert_eq!(scarce(4), None);
        assert!(scarce(1).unwrap().contains("1 hospital stays active"));
    }

    #[test]
    fn the_council_and_patients_get_commands_that_run() {
        let lines = afterwards(HospitalId(2));
        let said = [&lines[..], &[beforehand("hospital 2 (East)", 4)]].concat().join("\n");
        let named: Vec<_> = said.split(": epione ").skip(1).collect();
        assert_eq!(named.len(), 2, "{said}");
        for rest in named {
            let words = rest.lines().next().unwrap().split(' ');
            let words = ["epione"].into_iter().chain(words).map(OsString::from).collect();
            if let Err(error) = Arguments::read(words) {
                panic!("{rest}: {error}");
            }
        }
    }

    #[test]
    fn the_next_steps_are_shown_with_the_number() {
        let left = Left {
            hospital: HospitalId(2),
            name: "East".into(),
            block: 70,
            remaining: 3,
            next: "epione hospital list".into(),
        };
        let said = left.to_string();
        assert!(said.starts_with("from block 70 on, hospital 2 (East) leaves:\n- "), "{said}");
        assert!(said.contains("propose remove 2\n") && said.contains("--departed 2 "), "{said}");
        assert!(said.contains("3 hospitals stay active"), "{said}");
        assert!(said.ends_with("\n  epione hospital list"), "{said}");
    }
}
