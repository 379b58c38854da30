//! Four hospitals make the consortium key by themselves, while their workers are killed one after the other, each in
//! another phase; then one of them leaves and comes back. The key stays the same.

#![allow(clippy::unwrap_used)]

mod network;

use epione_client::chain::Chain;
use epione_primitives::{
    HospitalId,
    consortium::{CeremonyId, Epoch, KeyId, Phase},
};
use futures::future::join;
use network::{
    Network, Tuning,
    council::{Motion, REINSTATE, SUSPEND},
    settles,
};

/// The hospital that leaves and comes back.
const LEAVING: u16 = 3;

/// Waits until the first ceremony is in a phase that waits for one hospital only.
async fn waits_for(chain: &Chain, phase: Phase, hospital: u16) {
    settles(&format!("the phase {phase:?} waits for hospital {hospital}"), async || {
        let head = chain.finalized_head().await.map_err(|error| error.to_string())?;
        let key = chain.at(head.hash).consortium_key().await.map_err(|error| error.to_string())?;
        let mut ceremony = key.ceremony.ok_or("no ceremony has begun")?;
        ceremony.advance(head.number + 1, key.schedule.phase);
        assert_eq!(ceremony.id, CeremonyId(0), "the first ceremony failed");
        assert!(ceremony.is_running(), "{ceremony:?}");
        let awaited: Vec<_> = ceremony.awaited().collect();
        if ceremony.phase == phase && awaited == [HospitalId(hospital)] {
            Ok(())
        } else {
            Err(format!("{:?} waits for {awaited:?}", ceremony.phase))
        }
    })
    .await;
}

/// Waits until an epoch has exactly these members, and exactly these have confirmed their shares.
async fn epoch_with(chain: &Chain, members: &[u16], confirmed: &[usize]) -> Epoch {
    settles(&format!("the hospitals {members:?} have shares"), async || {
        let state = chain.finalized().await.map_err(|error| error.to_string())?;
        let epoch = state.current_epoch().await.map_err(|error| error.to_string())?;
        let epoch = epoch.ok_or("there is no epoch")?;
        let is_of = epoch.members.iter().map(|member| member.0).eq(members.iter().copied());
        if is_of && epoch.confirmed.iter().eq(confirmed.iter().copied()) {
            Ok(epoch)
        } else {
            Err(format!("{epoch:?}"))
        }
    })
    .await
}

/// Waits until an epoch has exactly these members, and all of them have confirmed their shares.
async fn epoch_of(chain: &Chain, members: &[u16]) -> Epoch {
    epoch_with(chain, members, &(0..members.len()).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn hospitals_keep_one_key_while_workers_are_killed_and_members_change() {
    let mut network = Network::of_nodes(4, Tuning::default()).await;
    let chain = network.hospitals[0].chain().await;
    for hospital in &mut network.hospitals[..3] {
        hospital.worker.start();
    }
    // Each phase waits for the worker that was killed in the phase before, so nothing depends on how fast they are.
    for (phase, awaited, victim) in
        [(Phase::Enrol, 3, 0), (Phase::Deal, 0, 1), (Phase::Judge, 1, 2)]
    {
        waits_for(&chain, phase, awaited).await;
        network.hospitals[victim].worker.kill();
        network.hospitals[usize::from(awaited)].worker.start();
    }
    // The third worker was killed before it could confirm. The others begin the epoch, and it confirms late.
    let begun = epoch_with(&chain, &[0, 1, 2, 3], &[0, 1, 3]).await;
    assert_eq!(begun.ceremony, CeremonyId(0));
    network.hospitals[2].worker.start();
    let (first, suspension) =
        join(epoch_of(&chain, &[0, 1, 2, 3]), Motion::voted(&network, (SUSPEND, LEAVING), 0, 3))
            .await;
    assert_eq!((first.id, first.key, first.threshold), (begun.id, KeyId(0), 3));

    suspension.close(&network).await;
    let (second, reinstatement) =
        join(epoch_of(&chain, &[0, 1, 2]), Motion::voted(&network, (REINSTATE, LEAVING), 1, 2))
            .await;
    reinstatement.close(&network).await;
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
