//! The lite blockchain of a peer: every header, entry, link and ballot of the chain of lite blocks, in a file of the
//! peer's own, and the sealed records that the peer may read. A peer can check, list and search it without a node.
//!
//! | module | |
//! | --- | --- |
//! | `check` | whether each block follows from those before it |
//! | `schema`, `store` | the file |
//! | `sync` | copies blocks from the chain |
//! | `own` | copies the sealed records that a user may read, and the profiles with the user's patient keys |
//! | `verify` | checks the whole file again |
//! | `search`, `modality` | opens sealed records, and finds sections by their descriptions |
//!
//! The file contains no plaintext and no key: descriptions are opened at each search, with the keys of the user, and
//! are not stored (ADR 035).

mod check;
mod error;
pub mod modality;
mod own;
mod schema;
mod search;
mod store;
mod sync;
mod verify;

pub use check::{Fault, Tip, WrongBlock};
pub use error::LiteError;
pub use own::{Fetched, Profiles, fetch, keep_profiles};
pub use search::{Closed, Filter, Found, OwnKeys, Saved, Searched, search};
pub use store::{Source, Status, Store};
pub use sync::{Synced, sync};
pub use verify::{Checked, check, compare};

#[cfg(test)]
pub(crate) use check::made;
