//! A consent as a resource Consent of HL7 FHIR R4 (4.0.1), and back.
//!
//! The base rule of the resource is opt-out: nothing is shared, apart from what the one nested provision permits. Its
//! actors are alternatives. FHIR cannot say that it permits only what is in a slot, so each provision has a modifier
//! extension that says so: a program that does not know this extension must not use the provision, and so does not read
//! a wider consent out of it. The same is true for an audience that is not a list of alternatives, whose formula is a
//! modifier extension, and for a consent that stands while the patient is away. docs/formats.md lists the code systems of this project.

mod read;
mod strict;
mod times;
mod write;

pub use read::{Imported, import};
pub use strict::Refused;
pub use times::instant;
pub use write::{Exported, export};

use epione_primitives::{
    Hash, UserId,
    access::Purpose,
    sharing::{ConsentVersion, SlotId},
};

/// Maximum bytes of a resource that is imported.
pub const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Consent scope codes of HL7.
const SCOPE_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/consentscope";
const SCOPE: &str = "patient-privacy";
const LOINC: &str = "http://loinc.org";
/// LOINC: consent document.
const CATEGORY: &str = "59284-0";
/// Act codes of HL7 version 3.
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const OPT_OUT: &str = "OPTOUT";
const ACTION_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/consentaction";
const ACTION: &str = "access";
/// Reasons of acts of HL7 version 3.
const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
/// An information recipient.
const RECIPIENT: &str = "IRCP";

/// The policy of a resource names the chain: this, and the hash of its first block in hexadecimal.
const CHAIN_URN: &str = "urn:epione:chain:";
/// The system of the resource's own identifier: `PATIENT/SLOT`.
const CONSENT_URN: &str = "urn:epione:consent";
const USER_URN: &str = "urn:epione:user";
const HOSPITAL_URN: &str = "urn:epione:hospital";
const ROLE_URN: &str = "urn:epione:role";
/// `ATTRIBUTE@HOSPITAL`, both by their numbers.
const ATTRIBUTE_URN: &str = "urn:epione:attribute";
const KIND_URN: &str = "urn:epione:section-kind";
const AUDIENCE_URN: &str = "urn:epione:audience";
/// The number of the slot: the provision permits only what is placed there.
const SLOT_URN: &str = "urn:epione:slot";

/// Whether the consent stands while the patient is away: `true`, or the extension is not there.
const STANDING_URN: &str = "urn:epione:standing";
const TRUE: &str = "true";

/// Each purpose, with HL7's code for the reason of an act. Emergency treatment is the only reason of its consent.
static REASONS: [(Purpose, &str); 7] = [
    (Purpose::Treatment, "TREAT"),
    (Purpose::PatientRequest, "PATRQT"),
    (Purpose::Research, "HRESCH"),
    (Purpose::Audit, "HOPERAT"),
    (Purpose::Payment, "HPAYMT"),
    (Purpose::PublicHealth, "PUBHLTH"),
    (Purpose::Emergency, "ETREAT"),
];

/// The consent of a slot, with what a resource says in addition.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    pub genesis: Hash,
    pub patient: UserId,
    pub slot: SlotId,
    pub version: &'a ConsentVersion,
    /// Whether it is in force.
    pub in_force: bool,
}

#[cfg(test)]
mod tests;
