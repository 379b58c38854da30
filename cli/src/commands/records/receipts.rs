//! The chain's receipts of what was read.

use std::fmt;

use epione_primitives::{BlockNumber, Hash, HospitalId, UserId, limits::MAX_PAGE, release};
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

/// The receipts of these grants, newest first. Found by the grants' hashes: another process of the same reader may have
/// left newer receipts of the same records.
pub(super) async fn of_grants(
    patient: UserId,
    mut grants: Vec<Hash>,
    context: &Context,
) -> Result<Vec<Receipt>, Failure> {
    let mut receipts = Vec::new();
    if grants.is_empty() {
        return Ok(receipts);
    }
    let (snapshot, mut before) = (context.chain().await?.finalized().await?, None);
    while !grants.is_empty() {
        let page = snapshot.receipts(patient, before, MAX_PAGE).await?;
        let Some((oldest, _)) = page.last() else { break };
        before = Some(*oldest);
        take(page, &mut grants, &mut receipts);
    }
    Ok(receipts)
}

/// Moves the receipts of the grants from a page. A grant that is found is no longer looked for.
fn take(page: Vec<(u32, release::Receipt)>, grants: &mut Vec<Hash>, receipts: &mut Vec<Receipt>) {
    for (number, kept) in page {
        if let Some(at) = grants.iter().position(|grant| *grant == kept.release.grant) {
            grants.swap_remove(at);
            receipts.push((number, kept).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use epione_client::Account;
    use epione_primitives::access::Purpose;

    use super::*;

    /// One reader's receipt of a grant.
    fn kept(grant: u8) -> release::Receipt {
        release::Receipt {
            release: release::Release {
                request: release::Request {
                    requester: UserId([2; 32]),
                    patient: UserId([1; 32]),
                    hospital: HospitalId(0),
                    records: Default::default(),
                    purpose: Purpose::Treatment,
                    emergency: None,
                    at: 1,
                    nonce: [grant; 16],
                },
                signature: Account::development("//Doctor").unwrap().sign(b"a request"),
                records: Default::default(),
                rights: Default::default(),
                grant: Hash::repeat_byte(grant),
            },
            hospital: HospitalId(0),
            version: 0,
            policies: Default::default(),
            block: 1,
            at: 1,
            review: None,
        }
    }

    #[test]
    fn a_newer_receipt_of_the_same_reader_is_not_taken_for_the_own_one() {
        let (mut grants, mut receipts) = (vec![Hash::repeat_byte(1)], Vec::new());
        take(vec![(8, kept(2)), (7, kept(1)), (6, kept(3))], &mut grants, &mut receipts);
        assert_eq!(receipts.iter().map(|found| found.receipt).collect::<Vec<_>>(), [7]);
        assert!(grants.is_empty());
    }
}
