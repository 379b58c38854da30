//! The words of plain enums: how files, command lines, JSON and messages spell their values.

use alloc::string::String;

use crate::{
    access::{Action, Purpose, RelationshipKind, SectionClass},
    hospital::Duty,
    profile::Role,
};

/// An enum without fields, each of whose values is written as one word.
pub trait Word: Copy + PartialEq + 'static {
    /// What a value is called in a message, such as `role`.
    const NOUN: &'static str;
    const ALL: &'static [Self];

    /// The word, in lower case with hyphens, as the chain's JSON spells it.
    fn spelled(self) -> &'static str;

    fn read(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.spelled() == text)
    }

    /// The word with spaces, as sentences use it.
    fn spoken(self) -> String {
        self.spelled().replace('-', " ")
    }
}

/// Implements [`Word`] for an enum. A value without a word does not compile.
#[macro_export]
macro_rules! words {
    ($type:ty, $noun:literal: $($value:ident = $word:literal),+) => {
        impl $crate::Word for $type {
            const NOUN: &'static str = $noun;
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn spelled(self) -> &'static str {
                match self {
                    $(Self::$value => $word),+
                }
            }
        }
    };
}

words!(Role, "role":
    Doctor = "doctor", Nurse = "nurse", Patient = "patient", Researcher = "researcher",
    Auditor = "auditor", Insurer = "insurer", Pharmacist = "pharmacist",
    PublicAuthority = "public-authority", AlliedProfessional = "allied-professional");
words!(Action, "action":
    ReadText = "read-text", ReadMedia = "read-media", Submit = "submit", Relate = "relate",
    Refer = "refer", BreakGlass = "break-glass");
words!(RelationshipKind, "kind of relationship":
    FamilyDoctor = "family-doctor", Treating = "treating", Referral = "referral",
    CareTeam = "care-team");
words!(Purpose, "purpose":
    Treatment = "treatment", PatientRequest = "patient-request", Research = "research",
    Audit = "audit", Emergency = "emergency", Payment = "payment",
    PublicHealth = "public-health");
words!(SectionClass, "class of sections": Private = "private", Shared = "shared");
words!(Duty, "duty": Governance = "governance", Agent = "agent");
