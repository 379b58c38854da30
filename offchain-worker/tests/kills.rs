//! `kill -9` of workers and nodes at every stage of a visit, each in a separate network of four hospitals. Cases that
//! need no other hospital, and killing an announcer or a fetching hospital, are in `one_hospital` and `four_hospitals`.

#![allow(clippy::unwrap_used)]

mod network;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use epione_client::{Account, api::VisitStage, reader::verified, visit::Visit};
use epione_primitives::{
    RecordPointer,
    block::{Segment, Stage},
};
use network::{
    Network, Tuning, eventually,
    people::{People, TREATMENT, content_of, reader},
    process::Process,
    settles,
};
use tokio::time::sleep;

const MIB: usize = 1024 * 1024;

/// Which process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Worker,
    Node,
}

fn media(seed: u8, bytes: usize) -> Vec<u8> {
    let mut stream = blake3::Hasher::new().update(&[seed]).finalize_xof();
    let mut bytes = vec![0; bytes];
    stream.fill(&mut bytes);
    bytes
}

/// A network, the people at its first hospital, and the visits that they submitted.
struct Scene {
    network: Network,
    people: People,
    written: Vec<(Visit, Vec<u8>)>,
}

impl Scene {
    async fn begin() -> Self {
        let network = Network::start(4, Tuning { pack_age_ms: 500, ..Tuning::default() }).await;
        let people = People::register(&network.hospitals[0]).await;
        Self { network, people, written: Vec::new() }
    }

    fn victim(&mut self, victim: Victim) -> &mut Process {
        let hospital = &mut self.network.hospitals[0];
        if victim == Victim::Worker { &mut hospital.worker } else { &mut hospital.node }
    }

    /// Kills a process and starts it again. Returns when the worker is ready.
    async fn strike(&mut self, victim: Victim) {
        self.victim(victim).kill();
        if victim == Victim::Node {
            // Otherwise the check below may see its previous state.
            self.network.hospitals[0].answers("readyz", 503).await;
        }
        self.victim(victim).start();
        self.network.hospitals[0].worker_is_ready().await;
    }

    /// A visit with this much media.
    async fn visit(&mut self, bytes: usize) -> Visit {
        let media = media(self.written.len() as u8, bytes);
        let folder = self.network.folder.path().to_owned();
        let visit = self.people.visit(&self.network.hospitals[0], &folder, &media).await;
        self.written.push((visit.clone(), media));
        visit
    }

    /// Killed during the upload: the client resumes automatically, or its user starts again.
    async fn while_uploading(&mut self, victim: Victim) {
        let visit = self.visit(40 * MIB).await;
        let account = self.people.doctor.account.clone();
        let client = self.network.hospitals[0].client(account).await;
        let arrived = Arc::new(AtomicU64::new(0));
        let (seen, sent) = (arrived.clone(), visit.clone());
        let sending = tokio::spawn(async move {
            let note = move |progress: epione_client::Progress| {
                seen.store(progress.done, Ordering::Relaxed);
            };
            client.submit_visit(&sent, note).await
        });
        while arrived.load(Ordering::Relaxed) == 0 && !sending.is_finished() {
            sleep(Duration::from_millis(1)).await;
        }
        self.strike(victim).await;
        if let Err(error) = sending.await.unwrap() {
            eprintln!("the client gave up: {error}");
            self.people.submit(&self.network.hospitals[0], &visit).await;
        }
    }

    /// Killed when the visit is acknowledged, and may not be packed yet.
    async fn when_queued(&mut self, victim: Victim) {
        let visit = self.visit(100_000).await;
        self.people.submit(&self.network.hospitals[0], &visit).await;
        self.strike(victim).await;
    }

    /// Killed when the announcement is on its way to the chain.
    async fn when_announcing(&mut self, victim: Victim) {
        let visit = self.visit(100_000).await;
        self.people.submit(&self.network.hospitals[0], &visit).await;
        let left = |stage| (stage != VisitStage::Queued).then_some(());
        let hospital = &self.network.hospitals[0];
        self.people.reaches(hospital, visit.record_id(), "the visit is packed", left).await;
        self.strike(victim).await;
    }

    /// Killed while the ballot is open, and away until the block is committed, so that the announcing worker could not
    /// record that.
    async fn until_committed(&mut self, victim: Victim) {
        for hospital in &mut self.network.hospitals[1..] {
            hospital.worker.kill();
        }
        // Without media, so that the others need no segments from it.
        let visit = self.visit(0).await;
        let hospital = &self.network.hospitals[0];
        self.people.submit(hospital, &visit).await;
        let announced = self.people.is_announced(hospital, visit.record_id()).await;
        let announcement = announced.expect("no other worker runs that could approve it");
        self.victim(victim).kill();
        for hospital in &mut self.network.hospitals[1..] {
            hospital.worker.start();
        }
        let ended = self.network.hospitals[1].ballot_ends(announcement).await;
        assert!(matches!(ended, Stage::Committed { .. }), "{ended:?}");
        self.victim(victim).start();
        self.network.hospitals[0].worker_is_ready().await;
        self.people.is_committed(&self.network.hospitals[0], visit.record_id()).await;
    }

    /// A voter's node is killed while the ballot is open: the others commit, and it catches up.
    async fn while_another_votes(&mut self) {
        let visit = self.visit(17 * MIB).await;
        let hospital = &self.network.hospitals[0];
        self.people.submit(hospital, &visit).await;
        self.people.is_announced(hospital, visit.record_id()).await;
        self.network.hospitals[2].node.kill();
        self.people.is_committed(&self.network.hospitals[0], visit.record_id()).await;
        self.network.hospitals[2].node.start();
    }

    /// Visits whose media all hospitals have.
    async fn some_are_held(&mut self) {
        for bytes in [17 * MIB, 100_000, 9 * MIB] {
            let visit = self.visit(bytes).await;
            self.people.submit(&self.network.hospitals[0], &visit).await;
        }
        self.nothing_is_lost().await;
    }

    /// Every committed segment, with a record to which it belongs.
    async fn placed(&self) -> Vec<(RecordPointer, Segment)> {
        let chain = self.network.hospitals[1].chain().await;
        let mut placed = Vec::new();
        for pointer in self.network.committed().await.into_values().flatten() {
            let (_, record) = verified(&chain, pointer).await.unwrap();
            placed.extend(record.segments().iter().map(|segment| (pointer, *segment)));
        }
        placed
    }

    /// Every segment of the first hospital is deleted or damaged. The worker is killed while it repairs them, because
    /// the patient reads them.
    async fn while_repairing(&mut self, victim: Victim) {
        let placed = self.placed().await;
        let segments: Vec<_> = placed.iter().map(|(_, segment)| *segment).collect();
        let hospital = &self.network.hospitals[0];
        hospital.comes_to_hold(&segments).await;
        let patient = hospital.client(Account::development("//Patient").unwrap()).await;
        for (index, segment) in segments.iter().enumerate() {
            let file = hospital.stored(segment);
            if index % 2 == 0 {
                std::fs::remove_file(file).unwrap();
            } else {
                std::fs::write(file, b"damaged").unwrap();
            }
        }
        let (wanting, wanted) = (patient.clone(), placed.clone());
        let asking = tokio::spawn(async move {
            for (pointer, segment) in &wanted {
                // The worker is killed meanwhile.
                wanting.segment_of(*pointer, segment).await.ok();
            }
        });
        eventually("the first is repaired", async || {
            segments.iter().any(|segment| hospital.holds(segment)).then_some(())
        })
        .await;
        self.strike(victim).await;
        asking.abort();
        for (pointer, segment) in &placed {
            settles("a segment is repaired", async || {
                patient.segment_of(*pointer, segment).await.map_err(|error| error.to_string())
            })
            .await;
        }
        self.network.hospitals[0].comes_to_hold(&segments).await;
    }

    /// Every visit is committed once, all hospitals have its segments, and its content is unchanged.
    async fn nothing_is_lost(&self) {
        for hospital in &self.network.hospitals {
            hospital.worker_is_ready().await;
        }
        let hospital = &self.network.hospitals[0];
        for (visit, _) in &self.written {
            self.people.is_committed(hospital, visit.record_id()).await;
        }
        let committed = self.network.committed().await;
        assert_eq!(committed.len(), self.written.len());
        let segments = self.network.segments().await;
        for hospital in &self.network.hospitals {
            hospital.comes_to_hold(&segments).await;
        }
        let mut pointers = Vec::new();
        for (visit, _) in &self.written {
            let places = &committed[&visit.record_id()];
            assert_eq!(places.len(), 1, "{}", visit.record_id());
            pointers.push(places[0]);
        }
        let reader = reader(hospital, "//Doctor").await;
        let opened = reader.open(self.people.patient, &pointers, TREATMENT).await.unwrap();
        for (record, (visit, media)) in opened.iter().zip(&self.written) {
            let (_, read) = content_of(&reader, record, self.network.folder.path()).await;
            assert!(read == *media, "other bytes came back of {}", visit.record_id());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_a_worker_is_killed_during_an_upload() {
    let mut scene = Scene::begin().await;
    for victim in [Victim::Worker, Victim::Node] {
        scene.while_uploading(victim).await;
    }
    scene.nothing_is_lost().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_a_worker_is_killed_before_announcing() {
    let mut scene = Scene::begin().await;
    for victim in [Victim::Worker, Victim::Node] {
        scene.when_queued(victim).await;
        scene.when_announcing(victim).await;
    }
    scene.nothing_is_lost().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_a_worker_is_killed_during_a_ballot() {
    let mut scene = Scene::begin().await;
    for victim in [Victim::Worker, Victim::Node] {
        scene.until_committed(victim).await;
    }
    scene.while_another_votes().await;
    scene.nothing_is_lost().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_a_worker_is_killed_during_a_repair() {
    let mut scene = Scene::begin().await;
    scene.some_are_held().await;
    for victim in [Victim::Worker, Victim::Node] {
        scene.while_repairing(victim).await;
    }
    scene.nothing_is_lost().await;
}
