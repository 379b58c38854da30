//! The classes that sections have on chain.

use epione_primitives::{access::SectionClass, ports::Sharing, release::ReleasedRecord};

use crate::Config;

/// Which classes occur among sections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    pub private: bool,
    pub shared: bool,
}

impl Classes {
    /// The classes of these sections, as their patient shares them now. [`SectionSet::ALL`] contains private ones.
    ///
    /// [`SectionSet::ALL`]: epione_primitives::release::SectionSet::ALL
    pub fn of_sections<T: Config>(records: &[ReleasedRecord]) -> Self {
        let mut classes = Self::default();
        for record in records {
            let shared = T::Sharing::shared(record.pointer);
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
