//! `epione section history`: follows the log of what all patients share, and verifies it against the chain's state.

use std::fmt;

use clap::Args;
use epione_client::consent::follow;
use epione_primitives::{
    Hash, UserId,
    sharing::{Change, SharedChange},
};
use serde::Serialize;

use crate::{
    context::{Context, Output},
    failure::Failure,
    progress, wording,
};

#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Number of the change to begin with; those before it are not verified
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub from: u64,
    /// Shows only the changes of this patient; all are verified
    #[arg(long, value_name = "USER")]
    pub patient: Option<UserId>,
}

/// A log that was followed to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Log {
    /// Number of changes that were verified.
    pub verified: u64,
    /// The last change, and its hash.
    pub head: u64,
    pub hash: Hash,
    /// Whether the last change is proven to be the chain's. Otherwise the node, which is believed, could have made up
    /// the log as a whole.
    pub proven: bool,
    /// Ascending.
    pub changes: Vec<ChangeShown>,
}

/// A change, as the chain stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ChangeShown(pub SharedChange);

impl Output for Log {}

impl fmt::Display for ChangeShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SharedChange { height, patient, slot, change, block, .. } = &self.0;
        write!(f, "{height:>8}  chain block {block}  {patient} slot {slot}: ")?;
        match change {
            Change::Given { version, consent } => {
                write!(f, "gave version {version} of the consent, hash {consent:?}")
            }
            Change::Withdrawn { version } => write!(f, "withdrew version {version}"),
            Change::Placed { pointer, sections } if sections.is_empty() => {
                write!(f, "no section of record {pointer} is in the slot any more")
            }
            Change::Placed { pointer, sections } => {
                let sections = wording::sections(*sections);
                write!(f, "of record {pointer}, {sections} in the slot")
            }
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.changes.iter().try_for_each(|change| writeln!(f, "{change}"))?;
        let Self { verified, head, hash, .. } = self;
        let verified = wording::counted(*verified, "change", "changes");
        write!(f, "verified {verified}, to change {head} with the hash {hash:?}")?;
        if self.proven {
            return Ok(());
        }
        write!(
            f,
            "\nNOT PROVEN: the node is believed, so the log follows from what this node says is the last change, and \
             from nothing else; run the command without --trust-node, or compare the hash with one that you trust"
        )
    }
}

/// Follows the log to its end.
pub async fn history(args: &HistoryArgs, context: &Context) -> Result<Log, Failure> {
    let state = context.chain().await?.finalized().await?;
    let spinner = progress::waiting(context, "following the log of what patients share");
    let (mut verified, mut changes) = (0_u64, Vec::new());
    let followed = follow(&state, args.from, |change| {
        verified = verified.saturating_add(1);
        if args.patient.is_none_or(|patient| patient == change.patient) {
            changes.push(ChangeShown(change));
        }
    });
    let followed = followed.await;
    spinner.finish_and_clear();
    let (head, hash) = followed?;
    Ok(Log { verified, head, hash, proven: !context.common().trust_node, changes })
}

#[cfg(test)]
mod tests {
    use epione_primitives::{RecordPointer, release::SectionSet, sharing::SlotId};

    use super::*;

    #[test]
    fn a_log_of_a_node_that_is_believed_is_not_called_the_chains() {
        let hash = Hash::repeat_byte(7);
        let mut log = Log { verified: 3, head: 3, hash, proven: true, changes: Vec::new() };
        assert!(!log.to_string().contains("NOT PROVEN"), "{log}");
        log.proven = false;
        assert!(log.to_string().contains("NOT PROVEN"), "{log}");
    }

    #[test]
    fn each_change_is_a_line() {
        let change = |change| {
            let change = SharedChange {
                height: 3,
                previous: Hash::zero(),
                patient: UserId([1; 32]),
                slot: SlotId(2),
                change,
                block: 57,
            };
            ChangeShown(change).to_string()
        };
        let pointer = RecordPointer { height: 1, index: 0 };
        let placed = |sections| change(Change::Placed { pointer, sections: SectionSet(sections) });
        assert!(placed(0b101).ends_with("slot 2: of record 1/0, sections 0,2 in the slot"));
        assert!(placed(0).contains("no section of record 1/0"), "{}", placed(0));
        assert!(change(Change::Withdrawn { version: 4 }).ends_with("withdrew version 4"));
        let given = change(Change::Given { version: 4, consent: Hash::repeat_byte(7) });
        assert!(given.contains("gave version 4 of the consent, hash 0x0707"), "{given}");
    }
}
