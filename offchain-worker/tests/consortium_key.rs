//! Four hospitals make the consortium key by themselves, while their workers are killed one after the other; then one of
//! them leaves and comes back. The key stays the same.

#![allow(clippy::unwrap_used)]

mod network;

use codec::{Compact, Encode};
use epione_client::chain::{Call, Chain};
use epione_primitives::{
    HospitalId,
    consortium::{Epoch, KeyId, Phase},
};
use futures::future::join_all;
use network::{Network, Tuning, eventually, settles};
use sp_runtime::traits::{BlakeTwo256, Hash as _};

/// The hospital that leaves and comes back.
const LEAVING: u16 = 3;
/// Indices of `hospitals.suspend` and `hospitals.reinstate`, which the runtime pins.
const SUSPEND: [u8; 2] = [6, 1];
const REINSTATE: [u8; 2] = [6, 2];
/// The weight that is declared for a motion's call.
const MOTION_WEIGHT: (Compact<u64>, Compact<u64>) = (Compact(300_000_000_000), Compact(4 << 20));

/// How far a ceremony has come, for comparing.
fn rank(phase: Phase) -> u8 {
    match phase {
        Phase::Enrol => 0,
        Phase::Deal => 1,
        Phase::Judge => 2,
        Phase::Answer => 3,
        Phase::Confirm => 4,
        Phase::Activated | Phase::Failed(_) => 5,
    }
}

/// Waits until the first ceremony has come to a phase.
async fn reaches(chain: &Chain, phase: Phase) {
    eventually("the ceremony has come to the phase", async || {
        let head = chain.finalized_head().await.ok()?;
        let key = chain.at(head.hash).consortium_key().await.ok()?;
        let mut ceremony = key.ceremony?;
        ceremony.advance(head.number + 1, key.schedule.phase);
        (rank(ceremony.phase) >= rank(phase)).then_some(())
    })
    .await;
}

/// Waits until an epoch has exactly these members, and all of them have confirmed their shares.
async fn epoch_of(chain: &Chain, members: &[u16]) -> Epoch {
    settles(&format!("the hospitals {members:?} have shares"), async || {
        let state = chain.finalized().await.map_err(|error| error.to_string())?;
        let epoch = state.current_epoch().await.map_err(|error| error.to_string())?;
        let epoch = epoch.ok_or("there is no epoch")?;
        let is_of = epoch.members.iter().map(|member| member.0).eq(members.iter().copied());
        if is_of && epoch.confirmed.len() == members.len() {
            Ok(epoch)
        } else {
            Err(format!("{epoch:?}"))
        }
    })
    .await
}

/// The council's motion with this index decides a call about the hospital that leaves. The first three hospitals vote.
async fn decide(network: &Network, call: [u8; 2], index: u32) {
    let motion = (call, HospitalId(LEAVING)).encode();
    let length = Compact(u32::try_from(motion.len()).unwrap()).encode();
    let council = |name, arguments| Call { pallet: "Council", name, arguments };
    let propose =
        council("propose", [Compact(3_u32).encode(), motion.clone(), length.clone()].concat());
    let hash = BlakeTwo256::hash(&motion);
    let vote = council("vote", (hash, Compact(index), true).encode());
    let close = council("close", [(hash, Compact(index), MOTION_WEIGHT).encode(), length].concat());
    let submit = async |hospital: usize, call: &Call| {
        let hospital = &network.hospitals[hospital];
        hospital.chain().await.submit(call, &hospital.governance()).await.unwrap();
    };
    submit(0, &propose).await;
    join_all([0, 1, 2].map(|hospital| submit(hospital, &vote))).await;
    submit(0, &close).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hospitals_keep_one_key_while_workers_are_killed_and_members_change() {
    let mut network = Network::start(4, Tuning::default()).await;
    let chain = network.hospitals[0].chain().await;
    let phases = [Phase::Enrol, Phase::Deal, Phase::Judge, Phase::Confirm];
    for (victim, phase) in phases.into_iter().enumerate() {
        reaches(&chain, phase).await;
        let worker = &mut network.hospitals[victim].worker;
        worker.kill();
        worker.start();
    }
    let first = epoch_of(&chain, &[0, 1, 2, 3]).await;
    assert_eq!((first.key, first.threshold), (KeyId(0), 3));

    decide(&network, SUSPEND, 0).await;
    let second = epoch_of(&chain, &[0, 1, 2]).await;
    decide(&network, REINSTATE, 1).await;
    let third = epoch_of(&chain, &[0, 1, 2, 3]).await;
    for epoch in [&second, &third] {
        assert_eq!((epoch.key, epoch.public_key()), (KeyId(0), first.public_key()));
    }
    assert!(first.mixing != second.mixing && second.mixing != third.mixing);

    for hospital in &network.hospitals {
        hospital.worker_is_ready().await;
        let (epoch, failed) =
            ("epione_worker_consortium_epoch", "epione_worker_consortium_ceremonies_failed");
        hospital.metric_becomes(epoch, |number| number == u64::from(third.id.0)).await;
        hospital.metric_becomes("epione_worker_consortium_share_held", |held| held == 1).await;
        hospital.metric_becomes(failed, |failed| failed == 0).await;
    }
}
