//! What a patient let others read by own acceptances. A hospital's record that it handed out the sealed keys may be
//! missing: a hospital can break the rule, so that the acceptance alone already counts.

use std::fmt;

use epione_client::query::Queries;
use epione_primitives::UserId;
use serde::Serialize;

use crate::{
    commands::query::{Described, described},
    context::Context,
    failure::Failure,
};

/// Queries that the patient accepted, also if the acceptance was withdrawn; newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct HandedOut(pub Vec<Described>);

impl HandedOut {
    /// The newest ones, at most `limit`.
    pub(super) async fn of(
        patient: UserId,
        limit: u32,
        context: &Context,
    ) -> Result<Self, Failure> {
        let chain = context.chain().await?;
        let listed = Queries::new(chain.clone()).accepted(patient, limit).await?;
        Ok(Self(described(listed, chain).await?))
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
