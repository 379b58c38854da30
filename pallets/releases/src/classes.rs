//! The classes that sections have for a requester.

use epione_primitives::{access::SectionClass, ports::Sharing, release::ReleasedRecord};

use crate::{Config, rights::Question};

/// Which classes occur among sections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    pub private: bool,
    pub shared: bool,
}

impl Classes {
    /// The classes of these sections for the requester and the purpose of the question now: shared if a consent of the
    /// patient shares them. [`SectionSet::ALL`] contains private ones, unless a slot has all.
    ///
    /// [`SectionSet::ALL`]: epione_primitives::release::SectionSet::ALL
    pub fn of_sections<T: Config>(question: &Question, records: &[ReleasedRecord]) -> Self {
        let &Question { requester, patient, purpose, .. } = question;
        let slots = T::Sharing::admitting(patient, requester, purpose);
        let mut classes = Self::default();
        for record in records {
            let shared = T::Sharing::placed(record.pointer, slots);
            classes.private |= !record.sections.is_subset_of(shared);
            classes.shared |= !record.sections.intersection(shared).is_empty();
        }
        classes
    }

    pub fn contain(self, class: SectionClass) -> bool {
        match class {
            SectionClass::Private => self.private,
            SectionClass::Shared => self.shared,
        }
    }
}
