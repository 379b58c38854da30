//! A verified record before access is requested: its sections, and whether a file already contains one.

use std::path::Path;

use epione_envelope::record::{Description, Extraction, Record};
use epione_primitives::{RecordPointer, UserId, release::SectionSet};

use super::{ReadError, RecordSummary, fetch, saved::digested};
use crate::chain::Chain;

/// A patient's sealed record. The chain agrees with it, and its author signed it.
#[derive(Clone)]
pub struct VerifiedRecord {
    pub summary: RecordSummary,
    pub(super) record: Record,
}

impl VerifiedRecord {
    /// Fetches a record from the node, and verifies it. A record of another patient is an error.
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

    /// What its author permits to disclose.
    pub fn extraction(&self) -> &Extraction {
        &self.record.authorship().extraction
    }

    /// Number of segments of its media.
    pub fn segments(&self) -> usize {
        self.record.sections().iter().map(|section| section.segments().len()).sum()
    }

    /// Whether a file has a section's content. The description comes from an earlier run that opened the section; it
    /// counts only if the author signed it. Needs no key, and sends no request.
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
