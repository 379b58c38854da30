//! The words of the language. Each is spelled as the chain's JSON spells it.

use epione_primitives::{
    access::{Action, Purpose, RelationshipKind, SectionClass},
    profile::Role,
};
use serde::Serialize;

use crate::similar::did_you_mean;

/// A value that is written as one word of a few.
pub trait Word: Copy + PartialEq + Serialize + 'static {
    /// What such a word is called.
    const NOUN: &'static str;
    const ALL: &'static [Self];

    fn spelled(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(text)) => text,
            other => unreachable!("plain enums are JSON strings, not {other:?}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.spelled() == text)
    }

    /// All words, for a message.
    fn known() -> String {
        Self::ALL.iter().map(|word| word.spelled()).collect::<Vec<_>>().join(", ")
    }
}

impl Word for Role {
    const NOUN: &'static str = "role";
    const ALL: &'static [Self] =
        &[Self::Doctor, Self::Nurse, Self::Patient, Self::Researcher, Self::Auditor];
}

impl Word for Action {
    const NOUN: &'static str = "action";
    const ALL: &'static [Self] = &[
        Self::ReadText,
        Self::ReadMedia,
        Self::Submit,
        Self::Relate,
        Self::Refer,
        Self::BreakGlass,
    ];
}

impl Word for RelationshipKind {
    const NOUN: &'static str = "kind of relationship";
    const ALL: &'static [Self] =
        &[Self::FamilyDoctor, Self::Treating, Self::Referral, Self::CareTeam];
}

impl Word for Purpose {
    const NOUN: &'static str = "purpose";
    const ALL: &'static [Self] =
        &[Self::Treatment, Self::PatientRequest, Self::Research, Self::Audit, Self::Emergency];
}

impl Word for SectionClass {
    const NOUN: &'static str = "class of sections";
    const ALL: &'static [Self] = &[Self::Private, Self::Shared];
}

/// What a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyType {
    /// A permission.
    Operation,
    /// What makes a relationship count.
    Relationship,
}

impl Word for PolicyType {
    const NOUN: &'static str = "type of policy";
    const ALL: &'static [Self] = &[Self::Operation, Self::Relationship];
}

/// Reads a word from the command line.
pub fn argument<W: Word>(text: &str) -> Result<W, String> {
    W::read(text).ok_or_else(|| {
        let known: Vec<_> = W::ALL.iter().map(|word| word.spelled()).collect();
        let meant = did_you_mean(text, known.iter().map(String::as_str));
        format!("{text:?} is no {}{meant} (there are {})", W::NOUN, known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_are_read_as_they_are_spelled<W: Word + std::fmt::Debug>() {
        for word in W::ALL {
            assert_eq!(W::read(&word.spelled()), Some(*word));
        }
    }

    #[test]
    fn every_word_is_read_as_it_is_spelled() {
        all_are_read_as_they_are_spelled::<Role>();
        all_are_read_as_they_are_spelled::<Action>();
        all_are_read_as_they_are_spelled::<RelationshipKind>();
        all_are_read_as_they_are_spelled::<Purpose>();
        all_are_read_as_they_are_spelled::<SectionClass>();
        all_are_read_as_they_are_spelled::<PolicyType>();
        assert_eq!(Action::BreakGlass.spelled(), "break-glass");
        assert_eq!(RelationshipKind::FamilyDoctor.spelled(), "family-doctor");
    }
}
