//! Reads of attributes and credentials: what hospitals confirm about users.

use epione_primitives::{
    HospitalId, UserId,
    credential::{AttributeId, AttributeName, Credential},
    limits::MAX_PAGE,
};

use super::{ChainError, Snapshot, snapshot::Total};

/// Maximum number of credentials of one user that a client reads.
const MAX_LISTED_CREDENTIALS: usize = 1 << 16;
/// Maximum number of attributes that a client reads: more than the council can name.
const MAX_LISTED_ATTRIBUTES: usize = 1 << 12;

impl Snapshot {
    /// The attributes that the council named, ascending from `from` on: at most `limit` and [`MAX_PAGE`].
    pub async fn attributes(
        &self,
        from: AttributeId,
        limit: u32,
    ) -> Result<Vec<(AttributeId, AttributeName)>, ChainError> {
        let limit = limit.min(MAX_PAGE);
        if let Some(state) = self.proven().await? {
            return state.attributes(from, limit).await;
        }
        self.read("CredentialsApi_attributes", (from, limit)).await
    }

    /// The newest credential of a user for each attribute and issuer, in force or not: at most `limit` and
    /// [`MAX_PAGE`] after `after`, in the order of the chain's storage.
    pub async fn credentials(
        &self,
        user: UserId,
        after: Option<(AttributeId, HospitalId)>,
        limit: u32,
    ) -> Result<Vec<(AttributeId, HospitalId, Credential)>, ChainError> {
        let limit = limit.min(MAX_PAGE);
        if let Some(state) = self.proven().await? {
            return state.credentials(user, after, limit).await;
        }
        self.read("CredentialsApi_credentials", (user, after, limit)).await
    }

    /// Every attribute, ascending, read page by page. Fails after 4,096 attributes.
    pub async fn all_attributes(&self) -> Result<Vec<(AttributeId, AttributeName)>, ChainError> {
        let mut total = Total::new("attributes", MAX_LISTED_ATTRIBUTES);
        let mut all: Vec<(AttributeId, AttributeName)> = Vec::new();
        let mut from = Some(AttributeId(0));
        while let Some(first) = from {
            let page = self.attributes(first, MAX_PAGE).await?;
            let Some((last, _)) = page.last() else { break };
            total.add(&page)?;
            from = last.0.checked_add(1).map(AttributeId);
            all.extend(page);
        }
        Ok(all)
    }

    /// Every newest credential of a user, read page by page. Fails after 65,536 credentials.
    pub async fn all_credentials(
        &self,
        user: UserId,
    ) -> Result<Vec<(AttributeId, HospitalId, Credential)>, ChainError> {
        let mut total = Total::new("credentials of a user", MAX_LISTED_CREDENTIALS);
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self.credentials(user, after, MAX_PAGE).await?;
            let Some((attribute, issuer, _)) = page.last() else { return Ok(all) };
            total.add(&page)?;
            after = Some((*attribute, *issuer));
            all.extend(page);
        }
    }
}
