//! The other hospitals' workers, and in which order to ask them.

use std::collections::HashMap;

use crate::node::NodeHandle;
use epione_client::{
    Endpoint, EndpointError,
    chain::ChainError,
    endpoint::{is_loopback, without_userinfo},
};
use epione_primitives::{AccountId, Hash, HospitalId, hospital::Hospital};
use futures::{FutureExt, future::BoxFuture};

/// Another hospital's worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub hospital: HospitalId,
    pub endpoint: Endpoint,
}

/// Why a hospital's entry names no worker that this one may connect to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("{url} is this machine itself: ask the hospital to set the address of its worker")]
    Loopback { url: String },
}

impl Peer {
    /// The worker that a hospital's entry names. `own` is the entry of this worker's hospital.
    ///
    /// On each machine, a loopback address is that machine itself. Only hospitals that share a machine, as in
    /// development, can mean each other by such addresses. If any hospital could, it would choose to which programs of
    /// this machine the worker sends requests, also over plain http.
    pub fn of(
        hospital: HospitalId,
        entry: &Hospital,
        own: Option<&Hospital>,
    ) -> Result<Self, PeerError> {
        let endpoint = Endpoint::of(entry)?;
        let shares_machine =
            || own.and_then(|own| Endpoint::of(own).ok()).is_some_and(|own| is_loopback(own.url()));
        if is_loopback(endpoint.url()) && !shares_machine() {
            return Err(PeerError::Loopback { url: without_userinfo(endpoint.url().as_str()) });
        }
        Ok(Self { hospital, endpoint })
    }
}

/// The workers to ask, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roll {
    /// Hash of the chain's first block.
    pub genesis: Hash,
    /// This hospital, while it is active or leaving.
    pub own: Option<HospitalId>,
    pub peers: Vec<Peer>,
}

/// Lists the other hospitals' workers.
pub trait Roster: Send + Sync {
    /// The workers that may have segments. `first`, if it is another hospital, comes first whatever its status: it may
    /// have segments that no other hospital has.
    fn roll(&self, first: Option<HospitalId>) -> BoxFuture<'_, Result<Roll, RosterError>>;
}

/// Why the other hospitals are not known.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    #[error("the hospital's node, which lists the other hospitals, does not answer")]
    NodeAway,
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// The hospitals that the chain lists at the newest finalized block.
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
        let own = hospitals
            .iter()
            .find(|(_, hospital)| hospital.agent == self.agent && hospital.status.serves());
        let own = own.map(|(id, _)| *id);
        let peers = in_asking_order(hospitals, &self.agent, first);
        Ok(Roll { genesis: chain.genesis_hash(), own, peers })
    }
}

impl Roster for ChainRoster {
    fn roll(&self, first: Option<HospitalId>) -> BoxFuture<'_, Result<Roll, RosterError>> {
        self.read(first).boxed()
    }
}

/// `first`, then the active and leaving hospitals, beginning with the one whose number follows this hospital's, so that
/// not all hospitals ask the same one second.
fn in_asking_order(
    hospitals: Vec<(HospitalId, Hospital)>,
    agent: &AccountId,
    first: Option<HospitalId>,
) -> Vec<Peer> {
    let own = hospitals.iter().find(|(_, hospital)| hospital.agent == *agent).cloned();
    let (own, own_entry) = own.unzip();
    let mut peers: HashMap<HospitalId, Peer> = HashMap::new();
    let mut order = Vec::new();
    for (id, hospital) in hospitals {
        let wanted = hospital.status.serves() || first == Some(id);
        if Some(id) == own || !wanted {
            continue;
        }
        match Peer::of(id, &hospital, own_entry.as_ref()) {
            Ok(peer) => {
                peers.insert(id, peer);
                order.push(id);
            }
            Err(error) => tracing::warn!(
                hospital = id.0,
                %error,
                "the URL that the chain names for this hospital's worker cannot be used"
            ),
        }
    }
    order.sort_by_key(|id| (first != Some(*id), Some(*id) < own, *id));
    order.into_iter().filter_map(|hospital| peers.remove(&hospital)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use epione_primitives::{AccountId, hospital::HospitalStatus};

    fn hospital(id: u8, url: &str, status: HospitalStatus) -> Hospital {
        Hospital {
            name: b"x".to_vec().try_into().unwrap(),
            governance: AccountId::new([99; 32]),
            agent: AccountId::new([id; 32]),
            worker_url: url.as_bytes().to_vec().try_into().unwrap(),
            sealing_key: Vec::new().try_into().unwrap(),
            tls_key: [0; 32],
            storage_origin: None,
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
    fn the_announcer_comes_first_then_the_next_number() {
        use HospitalStatus::Active;
        assert_eq!(order(1, Some(3), &[Active; 5]), [3, 2, 4, 0]);
        assert_eq!(order(4, None, &[Active; 5]), [0, 1, 2, 3]);
        assert_eq!(order(1, Some(1), &[Active; 3]), [2, 0]);
    }

    #[test]
    fn only_the_announcer_is_asked_while_suspended() {
        use HospitalStatus::{Active, Leaving, Removed, Suspended};
        let statuses = [Active, Suspended, Suspended, Removed, Active, Leaving];
        assert_eq!(order(0, Some(1), &statuses), [1, 4, 5]);
    }

    #[test]
    fn a_hospital_without_a_usable_url_is_left_out() {
        let hospitals = vec![
            (HospitalId(1), hospital(1, "ftp://example.org", HospitalStatus::Active)),
            (HospitalId(4), hospital(4, "http://example.org", HospitalStatus::Active)),
            (HospitalId(2), hospital(2, "", HospitalStatus::Active)),
            (HospitalId(3), hospital(3, "https://example.org/worker", HospitalStatus::Active)),
        ];
        let peers = in_asking_order(hospitals, &AccountId::new([0; 32]), None);
        assert_eq!(peers.iter().map(|peer| peer.hospital.0).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn only_hospitals_of_one_machine_name_loopback_addresses_to_each_other() {
        let active = |id, url| hospital(id, url, HospitalStatus::Active);
        for (own, is_peer) in
            [("http://127.0.0.1:1", true), ("https://own.example", false), ("", false)]
        {
            let own = active(0, own);
            for url in ["http://127.0.0.1:9944/path", "https://localhost", "http://[::1]:80"] {
                let peer = Peer::of(HospitalId(1), &active(1, url), Some(&own));
                assert_eq!(peer.is_ok(), is_peer, "{url}");
                let hospitals = vec![(HospitalId(0), own.clone()), (HospitalId(1), active(1, url))];
                let peers = in_asking_order(hospitals, &own.agent, Some(HospitalId(1)));
                assert_eq!(peers.len(), usize::from(is_peer), "{url}");
            }
            Peer::of(HospitalId(1), &active(1, "https://other.example"), Some(&own)).unwrap();
        }
        let refused =
            Peer::of(HospitalId(1), &active(1, "http://a:b@localhost"), None).unwrap_err();
        assert_eq!(refused, PeerError::Loopback { url: "http://localhost/".into() });
    }
}
