//! What may be extracted from a record. The author decides which sections a disclosure must show, must not show, and
//! shows only together, and signs this policy with the record.

use codec::{Decode, Encode};
use epione_primitives::{
    limits::{MAX_SECTIONS, MAX_TOGETHER},
    release::SectionSet,
};
use serde::{Deserialize, Serialize};
use sp_core::{ConstU32, bounded::BoundedVec};

use crate::{ExtractionError, FormatError};

/// What may be extracted from a record: the content extraction policy of its author. The default allows every subset of
/// the sections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Extraction {
    /// Every disclosure shows these sections.
    pub mandatory: SectionSet,
    /// No disclosure shows these sections.
    pub never: SectionSet,
    /// A disclosure shows all sections of a group, or none of them.
    pub together: BoundedVec<SectionSet, ConstU32<MAX_TOGETHER>>,
}

impl Extraction {
    /// Whether every subset of the sections may be shown.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the policy of a record with this number of sections: the sections exist, each group has at least two of
    /// them, and at least one disclosure satisfies all rules.
    pub fn validate(&self, sections: u16) -> Result<(), FormatError> {
        let what = "the extraction policy";
        self.check_rules(sections)
            .map_err(|reason| FormatError::Malformed { what, reason: reason.into() })
    }

    /// [`Extraction::validate`] with the reason only, for decoders.
    pub(crate) fn check_rules(&self, sections: u16) -> Result<(), &'static str> {
        let existing = first(sections);
        let mut named = self.together.iter().chain([&self.mandatory, &self.never]);
        if !named.all(|set| set.is_subset_of(existing)) {
            return Err("an extraction rule names a section that does not exist");
        }
        if self.together.iter().any(|group| group.iter().count() < 2) {
            return Err("a group of sections that are shown together has fewer than two sections");
        }
        if !self.mandatory.intersection(self.never).is_empty() {
            return Err("a section is mandatory and never shown");
        }
        if !self.implied().intersection(self.never).is_empty() {
            return Err("a section that is never shown is in a group with a mandatory one");
        }
        Ok(())
    }

    /// Checks that a disclosure may show exactly these sections.
    pub fn check(&self, shown: SectionSet) -> Result<(), ExtractionError> {
        if let Some(section) = self.mandatory.without(shown).iter().next() {
            return Err(ExtractionError::Mandatory { section });
        }
        if let Some(section) = self.never.intersection(shown).iter().next() {
            return Err(ExtractionError::Never { section });
        }
        let broken = |group: &&SectionSet| {
            !group.is_subset_of(shown) && !group.intersection(shown).is_empty()
        };
        match self.together.iter().find(broken) {
            Some(group) => Err(ExtractionError::Together { group: *group }),
            None => Ok(()),
        }
    }

    /// The sections that every disclosure shows: the mandatory ones, and the groups that they and these groups touch.
    fn implied(&self) -> SectionSet {
        let mut implied = self.mandatory;
        // Each round but the last adds a group, so this many rounds are enough.
        for _ in &self.together {
            for group in &self.together {
                if !group.intersection(implied).is_empty() {
                    implied = implied.union(*group);
                }
            }
        }
        implied
    }
}

/// The first sections of a record.
fn first(sections: u16) -> SectionSet {
    if sections < MAX_SECTIONS { SectionSet((1_u64 << sections) - 1) } else { SectionSet::ALL }
}
