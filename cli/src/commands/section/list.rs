//! `epione section list`: everything that is in a slot, which the chain shows to everybody.

use std::fmt;

use clap::Args;
use epione_primitives::{UserId, release::ReleasedRecord, sharing::SlotId};
use serde::Serialize;

use crate::{
    commands::consent::{Whose, amount, in_slot, slot},
    context::{Context, Output},
    failure::Failure,
    wording,
};

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// Number of the slot, from 0 to 15
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub slot: SlotId,
}

/// The sections in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    pub patient: UserId,
    pub slot: SlotId,
    /// Whether a consent of the slot is in force.
    pub in_force: bool,
    /// Ascending.
    pub records: Vec<ReleasedRecord>,
}

impl Output for Listing {}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ReleasedRecord { pointer, sections } in &self.records {
            writeln!(f, "{:<8} {}", pointer.to_string(), wording::sections(*sections))?;
        }
        let consent = if self.in_force { "a consent" } else { "no consent" };
        let amount = amount(&self.records);
        write!(f, "in slot {}: {amount}; {consent} of the slot is in force", self.slot)
    }
}

/// Lists the sections in a slot, page by page until its end.
pub async fn list(args: &ListArgs, context: &Context) -> Result<Listing, Failure> {
    let patient = args.whose.patient(context).await?;
    let state = context.chain().await?.finalized().await?;
    let now = state.time().await?;
    let consents = state.consents(patient).await?;
    let in_force = consents.iter().any(|(slot, it)| *slot == args.slot && it.in_force(now));
    let records = in_slot(&state, patient, args.slot).await?;
    Ok(Listing { patient, slot: args.slot, in_force, records })
}

#[cfg(test)]
mod tests {
    use epione_primitives::{RecordPointer, release::SectionSet};

    use super::*;

    #[test]
    fn a_list_names_each_record_and_whether_a_consent_shares_it() {
        let pointer = RecordPointer { height: 12, index: 3 };
        let mut listing = Listing {
            patient: UserId([1; 32]),
            slot: SlotId(4),
            in_force: true,
            records: vec![ReleasedRecord { pointer, sections: SectionSet(0b101) }],
        };
        let text = listing.to_string();
        assert!(text.starts_with("12/3     sections 0,2\n"), "{text}");
        assert!(
            text.ends_with("in slot 4: 2 sections of 1 record; a consent of the slot is in force")
        );
        (listing.in_force, listing.records) = (false, Vec::new());
        assert!(listing.to_string().contains("0 sections of 0 records; no consent"), "{listing}");
    }
}
