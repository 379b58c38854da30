//! Standing openings on a real network: while the hospital of a record is away, node and worker, the other hospitals
//! open a section for a researcher whom the patient's standing consent includes, and for nobody else, and by final
//! blocks only.

#![allow(clippy::unwrap_used)]

mod network;

use std::time::Duration;

use epione_client::{
    chain::{
        Birth, Call, Chain, SubmitError,
        calls::{credentials, openings, sharing},
    },
    reader::{OpeningFault, ReadError, VerifiedRecord},
    signer::Account,
    worker::{WorkerClient, WorkerError},
};
use epione_primitives::{
    HospitalId, RecordPointer, UserId,
    access::Purpose,
    consortium::Epoch,
    credential::AttributeId,
    limits::DAY_MILLIS,
    opening::{OpeningId, Wrapped},
    profile::Role,
    query::QueriedRecords,
    refusal::Refusal,
    release::{ReleasedRecord, SectionSet},
    sharing::{Consent, KindSet, RecordedPeriod, SlotId, Term},
};
use network::{
    Hospital, Network, Tuning,
    people::{People, SUMMARY, content_of, join, reader},
    settles,
};
use tokio::time::sleep;

const HOSPITALS: usize = 4;
const SLOT: SlotId = SlotId(4);
const RESEARCH: AttributeId = AttributeId(2);
/// The text and the file of a visit.
const SECTIONS: SectionSet = SectionSet(0b11);
const MEDIA: &[u8] = &[7; 100_000];

/// A user who wants to read the patient's record, at another hospital than the record's.
struct Researcher {
    uri: &'static str,
    user: UserId,
}

impl Researcher {
    async fn register(hospital: &Hospital, uri: &'static str) -> Self {
        Self { uri, user: join(hospital, Role::Researcher, uri).await }
    }

    fn account(&self) -> Account {
        Account::development(self.uri).unwrap()
    }

    /// The question for all shared sections of a record.
    fn question(hospital: &Hospital, patient: UserId, record: RecordPointer) -> Call {
        let records = vec![ReleasedRecord { pointer: record, sections: SECTIONS }];
        let records = QueriedRecords::try_from(records).unwrap();
        openings::ask(hospital.id, patient, &records, Purpose::Research, None)
    }

    /// Asks the chain for all shared sections of a record. The number of the opening, or the pallet's error.
    async fn ask(
        &self,
        hospital: &Hospital,
        patient: UserId,
        record: RecordPointer,
    ) -> Result<OpeningId, String> {
        let chain = hospital.chain().await;
        let call = Self::question(hospital, patient, record);
        let mut submitted = chain.submit(&call, &self.account()).await;
        // A user asks about once in half a minute.
        while let Err(SubmitError::Refused(Refusal::QuotaExceeded)) = submitted {
            sleep(Duration::from_secs(3)).await;
            submitted = chain.submit(&call, &self.account()).await;
        }
        if let Err(error) = submitted {
            let failure = error.dispatch().unwrap_or_else(|| panic!("{error}"));
            assert_eq!(failure.pallet, "Openings");
            return Err(failure.error.clone());
        }
        let state = chain.finalized().await.unwrap();
        let newest = state.openings_of_requester(self.user, None, 1).await.unwrap();
        Ok(newest[0].1)
    }

    /// This user's clients of the workers of these hospitals.
    async fn clients(&self, hospitals: &[Hospital]) -> Vec<WorkerClient> {
        let mut clients = Vec::new();
        for hospital in hospitals {
            clients.push(hospital.client(self.account()).await);
        }
        clients
    }

    /// Checks that the workers of these hospitals know no opening of this number.
    async fn has_no_opening(&self, id: OpeningId, hospitals: &[Hospital]) {
        for client in self.clients(hospitals).await {
            let refused = client.partials(id).await.err().unwrap();
            assert_eq!(refusal(refused), (404, "not-found".into()));
        }
    }
}

/// The record of a visit at the first hospital.
async fn committed(network: &Network, people: &People) -> RecordPointer {
    let home = &network.hospitals[0];
    let visit = people.visit(home, network.folder.path(), MEDIA).await;
    people.submit(home, &visit).await;
    people.is_committed(home, visit.record_id()).await
}

/// Waits until the hospitals have made a key, and all of them have their shares.
async fn has_key(chain: &Chain) -> Epoch {
    settles("all hospitals have a share of the consortium key", async || {
        let state = chain.finalized().await.map_err(|error| error.to_string())?;
        let epoch = state.current_epoch().await.map_err(|error| error.to_string())?;
        match epoch {
            Some(epoch) if epoch.confirmed.len() == HOSPITALS => Ok(epoch),
            epoch => Err(format!("{:?}", epoch.map(|epoch| epoch.confirmed))),
        }
    })
    .await
}

/// Waits until the record's hospital has wrapped exactly these sections.
async fn is_wrapped(chain: &Chain, record: RecordPointer, sections: SectionSet) -> Wrapped {
    settles("the sections are wrapped", async || {
        let state = chain.finalized().await.map_err(|error| error.to_string())?;
        let wraps = state.wraps(record).await.map_err(|error| error.to_string())?;
        match wraps.as_slice() {
            [(SLOT, wrapped)] if wrapped.sections == sections => Ok(*wrapped),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn submit(hospital: &Hospital, call: &Call, by: &Account) {
    hospital.chain().await.submit(call, by).await.unwrap();
}

/// Everybody with the attribute may read, while the patient is away.
fn consent(issuer: HospitalId, until: u64) -> Consent {
    Consent {
        audience: vec![Term::Credential { attribute: RESEARCH, issuer }].try_into().unwrap(),
        purposes: vec![Purpose::Research].try_into().unwrap(),
        kinds: KindSet::default(),
        recorded: RecordedPeriod::default(),
        until,
        standing: true,
    }
}

/// The status of a worker's refusal, and the end of its kind.
fn refusal(error: WorkerError) -> (u16, String) {
    let WorkerError::Problem(problem) = error else { panic!("{error}") };
    (problem.status, problem.kind.rsplit(':').next().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_section_opens_while_its_hospital_is_away_for_whom_the_consent_includes() {
    let mut network = Network::start(HOSPITALS, Tuning::default()).await;
    let folder = network.folder.path().to_owned();
    let [home, office, ..] = network.hospitals.as_slice() else { panic!("there are four") };
    let people = People::register(home).await;
    let patient = people.patient;
    let record = committed(&network, &people).await;
    let researcher = Researcher::register(office, "//Researcher").await;
    let outsider = Researcher::register(office, "//Stranger").await;
    let chain = office.chain().await;
    let now = chain.finalized().await.unwrap().time().await.unwrap();
    let issue = credentials::issue(researcher.user, RESEARCH, now + DAY_MILLIS);
    submit(office, &issue, &office.governance()).await;

    // The patient gives a standing consent and places sections. Then patient and hospital leave.
    has_key(&chain).await;
    let by_patient = Account::development("//Patient").unwrap();
    let give = sharing::give(SLOT, &consent(office.id, now + DAY_MILLIS), 0);
    submit(home, &give, &by_patient).await;
    assert_eq!(researcher.ask(office, patient, record).await, Err("NotPlaced".into()));
    let placed = [ReleasedRecord { pointer: record, sections: SECTIONS }];
    submit(home, &sharing::place(SLOT, &placed), &by_patient).await;
    let wrapped = is_wrapped(&chain, record, SECTIONS).await;
    assert_eq!(wrapped.hospital, home.id);
    let segments = network.segments().await;
    for hospital in &network.hospitals[1..] {
        hospital.comes_to_hold(&segments).await;
    }
    network.hospitals[0].worker.kill();
    network.hospitals[0].node.kill();

    // The researcher gets text and media from the three that are left.
    let others = &network.hospitals[1..];
    let office = &others[0];
    let id = researcher.ask(office, patient, record).await.unwrap();
    let clients = researcher.clients(others).await;
    let reading = reader(office, researcher.uri).await;
    let verified = VerifiedRecord::of(&chain, patient, record).await.unwrap();
    let opened = reading.open_standing(id, vec![verified.clone()], &clients).await.unwrap();
    let open = opened.records[0].as_ref().unwrap();
    let content = content_of(&opened.reader, open, &folder).await;
    assert_eq!(content, (SUMMARY.to_owned(), MEDIA.to_vec()));
    assert_eq!(opened.hospitals, others.iter().map(|it| it.id).collect::<Vec<_>>());
    let handed_out = chain.finalized().await.unwrap().handed_out(id).await.unwrap();
    let by: Vec<_> = handed_out.iter().map(|(hospital, _)| *hospital).collect();
    assert_eq!(by, opened.hospitals);

    // Fewer than the threshold open nothing.
    let few = reading.open_standing(id, vec![verified.clone()], &clients[..2]).await;
    let few = few.err().unwrap();
    assert!(
        matches!(few, ReadError::Opening(OpeningFault::TooFew { needed: 3, found: 2, .. })),
        "{few}"
    );

    // Nobody else gets anything: not from the chain, and not of this opening.
    assert_eq!(outsider.ask(office, patient, record).await, Err("NotAdmitted".into()));
    let stranger = office.client(outsider.account()).await;
    let refused = stranger.partials(id).await.err().unwrap();
    assert_eq!(refusal(refused), (404, "not-found".into()));

    // The attribute is revoked: the next block refuses, and so does every worker, although the opening is recent.
    let revoke = credentials::revoke(researcher.user, RESEARCH);
    submit(office, &revoke, &office.governance()).await;
    let revoked = chain.finalized_head().await.unwrap().number;
    assert_eq!(researcher.ask(office, patient, record).await, Err("NotAdmitted".into()));
    for (hospital, client) in others.iter().zip(&clients) {
        hospital.finalizes(revoked).await;
        let refused = client.partials(id).await.err().unwrap();
        assert_eq!(refusal(refused), (409, "not-admitted".into()));
    }

    // The hospital returns. It has nothing to wrap again, and takes part again.
    network.hospitals[0].node.start();
    network.hospitals[0].worker.start();
    network.hospitals[0].worker_is_ready().await;
    let (home, office) = (&network.hospitals[0], &network.hospitals[1]);
    submit(office, &issue, &office.governance()).await;
    let id = researcher.ask(office, patient, record).await.unwrap();
    home.finalizes(chain.finalized_head().await.unwrap().number).await;
    let clients = researcher.clients(&network.hospitals[..3]).await;
    let opened = reading.open_standing(id, vec![verified], &clients).await.unwrap();
    assert_eq!(opened.hospitals, [home.id, office.id, network.hospitals[2].id]);
    assert_eq!(is_wrapped(&chain, record, SECTIONS).await, wrapped);
}

/// Two hospitals make a branch of the chain on which a researcher asks, and the other two make one on which the patient
/// has withdrawn the consent. Both nodes of a pair are down while the other pair makes its branch. Neither pair can
/// finalize blocks. All four together finalize the longer branch, which is the patient's.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_on_a_branch_that_does_not_become_final_opens_nothing() {
    let mut network = Network::start(HOSPITALS, Tuning::default()).await;
    let [home, office, ..] = network.hospitals.as_slice() else { panic!("there are four") };
    let people = People::register(home).await;
    let patient = people.patient;
    let record = committed(&network, &people).await;
    let researcher = Researcher::register(office, "//Researcher").await;
    let chain = office.chain().await;
    let now = chain.finalized().await.unwrap().time().await.unwrap();
    has_key(&chain).await;
    let by_patient = Account::development("//Patient").unwrap();
    let audience = vec![Term::User(researcher.user)].try_into().unwrap();
    let given = Consent { audience, ..consent(office.id, now + DAY_MILLIS) };
    submit(home, &sharing::give(SLOT, &given, 0), &by_patient).await;
    let placed = [ReleasedRecord { pointer: record, sections: SECTIONS }];
    submit(home, &sharing::place(SLOT, &placed), &by_patient).await;
    is_wrapped(&chain, record, SECTIONS).await;
    let question = Researcher::question(office, patient, record);

    // The nodes of both workers have the question in a block, and the workers hand out nothing.
    for down in [0, 3] {
        network.hospitals[down].node.kill();
    }
    let asked = chain.submit_from(Birth::Best, &question, &researcher.account()).await.unwrap();
    let other = network.hospitals[2].chain().await;
    settles("the other node has the block of the question", async || {
        let found = other.canonical_hash(asked.block.number).await;
        let found = found.map_err(|error| error.to_string())?;
        if found == Some(asked.block.hash) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    let state = chain.at(asked.block.hash);
    let opened = state.openings_of_requester(researcher.user, None, 1).await.unwrap();
    let id = opened[0].1;
    researcher.has_no_opening(id, &network.hospitals[1..3]).await;

    // The patient withdraws the consent on the other branch, where nobody has asked.
    let length = chain.best_head().await.unwrap().number;
    for down in [1, 2] {
        network.hospitals[down].node.kill();
    }
    for up in [0, 3] {
        network.hospitals[up].node.start();
    }
    let chain = network.hospitals[0].chain().await;
    chain.submit_from(Birth::Best, &sharing::withdraw(SLOT), &by_patient).await.unwrap();
    let longer = settles("the branch of the patient is longer", async || {
        let best = chain.best_head().await.map_err(|error| error.to_string())?.number;
        // The other pair may have added a block before its nodes were killed, and adds another when they start.
        if best > length + 4 { Ok(best) } else { Err(format!("{best} and {length} blocks")) }
    })
    .await;

    // Together they finalize it. The question is in no final block, and comes too late now.
    for up in [1, 2] {
        network.hospitals[up].node.start();
    }
    for hospital in &network.hospitals {
        hospital.finalizes(longer).await;
        hospital.worker_is_ready().await;
    }
    let office = &network.hospitals[1];
    let chain = office.chain().await;
    let at_its_height = chain.block_hash(asked.block.number).await.unwrap();
    assert_ne!(at_its_height.unwrap(), asked.block.hash);
    let state = chain.finalized().await.unwrap();
    let opened = state.openings_of_requester(researcher.user, None, 1).await.unwrap();
    assert!(opened.is_empty(), "{opened:?}");
    researcher.has_no_opening(id, &network.hospitals).await;
    assert_eq!(researcher.ask(office, patient, record).await, Err("NotAdmitted".into()));
}
