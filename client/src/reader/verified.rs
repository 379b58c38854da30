//! A record before anybody is asked for its keys: what its sections are, and whether a file holds one.

use std::path::Path;

use epione_envelope::record::{Description, Record};
use epione_primitives::{RecordPointer, UserId, release::SectionSet};

use super::{ReadError, RecordSummary, fetch, saved::digested};
use crate::chain::Chain;

/// A patient's sealed record, with which the chain agrees and which its author signed.
#[derive(Clone)]
pub struct VerifiedRecord {
    pub summary: RecordSummary,
    pub(super) record: Record,
}

impl VerifiedRecord {
    /// Fetches a record from the node. It is an error if the record is another patient's.
    pub async fn of(
        chain: &Chain,
        patient: UserId,
        pointer: RecordPointer,
    ) -> Result<Self, ReadError> {
        let (summary, record) = fetch::verified(chain, pointer).await?;
        if summary.patient != patient {
            return Err(ReadError::OtherPatient { pointer, patient });
        }
        Ok(Self { summary, record })
    }

    /// All its sections.
    pub fn sections(&self) -> SectionSet {
        let mut sections = SectionSet::default();
        for (index, _) in (0..).zip(self.record.sections()) {
            sections.insert(index);
        }
        sections
    }

    /// Number of segments that hold its media.
    pub fn segments(&self) -> usize {
        self.record.sections().iter().map(|section| section.segments().len()).sum()
    }

    /// Whether a file holds a section's content. The description is kept from when the section was open;
    /// it counts if it is the one that the author signed. Needs no key, and asks nobody.
    pub async fn is_in(
        &self,
        at: &Path,
        section: u16,
        description: &Description,
    ) -> Result<bool, ReadError> {
        if self.record.check_leaf(section, description).is_err() {
            return Ok(false);
        }
        let file = |source| ReadError::File { path: at.into(), source };
        Ok(digested(description, at).await.map_err(file)?.is_ok())
    }
}

impl std::fmt::Debug for VerifiedRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedRecord").field("summary", &self.summary).finish_non_exhaustive()
    }
}
