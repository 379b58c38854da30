//! The chain's receipts of what was read.

use std::fmt;

use epione_primitives::{
    BlockNumber, HospitalId, RecordPointer, UserId, limits::MAX_PAGE, release,
};
use serde::Serialize;

use crate::{context::Context, failure::Failure, wording::legible};

/// A receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Its number among the patient's receipts.
    pub receipt: u32,
    pub hospital: HospitalId,
    /// The policies that allowed it, each once.
    pub policies: Vec<String>,
    /// Version of the hospital's policy set; 0 is the default set.
    pub version: u32,
    /// The chain block that records it.
    pub block: BlockNumber,
    /// The review, if it was an emergency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<release::ReviewId>,
}

impl From<(u32, release::Receipt)> for Receipt {
    fn from((number, kept): (u32, release::Receipt)) -> Self {
        let mut policies: Vec<_> = kept.policies.iter().map(|name| legible(name)).collect();
        policies.dedup();
        Self {
            receipt: number,
            hospital: kept.hospital,
            policies,
            version: kept.version,
            block: kept.block,
            review: kept.review,
        }
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { receipt, hospital, policies, version, block, review } = self;
        let policies = policies.join("\", \"");
        write!(
            f,
            "receipt {receipt}: allowed at hospital {hospital} by \"{policies}\" (version \
             {version}), chain block {block}"
        )?;
        match review {
            Some(review) => write!(f, "; an emergency, under review {review}"),
            None => Ok(()),
        }
    }
}

/// The newest receipts of a user's access to these records of a patient.
pub(super) async fn newest(
    patient: UserId,
    reader: UserId,
    pointers: &[RecordPointer],
    context: &Context,
) -> Result<Vec<Receipt>, Failure> {
    let snapshot = context.chain().await?.finalized().await?;
    let (mut missing, mut before) = (pointers.to_vec(), None);
    let mut receipts = Vec::new();
    // Other users may have read since.
    while !missing.is_empty() {
        let page = snapshot.receipts(patient, before, MAX_PAGE).await?;
        let Some((oldest, _)) = page.last() else { break };
        before = Some(*oldest);
        for (number, kept) in page {
            let covers = |pointer: &RecordPointer| {
                kept.release.records.iter().any(|record| record.pointer == *pointer)
            };
            if kept.release.requester == reader && missing.iter().any(covers) {
                missing.retain(|pointer| !covers(pointer));
                receipts.push((number, kept).into());
            }
        }
    }
    Ok(receipts)
}
