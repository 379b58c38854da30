//! Stand-ins for what a pallet reaches through the [`ports`](epione_primitives::ports), for the pallets' unit tests.
//!
//! A stand-in answers from facts that a test states: which hospitals are active, who is registered, what time it is.
//! Every thread has its own facts, so tests can run in parallel. A mock calls [`begin`] before each test.
//!
//! What only one pallet needs stays in that pallet's mock. The runtime's tests use the real pallets instead.

mod accounts;
mod bodies;
mod clock;
mod consortium;
mod credentials;
mod custodians;
mod hospitals;
mod mandates;
mod users;

pub use accounts::{agent_account, founder, governance_account, user_account};
pub use bodies::{Bodies, BodyAtTail, Kept, State, state};
pub use clock::{Clock, Now, pass};
pub use consortium::{ConsortiumKey, begin_epoch, without_key};
pub use credentials::{Credentials, add_credential};
pub use custodians::{Custodians, appoint_custodian, dismiss_custodian};
pub use hospitals::{
    Hospitals, admit, remove_hospital, set_active, set_agent, set_hospital_sealing_key,
    set_leaving, set_ready,
};
pub use mandates::{
    Mandates, add_representative, authorize, authorize_between, end_custody, entrust,
    remove_representative, represent_between,
};
pub use users::{Users, add_user, end_registration, histories_read, register, set_profile_body};

use epione_primitives::Moment;

/// Forgets the facts of this thread's earlier tests, and sets the clock.
pub fn begin(now: Moment) {
    bodies::forget();
    consortium::forget();
    credentials::forget();
    custodians::forget();
    hospitals::forget();
    mandates::forget();
    users::forget();
    Now::set(now);
}
