mod admitting;
mod consents;
mod invariants;
mod place_by_kind;
mod placements;
mod reading;
mod standing;
