//! What policies mean (R_ACP). The chain decides by this crate, and the policy language compiles to it, so that both
//! agree on every condition and on every flaw.
//!
//! [`conditions`] is the table of conditions: start there to add one. [`decision`] says what policies answer to a
//! request, from facts that the caller gathered. [`flaws`] says which policies make no sense. [`default_policies`] is
//! the set with which every hospital begins. The feature `language` adds [`language`]: policy files and sentences.
//!
//! Nothing here does I/O.
//!
//! ```
//! use epione_policies::{Facts, default_policies, evaluate};
//! use epione_primitives::{
//!     HospitalId,
//!     access::{Action, Purpose, RelationshipKind, SectionClass},
//!     profile::Role,
//! };
//!
//! let hospital = HospitalId(0);
//! let unrelated = Facts {
//!     role: Role::Doctor,
//!     action: Action::ReadText,
//!     class: SectionClass::Private,
//!     purpose: Purpose::Treatment,
//!     cosigned: false,
//!     at: 1_790_000_000_000,
//!     hospital,
//!     requester_is_patient: false,
//!     requester_at: vec![hospital],
//!     patient_registered: true,
//!     credentials: vec![],
//!     represents_patient: false,
//!     related: vec![],
//! };
//! let treating = Facts { related: vec![RelationshipKind::Treating], ..unrelated.clone() };
//!
//! assert!(!evaluate(&unrelated, 0, &default_policies()).is_allowed());
//! assert!(evaluate(&treating, 0, &default_policies()).is_allowed());
//! ```

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod conditions;
pub mod decision;
mod defaults;
pub mod flaws;
#[cfg(feature = "language")]
pub mod language;

pub use decision::{Facts, evaluate};
pub use defaults::default_policies;

use epione_primitives::profile::Role;

/// Whether users of this role can be related to patients.
pub fn is_professional(role: Role) -> bool {
    matches!(role, Role::Doctor | Role::Nurse | Role::Pharmacist | Role::AlliedProfessional)
}
