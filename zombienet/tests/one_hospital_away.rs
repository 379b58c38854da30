//! Four validators under zombienet, a worker beside each. One hospital goes away, node and worker; the others
//! go on; when it returns it has everything.

mod network;

use anyhow::{Context, ensure};
use epione_client::{chain::ChainEvent, verify};
use epione_primitives::{HospitalId, approval::BallotOutcome};

use network::Hospitals;

const BOB: usize = 1;
const DAVE: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn a_block_commits_while_one_hospital_is_away_and_it_catches_up() -> anyhow::Result<()> {
    let mut hospitals = Hospitals::start().await?;
    let (doctor, patient) = hospitals.register_doctor_and_patient().await?;

    let before = hospitals.commit_visit(&doctor, patient, b"while all are there").await?;
    hospitals.holds_every_segment(DAVE, before).await?;

    hospitals.stop(DAVE).await?;
    let finalised = hospitals.chain(0).await?.finalized_head().await?.number;
    let during = hospitals.commit_visit(&doctor, patient, b"while one is away").await?;
    ensure!(during == before + 1, "the second visit is at height {during}, the first at {before}");

    let chain = hospitals.chain(0).await?;
    let (header, _) = chain.finalized().await?.header(during).await?.context("committed")?;
    let ballot = chain.finalized().await?.ballot(header.announcement).await?.context("ballot")?;
    ensure!(ballot.outcome == Some(BallotOutcome::Approved));
    ensure!(!ballot.approvals.contains(&HospitalId(DAVE as u16)), "one that is away approved");
    ensure!(chain.finalized_head().await?.number > finalised, "three of four do not finalise");

    hospitals.start_again(DAVE).await?;
    hospitals.holds_every_segment(DAVE, before).await?;
    hospitals.holds_every_segment(DAVE, during).await?;
    let report = verify::check(&verify::gather(&hospitals.chain(DAVE).await?, during).await?);
    ensure!(report.passed(), "the block does not verify at the one that was away: {report:?}");

    // It votes again: without another's worker, no block commits unless it does.
    hospitals.kill_worker(BOB)?;
    hospitals.commit_visit(&doctor, patient, b"when it is back").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn four_validators_finalise_what_each_of_them_authors() -> anyhow::Result<()> {
    let hospitals = Hospitals::start_nodes().await?;
    let chain = hospitals.chain(0).await?;
    let from = chain.finalized_head().await?.number + 1;
    let mut stream = chain.finalized_stream(from);
    let mut times = Vec::new();
    while times.len() < 8 {
        let block = futures::StreamExt::next(&mut stream).await.context("the stream ended")??;
        ensure!(block.number == from + times.len() as u32, "a finalised block is missing");
        let events = chain.events(block.hash).await?;
        ensure!(!events.iter().any(|event| matches!(event.event, ChainEvent::Committed { .. })));
        times.push(chain.time(block.hash).await?);
    }
    ensure!(times.is_sorted(), "time goes back: {times:?}");
    let hashes =
        futures::future::try_join_all((0..4).map(|index| {
            let hospitals = &hospitals;
            async move {
                hospitals.chain(index).await?.block_hash(from).await.map_err(anyhow::Error::from)
            }
        }))
        .await?;
    ensure!(hashes.iter().all(|hash| hash.is_some() && *hash == hashes[0]), "{hashes:?}");
    Ok(())
}
