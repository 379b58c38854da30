//! The section that the hospitals open together: the patient shares it by a standing consent, and the worker of its
//! hospital wraps its key.

use std::time::Duration;

use epione_primitives::{
    access,
    opening::Wrapped,
    profile::Role,
    release::{ReleasedRecord, SectionSet},
    sharing::SlotId,
};

use super::{B, Cast, FIRST, Person, broken};
use crate::{
    commands::{
        consent::{self, AttributeAt, AudienceArgs, GiveArgs, SlotArgs},
        credential::{self, AttributeRef},
        query::Part,
        section,
    },
    context::{Context, HospitalRef},
    failure::Failure,
};

/// Another slot than the one of the earlier consents.
const SLOT: SlotId = SlotId(1);
/// The report of the first visit.
pub(super) const REPORT: u16 = 3;
/// The attribute that the consent requires.
pub(super) const ATTRIBUTE: &str = "cardiology";
const DAY: Duration = Duration::from_secs(86_400);
/// Pause between two looks at the chain.
const POLL: Duration = Duration::from_millis(500);
/// Long enough that only a hang exceeds it.
const PATIENCE: Duration = Duration::from_secs(600);

/// The section as commands name it.
pub(super) fn shared() -> Part {
    Part(ReleasedRecord { pointer: FIRST, sections: SectionSet(1 << REPORT) })
}

/// Shares the section with researchers who have the attribute, of whom B's has it. Waits until A's worker has wrapped
/// the section. Returns the consent and the wrap.
pub(super) async fn share(
    patient: &Person,
    cast: &Cast,
    context: &Context,
) -> Result<(consent::Given, Wrapped), Failure> {
    let (given, confirmed) = tokio::join!(give(patient, context), confirm(cast, context));
    let (given, _) = (given?, confirmed?);
    let share = section::ShareArgs {
        sections: section::SectionArgs {
            signer: patient.keys.clone(),
            records: vec![shared()],
            slot: SLOT,
        },
        yes: true,
    };
    section::share(&share, context).await?;
    let waiting = async {
        loop {
            if let Some(wrap) = wrap(context).await? {
                return Ok::<_, Failure>(wrap);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    let wrap = waited.map_err(|_| broken("A's worker wraps the shared section"))??;
    Ok((given, wrap))
}

/// The section's wrap, as the chain has it now.
pub(super) async fn wrap(context: &Context) -> Result<Option<Wrapped>, Failure> {
    let wraps = context.chain().await?.finalized().await?.wraps(FIRST).await?;
    let found = wraps.into_iter().find(|(slot, it)| *slot == SLOT && it.sections.contains(REPORT));
    Ok(found.map(|(_, wrap)| wrap))
}

/// A standing consent for researchers with an attribute that B confirms.
async fn give(patient: &Person, context: &Context) -> Result<consent::Given, Failure> {
    let attribute = format!("{ATTRIBUTE}@{B}").parse::<AttributeAt>();
    let attribute = attribute.map_err(|error| broken(&error))?;
    let give = GiveArgs {
        signer: patient.keys.clone(),
        audience: AudienceArgs {
            roles: vec![Role::Researcher],
            attributes: vec![attribute],
            ..AudienceArgs::default()
        },
        purposes: vec![access::Purpose::Research],
        kinds: Vec::new(),
        recorded_from: None,
        recorded_to: None,
        until: None,
        span: Some(DAY),
        standing: true,
        slot: SlotArgs { slot: Some(SLOT), earlier_keys: Vec::new(), yes: true },
    };
    consent::give(&give, context).await
}

/// B confirms the attribute of its researcher.
async fn confirm(cast: &Cast, context: &Context) -> Result<credential::Changed, Failure> {
    let issue =
        credential::IssueArgs { credential: of_researcher(cast)?, until: None, span: Some(DAY) };
    credential::issue(&issue, context).await
}

/// The researcher's credential of B.
pub(super) fn of_researcher(cast: &Cast) -> Result<credential::RevokeArgs, Failure> {
    let attribute = ATTRIBUTE.parse::<AttributeRef>().map_err(|error| broken(&error))?;
    Ok(credential::RevokeArgs {
        user: cast.researcher.id,
        attribute,
        signer: None,
        hospital: Some(HospitalRef::Id(B)),
    })
}
