//! The measured weights of every call. `make weights` writes the other files in this folder from
//! `scripts/weights.hbs`.
//!
//! Some parts are by hand, because no benchmark sees them. Their comments say `By hand`. `make weights` writes the
//! files without these parts, and lists them, so that you can add them again.

pub mod epione_runtime_caller;
pub mod epione_runtime_council_root;
pub mod frame_system;
pub mod frame_system_extensions;
pub mod pallet_approvals;
pub mod pallet_collective;
pub mod pallet_consortium_key;
pub mod pallet_credentials;
pub mod pallet_custody;
pub mod pallet_hospitals;
pub mod pallet_lite_blocks;
pub mod pallet_mandates;
pub mod pallet_openings;
pub mod pallet_profiles;
pub mod pallet_queries;
pub mod pallet_quotas;
pub mod pallet_releases;
pub mod pallet_role_policies;
pub mod pallet_session;
pub mod pallet_sharing;
pub mod pallet_timestamp;
pub mod pallet_utility;
