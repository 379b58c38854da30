//! Compares the rights of a release with the classes that its sections have on chain.

use epione_primitives::{
    access::SectionClass,
    ports::Sharing,
    release::{ReleasedRecord, Right},
};

use crate::Config;

/// Which classes occur among sections, or among rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    pub private: bool,
    pub shared: bool,
}

impl Classes {
    /// The classes of released sections, as their patient shares them now.
    pub fn of_sections<T: Config>(records: &[ReleasedRecord]) -> Self {
        let mut classes = Self::default();
        for record in records {
            let shared = T::Sharing::shared(record.pointer);
            classes.private |= !record.sections.is_subset_of(shared);
            classes.shared |= !record.sections.intersection(shared).is_empty();
        }
        classes
    }

    pub fn of_rights(rights: &[Right]) -> Self {
        let occurs = |class| rights.iter().any(|right| right.class == class);
        Self { private: occurs(SectionClass::Private), shared: occurs(SectionClass::Shared) }
    }

    /// Whether rights of these classes open sections of those classes. Rights to private sections also open shared
    /// ones, because no policy can require that a section is private.
    pub fn open(self, sections: Self) -> bool {
        self.private || (self.shared && !sections.private)
    }
}
