//! The API over real HTTP on a free port, with a real store, journal and envelope. Only the chain and
//! the other hospitals are fakes.

mod emergencies;
pub(crate) mod fake;
mod grants;
mod links;
mod own_records;
mod registrations;
mod requests;
mod segments;
mod serving;
mod status;
mod uploads;
mod users;
mod visits;
pub(crate) mod world;
