//! Checks requests and releases without storage: whether a requester or a grant can make them.

use epione_primitives::{
    access::{Action, Purpose},
    release::{Release, ReleasedRecord, Request, Right},
};

/// Why no requester can make a request, or no grant a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    NoRecords,
    RecordsOutOfOrder,
    NoSections,
    NoRights,
    RepeatedRight,
    /// The rights must all be to read, without an emergency, or all to break the glass, in an emergency.
    RightsMismatch,
    PurposeNotEmergency,
}

/// Checks the rules that [`Request`] documents for its records, purpose and emergency.
pub fn check_request(request: &Request) -> Result<(), Misfit> {
    check_records(&request.records)?;
    if request.emergency.is_some() && request.purpose != Purpose::Emergency {
        return Err(Misfit::PurposeNotEmergency);
    }
    Ok(())
}

/// Checks the rules that [`Release`] documents for its request, records and rights, except those that concern two of
/// them.
pub fn check(release: &Release) -> Result<(), Misfit> {
    check_request(&release.request)?;
    check_records(&release.records)?;
    check_rights(&release.rights, release.request.emergency.is_some())
}

/// Whether a release grants requested sections only. The requested records must ascend.
pub fn is_requested(release: &Release) -> bool {
    let requested = &release.request.records;
    release.records.iter().all(|granted| {
        requested
            .binary_search_by_key(&granted.pointer, |record| record.pointer)
            .ok()
            .and_then(|position| requested.get(position))
            .is_some_and(|record| granted.sections.is_subset_of(record.sections))
    })
}

/// Checks the rules for the records of a request, a release or a note.
pub fn check_records(records: &[ReleasedRecord]) -> Result<(), Misfit> {
    if records.is_empty() {
        return Err(Misfit::NoRecords);
    }
    if !records.is_sorted_by(|one, next| one.pointer < next.pointer) {
        return Err(Misfit::RecordsOutOfOrder);
    }
    if records.iter().any(|record| record.sections.is_empty()) {
        return Err(Misfit::NoSections);
    }
    Ok(())
}

fn check_rights(rights: &[Right], emergency: bool) -> Result<(), Misfit> {
    if rights.is_empty() {
        return Err(Misfit::NoRights);
    }
    let repeated = |position, right: &Right| rights.iter().take(position).any(|one| one == right);
    if rights.iter().enumerate().any(|(position, right)| repeated(position, right)) {
        return Err(Misfit::RepeatedRight);
    }
    if rights.iter().any(|right| in_emergency(right.action) != Some(emergency)) {
        return Err(Misfit::RightsMismatch);
    }
    Ok(())
}

/// Whether an action belongs to an emergency; none if no grant allows the action.
fn in_emergency(action: Action) -> Option<bool> {
    match action {
        Action::ReadText | Action::ReadMedia => Some(false),
        Action::BreakGlass => Some(true),
        Action::Submit | Action::Relate | Action::Refer => None,
    }
}
