//! What doctors had opened of a patient in emergencies, with the reviews by the other hospitals.

use std::fmt;

use epione_client::{
    chain::{BlockRef, Chain},
    opening::{Listed, Openings},
};
use epione_primitives::opening::OpeningId;
use serde::Serialize;

use super::reviews::Reviewed;
use crate::{commands::opening, failure::Failure};

/// An opening of an emergency summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UrgentOpening {
    #[serde(flatten)]
    pub opened: opening::Described,
    pub reviewed: Reviewed,
}

impl fmt::Display for UrgentOpening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}", self.opened, self.reviewed)
    }
}

/// Adds the openings to their reviews, in the same order. All is read at `block`.
pub(super) async fn opened(
    reviews: Vec<(OpeningId, Reviewed)>,
    block: BlockRef,
    chain: &Chain,
) -> Result<Vec<UrgentOpening>, Failure> {
    let known = Openings::new(chain.clone());
    let mut openings = Vec::with_capacity(reviews.len());
    for (id, _) in &reviews {
        openings.push(known.show_at(block, *id).await?);
    }
    let described = opening::described(Listed { openings, block }, chain).await?;
    let each = described.into_iter().zip(reviews);
    Ok(each.map(|(opened, (_, reviewed))| UrgentOpening { opened, reviewed }).collect())
}
