//! The pallets' configurations, one file for each concern.

mod consensus;
mod council;
mod currency;
mod quotas;
mod records;
mod session;
mod system;

pub use consensus::{REPORT_LONGEVITY, SESSIONS_REMEMBERED};
pub use council::CouncilMajority;
pub use session::SESSION_BLOCKS;
pub use system::{BLOCK_WEIGHT, NORMAL_SHARE};
