mod approve;
mod expiry;
mod invariants;
mod open;
mod reject;
mod withdraw;
