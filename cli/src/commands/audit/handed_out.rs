//! What a patient let others read by own acceptances: the queries whose sealed keys a hospital handed out.

use std::fmt;

use epione_client::query::{Party, Queries};
use epione_primitives::UserId;
use serde::Serialize;

use crate::{
    commands::query::{Described, described},
    context::Context,
    failure::Failure,
};

/// Queries with a transfer, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct HandedOut(pub Vec<Described>);

impl HandedOut {
    pub(super) async fn of(patient: UserId, context: &Context) -> Result<Self, Failure> {
        let queries = Queries::new(context.chain().await?.clone());
        let mut listed = queries.list(Party::Patient(patient), u32::MAX).await?;
        listed.queries.retain(|found| found.transfer.is_some());
        Ok(Self(described(listed, context).await?))
    }
}

impl fmt::Display for HandedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.is_empty() {
            writeln!(f, "by the patient's own acceptance:")?;
        }
        self.0.iter().try_for_each(|query| writeln!(f, "{query}"))
    }
}
