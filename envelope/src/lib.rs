//! The sealed formats of Epione. Everything that leaves a client or a worker, is stored, or goes on chain
//! is sealed and opened here and nowhere else.
//!
//! Top down: an author signs a [`record::Draft`], and the patient may cosign it. The hospital's worker
//! seals it with a [`record_sealer::RecordSealer`] into a [`record::Record`], whose media become [`segment`]s. A
//! [`body::BodyBuilder`] packs records into component A of a lite block. A reader gets content keys from a
//! patient key ([`keys`], [`profile`]), from an access [`grant`], or from the grant with which a patient answers a
//! [`query`], or from the parts that hospitals hand out for an [`opening`], and opens sections with the record's
//! methods. The hospitals' shares of the consortium key travel in a [`dealing`].
//!
//! Structures are canonical SCALE and begin with a suite byte. Decoders accept bounded input, allocate
//! no more than the input justifies, and never panic. Every failure to open is the same
//! [`error::OpenError`], so an attacker learns nothing from the error. `docs/formats.md` describes every format for
//! other implementations.
//!
//! Nothing here does I/O, except [`keystore`].
//!
//! # Example
//!
//! ```
//! use epione_envelope::{
//!     account::{AccountKey, Scheme, Signer},
//!     keys::PatientKeys,
//!     record::{Description, Draft, SectionKind},
//!     record_sealer::RecordSealer,
//! };
//! use epione_primitives::{Hash, HospitalId, UserId, block::SignedAt};
//!
//! // The author's client describes each section, and signs the draft with the last final block of the chain.
//! let genesis = Hash::repeat_byte(1);
//! let doctor = AccountKey::generate(Scheme::Sr25519);
//! let text = br#"{"resourceType":"Condition"}"#;
//! let section = Description::of(SectionKind::Diagnosis, "application/fhir+json", "", text)?;
//! let (patient, author) = (UserId([2; 32]), UserId([3; 32]));
//! let signed_at = SignedAt { number: 12, hash: Hash::repeat_byte(4) };
//! let draft = Draft::new(patient, HospitalId(0), author, signed_at, vec![section])?;
//! let signed = draft.sign(genesis, &doctor);
//!
//! // The hospital's worker verifies the signature, and seals the content under the newest patient key.
//! let patient_keys = PatientKeys::generate();
//! let mut sealer = RecordSealer::new(genesis, signed, &doctor.account(), &patient_keys)?;
//! sealer.seal_text(0, text)?;
//! let record = sealer.finish()?;
//!
//! // A reader verifies the author's signature, then opens the section. A key that was added since does not matter.
//! record.verify(genesis, &doctor.account())?;
//! let content_key = record.content_key(genesis, 0, &patient_keys.renewed()?)?;
//! let (description, opened) = record.open_text(genesis, 0, &content_key)?;
//! assert_eq!(description.kind, SectionKind::Diagnosis);
//! assert_eq!(description.media_type, "application/fhir+json");
//! assert_eq!(opened.as_slice(), text);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod account;
pub mod body;
pub mod custody;
pub mod dealing;
pub mod description;
pub mod development;
pub mod error;
pub mod extraction;
pub mod frames;
pub mod grant;
mod hex_array;
pub mod keys;
pub mod keystore;
pub mod object;
pub mod opening;
pub mod profile;
pub mod query;
mod random;
pub mod record;
pub mod record_sealer;
pub mod sealing_keys;
pub mod segment;
pub mod signature;
mod suite;
mod text;
pub mod tls;

pub use error::{ExtractionError, FormatError, OpenError, SealError, SignatureError};
pub use zeroize::Zeroizing;
