//! Whether a release is one that a grant can make, as far as the release itself shows.

use epione_primitives::{
    access::{Action, Purpose},
    release::{Release, ReleasedRecord, Right},
};

/// Why no grant can make a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    NoRecords,
    RecordsOutOfOrder,
    NoSections,
    NoRights,
    RepeatedRight,
    /// Neither all to read, without an emergency, nor all to break the glass, in one.
    RightsMismatch,
    PurposeNotEmergency,
}

/// Checks what [`Release`] says of its fields.
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

/// Whether it is in an emergency that a grant opens records for an action; none if no grant does.
fn in_emergency(action: Action) -> Option<bool> {
    match action {
        Action::ReadText | Action::ReadMedia => Some(false),
        Action::BreakGlass => Some(true),
        Action::Submit | Action::Relate | Action::Refer => None,
    }
}
