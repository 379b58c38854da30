//! Visits: how an author submits one, uploads its media and asks for its status.
//!
//! One file for each step. [`submit`] accepts the visit, [`admission`] decides whether its author may submit it,
//! [`fresh_keys`] finds or makes the patient's keys to which it is sealed, [`uploads`] receives its media in parts, and
//! [`queue`] makes it durable.

mod admission;
mod draft;
mod fresh_keys;
mod queue;
pub(super) mod status;
pub(super) mod submit;
mod terms;
pub(super) mod uploads;

pub(super) use uploads::Uploads;
