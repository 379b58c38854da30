//! Checks a release without storage: whether a grant can make it.

use epione_primitives::{
    access::{Action, Purpose},
    release::{Release, ReleasedRecord, Right},
};

/// Why a grant cannot make a release.
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

/// Checks the rules that [`Release`] documents for its fields.
pub fn check(release: &Release) -> Result<(), Misfit> {
    check_records(&release.records)?;
    check_rights(&release.rights, release.emergency.is_some())?;
    if release.emergency.is_some() && release.purpose != Purpose::Emergency {
        return Err(Misfit::PurposeNotEmergency);
    }
    Ok(())
}

fn check_records(records: &[ReleasedRecord]) -> Result<(), Misfit> {
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
