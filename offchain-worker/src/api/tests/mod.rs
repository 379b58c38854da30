//! The API over real HTTP on a free port, with a real store, journal and envelope. Only the chain and
//! the other hospitals are fakes.

mod brought_grants;
pub(crate) mod claims;
mod connections;
mod counts;
mod emergencies;
pub(crate) mod fake;
mod fresh_keys;
pub(crate) mod grants;
mod held;
mod links;
mod mailbox;
mod maintenance;
mod offers;
mod own_records;
mod partial_shares;
mod partials;
mod queries;
mod query_news;
mod reach;
mod reader_keys;
mod recoveries;
mod refused_visits;
pub(crate) mod registrations;
mod represented;
mod requests;
mod segments;
mod serving;
mod shares;
mod signed_requests;
mod status;
mod storage;
mod uploads;
mod users;
pub(crate) mod visits;
mod wire;
pub(crate) mod world;
