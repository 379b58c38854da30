//! Whom to ask.

use std::collections::HashMap;

use epione_client::chain::ChainError;
use epione_primitives::{
    AccountId, Hash, HospitalId,
    hospital::{Hospital, HospitalStatus},
};
use futures::{FutureExt, future::BoxFuture};
use url::Url;

use crate::node::NodeHandle;

/// Another hospital's worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub hospital: HospitalId,
    pub url: Url,
}

/// The workers to ask, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// Hash of the first block of the chain that lists them.
    pub genesis: Hash,
    pub peers: Vec<Peer>,
}

/// Knows the other hospitals' workers.
pub trait Roster: Send + Sync {
    /// The workers that may hold segments. `first`, if it is another hospital, comes first whatever
    /// its status: it may hold what nobody else does.
    fn roll(&self, first: Option<HospitalId>) -> BoxFuture<'_, Result<Roll, RosterError>>;
}

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    #[error("the hospital's node is away: it is needed to find the other hospitals")]
    NodeAway,
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// The hospitals as the chain lists them at the newest finalised block.
pub struct ChainRoster {
    node: NodeHandle,
    agent: AccountId,
}

impl ChainRoster {
    /// `agent` is the account of this hospital's worker, which does not ask itself.
    pub fn new(node: NodeHandle, agent: AccountId) -> Self {
        Self { node, agent }
    }

    async fn read(&self, first: Option<HospitalId>) -> Result<Roll, RosterError> {
        let chain = self.node.borrow().clone().ok_or(RosterError::NodeAway)?;
        let hospitals = chain.finalized().await?.hospitals().await?;
        let peers = in_asking_order(hospitals, &self.agent, first);
        Ok(Roll { genesis: chain.genesis_hash(), peers })
    }
}

impl Roster for ChainRoster {
    fn roll(&self, first: Option<HospitalId>) -> BoxFuture<'_, Result<Roll, RosterError>> {
        self.read(first).boxed()
    }
}

/// `first`, then the active ones, beginning with the one whose number follows the agent's own hospital,
/// so that not everybody asks the same one second.
fn in_asking_order(
    hospitals: Vec<(HospitalId, Hospital)>,
    agent: &AccountId,
    first: Option<HospitalId>,
) -> Vec<Peer> {
    let own = hospitals.iter().find(|(_, hospital)| hospital.agent == *agent).map(|(id, _)| *id);
    let mut urls: HashMap<HospitalId, Url> = HashMap::new();
    let mut order = Vec::new();
    for (id, hospital) in hospitals {
        let wanted = hospital.status == HospitalStatus::Active || first == Some(id);
        if Some(id) == own || !wanted {
            continue;
        }
        match parse(&hospital.worker_url) {
            Some(url) => {
                urls.insert(id, url);
                order.push(id);
            }
            None => tracing::warn!(
                hospital = id.0,
                "this hospital's worker URL on chain is no http or https URL; its governance account can correct it"
            ),
        }
    }
    order.sort_by_key(|id| (first != Some(*id), Some(*id) < own, *id));
    order
        .into_iter()
        .filter_map(|hospital| Some(Peer { hospital, url: urls.remove(&hospital)? }))
        .collect()
}

fn parse(bytes: &[u8]) -> Option<Url> {
    let url = Url::parse(std::str::from_utf8(bytes).ok()?).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.has_host()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use epione_primitives::AccountId;

    fn hospital(id: u8, url: &str, status: HospitalStatus) -> Hospital {
        Hospital {
            name: b"x".to_vec().try_into().unwrap(),
            governance: AccountId::new([99; 32]),
            agent: AccountId::new([id; 32]),
            worker_url: url.as_bytes().to_vec().try_into().unwrap(),
            sealing_key: Vec::new().try_into().unwrap(),
            tls_key: [0; 32],
            status,
        }
    }

    fn order(own: u8, first: Option<u16>, statuses: &[HospitalStatus]) -> Vec<u16> {
        let hospitals = statuses
            .iter()
            .zip(0_u8..)
            .map(|(status, id)| {
                (HospitalId(id.into()), hospital(id, "http://127.0.0.1:1", *status))
            })
            .collect();
        in_asking_order(hospitals, &AccountId::new([own; 32]), first.map(HospitalId))
            .into_iter()
            .map(|peer| peer.hospital.0)
            .collect()
    }

    #[test]
    fn the_announcer_comes_first_then_the_next_in_turn() {
        use HospitalStatus::Active;
        assert_eq!(order(1, Some(3), &[Active; 5]), [3, 2, 4, 0]);
        assert_eq!(order(4, None, &[Active; 5]), [0, 1, 2, 3]);
        assert_eq!(order(1, Some(1), &[Active; 3]), [2, 0]);
    }

    #[test]
    fn only_the_announcer_is_asked_while_suspended() {
        use HospitalStatus::{Active, Removed, Suspended};
        assert_eq!(order(0, Some(1), &[Active, Suspended, Suspended, Removed, Active]), [1, 4]);
    }

    #[test]
    fn a_hospital_without_a_usable_url_is_left_out() {
        let hospitals = vec![
            (HospitalId(1), hospital(1, "ftp://example.org", HospitalStatus::Active)),
            (HospitalId(2), hospital(2, "", HospitalStatus::Active)),
            (HospitalId(3), hospital(3, "https://example.org/worker", HospitalStatus::Active)),
        ];
        let peers = in_asking_order(hospitals, &AccountId::new([0; 32]), None);
        assert_eq!(peers.iter().map(|peer| peer.hospital.0).collect::<Vec<_>>(), [3]);
    }
}
