mod emergency;
mod expiry;
mod invariants;
mod judge;
mod reading;
mod record;
mod refuse;
mod usage;
