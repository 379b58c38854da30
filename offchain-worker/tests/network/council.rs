//! Motions of the council of four hospitals.

use codec::{Compact, Encode};
use epione_client::chain::Call;
use epione_primitives::{Hash, HospitalId};
use futures::future::join_all;
use sp_runtime::traits::{BlakeTwo256, Hash as _};

use super::Network;

/// Indices of `hospitals.suspend` and `hospitals.reinstate`, which the runtime pins.
pub const SUSPEND: [u8; 2] = [6, 1];
pub const REINSTATE: [u8; 2] = [6, 2];
/// The weight that is declared for a motion's call.
const MOTION_WEIGHT: (Compact<u64>, Compact<u64>) = (Compact(300_000_000_000), Compact(4 << 20));

/// A motion of the council about a hospital.
pub struct Motion {
    hash: Hash,
    index: u32,
    length: Vec<u8>,
}

impl Motion {
    /// The first hospital proposes the motion with this index, and the first three vote for it. `threshold` is more
    /// than half of the members: the active hospitals.
    pub async fn voted(
        network: &Network,
        (call, about): ([u8; 2], u16),
        index: u32,
        threshold: u32,
    ) -> Self {
        let motion = (call, HospitalId(about)).encode();
        let length = Compact(u32::try_from(motion.len()).unwrap()).encode();
        let hash = BlakeTwo256::hash(&motion);
        let arguments = [Compact(threshold).encode(), motion, length.clone()].concat();
        submit(network, 0, "propose", arguments).await;
        let vote = (hash, Compact(index), true).encode();
        join_all([0, 1, 2].map(|hospital| submit(network, hospital, "vote", vote.clone()))).await;
        Self { hash, index, length }
    }

    pub async fn close(&self, network: &Network) {
        let closed = (self.hash, Compact(self.index), MOTION_WEIGHT).encode();
        submit(network, 0, "close", [closed, self.length.clone()].concat()).await;
    }
}

/// A hospital's governance sends a call of the council.
async fn submit(network: &Network, hospital: usize, name: &'static str, arguments: Vec<u8>) {
    let hospital = &network.hospitals[hospital];
    let call = Call { pallet: "Council", name, arguments };
    hospital.chain().await.submit(&call, &hospital.governance()).await.unwrap();
}
