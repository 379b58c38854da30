//! `epione consent list`, `show` and `history`: the consents of a patient, which the chain shows to everybody.

use std::fmt;

use clap::Args;
use epione_primitives::{
    UserId,
    limits::MAX_PAGE,
    release::ReleasedRecord,
    sharing::{ConsentVersion, SlotId},
};
use serde::Serialize;

use super::{
    give::slot,
    shown::{Shown, amount, in_slot, names},
    whose::Whose,
};
use crate::{
    context::{Context, Output},
    failure::Failure,
    listing,
};

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub whose: Whose,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// Number of the slot, from 0 to 15
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub slot: SlotId,
}

#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    pub whose: Whose,
    /// Number of the slot, from 0 to 15
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub slot: SlotId,
    /// Maximum number, newest first [default: all]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// The newest consent of each slot, or the versions of one slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consents {
    pub patient: UserId,
    pub consents: Vec<Shown>,
    /// Whether the limit left out older ones.
    pub more: bool,
}

impl Output for Consents {}

impl fmt::Display for Consents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.consents.is_empty() {
            return write!(f, "patient {} has given no such consent", self.patient);
        }
        self.consents.iter().try_for_each(|shown| writeln!(f, "{shown}"))?;
        if self.more { write!(f, "{}", listing::MORE) } else { Ok(()) }
    }
}

/// A consent, and what is in its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OneConsent {
    pub patient: UserId,
    #[serde(flatten)]
    pub shown: Shown,
    pub records: Vec<ReleasedRecord>,
}

impl Output for OneConsent {}

impl fmt::Display for OneConsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.shown)?;
        let tree = serde_json::to_string(&self.shown.audience).map_err(|_| fmt::Error)?;
        writeln!(f, "  the audience as a tree: {tree}")?;
        write!(f, "  in the slot: {}", amount(&self.records))
    }
}

/// Lists the newest consent of each slot.
pub async fn list(args: &ListArgs, context: &Context) -> Result<Consents, Failure> {
    let patient = args.whose.patient(context).await?;
    let state = context.chain().await?.finalized().await?;
    let (now, names) = (state.time().await?, names(&state, context).await?);
    let known = state.consents(patient).await?.into_iter();
    let consents = known.map(|(slot, version)| Shown::new(slot, version, &names, now)).collect();
    Ok(Consents { patient, consents, more: false })
}

/// Shows the newest consent of a slot.
pub async fn show(args: &ShowArgs, context: &Context) -> Result<OneConsent, Failure> {
    let patient = args.whose.patient(context).await?;
    let state = context.chain().await?.finalized().await?;
    let (now, names) = (state.time().await?, names(&state, context).await?);
    let known = state.consents(patient).await?;
    let version = newest(known, (patient, args.slot), context)?;
    let shown = Shown::new(args.slot, version, &names, now);
    let records = in_slot(&state, patient, args.slot).await?;
    Ok(OneConsent { patient, shown, records })
}

/// The newest consent of a slot.
pub(super) fn newest(
    known: Vec<(SlotId, ConsentVersion)>,
    (patient, slot): (UserId, SlotId),
    context: &Context,
) -> Result<ConsentVersion, Failure> {
    let found = known.into_iter().find(|(it, _)| *it == slot);
    found.map(|(_, version)| version).ok_or_else(|| {
        let list = context.command(["consent", "list", "--patient", &patient.to_string()]);
        Failure::new(
            format!("patient {patient} has never given a consent for slot {slot}"),
            "choose another slot",
        )
        .with_command(list)
    })
}

/// Lists the versions of a slot's consent, newest first.
pub async fn history(args: &HistoryArgs, context: &Context) -> Result<Consents, Failure> {
    let patient = args.whose.patient(context).await?;
    let state = context.chain().await?.finalized().await?;
    let (now, names) = (state.time().await?, names(&state, context).await?);
    let known = state.consents(patient).await?.into_iter();
    let mut versions: Vec<_> =
        known.filter(|(slot, _)| *slot == args.slot).map(|(_, version)| version).collect();
    let asked = usize::try_from(listing::asked(args.limit)).unwrap_or(usize::MAX);
    while let Some(last) = versions.last().map(|version| version.version)
        && last > 1
        && versions.len() < asked
    {
        let page = state.earlier_consents(patient, args.slot, Some(last), MAX_PAGE).await?;
        // Versions have no gaps. A page that does not go on would keep the client in a loop.
        if page.first().is_none_or(|first| first.version.saturating_add(1) != last) {
            return Err(Failure::new(
                format!("the node does not have the version before version {last}"),
                "use another node with --node URL",
            ));
        }
        versions.extend(page);
    }
    let more = listing::cut(&mut versions, args.limit);
    let shown = |version| Shown::new(args.slot, version, &names, now);
    Ok(Consents { patient, consents: versions.into_iter().map(shown).collect(), more })
}
